"""What was true of the registry at which time: which manifest each tag named, which blobs were stored.

Written by the one who pushes, asked by all who read. Times are time.monotonic's, in seconds. A request to the
registry takes effect somewhere between its start and its end, so every event is such a span: what it ends is
believed up to the span's end, what it begins from the span's start.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.registry.random_pushes import Manifest


class Span(NamedTuple):
    """From `start` to `end`, in seconds."""

    start: float
    end: float

    def meets(self, other: Span) -> bool:
        return self.start <= other.end and other.start <= self.end

    def wider(self, before: float) -> Span:
        """Give the same span, begun so many seconds earlier."""
        return Span(self.start - before, self.end)


class _Named(NamedTuple):
    """What a tag named for some time; None: it was not there."""

    digest: str | None
    span: Span


def revision(repository: str, digest: str) -> str:
    """Give a chronicle's key for a manifest of a repository."""
    return f"{repository}@{digest}"


class Chronicle:
    """Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tags: dict[tuple[str, str], list[_Named]] = {}
        #: The events of each blob, and of each manifest of a repository ("<repository>@<digest>").
        self._events: dict[str, list[Span]] = {}
        self._manifests: dict[str, Manifest] = {}
        #: When each request began that is not answered yet.
        self._under_way: list[float] = []

    # --- writing -----------------------------------------------------------------------------------

    @contextmanager
    def spanned(self, note: Callable[[Span], None]) -> Iterator[None]:
        """Do something, and note how long it took, however it ended."""
        start = time.monotonic()
        with self._lock:
            self._under_way.append(start)
        try:
            yield
        finally:
            note(Span(start, time.monotonic()))
            with self._lock:
                self._under_way.remove(start)

    def learnt(self, manifest: Manifest) -> None:
        """Note what a manifest holds; it never changes."""
        with self._lock:
            self._manifests[manifest.blob.digest] = manifest

    def tagged(self, repository: str, tag: str, digest: str | None, span: Span) -> None:
        """Note that a tag came to name a manifest; None: that it went."""
        with self._lock:
            named = self._tags.setdefault((repository, tag), [_Named(None, Span(-math.inf, math.inf))])
            last = named[-1]
            if last.digest != digest:
                named[-1] = last._replace(span=Span(last.span.start, span.end))
                named.append(_Named(digest, Span(span.start, math.inf)))

    def changed(self, keys: Iterable[str], span: Span) -> None:
        """Note that blobs, or manifests of repositories, came or went."""
        with self._lock:
            for key in keys:
                self._events.setdefault(key, []).append(span)

    # --- asking ------------------------------------------------------------------------------------

    def known(self, span: Span) -> bool:
        """Tell whether all that happened in a span is written down."""
        with self._lock:
            return all(start > span.end for start in self._under_way)

    def named(self, repository: str, tag: str, span: Span) -> set[str | None]:
        """Give all that a tag named at some moment of a span; None if it was not there at some."""
        with self._lock:
            known = self._tags.get((repository, tag))
            return {one.digest for one in known if one.span.meets(span)} if known else {None}

    def told(self, repository: str, tag: str, span: Span) -> str:
        """Tell what a tag named last and next, in seconds after the start of a span."""
        with self._lock:
            known = self._tags.get((repository, tag), [])
            return "; ".join(
                f"{one.digest} {one.span.start - span.start:+.2f} to {one.span.end - span.start:+.2f}"
                for one in known
                if one.span.meets(Span(span.start - 60, span.end + 10))
            )

    def reach(self, start: Iterable[str]) -> set[str]:
        """Give what manifests lead to, and themselves."""
        reached: set[str] = set()
        waiting = [*start]
        with self._lock:
            while waiting:
                digest = waiting.pop()
                if digest not in reached:
                    reached.add(digest)
                    if manifest := self._manifests.get(digest):
                        waiting += [*manifest.holds, *manifest.children]
        return reached

    def manifest(self, digest: str) -> Manifest | None:
        with self._lock:
            return self._manifests.get(digest)

    def quiet(self, keys: Iterable[str], span: Span) -> bool:
        """Tell whether nothing came or went in a span."""
        with self._lock:
            return not any(event.meets(span) for key in keys for event in self._events.get(key, ()))

    def there(self, key: str, span: Span) -> bool:
        """Tell whether something was there at the start of a span: it came and went in turns before."""
        with self._lock:
            return sum(event.start < span.start for event in self._events.get(key, ())) % 2 == 1

    def whole(self, digest: str) -> str:
        """Give the digest of the manifest that begins with the digits of a shortened one."""
        with self._lock:
            return next((known for known in self._manifests if known.startswith(digest)), digest)
