"""The graph's port for a mount: from names to what they lead to.

A question is answered from memory or from the index as long as its unit was seen to be unchanged less than
`ttl` seconds ago. Else that unit alone is looked at: what has the stamp that the index knows is what the
index says, and anything else is read from the storage, and kept in memory. So without an index it reads what
is asked and nothing else, and beside a fresh one only stamps. Manifests and configs are kept under their
digest for ever, as long as there is room. Safe for many threads; no lock is held while anything is read.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

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
from regfs.graph.index.keeper import Keeper, KeptLink
from regfs.graph.index.known import Known, NamesKnown, TagKnown
from regfs.graph.outline import Named, Outline
from regfs.graph.walk import FAR_LINKS, IMAGES, NEAR_LINKS, Walk
from regfs.oci import Digest, ImageConfig, ImageManifest, Manifest, Schema1Manifest, parse_manifest
from regfs.oci.kinds import media_type_of
from regfs.registry import Contents
from regfs.registry.contents import CONFIG_LIMIT, MANIFEST_LIMIT, Listing
from regfs.registry.side_by_side import SideBySide
from regfs.registry.terms import Mark
from regfs.storage import Content, FileStat, Space

#: Bytes of memory for each cache.
_ROOM_FOR_LISTINGS = 16 << 20
_ROOM_FOR_LINKS = 1 << 20
_ROOM_FOR_BLOBS = 4 << 20
_ROOM_FOR_OUTLINES = 1 << 20
_ROOM_FOR_MANIFESTS = 8 << 20

#: Names of all listings that somebody goes through; indexes in one another that are asked for ahead.
_ROOM_FOR_NAMES = 500_000
_DEEPEST = 2

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

#: A stamp says nothing of what is written in the same tick of the file system's clock, in nanoseconds: 10 ms
#: or less, but two seconds on FAT and some NFS servers.
_TICK = 2_500_000_000


class Sized(Protocol):
    """What names a blob, and may tell its size."""

    @property
    def digest(self) -> Digest:
        """Its digest."""

    @property
    def size(self) -> int | None:
        """Its bytes, or None."""


class Found(NamedTuple):
    """What a name stands for: None if for no such thing, False for one that the registry cannot have made."""

    nested: bool | None
    tag: bool | None


class Link(NamedTuple):
    """A tag's link: what it holds (None: not read), its stamp (0: too new), when it was pushed (ns).

    regfs relies on it until `until`, in the clock's seconds.
    """

    digest: Digest | None
    stamp: int
    pushed: int
    until: float


class _Shard(NamedTuple):
    """Until when a shard of blobs is what a version of the index says; no version: it is something else."""

    version: int | None
    until: float


class Graph:
    """The references of one storage.

    `ttl` is in seconds, may be infinite; `clock` must not go backwards; `pause` waits for seconds. `known` is
    what the index knows, `keeper` keeps there what it did not; `aside` asks ahead where the storage is slow.
    """

    def __init__(
        self,
        contents: Contents,
        *,
        ttl: float = 10.0,
        known: Known | None = None,
        keeper: Keeper | None = None,
        aside: SideBySide | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._contents = contents
        self._ttl = ttl
        self._known = known
        self._keeper = keeper
        self._aside = aside or SideBySide(lambda: False)
        self._clock = clock
        self._pause = pause
        self._listings: Cache[str, Listing] = for_a_while(ttl, _ROOM_FOR_LISTINGS, clock, _size_of_listing)
        self._blobs: Cache[tuple[str, Digest], Blob] = for_a_while(
            ttl, _ROOM_FOR_BLOBS // _COST_OF_ENTRY, clock
        )
        # Kept past their ttl on purpose: a link with the same stamp is the same, and the last good value
        # stands in for one that is torn.
        self._links: Cache[tuple[str, str], Link] = for_ever(_ROOM_FOR_LINKS // _COST_OF_ENTRY)
        self._outlines: Cache[Digest, Outline] = for_ever(_ROOM_FOR_OUTLINES, _size_of_outline)
        self._manifests: Cache[Digest, Manifest] = for_ever(_ROOM_FOR_MANIFESTS, _size_of_manifest)
        self._configs: Cache[Digest, ImageConfig] = for_ever(_ROOM_FOR_BLOBS // _COST_OF_ENTRY)
        self._shards: dict[str, _Shard] = {}
        self._walks: Cache[str, Walk] = for_a_while(2 * ttl, _ROOM_FOR_NAMES, clock, len)

    def close(self) -> None:
        """End what goes on by itself."""
        self._aside.close()
        if self._keeper is not None:
            self._keeper.close()
        if self._known is not None:
            self._known.close()

    def space(self) -> Space:
        """Tell about the file system that holds the store."""
        return self._contents.space()

    # --- names -----------------------------------------------------------------------------------------

    def listing(self, name: str) -> Listing:
        """List the repositories and tags at a name ("" is the top)."""
        return self._listings.through(name, lambda: self._list(name))

    def _list(self, name: str) -> Listing:
        known = self._known and self._known.names(name)
        if known and self._unchanged(name, known):
            sound = dict.fromkeys
            return Listing(known.marks.repository, sound(sorted(known.nested), True), sound(known.tags, True))
        return self._aside.timed(lambda: self._contents.listing(name))

    def _unchanged(self, name: str, known: NamesKnown) -> bool:
        stamp, *tags = self._aside.timed(lambda: self._contents.listing_stamps(name))
        return stamp == known.stamp and (Mark.MANIFESTS not in known.marks or tags == [known.tags_stamp])

    def find(self, name: str, part: str) -> Found:
        """Tell what `part` is below a name, in `listing`'s terms.

        Looks at the one entry, unless the whole directory was listed in the last `ttl` seconds.
        """
        listing = self._listings.get(name)
        if listing is None and self._aside.slow and self._walks.get(name) is not None:
            listing = self.listing(name)  # somebody goes through all of them
        return self._look(name, part) if listing is None else found(listing, part)

    def _look(self, name: str, part: str) -> Found:
        nested = self._aside.timed(lambda: self._contents.nested(name, part))
        try:
            return Found(nested, self._contents.tagged(name, part))
        except StoreError:
            if nested is None:
                raise
            return Found(nested, False)

    def directory(self, name: str) -> FileStat:
        """Tell about the directory of a repository's name."""
        return self._aside.timed(lambda: self._contents.directory(name))

    def nested_entry(self, name: str, part: str) -> FileStat:
        """Tell what stands under one name among repositories, whatever it is."""
        return self._contents.nested_entry(name, part)

    def tag_directory(self, name: str, tag: str) -> FileStat:
        """Tell about the directory of a tag, even one without a link."""
        return self._contents.tag_directory(name, tag)

    def tag_history(self, name: str, tag: str) -> list[tuple[Digest, int]]:
        """Tell all that a tag has named, and when each was last pushed (ns), in no order."""
        return [(link.name, link.pushed) for link in self._contents.tag_history(name, tag)]

    def holds(self, name: str, digest: Digest) -> bool:
        """Tell whether a repository has a revision of this digest."""
        try:
            self._contents.revision(name, digest)
        except MissingError:
            return False
        return True

    # --- tags ------------------------------------------------------------------------------------------

    def tag(self, name: str, tag: str) -> Digest:
        """Tell what a tag names: at most `ttl` seconds ago. Raises LinkError, StoreError."""
        link = self._links.get((name, tag))
        if link is None or link.digest is None or self._clock() >= link.until:
            link = self._believed(name, tag, link) or self._read(name, tag, link)
        assert link.digest is not None  # noqa: S101 - both see to that
        return link.digest

    def tag_pushed(self, name: str, tag: str) -> int:
        """Tell when a tag was last pushed (ns): at most `ttl` seconds ago. Its link is not read."""
        link = self._links.get((name, tag))
        if link is not None and self._clock() < link.until:
            return link.pushed
        link = self._look_ahead(name, tag) or self._believed(name, tag, link) or self._look_at(name, tag)
        return link.pushed

    def look_at_links(self, name: str, tags: Sequence[str]) -> None:
        """Look at the links of some tags together, as far as that helps: their times will be asked for.

        What fails, or is no tag, is met by whoever asks for it.
        """
        now = self._clock()
        due = [tag for tag in tags if not ((link := self._links.get((name, tag))) and now < link.until)]
        with suppress(StoreError):
            known = self._look_at_known(name, due)
            for tag in due if self._aside.slow else ():
                if tag not in known:
                    self._begin_link(name, tag)

    def _believed(self, name: str, tag: str, link: Link | None) -> Link | None:
        """Give a tag's link as it is known, if its stamp is still the same."""
        if link is not None and link.digest is not None and link.stamp:
            now = self._clock()
            if list(self._contents.tag_stamps(name, [tag])) != [link.stamp]:
                return None
            link = link._replace(until=now + self._ttl)
            self._links.put((name, tag), link)
            return link
        return self._look_at_known(name, [tag]).get(tag)

    def _look_at_known(self, name: str, tags: Sequence[str]) -> dict[str, Link]:
        """Look at the links that the index knows; give, and keep, those that have not changed.

        `tags` follow on one another in their order: some that stand between them do no harm.
        """
        known = self._known.tags(name, min(tags), max(tags)) if self._known and tags else []
        if not known:
            return {}
        now = self._clock()
        stamps = self._aside.timed(lambda: self._contents.tag_stamps(name, [one.name for one in known]))
        until = now + self._ttl
        links = {
            one.name: Link(_digest(one), stamp, one.pushed, until)
            for one, stamp in zip(known, stamps, strict=True)
            if one.stamp == stamp
        }
        for tag, link in links.items():
            self._links.put((name, tag), link)
        return links

    def _look_at(self, name: str, tag: str) -> Link:
        """Look at a tag's link, without opening it."""
        now = self._clock()
        stat = self._aside.timed(lambda: self._contents.tag_stat(name, tag))
        link = Link(None, 0, stat.mtime_ns, now + self._ttl)
        self._links.put((name, tag), link)
        return link

    def _read(self, name: str, tag: str, before: Link | None) -> Link:
        """Read a tag's link. The last good value stands in for a torn one until its ttl ended twice."""
        now = self._clock()
        try:
            stat, digest = self._read_link(name, tag)
        except LinkError:
            if before is None or before.digest is None or now >= before.until + self._ttl:
                raise
            return before
        stamp = stat.changed_ns if time.time_ns() - stat.changed_ns > _TICK else 0
        link = Link(digest, stamp, stat.mtime_ns, now + self._ttl)
        self._links.put((name, tag), link)
        if self._keeper is not None and stamp:
            self._keeper.link(KeptLink(name, tag, stamp, stat.mtime_ns, str(digest)))
        return link

    def _read_link(self, name: str, tag: str) -> tuple[FileStat, Digest]:
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

    # --- walks through a listing -----------------------------------------------------------------------

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

    def _look_ahead(self, name: str, tag: str) -> Link | None:
        """Look at a link together with those that follow, if somebody goes through a listing.

        Those that the index knows take one look for many; others are looked at only where the storage is
        slow, each in a thread of its own.
        """
        walk = self._walk(name)
        if walk is not None and self._aside.slow:
            if not self._aside.doubtful:
                walk.links.asked(tag, FAR_LINKS, lambda other: self._begin_link(name, other))
            self._aside.join(("link", name, tag))
            link = self._links.get((name, tag))
            if link is not None and self._clock() < link.until:
                return link
            walk.links.missed(tag)
        elif walk is not None and self._known is not None:
            some = [tag]

            def with_it(other: str) -> bool:
                some.append(other)
                return True

            walk.links.asked(tag, NEAR_LINKS, with_it)
            return self._look_at_known(name, some).get(tag) if len(some) > 1 else None
        return None

    def _begin_link(self, name: str, tag: str) -> bool:
        link = self._links.get((name, tag))
        if link is not None and self._clock() < link.until:
            return True
        return self._aside.begin(
            ("link", name, tag), lambda: self._believed(name, tag, link) or self._look_at(name, tag)
        )

    def tag_entered(self, name: str, tag: str) -> None:
        """Note that a tag's directory is listed: where the storage is slow, the next will be as well."""
        if self._aside.slow and (walk := self._walk(name)) is not None:
            walk.images.asked(tag, IMAGES, lambda other: self._begin_image(name, other))
            self._aside.join(("image", name, tag))

    def _begin_image(self, name: str, tag: str) -> bool:
        return self._aside.begin(
            ("image", name, tag), lambda: self._begin_parts(name, self.outline(name, self.tag(name, tag)))
        )

    def listed(self, name: str, outline: Outline) -> None:
        """Note that a manifest's directory is listed: what it names will be looked at."""
        if self._aside.slow:
            self._begin_parts(name, outline)

    def _begin_parts(self, name: str, outline: Outline, deeper: int = _DEEPEST) -> None:
        """Begin what a manifest names, as much as there is room for; `deeper` counts indexes in indexes."""
        for child in outline.children if deeper else ():
            if not self._begin_child(name, child.digest, deeper - 1):
                return
        for named in (*([outline.config] if outline.config else []), *outline.layers):
            if not self._begin_blob(name, named):
                return

    def _begin_child(self, name: str, digest: Digest, deeper: int) -> bool:
        return self._aside.begin(
            ("outline", name, digest), lambda: self._begin_parts(name, self.outline(name, digest), deeper)
        )

    def _begin_blob(self, name: str, named: Named) -> bool:
        # What the index has seen is confirmed by its shard, with one look for many.
        if named.seen is not None or self._blobs.get((name, named.digest)) is not None:
            return True
        return self._aside.begin(("blob", name, named.digest), lambda: self.look(name, named))

    # --- blobs -----------------------------------------------------------------------------------------

    def look(self, name: str, named: Named) -> Blob:
        """Tell about a blob that a manifest names, damaged or not. Raises BlobMissingError, StoreError."""
        seen = named.seen
        if seen is not None and self._confirmed(named.digest, seen.version):
            return Blob(named.digest, seen.size, seen.blocks, seen.mtime_ns)
        return self.blob(name, named.digest)

    def _confirmed(self, digest: Digest, version: int) -> bool:
        """Tell whether the shard of a blob that was sound is as a version of the index says it is."""
        key = digest.hex[:2] if digest.algorithm == "sha256" else f"{digest.algorithm}:{digest.hex[:2]}"
        shard = self._shards.get(key)
        if shard is None or self._clock() >= shard.until:
            shard = self._shards[key] = self._look_at_shard(digest)
        return shard.version == version

    def _look_at_shard(self, digest: Digest) -> _Shard:
        now = self._clock()
        stamp, version = self._known.shard(digest.algorithm, digest.hex[:2]) if self._known else (0, 0)
        same = stamp and stamp == self._aside.timed(lambda: self._contents.shard_stamp(digest))
        return _Shard(version if same else None, now + self._ttl)

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

    def open_blob(self, digest: Digest) -> Content:
        """Open the blob that lies under a digest. Raises BlobMissingError, StoreError."""
        try:
            return self._contents.open_blob(digest)
        except MissingError as error:
            raise BlobMissingError(str(digest)) from error

    # --- manifests -------------------------------------------------------------------------------------

    def outline(self, name: str, digest: Digest) -> Outline:
        """Tell what a manifest names. Raises BlobMissingError, MismatchError, ManifestError, StoreError."""
        found = self._outlines.get(digest)
        if found is None and self._aside.busy:
            self._aside.join(("outline", name, digest))
            found = self._outlines.get(digest)
        if found is None or self._outdated(found):
            found = self._known.outline(digest) if self._known else None
            if found is None:
                found = Outline.of_manifest(digest, self.manifest(name, digest))
                if self._keeper is not None:
                    self._keeper.outline(found)
            self._outlines.put(digest, found)
        if self.look(name, found.itself).size != found.itself.size:
            self.manifest(name, digest)  # raises what is wrong with it
        return found

    def _outdated(self, outline: Outline) -> bool:
        """Tell whether the index may say more of the blobs that an outline names by now."""
        seen = outline.itself.seen
        return seen is not None and self._known is not None and seen.version != self._known.version

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

    def media_type(self, name: str, digest: Digest) -> str:
        """Tell a blob's media type by its own content: empty for what is not JSON.

        Raises BlobMissingError, StoreError.
        """
        return media_type_of(self._read_blob(name, digest, CONFIG_LIMIT)) or ""

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


def found(listing: Listing, part: str) -> Found:
    """Tell what `part` is in a listing. Raises why no tag is known, unless it is something else."""
    nested = listing.nested.get(part)
    if listing.error is None:
        return Found(nested, listing.tags.get(part))
    if nested is None:
        raise copy.copy(listing.error)
    return Found(nested, False)


def _digest(known: TagKnown) -> Digest:
    algorithm, _, encoded = known.digest.partition(":")
    return Digest(algorithm, encoded)


def _size_of_listing(listing: Listing) -> float:
    return _COST_OF_ENTRY + _COST_OF_NAME * (len(listing.nested) + len(listing.tags))


def _size_of_outline(outline: Outline) -> float:
    return _COST_OF_ENTRY * (1 + len(outline.layers) + len(outline.children))


def _size_of_manifest(manifest: Manifest) -> float:
    return _COST_OF_ENTRY + _COST_OF_PARSED * len(manifest.raw)
