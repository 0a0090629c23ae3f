"""What the graph knows of one stored blob."""

from __future__ import annotations

from typing import NamedTuple

from regfs.oci import Digest


class Blob(NamedTuple):
    """A blob as it is stored: the digest it lies under, bytes, blocks of 512 bytes, time in nanoseconds."""

    digest: Digest
    size: int
    blocks: int
    mtime_ns: int
