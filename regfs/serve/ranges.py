"""Which part of a blob a client asks for: Range, If-Range, If-None-Match (RFC 9110, 13 and 14)."""

from __future__ import annotations

import re
from typing import NamedTuple

#: One range in bytes. More than one at once, and what is none, may be ignored (RFC 9110, 14.2), and is.
_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*\Z", re.IGNORECASE)

#: Digits that a number of bytes can have; Python refuses to read thousands.
_MOST_DIGITS = 18


class RangePart(NamedTuple):
    """Bytes from `start` to `end`."""

    start: int
    end: int


def wanted(header: str, size: int) -> RangePart | None:
    """Tell which part of `size` bytes a Range header asks for: all of them if it is none.

    None if that lies outside (416).
    """
    match = _RANGE.match(header)
    if not match or not any(match.groups()):
        return RangePart(0, size)
    first, last = match.groups()
    if not first:
        count = min(_number(last), size)
        return RangePart(size - count, size) if count else None
    start = _number(first)
    if last and _number(last) < start:
        return RangePart(0, size)  # no range at all: 14.1.1
    if start >= size:
        return None
    return RangePart(start, min(_number(last) + 1, size) if last else size)


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return 10**_MOST_DIGITS if len(digits) > _MOST_DIGITS else int(digits or "0")


def is_range(header: str) -> bool:
    """Tell whether a Range header is one that is obeyed."""
    match = _RANGE.match(header)
    if not match:
        return False
    first, last = match.groups()
    return bool(first or last) and not (first and last and _number(last) < _number(first))


def names(header: str, etag: str) -> bool:
    """Tell whether an If-None-Match header names an entity tag."""
    tags = (tag.strip().removeprefix("W/") for tag in header.split(","))
    return any(tag in ("*", etag) for tag in tags)
