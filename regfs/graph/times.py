"""Times as people and programs read them: ISO 8601, UTC, whole seconds."""

from __future__ import annotations

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
