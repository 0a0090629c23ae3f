"""Reading, decompressing and hashing a blob, each in a thread of its own, one ahead of the other.

All three run without the GIL for most of their time, so that they keep two processors busy. What is on its
way between them is bounded: by the pieces of a queue, and a piece's size.

This is for a process that does nothing else: where the consumer stops early, the threads stay where they are
until the process ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from queue import Queue
from threading import Thread
from typing import NamedTuple

from regfs.errors import LayerError
from regfs.layers.sizes import MAX_LAYER_SIZE
from regfs.layers.streams import Limits, Note, recognise, scan
from regfs.oci.digest import Digest
from regfs.storage.protocol import Content

#: Bytes that are read of a blob at once, and the least that is handed on of its plain bytes.
_READ = 256 << 10
_HANDED = 128 << 10

#: Pieces that wait between two threads. A piece has up to 384 KiB.
_WAITING = 8


class BlobSource(NamedTuple):
    """A blob that is open, its name and its size in bytes, and who is told how much of it was read.

    Its content is read once, from the beginning to the end.
    """

    digest: Digest
    content: Content
    size: int
    told: Callable[[int], object]
    #: The most plain bytes that it may become.
    most: int = MAX_LAYER_SIZE


class Pipeline:
    """One pass through a blob: its plain bytes, and the digests of both forms.

    `diff_id` and `check` are good when the plain bytes were given to their end.
    """

    def __init__(self, source: BlobSource, note: Note) -> None:
        self._source = source
        self._note = note
        self._buffer = memoryview(bytearray(_READ))
        self._first = self._read_at(0)
        self.compression = recognise(self._first)
        computable = source.digest.computable
        self._stored = hashlib.new(source.digest.algorithm, usedforsecurity=False) if computable else None
        self._plain = hashlib.sha256(usedforsecurity=False)
        self.size = 0
        #: Whether one of the plain bytes is not zero.
        self.more_than_zeros = False

    def __iter__(self) -> Iterator[bytes]:
        """Give the plain bytes. Raises LayerError, StoreError."""
        stored = ahead(self._read())
        for piece in ahead(gathered(scan(self.compression, stored, self._note, Limits(self._source.most)))):
            self._plain.update(piece)
            self.size += len(piece)
            self.more_than_zeros = self.more_than_zeros or piece.count(0) != len(piece)
            yield piece

    @property
    def diff_id(self) -> str:
        """The digest of the plain bytes."""
        return f"sha256:{self._plain.hexdigest()}"

    def check(self) -> bool:
        """See that the blob has the digest of its name: LayerError if not. False: nobody can tell."""
        if self._stored is None:
            return False
        digest = self._source.digest
        if (found := self._stored.hexdigest()) != digest.hex:
            raise LayerError(f"its content is {digest.algorithm}:{found}")
        return True

    def _read(self) -> Iterator[bytes]:
        piece, offset = self._first, 0
        while piece:
            if self._stored is not None:
                self._stored.update(piece)
            offset += len(piece)
            self._source.told(offset)
            yield piece
            piece = self._read_at(offset)

    def _read_at(self, offset: int) -> bytes:
        return bytes(self._buffer[: self._source.content.read_into(self._buffer, offset)])


def ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Give the same pieces, of which none is empty, while a thread makes the next ones."""
    queue: Queue[bytes | BaseException] = Queue(_WAITING)

    def work() -> None:
        try:
            for piece in pieces:
                queue.put(piece)
            queue.put(b"")
        except BaseException as error:  # noqa: BLE001 - raised again where the pieces are taken
            queue.put(error)

    Thread(target=work, daemon=True).start()
    while item := queue.get():
        if isinstance(item, BaseException):
            raise item
        yield item


def gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join small pieces: each that is handed on costs some time, and small frames give very small ones."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        if not waiting and len(piece) >= _HANDED:
            yield piece
            continue
        waiting.append(piece)
        size += len(piece)
        if size >= _HANDED:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    if waiting:
        yield b"".join(waiting)
