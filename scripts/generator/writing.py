"""Writes files below directories that stay open, by short paths, with the times of what happened then."""

from __future__ import annotations

import os
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_AGAIN = os.O_WRONLY | os.O_TRUNC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY

#: What stands in a file: bytes, or a hole of so many.
Content = bytes | int


class Writer:
    """Writes below one directory. Times are in nanoseconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[str, int] = {}
        self.files = 0
        #: When a name came last into each directory that is open.
        self.changed: dict[str, int] = {}

    def at(self, below: str) -> int:
        """Open a directory, made where it is not there, until `close`."""
        if below not in self._open:
            os.makedirs(self._path / below, exist_ok=True)
            self._open[below] = os.open(self._path / below, _DIRECTORY)
        return self._open[below]

    def directory(self, below: str, name: str, time: int) -> int:
        """Make a directory in an open one, which is given."""
        within = self.at(below)
        os.mkdir(name, 0o755, dir_fd=within)
        if self.changed.get(below, 0) < time:
            self.changed[below] = time
        return within

    def alone(self, below: str, name: str, file: str, content: Content, time: int) -> None:
        """Write a file into a new directory of its own."""
        within = self.directory(below, name, time)
        self.file(within, f"{name}/{file}", content, time)
        os.utime(name, ns=(time, time), dir_fd=within)

    def file(self, within: int, path: str, content: Content, time: int, *, again: bool = False) -> None:
        """Write a file below an open directory: a new one, or one that is there."""
        opened = os.open(path, _AGAIN if again else _NEW, 0o644, dir_fd=within)
        try:
            if isinstance(content, int):
                os.ftruncate(opened, content)
            else:
                os.write(opened, content)
            os.utime(opened, ns=(time, time))
        finally:
            os.close(opened)
        self.files += not again

    def close(self) -> None:
        """Close what is open. The times of directories are left to `set_times`."""
        for opened in self._open.values():
            os.close(opened)
        self._open.clear()


def set_times(top: Path, changed: dict[str, int]) -> None:
    """Give directories below `top`, and those between, the times when a name came last into them."""
    times: dict[str, int] = {}
    for below, time in changed.items():
        while below:
            times[below] = max(time, times.get(below, 0))
            below = below.rpartition("/")[0]
    for below, time in times.items():
        os.utime(top / below, ns=(time, time))
