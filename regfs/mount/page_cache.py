"""What the kernel's page cache holds for each path, and so which open file may use it.

The kernel keeps one size and one set of pages for a path, whatever lies under it. A tag that moves changes
both. So for each path this module remembers which content the kernel was last told the attributes of, and
which its pages are from:

- a file whose content is the one told of reads through the page cache, and keeps the pages of an earlier
  reader if they are of that content;
- any other reads around it (direct I/O), so it sees its own bytes at its own size;
- as long as a file is open through the page cache, the path's attributes stay those of that file: else the
  kernel would cut its pages to the new size.

Safe for many threads.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import cachetools

from regfs.tree import Attributes

#: Paths remembered. One that is forgotten is read around the page cache, which is slower and right.
_MOST_PATHS = 65536


class Use(NamedTuple):
    """How one open file is to be read: libfuse's `keep_cache` and `direct_io`."""

    keep: bool
    direct: bool


class _Open(NamedTuple):
    attributes: Attributes
    users: int


class PageCache:
    """The state of the kernel's page cache, path by path."""

    def __init__(self, most_paths: int = _MOST_PATHS) -> None:
        self._told: cachetools.LRUCache[bytes, tuple[str, Attributes]] = cachetools.LRUCache(most_paths)
        self._pages: cachetools.LRUCache[bytes, str] = cachetools.LRUCache(most_paths)
        self._open: dict[bytes, _Open] = {}
        self._lock = threading.Lock()

    def tell(self, path: bytes, identity: str, attributes: Attributes) -> Attributes:
        """Note which attributes the kernel is given for a path; give those that it must be given."""
        with self._lock:
            held = self._open.get(path)
            if held is not None:
                return held.attributes
            self._told[path] = (identity, attributes)
            return attributes

    def opened(self, path: bytes, identity: str) -> Use:
        """Note that a file was opened, and say how it is to be read."""
        with self._lock:
            told, attributes = self._told.get(path, ("", None))
            if attributes is None or told != identity:
                return Use(keep=False, direct=True)
            keep = self._pages.get(path) == identity
            self._pages[path] = identity
            held = self._open.get(path)
            self._open[path] = _Open(attributes, 1 + (held.users if held else 0))
            return Use(keep=keep, direct=False)

    def closed(self, path: bytes, use: Use) -> None:
        """Note that a file that `opened` was asked for is closed."""
        if use.direct:
            return
        with self._lock:
            held = self._open.pop(path)
            if held.users > 1:
                self._open[path] = held._replace(users=held.users - 1)
