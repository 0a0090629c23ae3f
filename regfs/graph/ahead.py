"""The graph over a store that may be slow: it reads ahead what is asked in order.

Only while the store proves slow (`pace`); otherwise a question costs a comparison more, and a look at the
clock. What is read ahead goes into caches that obey the graph's rules, and a reader who needs what is under
way waits for that instead of reading it again. Safe for many threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import TypeVar

from regfs.graph.blob import Blob
from regfs.graph.cache import Cache, for_a_while
from regfs.graph.forward import Found, Graph, found
from regfs.graph.pace import Pace
from regfs.graph.read_ahead import ReadAhead
from regfs.graph.walk import Walk
from regfs.oci import Digest, ImageManifest, Index, Manifest
from regfs.registry import Contents
from regfs.storage.protocol import FileStat

K = TypeVar("K")
V = TypeVar("V")

#: Tags and directories whose times are kept, and names of all listings that readers are in.
_ROOM_FOR_TIMES = 20_000
_ROOM_FOR_DIRECTORIES = 5_000
_ROOM_FOR_NAMES = 500_000

#: Loads that run side by side. Of a store on a network nearly all of the time they wait for it: to know 1,000
#: tags takes each thread three round trips for each of its share, and three shares are as much as `ls -l` has
#: time for. A disk answers so soon that more threads wait for each other.
_THREADS_FAR, _THREADS_NEAR = 384, 2

#: Indexes in one another that are read ahead: deeper ones were never seen.
_DEEPEST = 2


class AheadGraph(Graph):
    """The lazily read references of one store, near or far.

    `given_up` tells whether who asks the calling thread waits no more. `ttl` must be more than 0.
    """

    def __init__(
        self,
        contents: Contents,
        *,
        ttl: float,
        given_up: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(contents, ttl=ttl, clock=clock, pause=pause)
        self._pace = pace or Pace()
        self._pool = ReadAhead(given_up, lambda: _THREADS_FAR if self._pace.far else _THREADS_NEAR)
        self._times: Cache[tuple[str, str], int] = for_a_while(ttl, _ROOM_FOR_TIMES, clock)
        self._found: Cache[tuple[str, str], Found] = for_a_while(ttl, _ROOM_FOR_DIRECTORIES, clock)
        self._directories: Cache[str, FileStat] = for_a_while(ttl, _ROOM_FOR_DIRECTORIES, clock)
        self._walks: Cache[str, Walk] = for_a_while(2 * ttl, _ROOM_FOR_NAMES, clock, len)

    def close(self) -> None:
        """End reading ahead."""
        self._pool.close()

    # --- what somebody asks ----------------------------------------------------------------------------

    def directory(self, name: str) -> FileStat:
        """Tell about the directory of a repository's name; of a slow store, at most `ttl` seconds ago."""
        if not self._pace.slow:
            return self._looked_at(name)
        return self._directories.through(name, lambda: self._looked_at(name))

    def tag_pushed(self, name: str, tag: str) -> int:
        """Tell when a tag was last pushed; where the store is slow, at most `ttl` seconds ago."""
        if not self._pace.slow:
            return self._read_time(name, tag)
        walk = self._walk(name)
        if walk is not None and not self._doubtful():
            walk.times.asked(tag, lambda other: self._begin_time(name, other))
        pushed = self._joined(self._times, (name, tag), ("time", name, tag))
        if pushed is None:
            if walk is not None:
                walk.times.missed(tag)
            pushed = self._read_time(name, tag)
            self._times.put((name, tag), pushed)
        return pushed

    def tag_entered(self, name: str, tag: str) -> None:
        """Read ahead the images of the tags that follow, if tags are entered in their order."""
        if self._pace.slow and (walk := self._walk(name)) is not None:
            walk.images.asked(tag, lambda other: self._begin_image(name, other))
            self._pool.join(("image", name, tag))

    def manifest_listed(self, name: str, manifest: Manifest) -> None:
        """Read ahead what a manifest names: its children, or its config and layers."""
        if self._pace.slow:
            self._begin_parts(name, manifest)

    def blob(self, name: str, digest: Digest) -> Blob:
        """Tell about a blob as a repository names it."""
        if self._pool.busy:
            self._joined(self._blobs, (name, digest), ("blob", name, digest))
        return super().blob(name, digest)

    def manifest(self, name: str, digest: Digest) -> Manifest:
        """Read a manifest; its content is checked against its digest."""
        if self._pool.busy:
            self._joined(self._manifests, digest, ("manifest", name, digest))
        return super().manifest(name, digest)

    def _joined(self, cache: Cache[K, V], key: K, flight: Hashable) -> V | None:
        """Give what a cache has, once what is under way for it has ended."""
        value = cache.get(key)
        if value is None:
            self._pool.join(flight)
            value = cache.get(key)
        return value

    # --- where readers are -----------------------------------------------------------------------------

    def _walk(self, name: str) -> Walk | None:
        """Give who goes through the tags of a repository, if it was listed in the last `ttl` seconds."""
        listing = self._listings.get(name)
        if listing is None:
            return None
        walk = self._walks.get(name)
        if walk is None or walk.listing is not listing:
            walk = walk.again(listing) if walk else Walk(listing)
            self._walks.put(name, walk)
        return walk

    def _look(self, name: str, part: str) -> Found:
        """Look for one entry; but where somebody goes through all of them, list them again."""
        if not self._pace.slow:
            return self._seen(name, part)
        if self._walks.get(name) is not None:
            return found(self.listing(name), part)
        return self._found.through((name, part), lambda: self._seen(name, part))

    # --- what is read ahead, in the pool's threads ------------------------------------------------------

    def _begin_time(self, name: str, tag: str) -> bool:
        key = (name, tag)
        return self._times.get(key) is not None or self._pool.begin(
            ("time", *key), lambda: self._times.put(key, self._contents.tag_pushed(*key))
        )

    def _begin_image(self, name: str, tag: str) -> bool:
        return self._pool.begin(
            ("image", name, tag), lambda: self._begin_parts(name, self.manifest(name, self.tag(name, tag)))
        )

    def _begin_parts(self, name: str, manifest: Manifest, deeper: int = _DEEPEST) -> None:
        """Begin what a manifest names, as much as there is room for; `deeper` counts indexes in indexes."""
        if isinstance(manifest, Index) and deeper:
            for child in manifest.children:
                if not self._begin_child(name, child.digest, deeper - 1):
                    return
        config = manifest.config if isinstance(manifest, ImageManifest) else None
        for descriptor in (*([config] if config else []), *manifest.layers):
            if not self._begin_blob(name, descriptor.digest):
                return

    def _begin_child(self, name: str, digest: Digest, deeper: int) -> bool:
        def read() -> None:
            self._begin_parts(name, self.manifest(name, digest), deeper)

        return self._pool.begin(("manifest", name, digest), read)

    def _begin_blob(self, name: str, digest: Digest) -> bool:
        return self._blobs.get((name, digest)) is not None or self._pool.begin(
            ("blob", name, digest), lambda: self.blob(name, digest)
        )

    # --- how fast the store is ------------------------------------------------------------------------

    def _doubtful(self) -> bool:
        """Tell whether to measure anew. Not while others read: that would blur it."""
        return self._pace.expired() and not self._pool.busy

    def _took(self, began: float) -> None:
        if not self._pool.busy:
            self._pace.took(began)

    def _looked_at(self, name: str) -> FileStat:
        began = self._pace.now()
        try:
            return super().directory(name)
        finally:
            self._took(began)

    def _seen(self, name: str, part: str) -> Found:
        began = self._pace.now()
        try:
            return super()._look(name, part)
        finally:
            self._took(began)

    def _read_time(self, name: str, tag: str) -> int:
        began = self._pace.now()
        try:
            return super().tag_pushed(name, tag)
        finally:
            self._took(began)

    def _find(self, name: str, digest: Digest) -> Blob:
        began = self._pace.now()
        try:
            return super()._find(name, digest)
        finally:
            self._took(began)
