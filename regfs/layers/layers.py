"""The layers of one store: found in the cache, or built by a child process, and opened.

Safe for many threads.
"""

from __future__ import annotations

import copy
import logging
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

from cachetools import LRUCache, TTLCache

from regfs.errors import LayerError, LayerProcessError, RegfsError, StoreError
from regfs.layers.blobs import Blobs
from regfs.layers.builds import Builds, never
from regfs.layers.cache import INDEX, LayerCache
from regfs.layers.index import LayerIndex, open_index
from regfs.layers.keeping import LayerKeeper
from regfs.layers.layer import Layer
from regfs.layers.making import Maker, Told
from regfs.layers.sizes import CACHE_SIZE, MAX_LAYER_SIZE
from regfs.oci.digest import Digest
from regfs.storage import FileStat

#: Layers that are kept open while nobody uses them: each has two descriptors, or three.
_OPEN = 64

#: How many damaged layers are remembered, and for how many seconds.
_DAMAGED = 1000
_REMEMBERED = 60.0

#: Seconds for which the blob of an open layer is taken to be as it was.
_BELIEVED = 1.0


T = TypeVar("T")

_log = logging.getLogger(__name__)


class Stamp(NamedTuple):
    """A blob as it was when it was found damaged: size in bytes, and time in nanoseconds."""

    digest: Digest
    size: int
    mtime_ns: int


def ignore(digest: Digest, read: int, size: int) -> None:
    """Take no notice of progress."""


class Layers:
    """The layers of one store.

    `cache` is the directory below which the indexes are kept, up to `cache_size` bytes; a layer of more than
    `max_layer_size` bytes uncompressed is a LayerLimitError. `progress` is told,
    by any thread, how many bytes were read of a layer that is being built, and of how many; `clock` is in
    seconds.
    """

    def __init__(
        self,
        blobs: Blobs,
        cache: Path,
        *,
        cache_size: int = CACHE_SIZE,
        max_layer_size: int = MAX_LAYER_SIZE,
        progress: Told = ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blobs = blobs
        self._cache = LayerCache(cache, cache_size)
        self._maker = Maker(blobs, self._cache, progress, max_layer_size)
        self._builds: Builds[Layer] = Builds()
        self._keeper = LayerKeeper(self._cache, self._maker)
        self._lock = Lock()
        self._recent: LRUCache[Digest, Layer] = LRUCache(_OPEN)
        #: Those that somebody holds, recent or not: one layer is opened once.
        self._alive: weakref.WeakValueDictionary[Digest, Layer] = weakref.WeakValueDictionary()
        self._damaged: TTLCache[Stamp, LayerError] = TTLCache(_DAMAGED, _REMEMBERED, timer=clock)
        self._looked_at: TTLCache[Digest, bool] = TTLCache(_OPEN, _BELIEVED, timer=clock)

    def get(self, digest: Digest, diff_id: str = "", *, given_up: Callable[[], bool] = never) -> Layer:
        """Open a layer; build its index if there is none. `diff_id` is what its image says; "" if unknown.

        Raises LayerError if the layer is damaged or has another DiffID, LayerLimitError, StoreError,
        NoRoomError if the cache cannot be written, and GivenUpError soon after `given_up()`.
        """
        return self.get_all([(digest, diff_id)], given_up=given_up)[0]

    def get_all(
        self, wanted: Sequence[tuple[Digest, str]], *, given_up: Callable[[], bool] = never
    ) -> list[Layer]:
        """Open several layers, in their order; what has to be built is built two side by side. As `get`."""
        with ExitStack() as waiting:
            opening = [self._opening(digest, waiting, given_up) for digest, _ in wanted]
            layers = [opened() for opened in opening]
        for layer, (_, diff_id) in zip(layers, wanted, strict=True):
            layer.expect(diff_id)
        return layers

    def try_all(
        self, wanted: Sequence[tuple[Digest, str]], *, given_up: Callable[[], bool] = never
    ) -> list[Layer | LayerError | StoreError]:
        """Open several layers as `get_all` does, as far as each can be read: of others, give the error.

        What says nothing of one layer is raised: StoreAwayError, NoRoomError, GivenUpError.
        """
        with ExitStack() as waiting:
            opening = [_attempt(partial(self._opening, digest, waiting, given_up)) for digest, _ in wanted]
            return [
                begun if isinstance(begun, RegfsError) else _attempt(partial(_expected, begun, diff_id))
                for begun, (_, diff_id) in zip(opening, wanted, strict=True)
            ]

    def close(self) -> None:
        """End what is being built; whoever waits for it gets GivenUpError. What is open stays readable."""
        self._maker.close()
        self._builds.close()
        self._keeper.close()
        with self._lock:
            self._recent.clear()

    def _opening(
        self, digest: Digest, waiting: ExitStack, given_up: Callable[[], bool]
    ) -> Callable[[], Layer]:
        """Give what waits for a layer, which is open already or begun to be built."""
        with self._lock:
            layer = self._recent.get(digest) or self._alive.get(digest)
        if layer is not None and self._changed(layer):
            layer = None
        layer = layer or self._open(digest, self._cache.path(digest, INDEX))
        if layer is not None:
            found = self._keep(layer)
            return lambda: found
        self._stamp(digest)
        build = waiting.enter_context(self._builds.joined(f"layer {digest}", lambda: self._build(digest)))
        return lambda: build.wait(given_up)

    def _build(self, digest: Digest) -> Layer:
        """Build a layer's index and open it; remember if it is damaged."""
        stamp = self._stamp(digest)
        try:
            layer = self._maker.make(digest, INDEX, lambda path: self._open(digest, path))
        except LayerProcessError:
            raise
        except LayerError as error:
            with self._lock:
                self._damaged[stamp] = error
            raise
        return self._keep(layer)

    def _stamp(self, digest: Digest) -> Stamp:
        """Tell how a blob is now. Raises the LayerError that it had a short while ago, if it is the same."""
        found = self._blobs.blob(digest)
        stamp = Stamp(digest, found.size, found.mtime_ns)
        with self._lock:
            known = self._damaged.get(stamp)
        if known is not None:
            raise copy.copy(known)
        return stamp

    def _open(self, digest: Digest, path: Path) -> Layer | None:
        """Open a layer by its index; None if there is none that is whole and of this blob."""
        index = open_index(path)
        if index is None:
            return None
        try:
            if not _fits(self._blobs.blob(digest), index):
                index.close()
                return None
        except StoreError:
            index.close()
            raise
        self._cache.used(path)
        if index.left_out:
            paths = ", ".join(map(repr, index.left_out))
            _log.warning(
                "layer %s: no file system can show %d of its entries: %s", digest, index.meta.skipped, paths
            )
        return Layer(digest, index, lambda: self._blobs.open_blob(digest), self._keeper)

    def _changed(self, layer: Layer) -> bool:
        """Look whether an open layer's blob was written to, once in a while; forget the layer if so."""
        with self._lock:
            if layer.digest in self._looked_at:
                return False
            self._looked_at[layer.digest] = True
        try:
            changed = not _fits(self._blobs.blob(layer.digest), layer)
        except StoreError:
            return False  # what is gone can be read on by who has it open
        if changed:
            with self._lock:
                for known in (self._recent, self._alive):
                    if known.get(layer.digest) is layer:
                        del known[layer.digest]
        return changed

    def _keep(self, layer: Layer) -> Layer:
        """Keep a layer open for the next who wants it; the one that another thread has opened, if one has."""
        with self._lock:
            layer = self._alive.setdefault(layer.digest, layer)
            self._recent[layer.digest] = layer
        return layer


def _attempt(do: Callable[[], T]) -> T | LayerError | StoreError:
    try:
        return do()
    except (LayerError, StoreError) as error:
        return error


def _expected(opened: Callable[[], Layer], diff_id: str) -> Layer:
    layer = opened()
    layer.expect(diff_id)
    return layer


def _fits(blob: FileStat, index: LayerIndex | Layer) -> bool:
    """Tell whether an index is of a blob as it is: of its size, and not written to since the index was made.

    A time in the future says nothing.
    """
    return blob.size == index.meta.stored and not index.made_ns < blob.mtime_ns < time.time_ns()
