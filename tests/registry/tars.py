"""Parts of tars that tarfile does not write."""

from __future__ import annotations

import tarfile


def global_header(*records: bytes) -> bytes:
    """Make a pax global header (`g`) of records `key=value`."""
    data = b"".join(map(_record, records))
    info = tarfile.TarInfo("pax_global_header")
    info.type, info.size = tarfile.XGLTYPE, len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def _record(text: bytes) -> bytes:
    length = len(text) + 2
    while len(str(length)) + len(text) + 2 != length:
        length = len(str(length)) + len(text) + 2
    return b"%d %s\n" % (length, text)
