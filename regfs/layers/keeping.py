"""What layers ask for while they are read: their seekable copies, and when to free their decoders.

Safe for many threads.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Condition, Lock, Thread

from regfs.errors import LayerError, StoreError
from regfs.layers.builds import Builds
from regfs.layers.cache import COPY, LayerCache
from regfs.layers.index import SeekTable
from regfs.layers.layer import CopySource, Layer
from regfs.layers.making import Maker
from regfs.layers.streams import Compression
from regfs.storage.local import OpenFile

#: How many layers keep their decoders, which take some megabytes, and their blob open while nobody reads
#: them, and for how many seconds.
_READY = 8
_REST_AFTER = 10.0


class LayerKeeper:
    """The keeper of all layers of one store."""

    def __init__(self, cache: LayerCache, maker: Maker) -> None:
        self._cache = cache
        self._maker = maker
        self._builds: Builds[CopySource] = Builds()
        self._lock = Lock()
        self._wake = Condition(self._lock)
        #: Layers that nobody reads, and since when, the longest first.
        self._idle: OrderedDict[int, tuple[Layer, float]] = OrderedDict()
        self._kept = _READY
        self._watched = False

    def open_copy(self, layer: Layer, given_up: Callable[[], bool]) -> CopySource:
        """Open the seekable copy of a layer, made if there is none."""
        path = self._cache.path(layer.digest, COPY)
        found = _open(path, layer.size)
        if found is None:
            digest, size, diff_id = layer.digest, layer.size, layer.diff_id
            # Of this layer alone: what was opened is closed with it. Who else wants the copy finds it made.
            with self._builds.joined(
                f"the copy of layer {digest} ({id(layer):x})",
                lambda: self._maker.make(digest, COPY, lambda path: _open(path, size), diff_id),
            ) as build:
                found = build.wait(given_up)
        self._cache.used(path)
        return found

    def discard_copy(self, layer: Layer) -> None:
        """Throw a damaged copy away."""
        self._cache.discard(self._cache.path(layer.digest, COPY))

    def idle(self, layer: Layer) -> None:
        """Keep a layer that nobody reads, with its decoders, for a while or until others were read."""
        with self._lock:
            self._idle[id(layer)] = layer, time.monotonic()
            self._idle.move_to_end(id(layer))
            oldest = self._idle.popitem(last=False)[1][0] if len(self._idle) > self._kept else None
            watch = not self._watched and bool(self._idle)
            self._watched = self._watched or watch
        if oldest is not None:
            oldest.rest()
        if watch:
            Thread(target=self._watch, name="idle layers", daemon=True).start()

    def _watch(self) -> None:
        """Let those rest that nobody has read for a while, until there are none."""
        while (layer := self._next_idle()) is not None:
            layer.rest()

    def _next_idle(self) -> Layer | None:
        with self._lock:
            while self._idle:
                number, (layer, since) = next(iter(self._idle.items()))
                left = since + _REST_AFTER - time.monotonic()
                if left <= 0:
                    del self._idle[number]
                    return layer
                self._wake.wait(left)
            self._watched = False
            return None

    def close(self) -> None:
        """Make no more copies, and keep no layer. The maker is closed already."""
        self._builds.close()
        with self._lock:
            self._kept = 0
            idle = list(self._idle.values())
            self._idle.clear()
            self._wake.notify()
        for layer, _ in idle:
            layer.rest()


def _open(path: Path, size: int) -> CopySource | None:
    """Open the copy of a layer whose tar has `size` bytes; None if there is none, or not a whole one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    copy = OpenFile(descriptor, str(path))
    with suppress(LayerError, StoreError):
        table = SeekTable.read(copy, os.fstat(descriptor).st_size, size)
        return CopySource(copy, Compression.ZSTD, table.point)
    copy.close()
    return None
