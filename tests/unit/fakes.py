"""Small fakes for what regfs takes by injection: a clock, a pause, a store that counts."""

from __future__ import annotations

import collections
from collections.abc import Callable

from regfs.store import Content, Entry, FileStat, Store
from regfs.store.protocol import Space


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
    """Another store, and how often each path was listed, looked at, read and opened."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: collections.Counter[tuple[str, str]] = collections.Counter()
        #: Called before a file is read: the world may change at that very moment.
        self.before_read: Callable[[str], None] = lambda path: None

    def count(self, call: str, part: str = "") -> int:
        """Tell how often `call` was made of a path that contains `part`."""
        return sum(number for (name, path), number in self.calls.items() if name == call and part in path)

    def list(self, path: str) -> list[Entry]:
        self.calls["list", path] += 1
        return self._store.list(path)

    def stat(self, path: str, below: str = "") -> FileStat:
        self.calls["stat", path] += 1
        return self._store.stat(path, below)

    def read(self, path: str, limit: int) -> bytes:
        self.before_read(path)
        self.calls["read", path] += 1
        return self._store.read(path, limit)

    def open(self, path: str) -> Content:
        self.calls["open", path] += 1
        return self._store.open(path)

    def space(self) -> Space:
        return self._store.space()
