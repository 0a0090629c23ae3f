"""The index of one store: brought up to date when it is asked, and believed for a while after.

Safe for many threads: one connection, behind a lock that is held while the store is read for the index and while
the index is read. What needs no index never waits for it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from regfs.graph.index.database import Database
from regfs.graph.index.readers import Read, Submit
from regfs.graph.index.states import CHANGED, derive
from regfs.graph.index.update import Progress, Update
from regfs.store import Store, layout
from regfs.store.survey import Survey

_log = logging.getLogger(__name__)

#: A store that takes longer than this to tell of one file, in seconds, is read by many threads: it is on a
#: network, or its disk is asleep. On a local disk, threads cost more than they hide.
_SLOW = 0.000_1
_SLOW_READERS = 24

#: A refresh may take at most this share of the time: one that takes a second is believed for twenty.
_SHARE = 20.0


class Pass(NamedTuple):
    """What one pass did: whether it had to read all, whether anything had changed, and seconds."""

    first: bool
    changed: bool
    seconds: float


class ReferenceIndex:
    """The index of the store at `path`, kept below `cache` (None: nowhere).

    `ttl` is in seconds, may be infinite.
    """

    def __init__(
        self,
        store: Store,
        path: str,
        cache: Path | None,
        *,
        ttl: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        self._survey = Survey(store)
        self._database = Database(cache, path)
        self._ttl = ttl
        self._clock = clock
        self._progress = progress
        self._lock = threading.RLock()
        self._until = float("-inf")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the index to ask, with what follows from it, at most `ttl` seconds old.

        What is asked together fits together. What the body writes into it is kept: facts that never change.
        """
        with self._lock:
            if self._clock() >= self._until:
                self.refresh()
            with self._database.changing() as connection:
                derive(connection)
                yield connection

    def refresh(self, *, thorough: bool = False, submit: Submit | None = None) -> Pass:
        """Bring the index up to date. A first pass reads everything; a thorough one looks at every file.

        `submit` has things read elsewhere; without it, a slow store is read by many threads. What follows from
        the index is computed when it is next asked.
        """
        with self._lock:
            began = self._clock()
            try:
                first, changed = self._update(thorough, submit)
            except sqlite3.DatabaseError as error:
                if not self._database.recover(error):
                    raise
                first, changed = self._update(thorough, submit)
            seconds = self._clock() - began
            self._until = self._clock() + max(self._ttl, seconds * _SHARE)
            return Pass(first, changed, seconds)

    def _update(self, thorough: bool, submit: Submit | None) -> tuple[bool, bool]:
        with self._database.changing() as connection, ExitStack() as stack:
            first = connection.execute("SELECT 1 FROM place LIMIT 1").fetchone() is None
            if first:
                _log.info("reading the whole store for the index")
            if submit is None and self._slow():
                pool = ThreadPoolExecutor(_SLOW_READERS, "regfs-index")
                stack.callback(pool.shutdown, cancel_futures=True)
                submit = self._to(pool)
            update = Update(
                connection,
                self._survey,
                time.time_ns(),
                thorough=thorough,
                submit=submit,
                progress=self._progress,
            )
            changed = update.run()
            if changed or first:
                connection.execute("REPLACE INTO meta VALUES (?, TRUE)", (CHANGED,))
            return first, changed

    def _slow(self) -> bool:
        """Tell whether the store answers slowly, by asking of the blobs' shards."""
        algorithms = self._survey.directory(layout.BLOBS).directories()[:4]
        paths = [layout.shard(algorithm, f"{number:02x}") for algorithm in algorithms for number in range(16)]
        began = time.perf_counter()
        self._survey.stamps("", paths)
        return time.perf_counter() - began > _SLOW * max(len(paths), 1)

    def _to(self, pool: ThreadPoolExecutor) -> Submit:
        def submit(read: Read, arguments: tuple[object, ...]) -> Future[Any]:
            return pool.submit(read, self._survey, *arguments)

        return submit
