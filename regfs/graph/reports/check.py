"""Whether each image can be pulled; and, on demand, whether each blob has the content that its digest says.

Hashing a large store takes hours, so what was hashed is kept in the index as it goes: a check that was
stopped goes on where it was, and one that came to its end begins anew.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import NamedTuple

from regfs.errors import MissingError, StoreError
from regfs.graph.index import Kind, ReferenceIndex, Snapshot
from regfs.graph.index.findings import findings
from regfs.graph.index.hashes import (
    Hashed,
    ToHash,
    begin_check,
    bytes_hashed,
    end_check,
    keep_hashes,
    left_to_hash,
)
from regfs.graph.index.tags import count_tags, tags
from regfs.graph.reports.hashing import Throttle, feed
from regfs.graph.reports.table import SPARE, Column, Record, Row, Table, Type
from regfs.oci import Digest
from regfs.registry import Contents

#: Seconds after which what was hashed is kept.
_KEEP_EVERY = 5.0


class Verdict(NamedTuple):
    """How many tags there are, how many can be pulled, and of how many that cannot be told."""

    tags: int
    sound: int
    untold: int


class Lack(Record, frozen=True):
    """What a tag lacks: the kind of finding, the digest that should be there, what was found instead."""

    kind: str
    digest: str
    wanted: str
    found: str

    def __str__(self) -> str:
        """Give it as one phrase."""
        return f"{self.wanted} {self.digest}: {self.found}".replace(" :", ":")


def verdict(snapshot: Snapshot) -> Verdict:
    """Sum up what is wrong. Needs LINKS and CONTENTS."""
    every = count_tags(snapshot)
    answers = [row[3] for row in by_tag(snapshot, sound=False).rows]
    return Verdict(every, every - len(answers), answers.count(None))


BY_TAG = (
    Column("repository", help="its name"),
    Column("tag", help="its name"),
    Column("digest", Type.DIGEST, "what it names; none: its link cannot be read", SPARE),
    Column("can_be_pulled", Type.TRUTH, "yes, no, or unknown: it needs what was not read"),
    Column("lacks", Type.LIST, "of each thing: kind, digest, wanted, found"),
)


def by_tag(snapshot: Snapshot, *, sound: bool) -> Table:
    """List the tags that cannot be pulled, and what each lacks; the sound ones as well, if asked for.

    Of one that needs what was not read, that is unknown. Needs LINKS and CONTENTS.
    """
    lacks: dict[tuple[str, str], list[Lack]] = {}
    broken: set[tuple[str, str]] = set()
    for found in findings(snapshot):
        name = found.repository, found.tag
        if found.tag and (found.kind.stops_pull or found.kind in _UNTOLD):
            lacks.setdefault(name, []).append(Lack(found.kind.value, found.digest, found.wanted, found.found))
            if found.kind.stops_pull:
                broken.add(name)
    rows: list[Row] = []
    for tag in tags(snapshot):
        name = tag.repository, tag.tag
        lacking = lacks.get(name, [])
        if lacking or sound:
            answer = False if name in broken else None if lacking else True
            rows.append((*name, tag.digest, answer, tuple(lacking)))
    return Table(BY_TAG, rows)


#: Findings about what was not read.
_UNTOLD = frozenset({Kind.UNREAD, Kind.UNTOLD})


class DigestCheck:
    """Hashes every stored blob. `jobs` blobs are read side by side."""

    def __init__(self, index: ReferenceIndex, contents: Contents, throttle: Throttle, jobs: int) -> None:
        self._index = index
        self._contents = contents
        self._throttle = throttle
        self._jobs = jobs
        self._stop = threading.Event()
        with index.snapshot():
            pass  # there has to be what is to be hashed
        index.write(begin_check)
        with index.snapshot() as snapshot:
            self.done, self.total = bytes_hashed(snapshot)

    def run(self, progress: Callable[[int], object]) -> None:
        """Hash what is left. `progress` is told of bytes, in the thread of the caller."""
        self._lock, self._bytes = threading.Lock(), 0
        pool = ThreadPoolExecutor(self._jobs, "regfs-check")
        try:
            self._hash_all(pool, progress)
        finally:
            self._stop.set()
            # Who waits for an object store may do so for long, and has no file open.
            pool.shutdown(wait=not self._contents.lists, cancel_futures=True)
        self._index.write(end_check)

    def _hash_all(self, pool: ThreadPoolExecutor, progress: Callable[[int], object]) -> None:
        with self._index.snapshot() as snapshot:
            waiting = left_to_hash(snapshot)
        flying: dict[Future[str | None], ToHash] = {}
        ended: list[Hashed] = []
        kept = time.monotonic()
        try:
            while waiting or flying:
                while waiting and len(flying) < 2 * self._jobs:
                    job = waiting.pop()
                    flying[pool.submit(self._hash, job)] = job
                for future in wait(flying, 0.2, FIRST_COMPLETED).done:
                    job, found = flying.pop(future), future.result()
                    if found is not None:
                        ended.append(Hashed(*job, found))
                with self._lock:
                    read, self._bytes = self._bytes, 0
                progress(read)
                if time.monotonic() - kept > _KEEP_EVERY:
                    self._keep(ended)
                    kept = time.monotonic()
        finally:
            self._keep(ended)

    def _keep(self, ended: list[Hashed]) -> None:
        self._index.write(partial(keep_hashes, hashed=ended))
        ended.clear()

    def _hash(self, job: ToHash) -> str | None:
        """Hash one blob: gives the digest found, what is wrong instead, or None if it is gone meanwhile."""
        digest = Digest.parse(job.digest)
        if not digest.computable:
            return job.digest
        try:
            content = self._contents.open_blob(digest)
        except MissingError:
            return None
        except StoreError as error:
            return str(error)
        hashing = hashlib.new(digest.algorithm)
        try:
            ended = feed(content, [hashing], self._pass)
        except StoreError as error:
            return str(error)
        finally:
            content.close()
        return f"{digest.algorithm}:{hashing.hexdigest()}" if ended else None

    def _pass(self, size: int) -> bool:
        """Count bytes that were read; tell whether to go on."""
        self._throttle.take(size)
        with self._lock:
            self._bytes += size
        return not self._stop.is_set()
