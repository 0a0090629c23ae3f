"""How much one tar may ask for. Anybody can push a layer, so nothing in it is taken at its word."""

from __future__ import annotations

from typing import NamedTuple


class TarLimits(NamedTuple):
    """What is refused with LayerLimitError when a tar passes it. Lengths are in bytes."""

    #: Each entry becomes a row of the layer's index. The largest images in use have some hundred thousand.
    entries: int = 4_000_000
    #: A path or target. Linux takes 4,096 at once (PATH_MAX); longer ones can be made step by step.
    name: int = 64 << 10
    #: The content of a pax header or of a GNU long name, which is held in memory. Go allows the same.
    extension: int = 1 << 20
    #: The names and values of one entry's extended attributes. Linux allows 64 KiB for each value (xattr(7)).
    xattrs: int = 1 << 20
    #: The data runs of one sparse file, which are held in memory together.
    extents: int = 1_000_000
