"""How the parser's grammar asks for bytes.

The grammar is written as generators that read as if there were a file: `block = yield TarStep(0, 512)`. What
they yield is a request, what they are sent is exactly the bytes they asked for. Who runs them,
`TarParser.feed`, knows nothing of tar; they know nothing of pieces.
"""

from __future__ import annotations

from typing import NamedTuple

#: Everything in a tar begins at a multiple of so many bytes (POSIX, pax(1), "ustar Interchange Format").
BLOCK = 512

ZEROS = bytes(BLOCK)


class TarStep(NamedTuple):
    """Pass over `skip` bytes, then give `take` (never 0).

    `may_end`: the stream may end instead, and even before the last `padding` of the bytes to pass over.
    """

    skip: int
    take: int
    may_end: bool = False
    padding: int = 0


def padded(size: int) -> int:
    """Give the bytes that `size` bytes of content take in a tar: whole blocks."""
    return -(-size // BLOCK) * BLOCK
