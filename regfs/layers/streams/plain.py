"""A blob that is not compressed, decoded as if it were: what is stored is what there is."""

from __future__ import annotations

from collections.abc import Iterator


class PlainDecoder:
    """Gives the stored bytes as they are, from the beginning."""

    def __init__(self, stored: Iterator[bytes]) -> None:
        self.position = 0
        self._stored = stored
        self._rest = b""

    def read(self, most: int) -> bytes:
        """Give the next bytes."""
        piece = self._rest or next(self._stored, b"")
        self._rest = piece[most:]
        piece = piece[:most]
        self.position += len(piece)
        return piece

    def close(self) -> None:
        """Hold nothing."""
