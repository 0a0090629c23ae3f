"""What all decoders have in common."""

from __future__ import annotations

from typing import Protocol


class Decoder(Protocol):
    """Plain bytes of a blob, one after the other, from a point to the end. For one thread at a time."""

    @property
    def position(self) -> int:
        """The offset of the next plain byte."""

    def read(self, most: int) -> bytes:
        """Give the next plain bytes: 1 to `most`, and b"" only at the end. Raises LayerError for damage.

        A decoder that raised is of no use any more, except to be closed.
        """

    def close(self) -> None:
        """Free what it holds. It is not used afterwards."""
