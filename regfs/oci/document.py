"""Decoding JSON documents that nobody vouches for."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from regfs.errors import ContentError

T = TypeVar("T")


class Form(Generic[T]):
    """A declared form of JSON: a msgspec struct, or a type made of some. Safe for many threads.

    It is made when its module is loaded, not when it is first used: msgspec works a form out then, and two
    threads that do so at the same time crash the process (0.22.0).
    """

    def __init__(self, form: type[T], error: type[ContentError]) -> None:
        """Declare it; `error` is raised for whatever has another."""
        self._decoder = msgspec.json.Decoder(form)
        self._error = error

    def decode(self, raw: bytes | str) -> T:
        """Decode JSON. Whatever is wrong with it raises the error, with the reason."""
        try:
            return self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as reason:
            raise self._error(str(reason)) from reason
        except RecursionError as reason:
            raise self._error("JSON nested without end") from reason
