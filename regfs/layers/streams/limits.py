"""How much plain bytes a blob may become."""

from __future__ import annotations

from typing import NamedTuple

from regfs.errors import LayerLimitError

#: Plain bytes for each stored one. Real layers have 2 to 10; those of long runs of zeros some 1000, which is
#: the most that deflate can do, but are small. zstd can do far more, so there has to be a bound.
_RATIO = 200

#: Plain bytes that are allowed whatever the ratio: so much costs seconds, and does no harm.
_ALLOWED = 1 << 30


class Limits(NamedTuple):
    """The most that is decompressed of one blob. `plain` is in bytes."""

    plain: int = _ALLOWED

    @classmethod
    def of(cls, stored: int) -> Limits:
        """Give the limits of a blob of `stored` bytes.

        They are by the size of all of it: its beginning alone may well be nothing but zeros.
        """
        return cls(max(_ALLOWED, _RATIO * stored))

    def check(self, plain: int) -> None:
        """Raise LayerLimitError if a blob became more plain bytes than it may."""
        if plain > self.plain:
            raise LayerLimitError(f"it is more than {self.plain} bytes uncompressed: too much for its size")
