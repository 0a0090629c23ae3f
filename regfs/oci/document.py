"""Decoding JSON documents that nobody vouches for."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from regfs.errors import ContentError

T = TypeVar("T")


def decode(raw: bytes | str, form: type[T], error: type[ContentError]) -> T:
    """Decode JSON into a msgspec struct. Whatever is wrong with it raises `error`, with the reason."""
    try:
        return msgspec.json.decode(raw, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as reason:
        raise error(str(reason)) from reason
    except RecursionError as reason:
        raise error("JSON nested without end") from reason
