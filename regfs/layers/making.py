"""Making a file of the cache, by a child, once for all threads and processes that want it.

Safe for many threads.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import TypeVar

from regfs.errors import GivenUpError, LayerProcessError
from regfs.layers.blobs import Blobs, handed
from regfs.layers.cache import LayerCache
from regfs.layers.messages import Job
from regfs.layers.process import Children
from regfs.layers.sizes import MAX_LAYER_SIZE
from regfs.oci.digest import Digest

Opened = TypeVar("Opened")

#: Seconds between two looks whether another process has finished.
_PAUSE = 0.05

#: Who is told of bytes that were read of a blob, of how many.
Told = Callable[[Digest, int, int], object]


class Maker:
    """Makes the indexes and copies of one store's layers."""

    def __init__(self, blobs: Blobs, cache: LayerCache, told: Told, most: int = MAX_LAYER_SIZE) -> None:
        """`most`: the most bytes that a layer may have uncompressed."""
        self._blobs = blobs
        self._cache = cache
        self._told = told
        self._most = most
        self._children = Children()
        self._closed = Event()

    def make(
        self, digest: Digest, kind: str, opened: Callable[[Path], Opened | None], copy_of: str = ""
    ) -> Opened:
        """Make an INDEX or COPY and open it; or only open what another process has made meanwhile.

        `opened` gives None for what is not there, or not whole. Raises what `Children.run` does, NoRoomError,
        StoreError, and what `opened` does.
        """
        target = self._cache.path(digest, kind)

        def idle() -> None:
            if self._closed.wait(_PAUSE):
                raise GivenUpError(f"layer {digest}")

        with self._cache.claimed(target, idle) as claim:
            found = opened(target)
            if found is not None:
                return found
            self._cache.discard(target)
            with closing(self._blobs.open_blob(digest)) as content, handed(content) as source:
                size = self._blobs.blob(digest).size
                job = Job(digest, size, str(claim.new), copy_of, source.seekable, self._most)
                self._children.run(
                    job,
                    (source.descriptor, claim.descriptor),
                    lambda read, size: self._told(digest, read, size),
                )
            # Opened before anybody else can remove it, for want of room.
            found = opened(claim.new)
            if found is None:
                raise LayerProcessError(f"layer {digest}: what was made of it cannot be opened")
            self._cache.publish(claim)
            return found

    def close(self) -> None:
        """End the children and all waiting."""
        self._closed.set()
        self._children.close()
