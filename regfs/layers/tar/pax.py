"""pax headers: records that say of the next member (`x`) what no header can.

Each record is `LENGTH KEY=VALUE` and a newline; the length, in decimal digits, counts all of it. A value
may hold any bytes, so nothing but the length tells where it ends.

Sources: POSIX.1-2001, pax(1), "pax Extended Header"; star(5) for SCHILY.xattr; libarchive's tar(5) for
LIBARCHIVE.xattr; the GNU tar manual, "PAX Format, Versions 0.0 and 0.1", for GNU.sparse.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from regfs.errors import LayerError
from regfs.layers.tar.header import Header

#: The keys of POSIX that are used here. `hdrcharset` is not: names are kept as the bytes they are.
POSIX_KEYS = frozenset({b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"})

_SPARSE = b"GNU.sparse."
_SPARSE_MAP = b"GNU.sparse.map"
_SPARSE_PAIR = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
_SCHILY_XATTR = b"SCHILY.xattr."
_LIBARCHIVE_XATTR = b"LIBARCHIVE.xattr."

#: The beginning of a record; one that needs more than 8 digits passes every limit.
_RECORD = re.compile(rb"([0-9]{1,8}) ([^=\0]*)=")

#: A whole number of at most 64 bits; a time may have a fraction.
_DECIMAL = re.compile(rb"[+-]?[0-9]{1,19}")
_TIME = re.compile(rb"([+-]?)([0-9]{1,19})(?:\.([0-9]*))?")


class Records(NamedTuple):
    """What a pax header says, of the keys that matter here. Extended attributes are by their own names."""

    values: Mapping[bytes, bytes]
    xattrs: Mapping[bytes, bytes]


def parse_records(data: bytes) -> Records:
    """Read the content of a pax header. LayerError if it is not records from end to end.

    Of records with one key the last counts. The repeated pairs of GNU's sparse format 0.0 become one
    `GNU.sparse.map`, which is format 0.1.
    """
    values: dict[bytes, bytes] = {}
    xattrs: dict[bytes, bytes] = {}
    runs: list[bytes] = []
    end = 0
    while end < len(data):
        key, value, end = _record(data, end)
        if key in _SPARSE_PAIR:
            if key != _SPARSE_PAIR[len(runs) % 2] or b"," in value:
                raise LayerError("a pax header has a map of a sparse file that is not in order")
            runs.append(value)
        elif key in POSIX_KEYS or key.startswith(_SPARSE):
            values[key] = value
        elif key.startswith(_SCHILY_XATTR):
            xattrs[key[len(_SCHILY_XATTR) :]] = value
        elif key.startswith(_LIBARCHIVE_XATTR):
            # libarchive writes both forms; the other one needs no decoding.
            xattrs.setdefault(unquote_to_bytes(key[len(_LIBARCHIVE_XATTR) :]), _base_64(value))
    if runs:
        values[_SPARSE_MAP] = b",".join(runs)
    return Records(values, xattrs)


def _record(data: bytes, start: int) -> tuple[bytes, bytes, int]:
    """Give the key and the value of the record that begins at `start`, and where it ends."""
    match = _RECORD.match(data, start)
    if match is None:
        raise LayerError("a pax header holds something that is no record")
    digits, key = match.groups()
    end = start + int(digits)
    if not match.end() < end <= len(data) or data[end - 1 : end] != b"\n":
        raise LayerError("a pax header has a record of a wrong length")
    value = data[match.end() : end - 1]
    if b"\0" in value and key in POSIX_KEYS:
        raise LayerError(f"a pax header has a {key.decode()} with a NUL in it")
    return key, value, end


def overridden(header: Header, values: Mapping[bytes, bytes]) -> Header:
    """Give a header with the fields that records give instead. An empty value leaves what was there."""
    uid, gid, size, mtime = (values.get(key) for key in (b"uid", b"gid", b"size", b"mtime"))
    return header._replace(
        path=values.get(b"path") or header.path,
        target=values.get(b"linkpath") or header.target,
        uid=decimal(uid) if uid else header.uid,
        gid=decimal(gid) if gid else header.gid,
        size=decimal(size) if size else header.size,
        mtime_ns=_nanoseconds(mtime) if mtime else header.mtime_ns,
    )


def decimal(digits: bytes) -> int:
    """Read a whole number as pax writes it, perhaps with a sign. LayerError for anything else."""
    if not _DECIMAL.fullmatch(digits):
        raise LayerError(f"{digits[:40]!r} is no number")
    return int(digits)


def _nanoseconds(time: bytes) -> int:
    """Read seconds with a fraction. A sign holds for both; what is finer than nanoseconds is cut off."""
    match = _TIME.fullmatch(time)
    if match is None:
        raise LayerError(f"{time[:40]!r} is no time")
    sign, seconds, fraction = match.groups(b"")
    value = int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
    return -value if sign == b"-" else value


def _base_64(value: bytes) -> bytes:
    """Decode base64; libarchive leaves out the `=` at its end."""
    try:
        return binascii.a2b_base64(value + b"=" * (-len(value) % 4))
    except binascii.Error as error:
        raise LayerError(f"a pax header has an extended attribute that is no base64: {error}") from error
