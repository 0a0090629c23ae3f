"""A zlib, as far as it takes to find places in the middle of a deflate stream and to begin there.

Python's zlib module has neither: it does not stop between blocks, tells no window, and cannot begin within a
byte. So this calls the library itself, which also runs without the GIL. All that is C is in this module.

It is the system's, or zlib-ng where that is installed, which takes about 0.7 of its time: the
package's extension module holds the whole library.

An Inflater belongs to one thread at a time. Source: zlib.h (inflateInit2, inflate, inflatePrime,
inflateSetDictionary, inflateGetDictionary), and examples/zran.c for what they are good for; zlib-ng.h, which
has the same with other widths of integers and other names.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from regfs.errors import LayerError

_SYSTEM = "libz.so.1"
_ZLIB_NG = "zlib_ng.zlib_ng"

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
    """What zlib.h's z_stream and zlib-ng.h's zng_stream have in common."""

    next_in: ctypes.c_void_p
    avail_in: int
    next_out: int
    avail_out: int
    msg: bytes | None
    data_type: int


def _fields(total: type, adler: type) -> tuple[tuple[str, type], ...]:
    return (
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_uint32),
        ("total_in", total),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint32),
        ("total_out", total),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", adler),
        ("reserved", ctypes.c_ulong),
    )


class _ZlibStream(_Stream):
    """zlib.h, z_stream."""

    _fields_ = _fields(ctypes.c_ulong, ctypes.c_ulong)


class _ZlibNgStream(_Stream):
    """zlib-ng.h, zng_stream."""

    _fields_ = _fields(ctypes.c_size_t, ctypes.c_uint32)


_Function: TypeAlias = Callable[..., int]


class Zlib(NamedTuple):
    """One of the libraries: `begin` makes a stream (inflateInit2), the others are zlib.h's functions."""

    stream: type[_Stream]
    begin: _Function
    inflate: _Function
    reset: _Function
    prime: _Function
    set_dictionary: _Function
    get_dictionary: _Function
    end: _Function


def _functions(path: str | None, prefix: str, stream: type[_Stream]) -> Zlib:
    """Load a library whose functions' names begin with `prefix`. Raises OSError, AttributeError."""
    library = ctypes.CDLL(path)
    pointer, number = ctypes.c_void_p, ctypes.c_int

    def function(name: str, *arguments: type) -> _Function:
        found = getattr(library, prefix + name)
        found.argtypes = (pointer, *arguments)
        return found  # type: ignore[no-any-return]

    version_function = library.zlibng_version if prefix else library.zlibVersion
    version_function.restype = ctypes.c_char_p
    version, size = version_function(), ctypes.sizeof(stream)
    begin = function("inflateInit2_", number, ctypes.c_char_p, number)
    return Zlib(
        stream,
        lambda reference, bits: begin(reference, bits, version, size),
        function("inflate", number),
        function("inflateReset2", number),
        function("inflatePrime", number, number),
        function("inflateSetDictionary", ctypes.c_char_p, ctypes.c_uint32),
        function("inflateGetDictionary", pointer, pointer),
        function("inflateEnd"),
    )


def system_zlib() -> Zlib:
    """Load the system's zlib. Raises LayerError: a store without layers to look into can do without it."""
    try:
        return _functions(_SYSTEM, "", _ZlibStream)
    except (OSError, AttributeError) as error:
        raise LayerError(
            f"gzip layers cannot be read: this machine's zlib is missing or old: {error}"
        ) from error


def zlib_ng() -> Zlib | None:
    """Load zlib-ng from the package of that name, if it is installed and shows its functions."""
    with suppress(ImportError, OSError, AttributeError):
        found = importlib.util.find_spec(_ZLIB_NG)
        if found is not None:
            return _functions(found.origin, "zng_", _ZlibNgStream)
    return None


@functools.cache
def fastest() -> Zlib:
    """Give the faster one of those that are here. Raises LayerError if there is none."""
    return zlib_ng() or system_zlib()


class Inflater:
    """One inflate stream. It decodes gzip members, or raw deflate from `begin_inside` to the member's end."""

    def __init__(self, zlib: Zlib) -> None:
        self._open = False
        self._zlib = zlib
        self._stream = self._zlib.stream()
        self._reference = ctypes.addressof(self._stream)
        self._plain = ctypes.create_string_buffer(ROOM)
        self._address = ctypes.addressof(self._plain)
        self._piece = b""
        self._must(self._zlib.begin(self._reference, _GZIP), "inflateInit2")
        self._open = True
        #: Whether the member has ended, and its CRC and length were right (if it was begun at its header).
        self.ended = False

    def begin_inside(self, window: bytes, bits: int, value: int) -> None:
        """Begin at a block: after `window`, with the `bits` bits that `value` has first."""
        self._must(self._zlib.reset(self._reference, _RAW), "inflateReset2")
        self._must(self._zlib.prime(self._reference, bits, value), "inflatePrime")
        code = self._zlib.set_dictionary(self._reference, window, len(window))
        self._must(code, "inflateSetDictionary")

    def begin_member(self) -> None:
        """Begin a gzip member at the next input."""
        self._must(self._zlib.reset(self._reference, _GZIP), "inflateReset2")
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
        code = self._zlib.get_dictionary(self._reference, window, ctypes.addressof(size))
        self._must(code, "inflateGetDictionary")
        return window.raw[: size.value]

    def close(self) -> None:
        """Free what zlib holds. Nothing but `close` may be called afterwards."""
        if self._open:
            self._open = False
            self._zlib.end(self._reference)

    __del__ = close

    def _must(self, code: int, function: str) -> None:
        if code != _Z_OK:
            raise LayerError(f"zlib's {function} failed: {code}")
