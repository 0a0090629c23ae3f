"""Keeping what a mount has read: single links and manifests, beside what passes over the whole store keep.

They are written some seconds later, many at once, in a thread of their own. An answer never waits for that:
where the file is another writer's just now, or cannot be written at all, they are kept later, or not at all.
A pass knows all of it itself, and throws it away. Safe for many threads.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import AbstractContextManager
from threading import Condition, Thread
from typing import NamedTuple, Protocol

import msgspec

from regfs.graph.outline import Outline

_log = logging.getLogger(__name__)

#: Seconds from the first that is to be kept until all are written; and things that wait for it at most.
_PAUSE = 2.0
_ROOM = 20_000


class KeptLink(NamedTuple):
    """A tag's link that was read: its stamp, when it was pushed (ns), and the digest that it held."""

    repository: str
    tag: str
    stamp: int
    pushed: int
    digest: str


class KeepFiles(Protocol):
    """Where the index lies."""

    def keeping(self) -> AbstractContextManager[sqlite3.Connection | None]:
        """Give the index to write single facts into, without waiting; None where that cannot be."""


class Keeper:
    """Writes into the index that `files` has. `close` writes what is left, if it can be done at once."""

    def __init__(self, files: KeepFiles, *, pause: float = _PAUSE, room: int = _ROOM) -> None:
        self._files = files
        self._pause = pause
        self._room = room
        self._links: dict[tuple[str, str], KeptLink] = {}
        self._outlines: dict[str, Outline] = {}
        self._wake = Condition()
        self._thread: Thread | None = None
        self._closed = False

    def link(self, link: KeptLink) -> None:
        """Keep a link, in place of what the tag had before."""
        with self._wake:
            if len(self._links) < self._room:
                self._links[link.repository, link.tag] = link
                self._start()

    def outline(self, outline: Outline) -> None:
        """Keep what a manifest says that was just read: of the blobs that it names, nothing was seen yet."""
        with self._wake:
            if len(self._outlines) < self._room:
                self._outlines[str(outline.itself.digest)] = outline
                self._start()

    def close(self) -> None:
        """Write what waits, and end."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
        self.write()

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = Thread(target=self._work, name="regfs-keep", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        """Write once, after a while; whoever keeps something after that starts another thread."""
        with self._wake:
            self._wake.wait_for(lambda: self._closed, self._pause)
            self._thread = None
            closed = self._closed
        if not closed:
            self.write()

    def write(self) -> None:
        """Write what waits now. Where somebody else writes, it waits for the next time."""
        with self._wake:
            links, self._links = self._links, {}
            outlines, self._outlines = self._outlines, {}
        if not links and not outlines:
            return
        try:
            with self._files.keeping() as connection:
                if connection is not None:
                    connection.executemany("REPLACE INTO kept_link VALUES (?, ?, ?, ?, ?)", links.values())
                    connection.executemany(
                        "REPLACE INTO kept_manifest VALUES (?, ?)",
                        [(digest, _ENCODER.encode(outline)) for digest, outline in outlines.items()],
                    )
                    return
        except (sqlite3.Error, OSError) as error:
            _log.debug("what was read is not kept: %s", error)
            return
        with self._wake:  # somebody else writes: the newer ones count
            self._links = {**links, **self._links}
            self._outlines = {**outlines, **self._outlines}


_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Outline)


def decode(raw: bytes) -> Outline | None:
    """Read an outline that was kept; None for what cannot be one."""
    try:
        return _DECODER.decode(raw)
    except msgspec.MsgspecError:
        return None
