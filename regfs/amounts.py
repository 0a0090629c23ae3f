"""Sizes and durations as people write them: one grammar for options, mount options and policies."""

from __future__ import annotations

import re

#: What a number of bytes may end in: KB and KiB are K, each 1024 times the one before, as regfs prints them.
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(?:([KMGTP])(?:i?B)?|B)?\Z", re.IGNORECASE)
_POWERS = " KMGTP"

#: M is a month and min a minute; m alone may mean either, and six minutes in a month's place delete too much.
_DURATION = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,9})?(?:e[0-9]{1,2})?)\s*(s|min|h|d|w|M|y)?\Z")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 2_592_000, "y": 31_536_000}


def read_size(text: str) -> int:
    """Read bytes: 512, 500M, 1.5G, 5GB, 5GiB. Raises ValueError."""
    found = _SIZE.match(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no number of bytes such as 500M, 1.5G or 5GB")
    whole, _, part = found[1].partition(".")
    unit = 1 << 10 * _POWERS.index((found[2] or " ").upper())
    return int(whole) * unit + int(float(f"0.{part or 0}") * unit)


def read_duration(text: str, unit: str = "s") -> float:
    """Read seconds: 10s, 5min, 12h, 90d, 6w, 6M (months of 30 days), 1y; `unit` where none is given.

    Raises ValueError.
    """
    found = _DURATION.match(text.strip())
    if not found:
        hint = "; m is no unit: min are minutes, M months" if re.fullmatch(r"[0-9.]+\s*m", text) else ""
        raise ValueError(f"{text!r} is no duration such as 10s, 5min, 12h, 90d, 6w, 6M or 1y{hint}")
    return float(found[1]) * _SECONDS[found[2] or unit]
