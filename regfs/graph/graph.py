"""The graph of one storage, its names, and so all that a mount asks: from names to what they lead to.

A question is answered from memory or from the index as long as its unit was seen to be unchanged less than
`ttl` seconds ago. Else that unit alone is looked at: what has the stamp that the index knows is what the
index says, and anything else is read from the storage, and kept in memory. So without an index it reads what
is asked and nothing else, and beside a fresh one only stamps. Manifests and configs are kept under their
digest for ever, as long as there is room. Safe for many threads; no lock is held while anything is read.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from regfs.errors import (
    LinkError,
    MissingError,
    StoreError,
)
from regfs.graph.blobs import Means
from regfs.graph.cache import COST_OF_ENTRY, Cache, for_a_while, for_ever
from regfs.graph.index.keeper import Keeper, KeptLink
from regfs.graph.index.known import Known, NamesKnown
from regfs.graph.manifests import KnownManifests
from regfs.graph.outline import Named, Outline
from regfs.graph.walk import FAR_LINKS, IMAGES, NEAR_LINKS, Walk
from regfs.oci import Digest
from regfs.registry import Contents
from regfs.registry.contents import Listing
from regfs.registry.pace import ENOUGH
from regfs.registry.side_by_side import SideBySide
from regfs.registry.terms import Mark
from regfs.registry.uploads import Upload
from regfs.storage import FileStat, Space

#: Bytes of memory for each cache.
_ROOM_FOR_LISTINGS = 16 << 20
_ROOM_FOR_LINKS = 1 << 20

#: Names of all listings that somebody goes through; indexes in one another that are asked for ahead.
_ROOM_FOR_NAMES = 500_000
_DEEPEST = 2

#: What one name of a listing costs in memory; measured as COST_OF_ENTRY (86 bytes).
_COST_OF_NAME = 100

#: Registries before 3.1 rewrite a link in place, and all make and delete a tag's directory around its link.
#: A link found torn or missing is read again this often, after this many seconds each, if the tag was
#: written to in the last minute (by clocks that may differ).
_RETRIES = 3
_PAUSE = 0.01
_BEING_WRITTEN = 60.0

#: A stamp says nothing of what is written in the same tick of the file system's clock, in nanoseconds: 10 ms
#: or less, but two seconds on FAT and some NFS servers.
_TICK = 2_500_000_000

#: Seconds that a link takes of which a disk seeks the inode, at least; and links that are sought together.
_SOUGHT, _WARMED = 30e-6, 2_000

#: Makes a named tuple in half the time that its own constructor takes; a walk makes one for each tag.
_new = tuple.__new__


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


class Graph(KnownManifests):
    """The references of one storage.

    It reads with `Means`; `pause` waits for seconds.
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
        super().__init__(Means(contents, ttl, known, keeper, aside or SideBySide(lambda: False), clock))
        self._pause = pause
        self._listings: Cache[str, Listing] = for_a_while(ttl, _ROOM_FOR_LISTINGS, clock, _size_of_listing)
        # Kept past their ttl on purpose: a link with the same stamp is the same, and the last good value
        # stands in for one that is torn.
        self._links: Cache[tuple[str, str], Link] = for_ever(_ROOM_FOR_LINKS // COST_OF_ENTRY)
        #: The repository whose links were sought last.
        self._sought = ""
        self._walks: Cache[str, Walk] = for_a_while(2 * ttl, _ROOM_FOR_NAMES, clock, len)

    def close(self) -> None:
        """End what goes on by itself."""
        self._aside.close()
        if self._keeper is not None:
            self._keeper.close()
        if self._known is not None:
            self._known.close()

    @property
    def slow(self) -> bool:
        """Whether the storage is slow to answer."""
        return self._aside.slow

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

    # --- what lies there, whatever names it ------------------------------------------------------------

    def algorithms(self) -> list[str]:
        """List the algorithms of the digests under which blobs are stored."""
        return self._contents.algorithms()

    def blobs_of(self, algorithm: str) -> Iterator[Digest]:
        """Find every blob of an algorithm; raises StoreError after the last for a shard that was not read."""
        return self._contents.blobs_of(algorithm)

    def stored_file(self, digest: Digest) -> FileStat:
        """Tell about a blob's file. Raises MissingError, UnsafeError."""
        return self._contents.blob(digest)

    def uploads(self, name: str) -> list[str]:
        """List the ids of a repository's unfinished pushes."""
        return self._contents.uploads(name)

    def upload(self, name: str, identifier: str) -> Upload:
        """Give one of them."""
        return self._contents.upload(name, identifier)

    # --- tags ------------------------------------------------------------------------------------------

    def tag(self, name: str, tag: str) -> Digest:
        """Tell what a tag names: at most `ttl` seconds ago. Raises LinkError, StoreError."""
        link = self._fresh(name, tag)
        if link is None or link.digest is None:
            before = self._links.get((name, tag))
            link = self._believed(name, tag, before) or self._read(name, tag, before)
        assert link.digest is not None  # noqa: S101 - both see to that
        return link.digest

    def tag_pushed(self, name: str, tag: str) -> int:
        """Tell when a tag was last pushed (ns): at most `ttl` seconds ago. Its link is not read."""
        return self.link(name, tag).pushed

    def link(self, name: str, tag: str) -> Link:
        """Tell what is known of a tag's link, at most `ttl` seconds ago, without reading it.

        Raises StoreError.
        """
        return self._fresh(name, tag) or self._look_ahead(name, tag) or self._seen_again(name, tag)

    def _fresh(self, name: str, tag: str) -> Link | None:
        """Give a tag's link if it was looked at less than `ttl` seconds ago."""
        link = self._links.get((name, tag))
        return link if link is not None and self._clock() < link.until else None

    def _seen_again(self, name: str, tag: str) -> Link:
        """Look at a tag's link, which is not opened: it is what it was, or of an unknown digest."""
        return self._believed(name, tag, self._links.get((name, tag))) or self._look_at(name, tag)

    def look_at_links(self, name: str, tags: Sequence[str]) -> dict[str, Link]:
        """Look at the links of some tags together, as far as that helps; give those that are known by now.

        What fails, or is no tag, is met by whoever asks for it.
        """
        now = self._clock()
        kept = self._links.get_all((name, tag) for tag in tags)
        links = {tag: link for (_, tag), link in kept.items() if now < link.until}
        due = [tag for tag in tags if tag not in links]
        with suppress(StoreError):
            links |= self._look_at_known(name, due)
        others = [tag for tag in due if tag not in links]
        if not self._aside.slow:
            for tag in others[:ENOUGH]:  # which may show that it is
                with suppress(StoreError):
                    links[tag] = self._seen_again(name, tag)
            others = others[ENOUGH:]
        if self._aside.slow:
            for tag in others:
                self._begin_link(name, tag)
        elif others:
            with suppress(StoreError):
                links |= self._look_at_all(name, {tag: kept.get((name, tag)) for tag in others})
        return links

    def _look_at_all(self, name: str, before: Mapping[str, Link | None]) -> dict[str, Link]:
        """Look at links of which the index knows nothing: each is what it was, or of an unknown digest."""
        until = self._clock() + self._ttl
        links = {}
        for tag, stat in self._contents.tag_stats(name, list(before)).items():
            link = before[tag]
            if link is not None and link.stamp == stat.changed_ns:
                links[tag] = link._replace(until=until)
            else:
                links[tag] = _new(Link, (None, 0, stat.mtime_ns, until))
        self._links.put_all(((name, tag), link) for tag, link in links.items())
        return links

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
        began = time.perf_counter()
        stamps = self._contents.tag_stamps(name, [one.name for one in known])  # no small question: not timed
        if (time.perf_counter() - began) / len(known) > _SOUGHT:
            self._warm_links(name)
        until = now + self._ttl
        links = {
            tag: _new(Link, (digest, stamp, pushed, until))
            for (tag, then, pushed, digest), stamp in zip(known, stamps, strict=True)
            if then == stamp
        }
        self._links.put_all(((name, tag), link) for tag, link in links.items())
        return links

    def _warm_links(self, name: str) -> None:
        """Note that a repository's links were sought on a disk.

        For who goes from one to the next, those behind are sought while he is at this one.
        """
        before, self._sought = self._sought, name
        if (
            self._known is not None
            and before
            and before < name
            and not (self._aside.slow or self._contents.lists)
        ):
            behind = self._known.tags_behind
            self._aside.begin("links", lambda: self._contents.warm_links(behind(name, _WARMED)))

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
            if link := self._fresh(name, tag):
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
        return self._fresh(name, tag) is not None or self._aside.begin(
            ("link", name, tag), lambda: self._seen_again(name, tag)
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


def found(listing: Listing, part: str) -> Found:
    """Tell what `part` is in a listing. Raises why no tag is known, unless it is something else."""
    nested = listing.nested.get(part)
    if listing.error is None:
        return Found(nested, listing.tags.get(part))
    if nested is None:
        raise copy.copy(listing.error)
    return Found(nested, False)


def _size_of_listing(listing: Listing) -> float:
    return COST_OF_ENTRY + _COST_OF_NAME * (len(listing.nested) + len(listing.tags))
