"""What all tiers share: built stores, real mounts, and the rule about tests that cannot run."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.builder import StoreBuilder
from tests.sides import Room, wants_quiet
from tests.started import ForkServer, may_fork

REGFS = [sys.executable, "-m", "regfs"]
_FORK_SERVER = ForkServer()

#: On CI every test must run: what a machine lacks there is a fault of scripts/prepare.sh.
ON_CI = bool(os.environ.get("CI"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--session", choices=("kernel", "fusepy"), default="kernel", help="what answers the tests' mounts"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("session", "kernel") == "fusepy":
        REGFS[:] = [sys.executable, str(Path(__file__).with_name("fusepy.py"))]
    if hasattr(config, "workerinput"):  # one of several processes; their directories are in one
        config.pluginmanager.register(Room(Path(config.getoption("basetemp")).parent))


#: What fusepy's session cannot do, by the names of the tests that show it, and why.
BEYOND_FUSEPY = {
    "test_a_mapped_layer_keeps_its_content": "direct I/O has no shared mappings (ENODEV)",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run those that must be alone first, one after the other: no other waits for them later."""
    items.sort(key=lambda item: not wants_quiet(item))
    if config.getoption("session", "kernel") == "fusepy":
        for item in items:
            reason = BEYOND_FUSEPY.get(item.name.partition("[")[0])
            if reason:
                item.add_marker(pytest.mark.skip(reason=f"fusepy's session cannot: {reason}"))


def need(program: str) -> str:
    """Find a program, or skip the test with the reason; on CI such a skip fails."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        cannot_run(f"{program} is not installed")
    return found


def cannot_run(reason: str) -> NoReturn:
    if ON_CI:
        pytest.fail(f"cannot run on CI: {reason}")
    pytest.skip(reason)


def run(*command: str | Path, **keywords: object) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and give its output as text; the status is the caller's to check."""
    words = [str(part) for part in command]
    environment: dict[str, str] = dict(keywords.pop("env", os.environ))  # type: ignore[call-overload]
    start, arguments = words[: len(REGFS)], words[len(REGFS) :]
    if start == REGFS and may_fork(arguments, environment, keywords):
        return _FORK_SERVER.run(arguments, environment, **keywords)  # type: ignore[arg-type]
    return subprocess.run(
        words,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **keywords,  # type: ignore[call-overload]
    )


def output(*command: str | Path, **keywords: object) -> str:
    """Run a program that must succeed, and give what it printed."""
    done = run(*command, **keywords)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def mount_entry(path: Path | str) -> list[str] | None:
    """Give the topmost line of /proc/mounts for a mountpoint, split: source, mountpoint, type, options."""
    entries = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    found = [entry for entry in entries if entry[1].encode().decode("unicode_escape") == str(path)]
    return found[-1] if found else None


def clear(path: Path) -> None:
    """Unmount all that is mounted at a path, in layers, even if it is dead: nobody may look at it then."""
    command = ("umount", "-l") if os.geteuid() == 0 else ("fusermount", "-u", "-z")
    while mount_entry(path) is not None:
        output(*command, path)


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Path]]:
    """Directories for what regfs keeps, none given twice; one of them is for what wider fixtures start.

    No test writes the user's own, which regfs finds by XDG_CACHE_HOME, as does a mount that a test makes.
    """
    above = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(above / "shared"))
        yield (above / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def cache(caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory for this test alone; it is not made yet."""
    directory = next(caches)
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory))
    return directory


@pytest.fixture
def store(tmp_path: Path) -> StoreBuilder:
    """An empty store to build in."""
    return StoreBuilder(tmp_path / "registry")


class Mount:
    """One real mount, made by the command line in the foreground; gone with the test."""

    def __init__(self, store: Path, mountpoint: Path, options: str = "", *more: str) -> None:
        self.path = mountpoint
        self.log = mountpoint.with_name(f"{mountpoint.name}.log")
        mountpoint.mkdir(exist_ok=True)
        command = [*REGFS, "mount", "-f", str(store), str(mountpoint), *more]
        if options:
            command += ["-o", options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not os.path.ismount(mountpoint):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise AssertionError(f"not mounted: {self.log.read_text()}")
            time.sleep(0.01)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait, and see that nothing stays mounted; gives the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        clear(self.path)
        return status


@pytest.fixture
def fuse() -> None:
    """Skip where no mount can be made."""
    if not os.path.exists("/dev/fuse"):
        cannot_run("there is no /dev/fuse")
    need("fusermount")


@pytest.fixture
def mount(tmp_path: Path, fuse: None) -> Iterator[object]:
    """Give a function that mounts: `mount(store_path, "ttl=1")`. All are unmounted after the test."""
    mounts: list[Mount] = []

    def make(store: Path | StoreBuilder, options: str = "", *more: str) -> Mount:
        root = store.root if isinstance(store, StoreBuilder) else store
        mounts.append(Mount(root, tmp_path / f"mnt{len(mounts)}", options, *more))
        return mounts[-1]

    yield make
    for made in mounts:
        made.end()
