"""A process that may open no more files (ulimit -n): errors that say so, no wrong answer, recovery."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, need
from tests.faults.conftest import answer, blobs_told, images, is_error, listed, stored
from tests.mount.conftest import processes_with

pytestmark = pytest.mark.fuse

Make = Callable[..., Mount]

TTL = 0.2
IMAGES = 90
#: After so many seconds an index believes what it has read of a directory until that changes.
SETTLED = 2.6


class Starved:
    """A mount whose limit of descriptors is taken up by files that are held open in it."""

    def __init__(self, mount: Mount, store: StoreBuilder, limit: int) -> None:
        self.top = mount.path
        self.log = mount.log
        self.store = store
        resource.prlimit(mount.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        self._held: list[int] = []
        #: What the last open gave that failed.
        self.failure = self._fill()

    def _fill(self) -> int | None:
        for number in range(IMAGES):
            try:
                self._held.append(os.open(self.top / f"app/v{number}/layers/00.tar.gz", os.O_RDONLY))
            except OSError as error:
                return error.errno
        return None

    def release(self, count: int | None = None) -> None:
        """Close some of the held files, or all."""
        for _ in range(len(self._held) if count is None else count):
            os.close(self._held.pop())

    def wrong(self, questions: dict[str, Callable[[], object]], truth: dict[str, object]) -> list[str]:
        """Name the questions that are answered neither truly nor with an error."""
        given = {name: answer(ask) for name, ask in questions.items()}
        return [name for name in questions if given[name] != truth[name] and not is_error(given[name])]


@pytest.fixture
def starve(store: StoreBuilder, mount: Make) -> Iterator[Callable[[int], Starved]]:
    images(store, IMAGES)
    time.sleep(SETTLED)
    made = []

    def make(limit: int) -> Starved:
        made.append(Starved(mount(store, f"ttl={TTL}"), store, limit))
        return made[-1]

    yield make
    for starved in made:
        starved.release()


def of_the_tree(top: Path) -> dict[str, Callable[[], object]]:
    return {
        "the top": lambda: listed(top),
        "a repository": lambda: listed(top / "app"),
        "a tag": lambda: listed(top / "app/v80"),
        "layers/": lambda: listed(top / "app/v80/layers"),
        "a manifest": lambda: (top / "app/v80/manifest.json").read_bytes(),
        "a layer": lambda: (top / "app/v80/layers/00.tar.gz").read_bytes(),
        "inside": lambda: (top / "app/v80/rootfs/number").read_bytes(),
        "@blobs": lambda: listed(top / "@blobs/sha256"),
    }


@pytest.mark.parametrize("limit", [32, 64])
def test_the_tree_is_right_or_an_error_and_recovers(
    starve: Callable[[int], Starved], mount: Make, store: StoreBuilder, limit: int
) -> None:
    other = mount(store)
    truth = {name: ask() for name, ask in of_the_tree(other.path).items()}
    starved = starve(limit)
    questions = of_the_tree(starved.top)
    assert starved.failure is not None, "it had descriptors enough"
    for _ in range(8):
        time.sleep(TTL)
        assert starved.wrong(questions, truth) == []
        starved.release(1)
    assert "Too many open files" in starved.log.read_text()
    starved.release()
    time.sleep(TTL)
    assert {name: answer(ask) for name, ask in questions.items()} == truth


def test_the_error_says_that_there_are_too_many_open_files(starve: Callable[[int], Starved]) -> None:
    assert starve(32).failure in (errno.EMFILE, errno.ENFILE)


def test_reports_are_right_or_an_error_and_recover(starve: Callable[[int], Starved]) -> None:
    starved = starve(32)
    truth: dict[str, object] = {"report": stored(starved.store), "@orphans": []}
    questions: dict[str, Callable[[], object]] = {
        "report": lambda: blobs_told(starved.top),
        "@orphans": lambda: listed(starved.top / "@orphans/sha256"),
    }
    for _ in range(8):
        time.sleep(TTL)
        assert starved.wrong(questions, truth) == []
        starved.release(1)
    starved.release()
    time.sleep(TTL)
    assert {name: answer(ask) for name, ask in questions.items()} == truth


def test_an_index_without_descriptors_is_no_unexpected_error(starve: Callable[[int], Starved]) -> None:
    starved = starve(32)
    for _ in range(8):
        answer(lambda: blobs_told(starved.top))
        starved.release(1)
    assert "Traceback" not in starved.log.read_text(), starved.log.read_text()


def limited(limit: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of regfs that may open so many files; one that hangs has status -1."""
    command = [need("prlimit"), f"--nofile={limit}:{limit}", *REGFS, *(str(part) for part in arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        told, said = process.communicate(timeout=8)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return subprocess.CompletedProcess(command, -1, "", "")
    return subprocess.CompletedProcess(command, process.returncode, told, said)


def test_a_first_index_of_a_command_is_right_or_an_error_and_does_not_hang(store: StoreBuilder) -> None:
    blobs = images(store, 30)
    for limit in range(8, 32):
        done = limited(limit, "report", "blobs", store.root, "--format", "csv")
        if done.returncode == 0:
            told = sorted(line.partition(",")[0] for line in done.stdout.splitlines()[1:])
            assert told == blobs, f"it is wrong with {limit} descriptors"
        else:
            assert done.returncode == 1, f"it hangs with {limit} descriptors"
            assert "Too many open files" in done.stderr
            assert len(done.stderr.splitlines()) == 1
    assert not processes_with(store.root)
