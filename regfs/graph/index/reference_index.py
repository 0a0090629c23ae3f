"""The index of one store: brought up to date when it is asked, and believed for a while after.

Safe for many threads: one connection, behind a lock that is held while the store is read for the index and
while the index is read. What needs no index never waits for it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from regfs.errors import IndexFileError
from regfs.graph.index.database import Database
from regfs.graph.index.ledger import LOOKED_ELSEWHERE
from regfs.graph.index.readers import Readers, side_by_side
from regfs.graph.index.states import CHANGED, WHEN, derive
from regfs.graph.index.update import Progress, Update
from regfs.machine import give_back
from regfs.registry import layout
from regfs.registry.pace import SLOW
from regfs.registry.survey import Survey
from regfs.storage import Storage

_log = logging.getLogger(__name__)

#: A store of whose files some take longer than this to tell of, in seconds, is not in memory, and the disk of
#: a local one answers several questions at once.
_IN_MEMORY = 0.000_02

#: Who reads from that disk; who reads a store that is slow; and who does in a process that must not fork.
_DISK = Readers(processes=8)
_SLOW = Readers(processes=8, threads=8)
_SLOW_ALONE = Readers(threads=64)

#: A refresh may take at most this share of the time: one that takes a second is believed for twenty.
_SHARE = 20.0


class Pass(NamedTuple):
    """What one pass did: whether it had to read all, whether anything had changed, and seconds."""

    first: bool
    changed: bool
    seconds: float


class ReferenceIndex:
    """The index of the store at `path`, kept below `cache` (None: nowhere).

    `ttl` is in seconds, may be infinite. `processes` of more than one are forked for a pass that reads much,
    if the store is fast: only for a program that has no threads yet.
    """

    def __init__(
        self,
        store: Storage,
        path: str,
        cache: Path | None,
        *,
        ttl: float = 0.0,
        processes: int = 1,
        clock: Callable[[], float] = time.monotonic,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        self._survey = Survey(store)
        self._database = Database(cache, path, follow_symlinks=store.follow_symlinks)
        self._ttl = ttl
        self._processes = processes
        self._clock = clock
        self._progress = progress
        self._lock = threading.RLock()
        self._until = self._thorough_until = float("-inf")

    @property
    def files(self) -> Database:
        """Where the index lies, for whoever reads it without bringing it up to date."""
        return self._database

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def reading(self, *, thorough: bool = False, elsewhere: bool = False) -> Iterator[sqlite3.Connection]:
        """Give the index to ask, with what follows from it, at most `ttl` seconds old.

        `thorough`: what a thorough pass saw; `elsewhere`: once there must have been one, which looked for
        what is neither blob, link nor upload. What is asked together fits together. What the body writes
        into it is kept: facts that never change.
        """
        with self._lock:
            thorough = thorough or (elsewhere and not self._looked_elsewhere())
            if self._clock() >= (self._thorough_until if thorough else self._until):
                self.refresh(thorough=thorough)
                give_back()
            try:
                self._derive(thorough)
                with self._database.changing() as connection:
                    derive(connection)  # another process may have been here since
                    yield connection
            except sqlite3.DatabaseError as error:
                if not self._give_up(error):
                    raise
                raise IndexFileError(str(error)) from error

    def _looked_elsewhere(self) -> bool:
        with self._database.changing() as connection:
            query = "SELECT 1 FROM meta WHERE key = ?"
            return connection.execute(query, (LOOKED_ELSEWHERE,)).fetchone() is not None

    def _derive(self, thorough: bool) -> None:
        """Compute what follows from the index. A file that turns out to be unusable is built anew, once."""
        try:
            with self._database.changing() as connection:
                derive(connection)
        except sqlite3.DatabaseError as error:
            if not self._give_up(error):
                raise
            self.refresh(thorough=thorough)
            with self._database.changing() as connection:
                derive(connection)

    def _give_up(self, error: sqlite3.DatabaseError) -> bool:
        """Let go of a file that cannot be used; tell whether it is the file's fault."""
        self._until = self._thorough_until = float("-inf")
        return self._database.recover(error)

    def changed(self, *, thorough: bool = False, elsewhere: bool = False) -> int:
        """Tell when what the index says has last changed, in nanoseconds since 1970."""
        with self.reading(thorough=thorough, elsewhere=elsewhere) as connection:
            (when,) = connection.execute("SELECT value FROM meta WHERE key = ?", (WHEN,)).fetchone()
            return int(when)

    def refresh(self, *, thorough: bool = False) -> Pass:
        """Bring the index up to date. A first pass reads everything; a thorough one looks at every file.

        What follows from the index is computed when it is next asked.
        """
        with self._lock:
            began = self._clock()
            try:
                first, changed = self._update(thorough)
            except sqlite3.DatabaseError as error:
                if not self._give_up(error):
                    raise
                first, changed = self._update(thorough)
            seconds = self._clock() - began
            until = self._clock() + max(self._ttl, seconds * _SHARE)
            self._until = max(self._until, until)
            if thorough:
                self._thorough_until = until
            return Pass(first, changed, seconds)

    def _update(self, thorough: bool) -> tuple[bool, bool]:
        with self._database.changing() as connection, ExitStack() as stack:
            first = connection.execute("SELECT 1 FROM place LIMIT 1").fetchone() is None
            if first:
                _log.info("reading the whole store for the index")
            beside = stack.enter_context(side_by_side(self._survey, self._readers(much=first or thorough)))
            update = Update(
                connection,
                self._survey,
                time.time_ns(),
                thorough=thorough,
                beside=beside,
                progress=self._progress,
            )
            changed = update.run()
            if changed or first:
                connection.execute("REPLACE INTO meta VALUES (?, TRUE)", (CHANGED,))
                connection.execute("REPLACE INTO meta VALUES (?, ?)", (WHEN, time.time_ns()))
            return first, changed

    def _readers(self, *, much: bool) -> Readers:
        """Choose who reads, by how long the store takes to tell of the blobs' shards."""
        algorithms = self._survey.directory(layout.BLOBS).directories()[:4]
        paths = [layout.shard(algorithm, f"{number:02x}") for algorithm in algorithms for number in range(16)]
        taken = []
        for path in paths:
            began = time.perf_counter()
            self._survey.stamps("", [path])
            taken.append(time.perf_counter() - began)
        alone = not much or self._processes == 1
        if taken and sorted(taken)[len(taken) // 2] > SLOW:
            return _SLOW_ALONE if alone else _SLOW
        if alone:
            return Readers()
        return _DISK if sum(taken) > len(taken) * _IN_MEMORY else Readers(self._processes)
