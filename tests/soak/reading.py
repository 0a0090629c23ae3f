"""Reads files of the mount and compares every byte with what the chronicle says must be there."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.soak.chronicle import Span
from tests.soak.judging import Judge
from tests.soak.paths import Expectations, subject_of
from tests.soak.tally import Tally

_PIECE = 1 << 17


#: Gives the digests that a file may have which is read in a span.
Wanted = Callable[[Span], set[str]]


class Read(NamedTuple):
    """What was read of a file: its digest and bytes, and what the extended attribute says its digest is."""

    digest: str
    size: int
    said: frozenset[str] = frozenset()


class Reader:
    """Reads and compares, until it is told to `stop`. For one thread."""

    def __init__(
        self, top: Path, expectations: Expectations, judge: Judge, tally: Tally, stop: Callable[[], bool]
    ) -> None:
        self.top = top
        self._expectations = expectations
        self._judge = judge
        self._tally = tally
        self._stop = stop

    def all_below(self, directory: str, what: str) -> None:
        """Read every file that is listed below a directory, and look at what its attributes say."""
        start = time.monotonic()
        errors: list[OSError] = []
        for above, _, names in os.walk(self.top / directory, onerror=errors.append):
            if self._stop():
                break
            for name in names:
                self.file(os.path.relpath(os.path.join(above, name), self.top), what)
        for error in errors:
            path = os.path.relpath(str(error.filename), self.top)
            self._judge.error(path, error.errno or 0, Span(start, time.monotonic()), what)

    def file(self, path: str, what: str, wanted: Wanted | None = None) -> None:
        """Read one file. Its digest must be one of `wanted`, or that the chronicle allows."""
        start = time.monotonic()
        try:
            if (self.top / path).is_symlink():
                return
            before = self._attribute(path)
            found, size = _hash(self.top / path)
            said = {before, self._attribute(path)} - {""}
        except OSError as error:
            self._judge.error(path, error.errno or 0, Span(start, time.monotonic()), what)
            return
        self.compare(path, Read(found, size, frozenset(said)), Span(start, time.monotonic()), what, wanted)

    def compare(self, path: str, read: Read, span: Span, what: str, wanted: Wanted | None = None) -> None:
        """Compare what was read in a span with what must be there; what is odd, when all is known."""
        if self._as_wanted(path, read, span, wanted):
            self._tally.hashed(what, read.size)
        else:
            self._judge.later(span, lambda: self._insist(path, read, span, what, wanted))

    def _insist(self, path: str, read: Read, span: Span, what: str, wanted: Wanted | None) -> None:
        allowed = self._allowed(path, span, wanted)
        if not allowed:
            self._tally.did(f"{what}: read, and nothing to compare with")
        elif self._as_wanted(path, read, span, wanted):
            self._tally.hashed(what, read.size)
        else:
            told = self._expectations.told(subject_of(path), span)
            self._tally.fault(f"{what}: {path}: {read}, and it was {sorted(allowed)}; {told}")

    def _as_wanted(self, path: str, read: Read, span: Span, wanted: Wanted | None) -> bool:
        allowed = self._allowed(path, span, wanted)
        return read.digest in allowed and (bool(wanted) or allowed >= read.said)

    def _allowed(self, path: str, span: Span, wanted: Wanted | None) -> set[str]:
        subject = subject_of(path)
        if wanted:
            return wanted(span)
        return self._expectations.acceptable(subject, span) if subject else set()

    def _attribute(self, path: str) -> str:
        """Give the digest that the extended attribute tells; nothing where there is none."""
        try:
            return os.getxattr(self.top / path, "user.regfs.digest").decode()
        except FileNotFoundError:
            raise
        except OSError:
            return ""


def _hash(path: Path) -> tuple[str, int]:
    hashed, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            hashed.update(piece)
            size += len(piece)
    return f"sha256:{hashed.hexdigest()}", size
