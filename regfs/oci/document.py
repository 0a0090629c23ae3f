"""Decoding JSON documents that nobody vouches for."""

from __future__ import annotations

import re
from typing import Generic, TypeVar

import msgspec

from regfs.errors import ContentError

T = TypeVar("T")


class Form(Generic[T]):
    """A declared form of JSON: a msgspec struct, or a type made of some. Safe for many threads.

    It is made when its module is loaded, not when it is first used: msgspec works a form out then, and two
    threads that do so at the same time crash the process (0.22.0).
    """

    def __init__(self, form: type[T], error: type[ContentError], *, mended: bool = False) -> None:
        """Declare it; `error` is raised for whatever has another.

        `mended`: what is no text in its strings is U+FFFD, as to Go's encoding/json, instead of an error.
        """
        self._decoder = msgspec.json.Decoder(form)
        self._error = error
        self._mended = mended

    def decode(self, raw: bytes | str) -> T:
        """Decode JSON. Whatever is wrong with it raises the error, with the reason."""
        try:
            return self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as reason:
            raise self._error(str(reason)) from reason
        except RecursionError as reason:
            raise self._error("JSON nested without end") from reason

    def _decode(self, raw: bytes | str) -> T:
        try:
            return self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not self._mended:
                raise
        text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
        return self._decoder.decode(_LONE.sub(_mend, text))


#: An escape in a JSON string: a pair of surrogates, one that stands alone, or anything else.
_LONE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)


def _mend(escape: re.Match[str]) -> str:
    return "\ufffd" if escape["lone"] else escape[0]
