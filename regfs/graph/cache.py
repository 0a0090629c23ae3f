"""Bounded caches that threads can share.

cachetools' classes are not thread-safe; here they stand behind a lock, which is never held while a value
is read from the store. Two threads that miss at once both read: that costs a little and blocks nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import cachetools

#: What one cached value costs in memory, in bytes; measured with tracemalloc on CPython 3.11 (520 to 780) and
#: rounded up.
COST_OF_ENTRY = 800

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """A cachetools cache behind a lock. A value too large for it is handed out and not kept."""

    def __init__(self, cache: cachetools.Cache[K, V]) -> None:
        self._cache = cache
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Give the value kept for a key, or None."""
        with self._lock:
            try:
                return self._cache[key]
            except KeyError:
                return None

    def get_all(self, keys: Iterable[K]) -> dict[K, V]:
        """Give the values kept for some keys."""
        with self._lock:
            return {key: self._cache[key] for key in keys if key in self._cache}

    def put(self, key: K, value: V) -> None:
        """Keep a value, in place of the one before."""
        self.put_all([(key, value)])

    def put_all(self, pairs: Iterable[tuple[K, V]]) -> None:
        """Keep values, in place of those before."""
        with self._lock:
            for key, value in pairs:
                try:
                    self._cache[key] = value
                except ValueError:  # larger than the whole cache
                    self._cache.pop(key, None)

    def through(self, key: K, load: Callable[[], V]) -> V:
        """Give the value kept for a key, or else load it and keep it. What `load` raises is not kept."""
        value = self.get(key)
        if value is None:
            value = load()
            self.put(key, value)
        return value


def for_a_while(
    seconds: float, size: float, clock: Callable[[], float], sizeof: Callable[[V], float] | None = None
) -> Cache[K, V]:
    """Make a cache whose values expire after `seconds`; `size` bounds the sum of `sizeof`, or the count."""
    return Cache(cachetools.TTLCache(size, seconds, timer=clock, getsizeof=sizeof))


def for_ever(size: float, sizeof: Callable[[V], float] | None = None) -> Cache[K, V]:
    """Make a cache of what never changes; the least recently used goes when it is full."""
    return Cache(cachetools.LRUCache(size, getsizeof=sizeof))
