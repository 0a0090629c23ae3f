"""How large the parts are: whole, for figures; quick, to see that they work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """A run of all parts with `WHOLE` takes some 20 minutes on two cores.

    Contestants that take several times as long as others have at most `slow_rounds`, and none is begun after
    `slow_within` seconds but the first. `seconds` is how long fio reads.
    """

    rounds: int
    slow_rounds: int
    slow_within: float
    #: Tags of the directory that is listed, images that are walked over, bytes of the layer that is read.
    tags: int
    images: int
    layer: int
    seconds: float
    #: Tags of the stores that memory and index grow with: the last but one is indexed beside the collector.
    growth: tuple[int, ...]
    #: Tags of the stores whose page is made.
    pages: tuple[int, ...]
    #: Entries of the layer that is looked into, and its bytes, uncompressed.
    entries: int
    unpacked: int
    reads: int
    #: Objects of the object store whose index is weighed.
    objects: int


WHOLE = Sizes(
    rounds=5,
    slow_rounds=3,
    slow_within=5.0,
    tags=10_000,
    images=2_000,
    layer=1_000_000_000,
    seconds=0.3,
    growth=(1_000, 10_000, 100_000),
    pages=(5_000, 100_000),
    entries=10_000,
    unpacked=200_000_000,
    reads=1_000,
    objects=1_000_000,
)

QUICK = Sizes(
    rounds=2,
    slow_rounds=1,
    slow_within=20.0,
    tags=500,
    images=60,
    layer=50_000_000,
    seconds=0.2,
    growth=(50, 100, 200),
    pages=(100,),
    entries=1_000,
    unpacked=20_000_000,
    reads=100,
    objects=5_000,
)
