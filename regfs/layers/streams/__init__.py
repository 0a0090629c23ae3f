"""Decompression with random access: one pass that notes where to begin, and readers that begin there.

    recognise      tells the compression by the first bytes
    foreign        tells what else it may be, that is no tar
    scan           decompresses a blob once, checks it, and notes points
    transcode      makes a copy with many points, of what has too few
    Reader         reads at any offset, from the points
    pack, unpack   make a point's window small, to keep it

Nothing here opens a file or keeps a point; that is the caller's. gzip is decoded by the system's zlib.
"""

from regfs.layers.streams.compression import Compression, recognise
from regfs.layers.streams.foreign import FIRST, foreign
from regfs.layers.streams.limits import Limits
from regfs.layers.streams.point import START, Note, Point
from regfs.layers.streams.reader import Reader
from regfs.layers.streams.scan import scan
from regfs.layers.streams.zstd import pack, transcode, unpack

__all__ = [
    "FIRST",
    "START",
    "Compression",
    "Limits",
    "Note",
    "Point",
    "Reader",
    "foreign",
    "pack",
    "recognise",
    "scan",
    "transcode",
    "unpack",
]
