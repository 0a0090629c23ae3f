"""One layer, opened. Safe for many threads.

It holds its index open as long as somebody holds it, and the blob while somebody reads and for a while after:
the room of a blob that was collected is free when that is closed. All that read it share one Reader, so that
the files of a directory, which lie one behind the other in the tar, are read as one stream.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import ExitStack
from threading import Lock
from typing import NamedTuple, Protocol

from regfs.errors import LayerError, RegfsError
from regfs.layers.builds import never
from regfs.layers.contents import LayerFileContent, TarContent
from regfs.layers.entry import EntryType
from regfs.layers.index import LayerIndex
from regfs.layers.streams import Compression, Point, Reader
from regfs.oci.digest import Digest
from regfs.storage.protocol import Content

#: Bytes between two points of the tar, above which a layer is read through a seekable copy: to decode so many
#: takes some 20 ms, and each read at a random place would cost half of that.
_GAP = 8 << 20


class CopySource(NamedTuple):
    """Where the bytes of a layer's tar come from: its blob, or its seekable copy."""

    content: Content
    compression: Compression
    point: Callable[[int], Point]


class CopyKeeper(Protocol):
    """What a layer asks of those who keep it."""

    def open_copy(self, layer: Layer, given_up: Callable[[], bool]) -> CopySource:
        """Open the seekable copy, made if there is none.

        Raises LayerError, StoreError, NoRoomError, GivenUpError.
        """

    def discard_copy(self, layer: Layer) -> None:
        """Throw a damaged copy away."""

    def idle(self, layer: Layer) -> None:
        """Hear that nobody reads a layer any more."""


class Layer:
    """A layer. It never changes; `Layers` makes it."""

    def __init__(
        self, digest: Digest, index: LayerIndex, open_blob: Callable[[], Content], keeper: CopyKeeper
    ) -> None:
        """Take the open index, which is closed when nobody holds the layer any more."""
        self.digest = digest
        self.meta = index.meta
        self.made_ns = index.made_ns
        self.left_out = index.left_out
        self.diff_id = index.meta.diff_id
        self.size = index.meta.size
        self.stored = Compression[index.meta.compression]
        self.tree = index.tree
        self._keeper = keeper
        self._lock = Lock()
        self._held = ExitStack()
        self._held.callback(index.close)
        weakref.finalize(self, self._held.close)
        self._open_blob = open_blob
        self._point = index.point
        self._seekable = index.meta.gap <= _GAP
        self._copy: CopySource | None = None
        #: All that were open, which are closed with the layer: each once.
        self._copies: list[CopySource] = []
        self._reader: Reader | None = None
        self._dropped = 0
        self._users = 0

    def __repr__(self) -> str:
        return f"Layer({self.digest})"

    def expect(self, diff_id: str) -> None:
        """See that the layer has a DiffID; "" is not known. Raises LayerError."""
        if diff_id and diff_id != self.diff_id:
            raise LayerError(f"layer {self.digest} is {self.diff_id} uncompressed, its image says {diff_id}")
        if not diff_id and not self.meta.verified:
            raise LayerError(
                f"layer {self.digest} cannot be checked: {self.digest.algorithm} cannot be computed here, "
                "and no DiffID is known"
            )

    def open(self, *, given_up: Callable[[], bool] = never) -> Content:
        """Open the uncompressed tar. `given_up` is asked by a thread that reads, while it has to wait.

        Raises StoreError if the blob cannot be opened any more.
        """
        self._use()
        return TarContent(self, given_up)

    def open_file(self, number: int, *, given_up: Callable[[], bool] = never) -> Content:
        """Open a file of the tree, by its id. Raises LayerError if it has no content. Else as `open`."""
        node = self.tree.node(number)
        if node.type is not EntryType.FILE:
            raise LayerError(f"layer {self.digest}: node {number} of its tree is no file")
        extents = self.tree.extents(number)
        self._use()
        return LayerFileContent(self, node.size, extents, given_up)

    def read_tar(self, buffer: memoryview, offset: int, given_up: Callable[[], bool]) -> int:
        """Read the tar, for what `open` and `open_file` gave. A copy that is damaged is made anew once."""
        reader = self._begin(given_up)
        try:
            return reader.read_into(buffer, offset)
        except LayerError as error:
            if not self._drop_copy(reader):
                raise LayerError(f"layer {self.digest}: {error.reason}") from error
        return self._begin(given_up).read_into(buffer, offset)

    def release(self) -> None:
        """Count one less who reads."""
        with self._lock:
            self._users -= 1
            idle = not self._users
        if idle:
            self._keeper.idle(self)

    def rest(self) -> None:
        """Free the decoders, and close the blob, unless somebody reads."""
        with self._lock:
            if self._users:
                return
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _use(self) -> None:
        """Count one more who reads. What is read of the blob itself can be read on when that is deleted."""
        with self._lock:
            self._users += 1
        if self._seekable:
            try:
                self._begin(never)
            except RegfsError:
                self.release()
                raise

    def _begin(self, given_up: Callable[[], bool]) -> Reader:
        """Give the reader, made if there is none."""
        while (reader := self._reader) is None:
            if self._seekable:
                self._begin_on_blob()
            else:
                self._begin_on_copy(given_up)
        return reader

    def _begin_on_blob(self) -> None:
        new = Reader(self._open_blob(), self.stored, self.size, self._point)
        with self._lock:
            if self._reader is None:
                self._reader = new
                return
        new.close()  # another thread was faster

    def _begin_on_copy(self, given_up: Callable[[], bool]) -> None:
        dropped = self._dropped
        source = self._copy or self._keeper.open_copy(self, given_up)
        with self._lock:
            if source not in self._copies:  # another thread may have waited for the same
                self._copies.append(source)
                self._held.callback(source.content.close)
            if dropped != self._dropped:  # it may be the copy that was given up meanwhile
                return
            source = self._copy = self._copy or source
            self._reader = self._reader or Reader(
                _Borrowed(source.content), source.compression, self.size, source.point
            )

    def _drop_copy(self, reader: Reader) -> bool:
        """Give up the copy that a reader failed on, once; False if it read the blob itself."""
        if self._seekable:
            return False
        with self._lock:
            if self._reader is not reader:
                return True
            # First the file, so that who sees the number opens another.
            self._keeper.discard_copy(self)
            self._dropped += 1
            self._reader = self._copy = None
            self._held.callback(reader.close)  # others may be reading
        return True


class _Borrowed:
    """A copy for a reader, which closes it: but the layer may need it again."""

    def __init__(self, content: Content) -> None:
        self.read_into = content.read_into

    def close(self) -> None:
        """Leave the copy open."""
