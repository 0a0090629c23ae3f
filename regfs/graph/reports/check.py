"""Whether each image can be pulled; and, on demand, whether each blob has the content that its digest says.

Hashing a large store takes hours, so what was hashed is kept in the index as it goes: a check that was
stopped goes on where it was, and one that came to its end begins anew.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from regfs.errors import MissingError, StoreError
from regfs.graph.index import Finding, Kind, ReferenceIndex, Role
from regfs.graph.index.ancestry import tags_above
from regfs.graph.index.states import keep_findings
from regfs.graph.reports.table import Row, Table, columns
from regfs.oci import Digest
from regfs.registry import Contents

#: The owner of findings about content, and the key in `meta` that says that a check came to its end.
OWNER = "content"
_ENDED = "check ended"

#: Bytes that are hashed at once.
_PIECE = 1 << 20

#: Seconds after which what was hashed is kept.
_KEEP_EVERY = 5.0


class Verdict(NamedTuple):
    """How many tags there are, how many can be pulled, and of how many that cannot be told."""

    tags: int
    sound: int
    untold: int


def look_at_contents(connection: sqlite3.Connection) -> None:
    """See that what the last check of contents found wrong is among the findings."""
    keep_findings(connection, OWNER, _wrong_contents)


def _wrong_contents(connection: sqlite3.Connection) -> Iterator[Finding]:
    rows = connection.execute(
        "SELECT id, hashed.digest, found FROM hashed JOIN blob ON blob.digest = hashed.digest "
        "AND blob.size = hashed.size AND blob.stored = hashed.stored WHERE found != hashed.digest"
    ).fetchall()
    for number, digest, found in rows:
        tags = tags_above(connection, number, set(Role) - {Role.REFERRER})
        for repository, tag in tags or [("", "")]:
            yield Finding(Kind.CONTENT, repository, tag, "", digest, "content of this digest", found)


def verdict(connection: sqlite3.Connection) -> Verdict:
    """Sum up what is wrong."""
    (tags,) = connection.execute("SELECT count(*) FROM tag").fetchone()
    answers = [row[3] for row in by_tag(connection, sound=False).rows]
    return Verdict(tags, tags - len(answers), answers.count("unknown"))


def by_tag(connection: sqlite3.Connection, *, sound: bool) -> Table:
    """List the tags that cannot be pulled, and what each lacks; the sound ones as well, if asked for.

    Of one that needs what was not read, that is unknown.
    """
    lacks: dict[tuple[str, str], list[str]] = {}
    broken: set[tuple[str, str]] = set()
    for kind, repository, tag, digest, wanted, found in connection.execute(
        "SELECT kind, repository, tag, digest, wanted, found FROM finding WHERE tag != '' ORDER BY rowid"
    ):
        if Kind(kind).stops_pull or Kind(kind) in _UNTOLD:
            lacks.setdefault((repository, tag), []).append(f"{wanted} {digest}: {found}".replace(" :", ":"))
            if Kind(kind).stops_pull:
                broken.add((repository, tag))
    rows: list[Row] = []
    for repository, tag, digest in connection.execute(
        "SELECT repository.name, tag.name, digest FROM tag JOIN repository ON repository.id = repository "
        "LEFT JOIN blob ON blob.id = blob ORDER BY 1, 2"
    ):
        name = repository, tag
        lacking = lacks.get(name, [])
        if lacking or sound:
            answer = "no" if name in broken else "unknown" if lacking else "yes"
            rows.append((repository, tag, digest, answer, "; ".join(lacking)))
    return Table(columns("repository", "tag", "digest", "can_be_pulled", "lacks"), rows)


#: Findings about what was not read.
_UNTOLD = frozenset({Kind.UNREAD, Kind.UNTOLD})


class Throttle:
    """Lets so many bytes pass in a second; None lets all pass."""

    def __init__(
        self,
        rate: float | None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._pause = pause
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, size: int) -> None:
        """Wait until `size` more bytes may be read."""
        if self._rate is None:
            return
        with self._lock:
            now = self._clock()
            start = max(now, self._free_at)
            self._free_at = start + size / self._rate
        if start > now:
            self._pause(start - now)


class Job(NamedTuple):
    """A blob to hash."""

    digest: str
    size: int
    stored: int


class DigestCheck:
    """Hashes every stored blob. `jobs` blobs are read side by side."""

    def __init__(self, index: ReferenceIndex, contents: Contents, throttle: Throttle, jobs: int) -> None:
        self._index = index
        self._contents = contents
        self._throttle = throttle
        self._jobs = jobs
        self._stop = threading.Event()
        with index.reading() as connection:
            if connection.execute("DELETE FROM meta WHERE key = ?", (_ENDED,)).rowcount:
                connection.execute("DELETE FROM hashed")
            self.done, self.total = connection.execute(
                "SELECT coalesce(sum(CASE WHEN found IS NOT NULL THEN blob.size END), 0), "
                f"coalesce(sum(blob.size), 0) FROM blob {_HASHED} WHERE blob.size IS NOT NULL"
            ).fetchone()

    def run(self, progress: Callable[[int], object]) -> None:
        """Hash what is left. `progress` is told of bytes, in the thread of the caller."""
        self._lock, self._bytes = threading.Lock(), 0
        pool = ThreadPoolExecutor(self._jobs, "regfs-check")
        try:
            self._hash_all(pool, progress)
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
        with self._index.reading() as connection:
            connection.execute("REPLACE INTO meta VALUES (?, TRUE)", (_ENDED,))
            connection.execute("DELETE FROM meta WHERE key = ?", (f"findings {OWNER}",))

    def _hash_all(self, pool: ThreadPoolExecutor, progress: Callable[[int], object]) -> None:
        with self._index.reading() as connection:
            waiting = [
                Job(*row)
                for row in connection.execute(
                    f"SELECT blob.digest, blob.size, blob.stored FROM blob {_HASHED} "
                    "WHERE blob.size IS NOT NULL AND found IS NULL ORDER BY blob.digest DESC"
                )
            ]
        flying: dict[Future[str | None], Job] = {}
        ended: list[tuple[str, int, int, str]] = []
        kept = time.monotonic()
        try:
            while waiting or flying:
                while waiting and len(flying) < 2 * self._jobs:
                    job = waiting.pop()
                    flying[pool.submit(self._hash, job)] = job
                for future in wait(flying, 0.2, FIRST_COMPLETED).done:
                    job, found = flying.pop(future), future.result()
                    if found is not None:
                        ended.append((*job, found))
                with self._lock:
                    read, self._bytes = self._bytes, 0
                progress(read)
                if time.monotonic() - kept > _KEEP_EVERY:
                    self._keep(ended)
                    kept = time.monotonic()
        finally:
            self._keep(ended)

    def _keep(self, ended: list[tuple[str, int, int, str]]) -> None:
        with self._index.reading() as connection:
            connection.executemany("REPLACE INTO hashed VALUES (?, ?, ?, ?)", ended)
        ended.clear()

    def _hash(self, job: Job) -> str | None:
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
        try:
            hashing = hashlib.new(digest.algorithm)
            buffer = memoryview(bytearray(_PIECE))
            offset = 0
            while not self._stop.is_set() and (got := content.read_into(buffer, offset)):
                self._throttle.take(got)
                hashing.update(buffer[:got])
                offset += got
                with self._lock:
                    self._bytes += got
        except StoreError as error:
            return str(error)
        finally:
            content.close()
        return None if self._stop.is_set() else f"{digest.algorithm}:{hashing.hexdigest()}"


#: What was hashed, and has not changed since.
_HASHED = """
    LEFT JOIN hashed ON hashed.digest = blob.digest
    AND hashed.size = blob.size AND hashed.stored = blob.stored
"""
