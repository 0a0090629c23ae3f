"""The graph's forward half: from names to what they lead to.

Reads the store only for what is asked, and keeps it: manifests and configs under their digest for ever,
links and listings for `ttl` seconds. Safe for many threads; no lock is held while the store is read.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from regfs.errors import (
    BlobMissingError,
    LinkError,
    ManifestError,
    MismatchError,
    MissingError,
    SizeError,
    StoreError,
)
from regfs.graph.blob import Blob
from regfs.graph.cache import Cache, for_a_while, for_ever
from regfs.oci import (
    Descriptor,
    Digest,
    ImageConfig,
    ImageManifest,
    Manifest,
    Schema1Manifest,
    parse_manifest,
)
from regfs.oci.kinds import media_type_of
from regfs.registry import Contents
from regfs.registry.contents import CONFIG_LIMIT, MANIFEST_LIMIT, Listing
from regfs.storage import Content
from regfs.storage.protocol import FileStat, Space

#: Bytes of memory for each cache.
_ROOM_FOR_LISTINGS = 64 << 20
_ROOM_FOR_LINKS = 16 << 20
_ROOM_FOR_BLOBS = 16 << 20
_ROOM_FOR_MANIFESTS = 64 << 20

#: What one cached value, one name of a listing and one byte of a manifest cost in memory; measured with
#: tracemalloc on CPython 3.11 (520 to 780, 86, 4.0 to 4.4) and rounded up.
_COST_OF_ENTRY = 800
_COST_OF_NAME = 100
_COST_OF_PARSED = 5

#: Registries before 3.1 rewrite a link in place, and all make and delete a tag's directory around its link.
#: A link found torn or missing is read again this often, after this many seconds each, if the tag was
#: written to in the last minute (by clocks that may differ).
_RETRIES = 3
_PAUSE = 0.01
_BEING_WRITTEN = 60.0


class Found(NamedTuple):
    """What a name stands for: None if for no such thing, False for one that the registry cannot have made."""

    nested: bool | None
    tag: bool | None


class Tag(NamedTuple):
    """What a tag names now, and until when regfs relies on it (in the clock's seconds)."""

    digest: Digest
    until: float


class Graph:
    """The lazily read references of one store.

    `ttl` is in seconds, may be infinite; `clock` must not go backwards; `pause` waits for seconds.
    """

    def __init__(
        self,
        contents: Contents,
        *,
        ttl: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._contents = contents
        self._ttl = ttl
        self._clock = clock
        self._pause = pause
        self._listings: Cache[str, Listing] = for_a_while(ttl, _ROOM_FOR_LISTINGS, clock, _size_of_listing)
        self._blobs: Cache[tuple[str, Digest], Blob] = for_a_while(
            ttl, _ROOM_FOR_BLOBS // _COST_OF_ENTRY, clock
        )
        # Kept past their ttl on purpose: the last good value stands in for a link that is torn.
        self._tags: Cache[tuple[str, str], Tag] = for_ever(_ROOM_FOR_LINKS // _COST_OF_ENTRY)
        self._manifests: Cache[Digest, Manifest] = for_ever(_ROOM_FOR_MANIFESTS, _size_of_manifest)
        self._configs: Cache[Digest, ImageConfig] = for_ever(_ROOM_FOR_BLOBS // _COST_OF_ENTRY)

    def listing(self, name: str) -> Listing:
        """List the repositories and tags at a name ("" is the top)."""
        return self._listings.through(name, lambda: self._contents.listing(name))

    def find(self, name: str, part: str) -> Found:
        """Tell what `part` is below a name, in `listing`'s terms.

        Reads the one entry, unless the whole directory was listed in the last `ttl` seconds.
        """
        listing = self._listings.get(name)
        return self._look(name, part) if listing is None else found(listing, part)

    def _look(self, name: str, part: str) -> Found:
        nested = self._contents.nested(name, part)
        try:
            return Found(nested, self._contents.tagged(name, part))
        except StoreError:
            if nested is None:
                raise
            return Found(nested, False)

    def directory(self, name: str) -> FileStat:
        """Tell about the directory of a repository's name."""
        return self._contents.directory(name)

    def nested_entry(self, name: str, part: str) -> FileStat:
        """Tell what stands under one name among repositories, whatever it is."""
        return self._contents.nested_entry(name, part)

    def tag_directory(self, name: str, tag: str) -> FileStat:
        """Tell about the directory of a tag, even one without a link."""
        return self._contents.tag_directory(name, tag)

    def tag_pushed(self, name: str, tag: str) -> int:
        """Tell when a tag was last pushed, in nanoseconds, without reading what it names."""
        return self._contents.tag_pushed(name, tag)

    def tag_entered(self, name: str, tag: str) -> None:
        """Note that a tag's directory is listed, before anything of it is read."""

    def manifest_listed(self, name: str, manifest: Manifest) -> None:
        """Note that a manifest's directory is listed: what it names will be asked for."""

    def tag_history(self, name: str, tag: str) -> list[tuple[Digest, int]]:
        """Tell all that a tag has named, and when each was last pushed (ns), in no order."""
        return [(link.name, link.pushed) for link in self._contents.tag_history(name, tag)]

    def tag(self, name: str, tag: str) -> Digest:
        """Tell what a tag names: at most `ttl` seconds ago. Raises LinkError, StoreError."""
        key = (name, tag)
        now = self._clock()
        known = self._tags.get(key)
        if known is not None and now < known.until:
            return known.digest
        try:
            digest = self._read_link(name, tag)
        except LinkError:
            if known is None or now >= known.until + self._ttl:
                raise
            return known.digest
        self._tags.put(key, Tag(digest, now + self._ttl))
        return digest

    def _read_link(self, name: str, tag: str) -> Digest:
        """Read a tag's link; again, if it is torn or missing and the tag was written to just now."""
        for _ in range(_RETRIES):
            try:
                return self._contents.tag(name, tag)
            except (LinkError, MissingError):
                written = self._contents.tag_changed(name, tag)
            if abs(time.time() - written / 1e9) > _BEING_WRITTEN:
                break
            self._pause(_PAUSE)
        try:
            return self._contents.tag(name, tag)
        except MissingError as error:
            self._contents.tag_directory(name, tag)  # raises MissingError if the tag itself is gone
            raise LinkError(error.path, "is missing") from error

    def holds(self, name: str, digest: Digest) -> bool:
        """Tell whether a repository has a revision of this digest."""
        try:
            self._contents.revision(name, digest)
        except MissingError:
            return False
        return True

    def links(self, name: str, digest: Digest) -> bool:
        """Tell whether a repository links a blob, as a layer or manifest: a registry serves no other."""
        for read in (self._contents.layer_link, self._contents.revision):
            with suppress(MissingError):
                read(name, digest)
                return True
        return False

    def blob(self, name: str, digest: Digest) -> Blob:
        """Tell about a blob as a repository names it. Raises BlobMissingError, StoreError.

        It lies under its own digest, or under the one that the repository's link to it holds.
        """
        return self._blobs.through((name, digest), lambda: self._find(name, digest))

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

    def stored(self, name: str, digest: Digest) -> bool:
        """Tell whether a blob is stored at all, damaged or not."""
        try:
            self.blob(name, digest)
        except BlobMissingError:
            return False
        except StoreError:
            return True
        return True

    def sound_blob(self, name: str, descriptor: Descriptor) -> Blob:
        """Tell about a blob that must have the size its descriptor says. Raises SizeError besides."""
        blob = self.blob(name, descriptor.digest)
        if descriptor.size is not None and blob.size != descriptor.size:
            raise SizeError(str(descriptor.digest), blob.size, descriptor.size)
        return blob

    def open_blob(self, digest: Digest) -> Content:
        """Open the blob that lies under a digest. Raises BlobMissingError, StoreError."""
        try:
            return self._contents.open_blob(digest)
        except MissingError as error:
            raise BlobMissingError(str(digest)) from error

    def manifest(self, name: str, digest: Digest) -> Manifest:
        """Read a manifest; its content is checked against its digest.

        Raises BlobMissingError, MismatchError, ManifestError, StoreError.
        """
        return self._manifests.through(digest, lambda: self._read_manifest(name, digest))

    def _read_manifest(self, name: str, digest: Digest) -> Manifest:
        raw = self._read_checked(name, digest, MANIFEST_LIMIT)
        try:
            return parse_manifest(raw)
        except ManifestError as error:
            raise ManifestError(f"manifest {digest}: {error}") from error

    def config(self, name: str, image: ImageManifest | Schema1Manifest) -> ImageConfig | None:
        """Read an image's config, or None for an artifact's, which may be anything.

        Raises BlobMissingError, ConfigError, StoreError.
        """
        if isinstance(image, Schema1Manifest):
            return ImageConfig.parse(image.config)
        if image.config is None or image.kind != "image":
            return None
        digest = image.config.digest
        return self._configs.through(
            digest, lambda: ImageConfig.parse(self._read_checked(name, digest, CONFIG_LIMIT))
        )

    def media_type(self, name: str, descriptor: Descriptor) -> str:
        """Tell a blob's media type: what refers to it says, or else its own content.

        Empty for what is neither told nor JSON. Raises BlobMissingError, StoreError.
        """
        return (
            descriptor.media_type
            or media_type_of(self._read_blob(name, descriptor.digest, CONFIG_LIMIT))
            or ""
        )

    def _read_checked(self, name: str, digest: Digest, limit: int) -> bytes:
        """Read a whole blob whose content must have its digest. Raises MismatchError besides."""
        raw = self._read_blob(name, digest, limit)
        if digest.computable and (found := Digest.of(raw, digest.algorithm)) != digest:
            raise MismatchError(str(digest), str(found))
        return raw

    def _read_blob(self, name: str, digest: Digest, limit: int) -> bytes:
        stored = self.blob(name, digest).digest
        try:
            return self._contents.read_blob(stored, limit)
        except MissingError as error:
            raise BlobMissingError(str(digest)) from error

    def close(self) -> None:
        """End what goes on by itself."""

    def space(self) -> Space:
        """Tell about the file system that holds the store."""
        return self._contents.space()


def found(listing: Listing, part: str) -> Found:
    """Tell what `part` is in a listing. Raises why no tag is known, unless it is something else."""
    nested = listing.nested.get(part)
    if listing.error is None:
        return Found(nested, listing.tags.get(part))
    if nested is None:
        raise copy.copy(listing.error)
    return Found(nested, False)


def _size_of_listing(listing: Listing) -> float:
    return _COST_OF_ENTRY + _COST_OF_NAME * (len(listing.nested) + len(listing.tags))


def _size_of_manifest(manifest: Manifest) -> float:
    return _COST_OF_ENTRY + _COST_OF_PARSED * len(manifest.raw)
