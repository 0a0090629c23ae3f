"""One pass over the storage, which brings the index up to date. On an empty index that reads everything.

What the registry writes shows in the time of a directory or of a link: a new blob in its shard's, a new tag
in its repository's, a moved tag in its link's. So a unit with the stamp that it had before is not read again,
and a manifest is read once for all, since its digest cannot change. What the registry does not do shows in no
such time: a blob cut short in its place, a layer's link deleted alone. A thorough pass looks at those as
well.

A directory whose stamp is hardly older than the pass may get another name within the same tick of the clock;
it is noted as unknown, and read again the next time.

Units are read wherever there is room (readers.py); what each gives is written by `Ledger`, in one
transaction, by the method that `Update` has for units of its kind, which may name more units. Nothing that is
odd ends the pass: it becomes a finding, owned by what was read, and goes when that is read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from regfs.errors import StoreAwayError, UnreadableError
from regfs.graph.index.ledger import Ledger, Repository, chunks
from regfs.graph.index.readers import NAMES, Beside, run
from regfs.oci.digest import LENGTHS
from regfs.registry import layout
from regfs.registry.findings import Finding, Kind, Reach
from regfs.registry.listings import ListedPart, ListedRepository, ListedShard, ListingRead, Within
from regfs.registry.manifests import ManifestRead
from regfs.registry.survey import BlobSeen, LinkSeen, Survey, TagSeen
from regfs.registry.units import (
    MARKS,
    Algorithms,
    AlgorithmShards,
    Elsewhere,
    LayerLinks,
    LinksRead,
    LinkStamps,
    Manifests,
    Names,
    NamesRead,
    OneBlob,
    Read,
    Revisions,
    RevisionsRead,
    Shard,
    ShardRead,
    SomeRevisions,
    Stamps,
    TagLinks,
    TagNames,
    TagNamesRead,
    Unit,
    Uploads,
    UploadsRead,
)

#: Manifests in one unit; each may have 4 MiB.
_MANIFESTS = 64

#: Repositories of which a whole listing may be in memory at once: some 200 bytes for each object.
_LISTINGS = 48

#: How much older than the pass a stamp must be, in nanoseconds. Clocks of file systems tick every 10 ms or
#: less; FAT's and some NFS servers' every two seconds.
_TICK = 2_500_000_000

#: What a pass tells of its progress: of what, how many are done, and of how many (0: unknown).
Progress = Callable[[str, int, int], None]

#: What is found of directories that no registry makes: it depends on what is in them.
_LOOKED_INTO = frozenset({Kind.STRAY, Kind.COLLECTOR_STOPS})

_IN_DATABASE = Finding(
    Kind.TAGS_ELSEWHERE,
    wanted="tags and manifests in the storage",
    found="this registry keeps its tags and manifests in a database: what is stored is shown, what is in use "
    "cannot be told from here",
    path=f"../{layout.DATABASE_LOCK}",
    reach=Reach.EVERYTHING,
)


class Update:
    """One pass. `now` is the time of its start, in nanoseconds since 1970."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        survey: Survey,
        now: int,
        *,
        thorough: bool = False,
        beside: Beside | None = None,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        self._ledger = Ledger(connection, now - _TICK)
        self._survey = survey
        self._thorough = thorough
        self._beside = beside
        self._some = beside.names if beside else NAMES
        self._progress = progress
        self._done = self._total = 0
        self._same: set[str] = set()
        #: Whether the storage tells what changed by listings alone (listings.py).
        self._lists = survey.lists
        self._seen: set[str] = set()
        self._repositories: dict[str, Repository] = {}
        self._below: dict[str, list[str]] = {}
        #: Where it was looked for what is neither blob, link nor upload.
        self._looked: set[str] = set()
        #: For each kind of unit, what brings it up to date in the ledger, and gives the units that follow.
        self._apply: dict[type, Callable[[Any, Any], Iterable[Unit] | None]] = {
            Stamps: self._places,
            Shard: self._shard,
            OneBlob: self._blob,
            Manifests: self._manifests,
            Names: self._names,
            TagNames: self._tag_names,
            TagLinks: self._tag_links,
            LinkStamps: self._links_changed,
            Algorithms: self._algorithms,
            Revisions: self._revisions,
            SomeRevisions: self._some_revisions,
            LayerLinks: self._layer_links,
            Uploads: self._uploads,
            Elsewhere: self._elsewhere,
            ListedShard: self._listed_shard,
            ListedRepository: self._listed_repository,
            ListedPart: self._listed_part,
            Within: self._within,
        }

    def run(self) -> bool:
        """Do the pass. Tells whether anything had changed."""
        last = self._ledger.last()
        if not self._lists:
            self._read(self._known_places())
        self._ledger.found(
            layout.DATABASE_LOCK, [_IN_DATABASE] if self._survey.beside(layout.DATABASE_LOCK) else []
        )
        self._read_shards()
        self._read_repositories()
        self._read_manifests(last)
        if self._thorough:
            self._look_elsewhere()
        self._see_store()
        return self._ledger.finish()

    def _read(self, units: Iterable[Unit], window: int = 0) -> None:
        beside = self._beside and (self._beside._replace(window=window) if window else self._beside)
        run(self._survey, units, lambda unit, read: self._apply[type(unit)](unit, read) or (), beside)

    def _see_store(self) -> None:
        """Raise StoreAwayError if not even the store itself can be listed: it was not there to be read."""
        error = self._survey.directory("").error
        if isinstance(error, UnreadableError) and not error.denied:
            raise StoreAwayError("", f"the store cannot be read any more: {error}", error.errno)

    # --- which directories are as they were -----------------------------------------------------------

    def _known_places(self) -> Iterator[Stamps]:
        places = self._ledger.places
        for paths in chunks(places, self._some):
            yield Stamps("", paths, [places[path] for path in paths])

    def _places(self, unit: Stamps, changed: list[int]) -> None:
        self._same.update(unit.paths)
        self._same.difference_update(unit.paths[position] for position in changed)

    def _found_at(self, path: str, odd: Sequence[Finding], stamp: int, *, again: bool = False) -> None:
        """Note that a directory was read; one with a gap, or with what nobody knows, is read each time."""
        self._ledger.found(path, odd)
        if again or any(finding.reach is not Reach.NONE or finding.kind in _LOOKED_INTO for finding in odd):
            self._ledger.note_place(path, 0)
        elif stamp:
            self._ledger.note_place(path, stamp)
        else:
            self._ledger.forget_place(path)

    # --- blobs -------------------------------------------------------------------------------------

    def _read_shards(self) -> None:
        shards = [
            Shard(algorithm, prefix)
            for algorithm in self._list(AlgorithmShards())
            for prefix in self._list(AlgorithmShards(algorithm))
        ]
        there = {shard.path for shard in shards}
        for path in [path for path in self._ledger.places if path.startswith(f"{layout.BLOBS}/")]:
            if path not in there:
                _, algorithm, prefix = path.split("/")
                self._store_shard(Shard(algorithm, prefix), ShardRead(0, [], []))
        changed: list[Unit] = [shard for shard in shards if self._thorough or shard.path not in self._same]
        if self._lists:
            changed = [ListedShard(*shard, self._known(shard.path), self._thorough) for shard in shards]
        self._done, self._total = 0, len(changed)
        self._read(changed)

    def _list(self, unit: AlgorithmShards) -> list[str]:
        """List a directory above the shards: there are few, and nothing else tells which."""
        read: Read = unit.read(self._survey)
        self._ledger.found(unit.path, read.odd)
        return read.names

    def _known(self, path: str) -> int:
        """Give the stamp with which a listing need not be looked into again; 0 for none."""
        return 0 if self._thorough else self._ledger.places.get(path, 0)

    def _listed_shard(self, unit: ListedShard, read: ShardRead | None) -> None:
        self._shard(Shard(unit.algorithm, unit.prefix), read)
        if read is not None and read.elsewhere is not None:
            self._elsewhere(Elsewhere(unit.path), read.elsewhere)

    def _shard(self, unit: Shard, read: ShardRead | None) -> None:
        """Keep the blobs of a shard; None: they are what they were."""
        if read is not None:
            self._store_shard(unit, read)
        self._done += 1
        self._progress("blobs", self._done, self._total)

    def _store_shard(self, unit: Shard, read: ShardRead) -> None:
        self._ledger.store_shard(f"{unit.algorithm}:{unit.prefix}", read.blobs)
        self._found_at(unit.path, read.odd, read.stamp)

    def _blob(self, _: OneBlob, seen: BlobSeen | None) -> None:
        if seen:
            self._ledger.store([seen])

    # --- repositories ------------------------------------------------------------------------------

    def _read_repositories(self) -> None:
        self._repositories = self._ledger.repositories()
        for name in self._repositories:
            self._below.setdefault(name.rpartition("/")[0], []).append(name)
        known = list(self._repositories.values())
        self._done = 0
        self._read(self._enter(""), _LISTINGS if self._lists else 0)
        for repository in known:
            if repository.name not in self._seen:
                self._ledger.forget_repository(repository)

    def _enter(self, name: str) -> Iterator[Unit]:
        """Give the units of a directory among the repositories, and of all below it."""
        unit = Names(name)
        listed = ListedRepository(name)
        if self._lists and listed.place in self._ledger.places and not self._below.get(name):
            yield listed._replace(known=self._known(listed.place))
        elif unit.path in self._same and (not name or name in self._repositories):
            yield from self._entered(name)
            for below in self._below.get(name, ()):
                yield from self._enter(below)
        else:
            yield unit

    def _names(self, unit: Names, read: NamesRead) -> Iterator[Unit]:
        name = unit.name
        if name:
            before = self._repositories.get(name)
            self._repositories[name] = self._ledger.store_repository(name, read.marks, before)
        self._found_at(unit.path, read.odd, read.stamp)
        if self._lists and not read.names and read.marks:
            yield ListedRepository(name)
            return
        yield from self._entered(name)
        for below in read.names:
            yield from self._enter(below)

    def _entered(self, name: str) -> Iterator[Unit]:
        self._seen.add(name)
        if not name:
            return
        marks = self._repositories[name].marks
        for part, mark in MARKS.items():
            if mark not in marks:
                continue
            if self._lists:
                unit = ListedPart(name, part)
                yield unit._replace(known=self._known(unit.place))
            else:
                yield from self._enter_part(name, part)
        self._count(self._repositories[name])

    def _count(self, repository: Repository) -> None:
        if repository.marks.repository:
            self._done += 1
            self._progress("repositories", self._done, 0)

    def _enter_part(self, name: str, part: str) -> Iterator[Unit]:
        if part == layout.MANIFESTS:
            yield from self._enter_algorithms(Algorithms(name, layers=False))
            yield from self._enter_tags(name)
        elif part == layout.LAYERS:
            yield from self._enter_algorithms(Algorithms(name, layers=True))
        else:
            yield from self._enter_uploads(name)

    def _listed_repository(self, unit: ListedRepository, read: ListingRead | None) -> Iterator[Unit]:
        """Read what is in a repository, from its listing; None: it is what it was."""
        name = unit.name
        self._seen.add(name)
        if read is not None:
            self._ledger.note_place(unit.place, read.stamp)
            names = Names(name).read(read.survey)
            before = self._repositories.get(name)
            self._repositories[name] = self._ledger.store_repository(name, names.marks, before)
            self._found_at(unit.path, names.odd, names.stamp)
            if self._is_doubtful(Names(name), names):
                self._ledger.note_place(unit.place, 0)
            for part, mark in MARKS.items():
                for inner in self._enter_part(name, part) if mark in names.marks else ():
                    yield Within(inner, unit.place, read.survey)
            if self._thorough:
                for beside in self._beside_parts(name, names):
                    yield Within(beside, unit.place, read.survey)
            for below in names.names:
                yield from self._enter(below)
        self._count(self._repositories[name])

    def _beside_parts(self, name: str, names: NamesRead) -> Iterator[Elsewhere]:
        """Look in a repository, and in its parts, for what is neither link nor upload.

        Not in its uploads, before they are known; nor beside repositories that are nested in it.
        """
        parts = [f"{layout.repository(name)}/{part}" for part, mark in MARKS.items() if mark in names.marks]
        if not names.names:
            yield Elsewhere(layout.repository(name), frozenset(parts))
        yield from (Elsewhere(path) for path in parts if path != layout.uploads(name))

    def _listed_part(self, unit: ListedPart, read: ListingRead | None) -> Iterator[Unit]:
        """Read what is in a part of a repository, from its listing; None: it is what it was."""
        if read is None:
            return
        self._ledger.note_place(unit.place, read.stamp)
        for inner in self._enter_part(unit.repository, unit.part):
            yield Within(inner, unit.place, read.survey)
        if self._thorough and unit.part != layout.UPLOADS:
            yield Within(Elsewhere(unit.path), unit.place, read.survey)

    def _within(self, unit: Within, read: Any) -> Iterator[Unit]:
        """Apply what was read from a listing; what comes of it is in the same."""
        for inner in self._apply[type(unit.unit)](unit.unit, read) or ():
            yield Within(inner, unit.place, unit.survey)
        if self._is_doubtful(unit.unit, read):
            self._ledger.note_place(unit.place, 0)

    def _is_doubtful(self, unit: Unit, read: Any) -> bool:
        """Tell whether something in a listing has to be looked at again, even if that stays the same."""
        if isinstance(unit, TagLinks):
            return any(tag.error or tag.unread for tag in read)
        if isinstance(unit, SomeRevisions):
            return any(link.error for link in read)
        odd: list[Finding] = getattr(read, "odd", [])
        return any(finding.reach is not Reach.NONE or finding.kind in _LOOKED_INTO for finding in odd)

    # --- tags --------------------------------------------------------------------------------------

    def _enter_tags(self, name: str, *, again: bool = False) -> Iterator[Unit]:
        """Read the tags whose link changed; all of them `again` where histories may have changed."""
        unit = TagNames(name, again or self._thorough)
        if unit.path in self._same:
            known = self._ledger.tag_stamps(self._repositories[name])
            yield from self._changed_tags(unit, known)
        else:
            yield unit

    def _tag_names(self, unit: TagNames, read: TagNamesRead) -> Iterator[Unit]:
        repository = self._repositories[unit.repository]
        known = self._ledger.tag_stamps(repository)
        names = {name: known.get(name, 0) for name in read.names}
        for name in known.keys() - names.keys() - {tag.name for tag in read.unread}:
            self._ledger.forget_tag(repository, name)
        self._ledger.store_tags(repository, read.unread)
        self._found_at(unit.path, read.odd, read.stamp, again=bool(read.unread))
        return self._changed_tags(unit, names)

    def _changed_tags(self, unit: TagNames, known: dict[str, int]) -> Iterator[Unit]:
        unknown = [name for name, stamp in known.items() if unit.again or not stamp]
        for names in chunks(unknown, self._some):
            yield TagLinks(unit.repository, names)
        believed = (name for name, stamp in known.items() if stamp and not unit.again)
        for names in chunks(believed, self._some):
            yield LinkStamps(unit.repository, "", names, [known[name] for name in names])

    def _links_changed(self, unit: LinkStamps, changed: list[int]) -> Iterator[Unit]:
        if changed and unit.algorithm:
            yield Revisions(unit.repository, unit.algorithm, self._thorough)
        elif changed:
            yield TagLinks(unit.repository, [unit.names[position] for position in changed])

    def _tag_links(self, unit: TagLinks, seen: list[TagSeen]) -> Iterator[Unit]:
        repository = self._repositories[unit.repository]
        for gone in set(unit.names) - {tag.name for tag in seen}:
            self._ledger.forget_tag(repository, gone)
        before = set() if self._ledger.fresh else self._ledger.named_by(repository, unit.names)
        self._ledger.store_tags(repository, seen)
        if not self._ledger.fresh and not self._thorough:
            # What was pushed again has a new date as a revision; what no tag names now may be gone.
            now = {tag.digest for tag in seen if tag.digest}
            yield SomeRevisions(unit.repository, sorted(before | now))

    # --- links -------------------------------------------------------------------------------------

    def _enter_algorithms(self, unit: Algorithms) -> Iterator[Unit]:
        if unit.path in self._same:
            yield from self._in_algorithms(unit, self._known_algorithms(unit))
        else:
            yield unit

    def _known_algorithms(self, unit: Algorithms) -> list[str]:
        return [name for name in LENGTHS if f"{unit.path}/{name}" in self._ledger.places]

    def _algorithms(self, unit: Algorithms, read: Read) -> Iterator[Unit]:
        known = self._known_algorithms(unit)
        self._found_at(unit.path, read.odd, read.stamp)
        for algorithm in known:
            if algorithm not in read.names:
                self._ledger.forget_below(f"{unit.path}/{algorithm}")
                if unit.layers:
                    repository = self._repositories[unit.repository]
                    self._ledger.store_layers(repository, algorithm, LinksRead(0, b"", [], []))
                else:
                    yield from self._store_revisions(unit.repository, algorithm, [])
        yield from self._in_algorithms(unit, read.names)

    def _in_algorithms(self, unit: Algorithms, algorithms: Iterable[str]) -> Iterator[Unit]:
        for algorithm in algorithms:
            same = f"{unit.path}/{algorithm}" in self._same and not self._thorough
            if same and not unit.layers:
                yield from self._deleted_revisions(unit.repository, algorithm)
            elif not same and unit.layers:
                yield LayerLinks(unit.repository, algorithm, self._thorough)
            elif not same:
                yield Revisions(unit.repository, algorithm, self._thorough)

    def _revisions(self, unit: Revisions, read: RevisionsRead) -> Iterable[Unit]:
        self._found_at(unit.path, read.odd, read.stamp)
        return self._store_revisions(unit.repository, unit.algorithm, read.links)

    def _store_revisions(self, name: str, algorithm: str, links: list[LinkSeen]) -> Iterable[Unit]:
        gone = self._ledger.replace_revisions(self._repositories[name], algorithm, links)
        # A collection takes the entry of a deleted revision out of each tag's history as well.
        return self._enter_tags(name, again=True) if gone else ()

    def _some_revisions(self, unit: SomeRevisions, links: list[LinkSeen]) -> None:
        repository = self._repositories[unit.repository]
        self._ledger.forget_revisions(repository, set(unit.digests) - {link.name for link in links})
        self._ledger.store_revisions(repository, links)

    def _deleted_revisions(self, name: str, algorithm: str) -> Iterator[Unit]:
        """Look at links in a directory that did not change: the API deletes one and leaves its directory.

        With a manifest it deletes all tags that name it: as long as the tags' directory is the same, only
        revisions without a tag can be gone.
        """
        same = layout.tags(name) in self._same
        rows = self._ledger.revision_stamps(self._repositories[name], algorithm, untagged=same)
        for chunk in chunks(rows, self._some):
            names, stamps = zip(*chunk, strict=True)
            yield LinkStamps(name, algorithm, names, stamps)

    def _layer_links(self, unit: LayerLinks, read: LinksRead) -> None:
        self._found_at(unit.path, read.odd, read.stamp)
        self._ledger.store_layers(self._repositories[unit.repository], unit.algorithm, read)

    # --- uploads -----------------------------------------------------------------------------------

    def _enter_uploads(self, name: str) -> Iterator[Unit]:
        unit = Uploads(name)
        if unit.path not in self._same or self._ledger.has_uploads(self._repositories[name]):
            yield unit

    def _uploads(self, unit: Uploads, read: UploadsRead) -> Iterator[Unit]:
        self._ledger.store_uploads(self._repositories[unit.repository], read.uploads)
        self._found_at(unit.path, read.odd, read.stamp)
        if self._lists and self._thorough:
            uploads = frozenset(layout.upload(unit.repository, upload.name) for upload in read.uploads)
            yield Elsewhere(unit.path, uploads)

    # --- manifests ---------------------------------------------------------------------------------

    def _read_manifests(self, last: int) -> None:
        """Read each manifest that is named and was not read yet, then the manifests that those name.

        `last` is the last number of a blob from before the pass.
        """
        self._done = self._total = 0
        while True:
            # Those that were not there when their shard was read.
            self._read(map(OneBlob, self._ledger.not_stored(last)))
            last = self._ledger.last()
            digests = list(self._ledger.unread())
            if not digests:
                return
            self._total = self._done + len(digests)
            self._read(map(Manifests, chunks(digests, min(self._some, _MANIFESTS))))

    def _manifests(self, unit: Manifests, read: list[ManifestRead]) -> None:
        self._ledger.store_manifests(read)
        self._done += len(unit.digests)
        self._progress("manifests", self._done, self._total)

    # --- what is neither blob, link nor upload -----------------------------------------------------

    def _look_elsewhere(self) -> None:
        """Find it in each shard, in each repository, and beside them: where no listing told of it."""
        top = [entry.name for entry in self._survey.directory("").entries]
        shards = [path for path in self._ledger.places if path.startswith(f"{layout.BLOBS}/")]
        parts = [
            f"{layout.repository(name)}/{part}"
            for name, repository in self._ledger.repositories().items()
            for part, mark in MARKS.items()
            if mark in repository.marks
        ]
        uploads: dict[str, set[str]] = {}
        for repository, upload in self._ledger.uploads():
            uploads.setdefault(layout.uploads(repository), set()).add(layout.upload(repository, upload))
        passed = {
            layout.BLOBS: frozenset(shards),
            layout.REPOSITORIES: frozenset(parts) | self._looked,
            **{path: frozenset(below) for path, below in uploads.items()},
        }
        paths = [*top, *shards, *parts]
        self._ledger.keep_elsewhere({*paths, *self._looked})
        self._read(
            Elsewhere(path, passed.get(path, frozenset())) for path in paths if path not in self._looked
        )

    def _elsewhere(self, unit: Elsewhere, found: list[tuple[str, int]]) -> None:
        self._looked.add(unit.path)
        self._ledger.store_elsewhere(unit.path, found)
