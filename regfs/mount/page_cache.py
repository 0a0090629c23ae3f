"""What the kernel's page cache holds for each path, and so which open file may use it.

The kernel keeps one size and one set of pages for a path, whatever lies under it. A tag that moves changes
both, and the kernel learns of it reply by reply, in an order that libfuse's threads do not promise. So:

- a file reads through the page cache only if the kernel was told of its content, and of no other under this
  path in the last moments, so that no reply about another can still be on its way;
- it keeps the pages that are there only if an earlier file of the same content has surely had the others
  cleared: it is closed by now, or was opened some moments ago;
- any other file reads around the page cache (direct I/O), and sees its own bytes at its own size;
- as long as a file is open through the page cache, the path's attributes stay those of that file: else the
  kernel would cut its pages to the new size;
- who opens a path while the kernel may still tell others the attributes of an earlier content is sent back,
  to ask for them anew: else `tar`, which reads as much as `stat` said, would cut the new content short.

Safe for many threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import cachetools

from regfs.tree import Attributes

#: Paths remembered, some kilobyte each. Who opens one that is forgotten asks once more, and pages of one are
#: read around the page cache: that is slower, and right.
_MOST_PATHS = 2048

#: Seconds after which a reply has surely reached the kernel: it is written by the thread that made it,
#: right away.
_SETTLED = 1.0

#: Seconds to wait for the kernel to say that a file was closed: it tells who closed it nothing of that.
_CLOSING = 0.2

#: Seconds within which who was sent back has come again: the kernel sends nobody back twice.
_RETURNING = 0.1

_NEVER = float("-inf")


class Use(NamedTuple):
    """How one open file is to be read: libfuse's `keep_cache` and `direct_io`."""

    keep: bool
    direct: bool


class _Told(NamedTuple):
    """What the kernel was last told of a path.

    `changed` is when it was something else, `last` when it was told; `settled`, whether the kernel has surely
    taken it since: it drops an answer if a later question was answered before, so it counts only once told
    again after a while. Until `until` it may tell the attributes to others without asking: it counts from
    when it takes the answer, moments after that was given. `sent` is when somebody was last sent back.
    """

    identity: str
    attributes: Attributes
    changed: float
    last: float
    until: float
    settled: bool
    sent: float = _NEVER


class _Pages(NamedTuple):
    """Of which content a path's pages are, and when a file of it was opened that cleared the others."""

    identity: str
    cleared: float


class _Open(NamedTuple):
    """Files that are open through the page cache, and the attributes that their path keeps."""

    attributes: Attributes
    readers: int


class PageCache:
    """The state of the kernel's page cache, path by path.

    `clock` is in seconds and never goes backwards; for `believed` seconds the kernel asks for no attributes
    that it was told.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        believed: float = 0.0,
        most_paths: int = _MOST_PATHS,
    ) -> None:
        self._clock = clock
        self._believed = believed and believed + _SETTLED  # from when it takes an answer
        self._most_paths = most_paths
        #: By the time of `last`: the first is forgotten first, but not while an answer about it may be on its
        #: way. (A plain dict: each file's `stat` comes here.)
        self._told: dict[bytes, _Told] = {}
        self._forgot = False
        self._pages: cachetools.LRUCache[bytes, _Pages] = cachetools.LRUCache(most_paths)
        self._open: dict[bytes, _Open] = {}
        self._lock = threading.Condition()

    def tell(self, path: bytes, identity: str, attributes: Attributes) -> Attributes:
        """Note which attributes the kernel is given for a path; give those that it must be given."""
        with self._lock:
            held, told, now = self._open.get(path), self._told.pop(path, None), self._clock()
            if held is not None:
                if told is not None:  # of the content that is held, and the kernel believes that anew
                    self._told[path] = told._replace(last=now, until=now + self._believed)
                return held.attributes
            if told is None:  # so no other answer is on its way
                changed, settled = now, True
            elif told.identity == identity:
                changed, settled = told.changed, told.settled or now - told.changed >= _SETTLED
            else:
                changed, settled = now, False
            sent = told.sent if told else _NEVER
            self._told[path] = _Told(identity, attributes, changed, now, now + self._believed, settled, sent)
            self._forget(now)
            return attributes

    def _forget(self, now: float) -> None:
        while len(self._told) > self._most_paths:
            oldest = next(iter(self._told))
            if now - self._told[oldest].last < _SETTLED:
                return
            del self._told[oldest]
            self._forgot = True

    def outdated(self, path: bytes, identity: str) -> bool:
        """Tell whether the kernel may still tell the attributes of another content.

        Not again just after: then it is asked by who was sent back.
        """
        with self._lock:
            held, told, now = self._open.get(path), self._told.get(path), self._clock()
            if told is None:
                return held is None and self._forgot  # told anew, it is known again
            if told.identity == identity or now - told.sent < _RETURNING:
                return False
            if held is not None:  # closed perhaps, and the kernel has not said so yet
                self._lock.wait_for(lambda: path not in self._open, _CLOSING)
                told, now = self._told.get(path, told), self._clock()
            elif now >= told.until:
                return False
            self._told[path] = told._replace(sent=now)
            return True

    def opened(self, path: bytes, identity: str) -> Use:
        """Note that a file was opened, and say how it is to be read."""
        with self._lock:
            told, now = self._told.get(path), self._clock()
            if told is None or told.identity != identity or not told.settled:
                return Use(keep=False, direct=True)
            pages = self._pages.get(path)
            if pages is None or pages.identity != identity:
                pages = _Pages(identity, now)
            self._pages[path] = pages
            held = self._open.get(path, _Open(told.attributes, 0))
            self._open[path] = held._replace(readers=held.readers + 1)
            return Use(keep=now - pages.cleared >= _SETTLED, direct=False)

    def closed(self, path: bytes, identity: str, use: Use) -> None:
        """Note that a file that `opened` was asked for is closed."""
        if use.direct:
            return
        with self._lock:
            pages = self._pages.get(path)
            if pages is not None and pages.identity == identity:
                self._pages[path] = pages._replace(cleared=_NEVER)
            held = self._open.pop(path)
            if held.readers > 1:
                self._open[path] = held._replace(readers=held.readers - 1)
            else:
                self._lock.notify_all()
