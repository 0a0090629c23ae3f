"""Tests of one run in several processes (pytest-xdist): what they share, and how one of them has quiet.

All of it is files in one directory, so it is as right with one process as with many.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def shared_directory(paths: pytest.TempPathFactory) -> Path:
    """Give the directory that all processes of this run have in common, and no other run."""
    own = paths.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def made_once(paths: pytest.TempPathFactory, name: str, make: Callable[[Path], T]) -> T:
    """Have something made by the first process that needs it, in a directory; give each process a copy.

    What `make` gives is pickled; the files in the directory are the same for all, who must only read them.
    """
    directory = shared_directory(paths) / name
    result = directory.with_suffix(".pickle")
    with _locked(directory.with_suffix(".lock")):
        if not result.exists():
            shutil.rmtree(directory, ignore_errors=True)  # of a process that failed at it
            directory.mkdir()
            content = pickle.dumps(make(directory))
            result.write_bytes(content)
    value: T = pickle.loads(result.read_bytes())
    return value


class Room:
    """A plugin of one of the processes: lets its tests in, beside those of others, or alone.

    Whoever enters passes the door; a test marked `alone` keeps it shut until the others have left, and the
    room is kept for the next one if that is marked so, too.
    """

    def __init__(self, directory: Path) -> None:
        self._door = directory / "door"
        self._room = (directory / "room").open("w")
        self._kept = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # before the time that a test may take begins
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        alone = wants_quiet(item)
        if not self._kept:
            with _locked(self._door):
                fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            return (yield)
        finally:
            self._kept = alone and nextitem is not None and wants_quiet(nextitem)
            if not self._kept:
                fcntl.flock(self._room, fcntl.LOCK_UN)

    def pytest_unconfigure(self) -> None:
        self._room.close()


def wants_quiet(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # A child that was forked meanwhile has the same open file, and would keep the lock.
            fcntl.flock(file, fcntl.LOCK_UN)
