"""A part of a blob that is being sent, as a file that a WSGI server may hand to sendfile(2)."""

from __future__ import annotations

import errno
import io
import logging
import os

from regfs.storage import Content
from regfs.storage.protocol import descriptor_of

_log = logging.getLogger(__name__)


class Sending:
    """The bytes of `content` from `start` to `end`, which is then closed.

    A blob that is cut while it is sent ends the connection: no client may take the next answer for the rest.
    """

    def __init__(self, content: Content, start: int, end: int, name: str) -> None:
        self._content = content
        self._start = self._position = start
        self._end = end
        self._name = name
        self._begun = False

    def fileno(self) -> int:
        """Give the descriptor, positioned where the part begins. Raises io.UnsupportedOperation."""
        descriptor = descriptor_of(self._content)
        if descriptor < 0:
            raise io.UnsupportedOperation("fileno")
        if not self._begun:
            os.lseek(descriptor, self._start, os.SEEK_SET)
            self._begun = True
        return descriptor

    def seek(self, offset: int) -> int:
        """Note how far sendfile(2) came: socket.sendfile tells it so."""
        self._position = offset
        return offset

    def read(self, size: int) -> bytes:
        """Read on, where there is no sendfile(2), as with TLS. Raises what is wrong with the file."""
        self._begun = True
        buffer = bytearray(min(size, self._end - self._position))
        got = self._content.read_into(memoryview(buffer), self._position)
        self._position += got
        return bytes(memoryview(buffer)[:got])

    def close(self) -> None:
        """Close the file. Raises BrokenPipeError, at which the server hangs up, if the file was too short."""
        self._content.close()
        if self._begun and self._position < self._end:
            _log.warning("%s: sent up to byte %d of %d, and hung up", self._name, self._position, self._end)
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
