"""Times as people and programs read them: ISO 8601, UTC, whole seconds where nothing else is said."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def iso(nanoseconds: int) -> str:
    """Format nanoseconds since 1970, as in 2026-11-23T18:42:00Z.

    A time that the calendar does not reach is told in seconds, as date(1) reads it: @253402300800.
    """
    seconds = nanoseconds // 1_000_000_000
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return f"@{seconds}"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def exact(nanoseconds: int) -> str:
    """Format nanoseconds since 1970 with all their digits, as in 2026-11-23T18:42:00.000000001Z."""
    return f"{iso(nanoseconds).removesuffix('Z')}.{nanoseconds % 1_000_000_000:09d}Z"


#: RFC 3339, section 5.6.
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-]\d\d:\d\d))\Z", re.ASCII
)


def nanoseconds(text: str) -> int | None:
    """Read a time as documents tell it, as nanoseconds since 1970; None if it is none."""
    match = _MOMENT.match(text)
    if not match:
        return None
    day, time, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{offset or '+00:00'}")
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
