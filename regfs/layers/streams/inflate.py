"""The system's zlib, as far as it takes to find places in the middle of a deflate stream and to begin there.

Python's zlib module has neither: it does not stop between blocks, tells no window, and cannot begin within a
byte. So this calls the library itself, which also runs without the GIL. All that is C is in this module.

An Inflater belongs to one thread at a time. Source: zlib.h (inflateInit2, inflate, inflatePrime,
inflateSetDictionary, inflateGetDictionary), and examples/zran.c for what they are good for.
"""

from __future__ import annotations

import ctypes
import functools

from regfs.errors import LayerError

_LIBRARY = "libz.so.1"

#: zlib.h, inflateInit2: windowBits is negative for deflate alone, and 16 is added for gzip alone, of which
#: CRC-32 and length are checked.
_RAW = -15
_GZIP = 15 + 16

#: zlib.h, "Allowed flush values" and "Return codes for the compression/decompression functions".
_Z_NO_FLUSH = 0
_Z_BLOCK = 5
_Z_OK = 0
_Z_STREAM_END = 1
_Z_BUF_ERROR = -5

#: zlib.h, inflate, about data_type: the number of unused bits, in the last block, between two blocks.
_UNUSED_BITS = 7
_LAST_BLOCK = 64
_BETWEEN_BLOCKS = 128

#: RFC 1951, 2: how far back a block may copy from, in bytes.
WINDOW = 32 << 10

#: Plain bytes that one call can give.
ROOM = 256 << 10


class _Stream(ctypes.Structure):
    """zlib.h, z_stream."""

    _fields_ = (
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_uint),
        ("total_in", ctypes.c_ulong),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint),
        ("total_out", ctypes.c_ulong),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", ctypes.c_ulong),
        ("reserved", ctypes.c_ulong),
    )
    next_in: ctypes.c_void_p
    avail_in: int
    next_out: int
    avail_out: int
    msg: bytes | None
    data_type: int


@functools.cache
def _library() -> ctypes.CDLL:
    """Load zlib. Raises LayerError: a store without layers to look into can do without it."""
    try:
        library = ctypes.CDLL(_LIBRARY)
        stream, number = ctypes.c_void_p, ctypes.c_int
        library.zlibVersion.restype = ctypes.c_char_p
        library.inflateInit2_.argtypes = (stream, number, ctypes.c_char_p, number)
        library.inflateReset2.argtypes = (stream, number)
        library.inflateReset.argtypes = (stream,)
        library.inflateEnd.argtypes = (stream,)
        library.inflate.argtypes = (stream, number)
        library.inflatePrime.argtypes = (stream, number, number)
        library.inflateSetDictionary.argtypes = (stream, ctypes.c_char_p, ctypes.c_uint)
        library.inflateGetDictionary.argtypes = (stream, ctypes.c_void_p, ctypes.c_void_p)
    except (OSError, AttributeError) as error:
        raise LayerError(
            f"gzip layers cannot be read: this machine's zlib is missing or old: {error}"
        ) from error
    return library


class Inflater:
    """One inflate stream. It decodes gzip members, or raw deflate from `begin_inside` to the member's end."""

    def __init__(self) -> None:
        self._open = False
        self._zlib = _library()
        self._stream = _Stream()
        self._reference = ctypes.addressof(self._stream)
        self._plain = ctypes.create_string_buffer(ROOM)
        self._address = ctypes.addressof(self._plain)
        self._piece = b""
        version = self._zlib.zlibVersion()
        self._must(
            self._zlib.inflateInit2_(self._reference, _GZIP, version, ctypes.sizeof(_Stream)), "inflateInit2"
        )
        self._open = True
        #: Whether the member has ended, and its CRC and length were right (if it was begun at its header).
        self.ended = False

    def begin_inside(self, window: bytes, bits: int, value: int) -> None:
        """Begin at a block: after `window`, with the `bits` bits that `value` has first."""
        self._must(self._zlib.inflateReset2(self._reference, _RAW), "inflateReset2")
        self._must(self._zlib.inflatePrime(self._reference, bits, value), "inflatePrime")
        self._must(
            self._zlib.inflateSetDictionary(self._reference, window, len(window)), "inflateSetDictionary"
        )

    def begin_member(self) -> None:
        """Begin a gzip member at the next input."""
        self._must(self._zlib.inflateReset2(self._reference, _GZIP), "inflateReset2")
        self.ended = False

    def feed(self, piece: bytes) -> None:
        """Give the next input, in place of what is left of the last."""
        self._piece = piece
        self._stream.next_in = ctypes.cast(ctypes.c_char_p(piece), ctypes.c_void_p)
        self._stream.avail_in = len(piece)

    @property
    def waiting(self) -> int:
        """How many bytes of the input were not used."""
        return self._stream.avail_in

    def rest(self) -> bytes:
        """Give the input that was not used."""
        return self._piece[len(self._piece) - self._stream.avail_in :]

    def goes_on_with(self, prefix: bytes) -> bool:
        """Tell whether the input that was not used begins with `prefix`."""
        return self._piece.startswith(prefix, len(self._piece) - self._stream.avail_in)

    def inflate(self, start: int, most: int, *, stop: bool) -> int:
        """Decode at most `most` bytes, behind the first `start` of the output; give their number.

        With `stop`, return between two blocks also. Raises LayerError, with zlib's reason, for damage.
        """
        stream = self._stream
        stream.next_out = self._address + start
        stream.avail_out = most
        code = self._zlib.inflate(self._reference, _Z_BLOCK if stop else _Z_NO_FLUSH)
        if code == _Z_STREAM_END:
            self.ended = True
        elif code not in (_Z_OK, _Z_BUF_ERROR):
            raise LayerError(stream.msg.decode("ascii", "replace") if stream.msg else f"zlib's error {code}")
        return most - stream.avail_out

    def output(self, size: int) -> bytes:
        """Give the first `size` bytes of the output."""
        return ctypes.string_at(self._address, size)

    @property
    def at_block(self) -> bool:
        """Whether a block begins here."""
        return self._stream.data_type & (_BETWEEN_BLOCKS | _LAST_BLOCK) == _BETWEEN_BLOCKS

    @property
    def bits(self) -> int:
        """How many bits of the last used byte of the input belong to what comes."""
        return self._stream.data_type & _UNUSED_BITS

    def window(self) -> bytes:
        """Give the last bytes that were decoded of this member, as many as later blocks may copy from."""
        window = ctypes.create_string_buffer(WINDOW)
        size = ctypes.c_uint()
        code = self._zlib.inflateGetDictionary(self._reference, window, ctypes.addressof(size))
        self._must(code, "inflateGetDictionary")
        return window.raw[: size.value]

    def close(self) -> None:
        """Free what zlib holds. Nothing but `close` may be called afterwards."""
        if self._open:
            self._open = False
            self._zlib.inflateEnd(self._reference)

    __del__ = close

    def _must(self, code: int, function: str) -> None:
        if code != _Z_OK:
            raise LayerError(f"zlib's {function} failed: {code}")
