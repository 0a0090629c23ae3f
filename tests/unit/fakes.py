"""Small fakes for what regfs takes by injection: a clock, a pause, a store that counts."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from regfs.storage import Content, Entry, FileStat, Storage
from regfs.storage.protocol import Space


class FakeClock:
    """A clock that goes on only when told to; `pause` serves as sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class CountingStore:
    """Another store, and how often each path was listed, looked at, read and opened.

    What is read by shorter paths, `at` a directory, counts under the whole path.
    """

    def __init__(self, store: Storage, above: CountingStore | None = None, path: str = "") -> None:
        self._store = store
        self._path = path
        self.follow_symlinks = store.follow_symlinks
        self.calls: collections.Counter[tuple[str, str]] = above.calls if above else collections.Counter()
        #: Called before a file is read: the world may change at that very moment.
        self.before_read: Callable[[str], None] = above.before_read if above else lambda path: None

    def count(self, call: str, part: str = "") -> int:
        """Tell how often `call` was made of a path that contains `part`."""
        return sum(number for (name, path), number in self.calls.items() if name == call and part in path)

    def list(self, path: str) -> list[Entry]:
        self._called("list", path)
        return self._store.list(path)

    def stat(self, path: str, below: str = "") -> FileStat:
        self._called("stat", path)
        return self._store.stat(path, below)

    def read(self, path: str, limit: int) -> bytes:
        self.before_read(self._whole(path))
        self._called("read", path)
        return self._store.read(path, limit)

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        self.before_read(self._whole(path))
        self._called("examine", path)
        return self._store.examine(path, limit, below)

    def open(self, path: str, size: int | None = None) -> Content:
        self._called("open", path)
        return self._store.open(path, size)

    def space(self) -> Space:
        return self._store.space()

    @contextmanager
    def at(self, path: str) -> Iterator[CountingStore]:
        self._called("at", path)
        with self._store.at(path) as below:
            yield CountingStore(below, self, self._whole(path))

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> list[tuple[str, FileStat | None]]:
        self._called("find", path)
        return self._store.find(path, depth, leaf, likely)

    def beside(self, path: str) -> bool:
        return self._store.beside(path)

    def stamps(self, paths: Iterable[str]) -> list[int]:
        paths = list(paths)
        for path in paths:
            self._called("stamps", path)
        return self._store.stamps(paths)

    def _called(self, call: str, path: str) -> None:
        self.calls[call, self._whole(path)] += 1

    def _whole(self, path: str) -> str:
        return "/".join(filter(None, (self._path, path)))
