"""Bzip2: streams, one behind the other, as bzip2(1) writes one and pbzip2 many.

Python's bz2 begins nowhere but at a stream's start. So of one stream the only point is its start, and for
reading at random a copy is made. What stands behind the last is an error: bzip2(1) warns of it.
"""

from __future__ import annotations

import bz2

from regfs.errors import LayerError
from regfs.layers.streams.frames import FrameFormat

#: Plain bytes between points: pbzip2's streams have 900 kB each.
_SPACING = 1 << 20

BZIP2 = FrameFormat("bzip2", bz2.BZ2Decompressor, (OSError, ValueError, EOFError), LayerError, _SPACING)
