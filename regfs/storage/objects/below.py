"""A directory of a storage, by paths from there. What is wrong is told with the whole path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from regfs.storage.protocol import Content, Entry, FileStat, Leaf, Space, Storage


class Below:
    """What is below `path` of a storage."""

    follow_symlinks = False

    def __init__(self, whole: Storage, path: str) -> None:
        self._whole = whole
        self._path = path

    def _full(self, path: str) -> str:
        return "/".join(filter(None, (self._path, path)))

    def list(self, path: str) -> list[Entry]:
        """List a directory."""
        return self._whole.list(self._full(path))

    def stat(self, path: str, below: str = "") -> FileStat:
        """Tell what stands at a path."""
        return self._whole.stat(self._full(path))

    def read(self, path: str, limit: int) -> bytes:
        """Read a whole file."""
        return self._whole.read(self._full(path), limit)

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        """Tell about a file, and read it."""
        return self._whole.examine(self._full(path), limit)

    def open(self, path: str, size: int | None = None) -> Content:
        """Open a file."""
        return self._whole.open(self._full(path), size)

    def space(self) -> Space:
        """Tell about what holds the store."""
        return self._whole.space()

    def beside(self, path: str) -> bool:
        """Tell whether something stands above the store."""
        return self._whole.beside(path)

    @contextmanager
    def at(self, path: str) -> Iterator[Storage]:
        """Give a directory of this one."""
        with self._whole.at(self._full(path)) as below:
            yield below

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> Sequence[Leaf]:
        """Look for a name in every directory so far below."""
        return self._whole.find(self._full(path), depth, leaf, likely)

    def stamps(self, paths: Iterable[str]) -> Sequence[int]:
        """Give the stamp of each path."""
        return self._whole.stamps(map(self._full, paths))
