"""Bytes in words, as the scripts of the page write them, too (template/units.js)."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def readable(size: int) -> str:
    """Give bytes as the reports do, with the whole name of the unit: 512 B, 4.0 KiB, 17 MiB."""
    amount, unit = float(size), 0
    while amount >= 1023.5:
        amount /= 1024
        unit += 1
    number = f"{size}" if unit == 0 else f"{amount:.1f}" if amount < 9.95 else f"{amount:.0f}"
    return f"{number}\u00a0{_UNITS[unit]}"
