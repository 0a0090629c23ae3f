"""What layers ask of whoever holds the blobs, and how a child process is given the bytes of one.

A file of this machine is given as it is: the child reads it by its descriptor. What has none, because it lies
elsewhere, is fed through a pipe by the parent, in whose place it is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import NamedTuple, Protocol, runtime_checkable

from regfs.errors import RegfsError
from regfs.oci.digest import Digest
from regfs.storage.protocol import Content, FileStat

#: Bytes that are fed at once.
_PIECE = 256 << 10


class Blobs(Protocol):
    """Blobs by their digests; `registry.Contents` is such. Both raise MissingError, StoreError."""

    def blob(self, digest: Digest) -> FileStat:
        """Tell about a blob: its size and its time."""

    def open_blob(self, digest: Digest) -> Content:
        """Open a blob. What is open stays readable."""


@runtime_checkable
class LocalContent(Protocol):
    """Content that is a file of this machine."""

    @property
    def descriptor(self) -> int:
        """The descriptor under which it is open."""


class Handed(NamedTuple):
    """What a child is given to read a blob by. Not `seekable` is a pipe, which gives all of it once."""

    descriptor: int
    seekable: bool


@contextmanager
def handed(content: Content) -> Iterator[Handed]:
    """Make open content readable for a child, while in `with`.

    Raises what reading the content raised, in place of what the child made of its being cut short.
    """
    if isinstance(content, LocalContent):
        yield Handed(content.descriptor, seekable=True)
        return
    reading, writing = os.pipe()
    feeder = _Feeder(content, writing)
    feeder.start()
    try:
        yield Handed(reading, seekable=False)
    finally:
        os.close(reading)  # which ends the feeder, if the child took no more
        feeder.join()
        if feeder.failure is not None:
            raise feeder.failure


class _Feeder(Thread):
    """Writes content into a pipe, until its end or until nobody reads."""

    def __init__(self, content: Content, pipe: int) -> None:
        super().__init__(name="feeder", daemon=True)
        self.failure: RegfsError | None = None
        self._content = content
        self._pipe = pipe

    def run(self) -> None:
        """Write all of it."""
        buffer, offset = memoryview(bytearray(_PIECE)), 0
        try:
            while got := self._content.read_into(buffer, offset):
                offset += got
                rest = buffer[:got]
                while rest:
                    rest = rest[os.write(self._pipe, rest) :]
        except BrokenPipeError:
            pass
        except RegfsError as error:
            self.failure = error
        finally:
            os.close(self._pipe)
