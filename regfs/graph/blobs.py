"""The graph of one storage, its blobs: what is stored, and how large and how old it is.

Safe for many threads; no lock is held while anything is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from regfs.errors import BlobMissingError, LinkError, MissingError, SizeError, StoreError
from regfs.graph.cache import COST_OF_ENTRY, Cache, for_a_while
from regfs.graph.index.keeper import Keeper
from regfs.graph.index.known import Known
from regfs.graph.outline import Named, Seen
from regfs.oci import Digest
from regfs.registry import Contents
from regfs.registry.side_by_side import SideBySide
from regfs.storage import Content
from regfs.storage.protocol import descriptor_of

#: Bytes of memory.
_ROOM_FOR_BLOBS = 4 << 20

#: So many shards are looked at one by one within `ttl`, and then all.
_SEVERAL = 8


class Blob(NamedTuple):
    """A blob as it is stored: the digest it lies under, bytes, blocks of 512 bytes, time in nanoseconds."""

    digest: Digest
    size: int
    blocks: int
    mtime_ns: int


class Sized(Protocol):
    """What names a blob, and may tell its size."""

    @property
    def digest(self) -> Digest:
        """Its digest."""

    @property
    def size(self) -> int | None:
        """Its bytes, or None."""


class _Shard(NamedTuple):
    """Until when a shard of blobs is what a version of the index says; no version: it is something else."""

    version: int | None
    until: float


class Means(NamedTuple):
    """What a graph reads with.

    `ttl` is in seconds, may be infinite; `clock` must not go backwards. `known` is what the index knows,
    `keeper` keeps there what it did not; `aside` asks ahead where the storage is slow.
    """

    contents: Contents
    ttl: float
    known: Known | None
    keeper: Keeper | None
    aside: SideBySide
    clock: Callable[[], float]


class StoredBlobs:
    """Blobs by their digests."""

    def __init__(self, means: Means) -> None:
        self._contents, self._ttl, self._known, self._keeper, self._aside, self._clock = means
        self._blobs: Cache[tuple[str, Digest], Blob] = for_a_while(
            means.ttl, _ROOM_FOR_BLOBS // COST_OF_ENTRY, means.clock
        )
        self._shards: dict[tuple[str, str], _Shard] = {}
        #: Shards that were looked at one by one, until when they are counted.
        self._counted, self._counted_until = 0, float("-inf")

    def look(self, name: str, named: Named) -> Blob:
        """Tell about a blob that a manifest names, damaged or not. Raises BlobMissingError, StoreError."""
        told = self.told(name, named)
        return told if isinstance(told, Blob) else Blob(named.digest, told.size, told.blocks, told.mtime_ns)

    def told(self, name: str, named: Named) -> Seen | Blob:
        """Tell the size, the blocks and the time of such a blob, as `look` does."""
        _, _, digest, _, _, _, _, _, _, seen = named
        if seen is not None:
            # A sound blob is as the index says if its shard is what that version of the index says.
            shard = self._shards.get((digest.algorithm, digest.hex[:2]))
            if shard is None or self._clock() >= shard.until:
                shard = self._look_at_shard(digest.algorithm, digest.hex[:2])
            if shard.version == seen.version:
                return seen
        return self.blob(name, digest)

    def _look_at_shard(self, algorithm: str, prefix: str) -> _Shard:
        """Look at a shard. Who asks for several goes through many blobs: then all are looked at together.

        Not where each takes a request, nor where the storage is slow: there blobs are asked for ahead.
        """
        now = self._clock()
        if now >= self._counted_until:
            self._counted, self._counted_until = 0, now + self._ttl
        self._counted += 1
        one = self._counted != _SEVERAL or self._contents.lists or self._aside.slow
        known, version = self._known.shards(algorithm, prefix if one else "") if self._known else ({}, 0)
        known = {other: stamp for other, stamp in known.items() if stamp}

        def look() -> Sequence[int]:
            return self._contents.shard_stamps(algorithm, known) if known else ()

        stamps = self._aside.timed(look) if one else look()
        self._shards[algorithm, prefix] = _Shard(None, now + self._ttl)
        for other, stamp in zip(known, stamps, strict=True):
            same = stamp == known[other]
            self._shards[algorithm, other] = _Shard(version if same else None, now + self._ttl)
        return self._shards[algorithm, prefix]

    def blob(self, name: str, digest: Digest) -> Blob:
        """Tell about a blob as a repository names it. Raises BlobMissingError, StoreError.

        It lies under its own digest, or under the one that the repository's link to it holds.
        """
        key = (name, digest)
        if self._aside.busy and self._blobs.get(key) is None:
            self._aside.join(("blob", name, digest))
        return self._blobs.through(key, lambda: self._aside.timed(lambda: self._find(name, digest)))

    def _find(self, name: str, digest: Digest) -> Blob:
        try:
            return self._stored_as(digest)
        except MissingError:
            linked = self._linked(name, digest)
        if linked is not None:
            with suppress(MissingError):
                return self._stored_as(linked)
        raise BlobMissingError(str(digest))

    def _stored_as(self, digest: Digest) -> Blob:
        found = self._contents.blob(digest)
        return Blob(digest, found.size, found.blocks, found.mtime_ns)

    def _linked(self, name: str, digest: Digest) -> Digest | None:
        """Read under which digest of another algorithm a blob is stored, if under any."""
        for read in (self._contents.layer_link, self._contents.revision):
            with suppress(StoreError, LinkError):
                stored = read(name, digest)
                return stored if stored.algorithm != digest.algorithm else None
        return None

    def links(self, name: str, digest: Digest) -> bool:
        """Tell whether a repository links a blob, as a layer or manifest: a registry serves no other."""
        for read in (self._contents.layer_link, self._contents.revision):
            with suppress(MissingError):
                read(name, digest)
                return True
        return False

    def stored(self, name: str, named: Named) -> bool:
        """Tell whether a blob is stored at all, damaged or not."""
        try:
            self.look(name, named)
        except BlobMissingError:
            return False
        except StoreError:
            return True
        return True

    def sound_blob(self, name: str, sized: Sized) -> Blob:
        """Tell about a blob that must have the size that is told of it. Raises SizeError besides."""
        blob = self.blob(name, sized.digest)
        if sized.size is not None and blob.size != sized.size:
            raise SizeError(str(sized.digest), blob.size, sized.size)
        return blob

    def open_sound(self, name: str, sized: Sized) -> Content:
        """Open a blob that must have the size that is told of it, as a repository names it.

        Raises BlobMissingError, SizeError, StoreError.
        """
        if not self._contents.lists:
            with suppress(BlobMissingError):
                return self.open_blob(sized.digest, sized.size)
        blob = self.sound_blob(name, sized)
        return self.open_blob(blob.digest, blob.size)

    def open_blob(self, digest: Digest, size: int | None = None) -> Content:
        """Open the blob that lies under a digest. Raises BlobMissingError, StoreError.

        `size`: the bytes that it must have, and has by the last look where a look is a request. A file is
        looked at when it is open; SizeError if it has others.
        """
        try:
            content = self._contents.open_blob(digest, size)
        except MissingError as error:
            raise BlobMissingError(str(digest)) from error
        if size is not None and (descriptor := descriptor_of(content)) >= 0:
            found = os.fstat(descriptor).st_size
            if found != size:
                content.close()
                raise SizeError(str(digest), found, size)
        return content
