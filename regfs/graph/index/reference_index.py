"""The index of one store: brought up to date when it is asked, and believed for a while after.

Safe for many threads, and for many processes: whoever asks has a snapshot of his own. One at a time writes:
a pass over the store, and what is computed when it is first asked for. Only who finds the index older than
`ttl`, or lacking what he needs, waits for that.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from regfs.errors import IndexFileError
from regfs.graph.index.database import Database
from regfs.graph.index.derived import Need, provide, provided
from regfs.graph.index.ledger import LOOKED_ELSEWHERE
from regfs.graph.index.read_connections import IndexFile
from regfs.graph.index.readers import Readers, side_by_side
from regfs.graph.index.schema import CHANGED, WHEN
from regfs.graph.index.snapshot import Snapshot
from regfs.graph.index.update import Progress, Update
from regfs.machine import give_back
from regfs.registry import layout
from regfs.registry.pace import SLOW
from regfs.registry.survey import Survey
from regfs.storage import Storage

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: A store of whose files some take longer than this to tell of, in seconds, is not in memory, and the disk of
#: a local one answers several questions at once.
_IN_MEMORY = 0.000_02

#: Who reads from that disk; who reads a store that is slow; and who does in a process that must not fork.
_DISK = Readers(processes=8)
_SLOW = Readers(processes=8, threads=8)
_SLOW_ALONE = Readers(threads=64)

#: Who reads an object store, and one to which a request takes longer than so many seconds: a thread waits,
#: and takes a fraction of a millisecond of this machine. No processes, see regfs.storage.objects.
_OBJECTS, _OBJECTS_AFAR = Readers(threads=64), Readers(threads=256)
_AFAR = 0.02

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
        #: The store's.
        self.path = path
        self._survey = Survey(store)
        self._database = Database(cache, path, follow_symlinks=store.follow_symlinks)
        self._ttl = ttl
        self._processes = processes
        self._clock = clock
        self._progress = progress
        self._lock = threading.RLock()
        #: Until when the file that was seen last is believed to be as the store is.
        self._until = self._thorough_until = float("-inf")
        self._seen: IndexFile | None = None

    @property
    def files(self) -> Database:
        """Where the index lies, for whoever reads it without bringing it up to date."""
        return self._database

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def snapshot(self, *needs: Need, thorough: bool = False, elsewhere: bool = False) -> Iterator[Snapshot]:
        """Give one state of the index to ask, at most `ttl` seconds old, with what it needs of what follows.

        `thorough`: what a thorough pass saw; `elsewhere`: once there must have been one, which looked for
        what is neither blob, link nor upload. What is asked together fits together. Who finds it fresh
        enough waits for nobody, and nobody waits for who has it.
        """
        try:
            with ExitStack() as stack:
                yield self._take(stack, needs, thorough=thorough, elsewhere=elsewhere)
        except sqlite3.DatabaseError as error:
            with self._lock:
                if not self._give_up(error):
                    raise
            raise IndexFileError(str(error)) from error

    def _take(
        self, stack: ExitStack, needs: Collection[Need], *, thorough: bool, elsewhere: bool
    ) -> Snapshot:
        if self._fresh(thorough=thorough) and (found := self._read(stack, needs, elsewhere=elsewhere)):
            return found
        with self._lock:
            if self._bring_up_to_date(needs, thorough=thorough, elsewhere=elsewhere):
                give_back()
        if found := self._read(stack, needs, elsewhere=elsewhere):
            return found
        # Nothing is kept, or it cannot be read beside the one who writes: that one's connection serves, and
        # others wait.
        stack.enter_context(self._lock)
        connection = stack.enter_context(self._database.changing())
        if _is_empty(connection):
            self._update(connection, thorough=thorough)
        provide(connection, needs)
        return Snapshot(connection)

    def _read(self, stack: ExitStack, needs: Collection[Need], *, elsewhere: bool) -> Snapshot | None:
        """Begin to read; None, if that takes waiting, or if not all is there that is asked for."""
        try:
            with ExitStack() as attempt:
                connection = attempt.enter_context(self._database.reader())
                if connection is None or not provided(connection, needs):
                    return None
                if elsewhere and _never_looked_elsewhere(connection):
                    return None
                stack.push(attempt.pop_all())
                return Snapshot(connection)
        except sqlite3.DatabaseError:
            return None

    def _fresh(self, *, thorough: bool) -> bool:
        """Tell whether the file in use is the one that was brought up to date, and not too long ago."""
        until = self._thorough_until if thorough else self._until
        return self._clock() < until and self._database.in_use == self._seen

    def _bring_up_to_date(
        self, needs: Collection[Need], *, thorough: bool, elsewhere: bool = False, anyway: bool = False
    ) -> Pass | None:
        """See that the facts are fresh, and that what is needed of what follows is there: all, or nothing.

        `anyway`: fresh or not.
        """
        began = self._clock()

        def work(connection: sqlite3.Connection) -> tuple[bool, tuple[bool, bool] | None]:
            every_file = thorough or (elsewhere and _never_looked_elsewhere(connection))
            done = None
            if anyway or not self._fresh(thorough=every_file) or _is_empty(connection):
                done = self._update(connection, thorough=every_file)
            provide(connection, needs)
            return every_file, done

        every_file, done = self.write(work)
        if done is None:
            return None
        seconds = self._clock() - began
        self._believe(self._clock() + max(self._ttl, seconds * _SHARE), thorough=every_file)
        return Pass(*done, seconds)

    def _believe(self, until: float, *, thorough: bool) -> None:
        if self._seen != (file := self._database.in_use):
            self._until = self._thorough_until = float("-inf")
            self._seen = file
        self._until = max(self._until, until)
        if thorough:
            self._thorough_until = until

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Write into the index: all of it counts, or nothing. `work` is a function of this package's.

        A file that turns out to be unusable is left for an empty one, once.
        """
        with self._lock:
            try:
                with self._database.changing() as connection:
                    return work(connection)
            except sqlite3.DatabaseError as error:
                if not self._give_up(error):
                    raise
            with self._database.changing() as connection:
                return work(connection)

    def _give_up(self, error: sqlite3.DatabaseError) -> bool:
        """Let go of a file that cannot be used; tell whether it is the file's fault."""
        self._until = self._thorough_until = float("-inf")
        return self._database.recover(error)

    def changed(self, *, thorough: bool = False, elsewhere: bool = False) -> int:
        """Tell when what the index says has last changed, in nanoseconds since 1970."""
        with self.snapshot(thorough=thorough, elsewhere=elsewhere) as snapshot:
            return snapshot.changed

    def refresh(self, *, thorough: bool = False) -> Pass:
        """Bring the index up to date. A first pass reads everything; a thorough one looks at every file."""
        with self._lock:
            done = self._bring_up_to_date((), thorough=thorough, anyway=True)
        if done is None:
            raise AssertionError("a pass that was asked for was not done")
        return done

    def _update(self, connection: sqlite3.Connection, *, thorough: bool) -> tuple[bool, bool]:
        """Do a pass. Tells whether it is the first, and whether anything has changed."""
        first = _is_empty(connection)
        if first:
            _log.info("reading the whole store for the index")
        with side_by_side(self._survey, self._readers(much=first or thorough)) as beside:
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
        if self._survey.lists:
            began = time.perf_counter()
            self._survey.directory(layout.BLOBS)
            return _OBJECTS_AFAR if time.perf_counter() - began > _AFAR else _OBJECTS
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


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM place LIMIT 1").fetchone() is None


def _never_looked_elsewhere(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM meta WHERE key = ?"
    return connection.execute(query, (LOOKED_ELSEWHERE,)).fetchone() is None
