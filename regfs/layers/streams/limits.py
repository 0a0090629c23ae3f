"""How much a blob may take: plain bytes, and the time of the processor."""

from __future__ import annotations

from typing import NamedTuple

from regfs.errors import LayerLimitError
from regfs.layers.sizes import MAX_LAYER_SIZE

#: Seconds of the processor that any layer may take, and plain bytes that each further one has to bring: a
#: tenth of what the slowest of real layers do.
_SECONDS = 60.0
_PACE = 1_000_000


class Limits(NamedTuple):
    """The most that is decompressed of one blob. `plain` is in bytes."""

    plain: int = MAX_LAYER_SIZE

    def check(self, plain: int, seconds: float = 0.0) -> None:
        """Raise LayerLimitError if a blob became more plain bytes than it may, or took too long for so many.

        `seconds` are the processor's.
        """
        if plain > self.plain:
            raise LayerLimitError(
                f"it is more than {self.plain} bytes uncompressed; max_layer_size= allows more"
            )
        if seconds > _SECONDS + plain / _PACE:
            raise LayerLimitError(f"it took {seconds:.0f} seconds of the processor for {plain} bytes")
