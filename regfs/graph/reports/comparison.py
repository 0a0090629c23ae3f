"""Whether two stores hold the same bytes under one digest: what `regfs diff --digests` adds to sizes.

What lies on a disk is hashed. An object store tells ETags with each shard that it lists: one that is the MD5
of bytes that have their digest proves that the object holds them, too, and nothing is fetched. Another one
proves nothing, for it may be no MD5 (encryption with keys of one's own): such an object is read, which tells.
Where many of those turn out to be sound, ETags are no MD5s, and no more are read. An object uploaded in parts
has an ETag of another form, and is left out.
"""

from __future__ import annotations

import enum
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import groupby
from typing import NamedTuple

from regfs.errors import MissingError, StoreError
from regfs.graph.index.blobs import NumberedBlob, Sum
from regfs.graph.reports.hashing import Hashing, Throttle, feed
from regfs.oci import Digest
from regfs.registry import Contents

#: So many objects that were sound, though their ETags were not the MD5: that store's ETags are none.
_MISLED = 20


class Holds(enum.Enum):
    """What one store holds under a digest. `GONE`: nothing any more."""

    SOUND = "content of the digest"
    OTHER = "other content"
    UNREAD = "cannot be read"
    UNTOLD = "cannot be told"
    GONE = "gone"


class Compared(NamedTuple):
    """What each of the two stores holds."""

    first: Holds
    second: Holds


class _Side:
    """One of the two stores."""

    def __init__(self, contents: Contents, passes: Callable[[int], bool]) -> None:
        self.contents = contents
        #: Whether it tells ETags, and its bytes come from afar.
        self.lists = contents.lists
        self._passes = passes
        self._misled = 0

    def hash(self, digest: Digest, md5: Hashing | None = None) -> Holds:
        """Read a blob; `md5` hashes it as well."""
        if not digest.computable:
            return Holds.UNTOLD
        hashing = hashlib.new(digest.algorithm)
        try:
            content = self.contents.open_blob(digest)
            try:
                ended = feed(content, [hashing, md5] if md5 else [hashing], self._passes)
            finally:
                content.close()
        except MissingError:
            return Holds.GONE
        except StoreError:
            return Holds.UNREAD
        if not ended:
            return Holds.UNTOLD
        return Holds.SOUND if hashing.hexdigest() == digest.hex else Holds.OTHER

    def doubted(self, digest: Digest) -> Holds:
        """Tell of a blob whose ETag is another one than a sound blob's: read it, if that is worth it."""
        if self._misled >= _MISLED:
            return Holds.UNTOLD
        found = self.hash(digest)
        self._misled += found is Holds.SOUND
        return found


class Comparison:
    """Compares blobs that both stores hold with one size; `jobs` shards side by side."""

    def __init__(self, first: Contents, second: Contents, throttle: Throttle, jobs: int) -> None:
        self._throttle = throttle
        self._jobs = jobs
        self._stop = threading.Event()
        self._first, self._second = _Side(first, self._passes), _Side(second, self._passes)
        #: By digest, what is not sound in both stores.
        self.otherwise: dict[str, Compared] = {}
        #: How many could not be compared.
        self.untold = Sum(0, 0)

    def _passes(self, size: int) -> bool:
        self._throttle.take(size)
        return not self._stop.is_set()

    def run(self, blobs: Sequence[NumberedBlob], progress: Callable[[int], object]) -> None:
        """Compare them, which are sorted by digest. `progress` is told of bytes, in the caller's thread."""
        pool = ThreadPoolExecutor(self._jobs, "regfs-diff")
        flying: set[Future[list[tuple[NumberedBlob, Compared]]]] = set()
        shards: Iterator[list[NumberedBlob]] = (
            list(shard) for _, shard in groupby(blobs, lambda blob: _shard(blob.digest))
        )
        try:
            while True:
                while len(flying) < 2 * self._jobs and (shard := next(shards, None)):
                    flying.add(pool.submit(self._compare, shard))
                if not flying:
                    return
                done, flying = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    for blob, compared in future.result():
                        self._keep(blob, compared)
                        progress(blob.size)
        finally:
            self._stop.set()
            # Who waits for an object store may do so for long; who reads a file must be through with it.
            wait_for_all = not (self._first.lists and self._second.lists)
            pool.shutdown(wait=wait_for_all, cancel_futures=True)

    def _keep(self, blob: NumberedBlob, compared: Compared) -> None:
        if Holds.GONE in compared or compared == (Holds.SOUND, Holds.SOUND):
            return
        if Holds.OTHER in compared or compared.second is Holds.UNREAD:
            self.otherwise[blob.digest] = compared
        else:
            self.untold = Sum(self.untold.number + 1, self.untold.size + blob.size)

    def _compare(self, shard: list[NumberedBlob]) -> list[tuple[NumberedBlob, Compared]]:
        place = _shard(shard[0].digest)
        first, second = (side.contents.md5s(*place) for side in (self._first, self._second))
        found = []
        for blob in shard:
            if self._stop.is_set():
                break
            digest = Digest.parse(blob.digest)
            found.append((blob, self._blob(digest, first.get(blob.digest, ""), second.get(blob.digest, ""))))
        return found

    def _blob(self, digest: Digest, first: str, second: str) -> Compared:
        """Compare one, of which these are the ETags that may be MD5s."""
        if self._first.lists and self._second.lists:
            return self._by_etags(digest, first, second)
        if self._second.lists:
            here, there = self._by_etag(digest, self._first, self._second, second)
            return Compared(here, there)
        if self._first.lists:
            here, there = self._by_etag(digest, self._second, self._first, first)
            return Compared(there, here)
        return Compared(self._first.hash(digest), self._second.hash(digest))

    def _by_etag(self, digest: Digest, here: _Side, there: _Side, etag: str) -> tuple[Holds, Holds]:
        """Tell what a disk holds, and what the other store does by that and its ETag."""
        md5 = hashlib.md5(usedforsecurity=False) if etag else None
        found = here.hash(digest, md5)
        if found is not Holds.SOUND or md5 is None:
            return found, Holds.UNTOLD
        return found, Holds.SOUND if md5.hexdigest() == etag else there.doubted(digest)

    def _by_etags(self, digest: Digest, first: str, second: str) -> Compared:
        """Compare two object stores: what has one MD5 is the same, whatever it is."""
        if not first or not second:
            return Compared(Holds.UNTOLD, Holds.UNTOLD)
        if first == second:
            return Compared(Holds.SOUND, Holds.SOUND)
        return Compared(self._first.doubted(digest), self._second.doubted(digest))


def _shard(digest: str) -> tuple[str, str]:
    algorithm, _, encoded = digest.partition(":")
    return algorithm, encoded[:2]
