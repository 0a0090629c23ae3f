"""How much layers may take, in bytes, unless asked otherwise."""

from __future__ import annotations

from typing import Final

#: What the indexes of layers, and their seekable copies, take of the cache directory.
CACHE_SIZE: Final = 5_000_000_000

#: The most plain bytes of one layer. Nothing tells a real layer of zeros (a large lastlog, of which deflate
#: makes a thousandth) from one that is meant to keep the machine busy. So much takes some minutes.
MAX_LAYER_SIZE: Final = 64 << 30
