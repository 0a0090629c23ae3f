"""A mount namespace of its own, where files of the machine are replaced and nobody outside sees it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import cannot_run, need, run
from tests.mount.conftest import NOBODY, until

_START = 'while [ "$2" ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; : >"$1"; exec sleep 600'


#: Where the shell looks for programs when it is given no PATH.
STANDARD_PLACE = Path("/usr/local/sbin")


class Namespace:
    """Made in `directory`; each path of `binds` is replaced by its value. `close` ends it."""

    def __init__(self, directory: Path, binds: Mapping[Path, Path]) -> None:
        ready = directory / "namespace-ready"
        pairs = [path for place, instead in binds.items() for path in (instead, place)]
        command = [need("unshare"), "--mount", "--propagation=slave", "sh", "-c", _START, "sh", *pairs, ready]
        self._holder = subprocess.Popen(command)
        self._enter = (need("nsenter"), f"--target={self._holder.pid}", "--mount", "--")
        until(lambda: ready.exists() or self._holder.poll() is not None, "a namespace")
        if self._holder.poll() is not None:
            cannot_run("no mount namespace can be made here")

    def start(self, *command: str | Path, **keywords: object) -> subprocess.Popen[str]:
        """Start a program in the namespace."""
        arguments = [*self._enter, *map(str, command)]
        return subprocess.Popen(arguments, text=True, **keywords)  # type: ignore[call-overload,no-any-return]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program in the namespace, at its root directory."""
        return run(*self._enter, *command)

    def output(self, *command: str | Path) -> str:
        """Run a program that must succeed, and give what it printed."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def as_nobody(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program in the namespace as another user."""
        ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        return self.run(need("setpriv"), *ids, "--", *command)

    def entry(self, mountpoint: Path) -> list[str]:
        """Give source, mountpoint, type and options of the topmost mount at a path; [] if there is none."""
        entries = [line.split() for line in self.output("cat", "/proc/self/mounts").splitlines()]
        return [entry for entry in [[], *entries] if not entry or entry[1] == str(mountpoint)][-1]

    def close(self, mountpoint: Path) -> None:
        """Unmount what is left at a path, and end the namespace."""
        while self._holder.poll() is None and self.entry(mountpoint):
            self.output("umount", "-l", mountpoint)
        self._holder.kill()
        self._holder.wait()


@pytest.fixture
def namespace(tmp_path: Path, mountpoint: Path, as_root: None) -> Iterator[Namespace]:
    """A namespace in which /usr/local/sbin holds `regfs`, and nothing else."""
    need("mount.fuse")
    script = shutil.which("regfs", path=str(Path(sys.executable).parent))
    if script is None:
        cannot_run("regfs is not installed beside this Python")
    if not STANDARD_PLACE.is_dir():
        cannot_run(f"there is no {STANDARD_PLACE}")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "regfs").symlink_to(script)
    made = Namespace(tmp_path, {STANDARD_PLACE: programs})
    yield made
    made.close(mountpoint)
