"""Which files will be opened next, and sought on the disk meanwhile.

grep, tar and rsync open the same parts of one tag's manifest after another's, in the order of the listing.
With nothing in memory a disk seeks four times for each: for two directories, the file and its bytes. So where
an open took long, those of the tags behind are opened and closed once by other threads: what the kernel reads
for that it keeps. Where opens are fast nothing is done. One such reader at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing

from cachetools import LRUCache

from regfs.mount.kernel.inodes import InodeTable, split
from regfs.registry.side_by_side import SideBySide
from regfs.storage.protocol import descriptor_of
from regfs.tree.blob import BlobFile

#: Seconds that an open takes at least for which a disk seeks.
_SOUGHT = 0.000_2

#: Tags whose files are sought together, by so many threads; bytes of each; files that are not sought again.
_TAGS, _THREADS, _BYTES, _REMEMBERED = 16, 4, 128 << 10, 1024


class Openings:
    """The files that were opened last."""

    def __init__(self, inodes: InodeTable) -> None:
        self._inodes = inodes
        self._aside = SideBySide(lambda: False, near=_THREADS, far=_THREADS)
        #: The manifest of which something was opened last, what that was, and what it was of the one before.
        self._whole = 0
        self._parts: set[int] = set()
        self._before: set[int] = set()
        self._sought: LRUCache[int, bool] = LRUCache(_REMEMBERED)

    def close(self) -> None:
        """Seek no more."""
        self._aside.close()

    def opened(self, nodeid: int, seconds: float) -> None:
        """Note that a stored file was opened, and how long that took."""
        whole, part = split(nodeid)
        if whole != self._whole:
            follows = self._inodes.behind(self._whole, 1) == [whole]
            self._before = self._parts if follows else set()
            self._whole, self._parts = whole, set()
        self._parts.add(part)
        if seconds < _SOUGHT or not self._before:
            return
        for other in self._inodes.behind(whole, _TAGS):
            for part in self._before:
                self._begin(other | part)

    def _begin(self, nodeid: int) -> None:
        if nodeid not in self._sought and self._aside.begin(nodeid, self._seek(nodeid)):
            self._sought[nodeid] = True

    def _seek(self, nodeid: int) -> Callable[[], None]:
        def seek() -> None:
            node = self._inodes.node(nodeid)
            if isinstance(node, BlobFile):
                with closing(node.open()) as content:
                    if (descriptor := descriptor_of(content)) >= 0:
                        os.posix_fadvise(descriptor, 0, _BYTES, os.POSIX_FADV_WILLNEED)

        return seek
