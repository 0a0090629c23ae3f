"""One pass over the store, which brings the index up to date. On an empty index that reads everything.

What the registry writes shows in the time of a directory or of a link: a new blob in its shard's, a new tag
in its repository's, a moved tag in its link's. So what has the stamp that it had before is not read again,
and a manifest is read once for all, since its digest cannot change. What the registry does not do shows in no
such time: a blob cut short in its place, a layer's link deleted alone. A thorough pass looks at those as
well.

A directory whose stamp is hardly older than the pass may get another name within the same tick of the clock;
it is noted as unknown, and read again the next time.

Everything is read by `Survey`, in tasks; everything is written by `Ledger`, in one transaction. Nothing
that is odd ends the pass: it becomes a finding, owned by what was read, and goes when that is read again.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence

from regfs.errors import StoreAwayError, UnreadableError
from regfs.graph.index.ledger import MARKS, Ledger, Repository, chunks
from regfs.graph.index.readers import NAMES, Elsewhere, Task, run
from regfs.oci.digest import LENGTHS, Digest
from regfs.registry import layout
from regfs.registry.findings import Finding, Kind, Reach
from regfs.registry.reading import (
    LinksRead,
    ManifestRead,
    ShardRead,
    algorithms_below,
    look_elsewhere,
    read_blobs,
    read_layer_links,
    read_manifests,
    read_names,
    read_revisions,
    read_shard,
    read_some_revisions,
    refused,
    tags_below,
    unlisted,
)
from regfs.registry.survey import BlobSeen, DirectorySeen, LinkSeen, Survey, TagSeen, UploadSeen
from regfs.registry.terms import Mark

#: Manifests in one task; each may have 4 MiB.
_MANIFESTS = 64

#: How much older than the pass a stamp must be, in nanoseconds. Clocks of file systems tick every 10 ms or
#: less; FAT's and some NFS servers' every two seconds.
_TICK = 2_500_000_000

#: What a pass tells of its progress: of what, how many are done, and of how many (0: unknown).
Progress = Callable[[str, int, int], None]

_SHARD = re.compile("[0-9a-f]{2}")

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
        elsewhere: Elsewhere | None = None,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        self._ledger = Ledger(connection, now - _TICK)
        self._survey = survey
        self._thorough = thorough
        self._elsewhere = elsewhere
        self._names = elsewhere.names if elsewhere else NAMES
        self._progress = progress
        self._same: set[str] = set()

    def run(self) -> bool:
        """Do the pass. Tells whether anything had changed."""
        last = self._ledger.last()
        self._look_at_places()
        self._beside()
        self._blobs()
        self._repositories()
        self._manifests(last)
        if self._thorough:
            self._look_elsewhere()
        self._see_store()
        return self._ledger.finish()

    def _run(self, tasks: Iterable[Task]) -> None:
        run(self._survey, tasks, self._elsewhere)

    # --- directories -------------------------------------------------------------------------------

    def _see_store(self) -> None:
        """Raise StoreAwayError if not even the store itself can be listed: it was not there to be read."""
        error = self._survey.directory("").error
        if isinstance(error, UnreadableError) and not error.denied:
            raise StoreAwayError("", f"the store cannot be read any more: {error}", error.errno)

    def _look_at_places(self) -> None:
        """Find out which of the known directories are as they were."""

        def look(paths: Sequence[str]) -> Task:
            def apply(stamps: Sequence[int]) -> None:
                self._same.update(
                    path
                    for path, stamp in zip(paths, stamps, strict=True)
                    if stamp and stamp == self._ledger.places[path]
                )

            return Task(Survey.stamps, ("", paths), apply)

        self._run(look(paths) for paths in chunks(self._ledger.places, self._names))

    def _beside(self) -> None:
        """See whether the registry says that it keeps its tags and manifests in a database."""
        odd = [_IN_DATABASE] if self._survey.beside(layout.DATABASE_LOCK) else []
        self._ledger.found(layout.DATABASE_LOCK, odd)

    # --- blobs -------------------------------------------------------------------------------------

    def _blobs(self) -> None:
        shards = []
        for algorithm in self._list(layout.BLOBS, LENGTHS.__contains__):
            names = self._list(f"{layout.BLOBS}/{algorithm}", lambda name: bool(_SHARD.fullmatch(name)))
            shards += [(algorithm, name) for name in names]
        there = {layout.shard(*shard) for shard in shards}
        for path in [path for path in self._ledger.places if path.startswith(f"{layout.BLOBS}/")]:
            if path not in there:
                _, algorithm, prefix = path.split("/")
                self._apply_shard(algorithm, prefix, ShardRead(0, [], []))
        changed = [shard for shard in shards if self._thorough or layout.shard(*shard) not in self._same]

        def look(number: int, algorithm: str, prefix: str) -> Task:
            def apply(read: ShardRead) -> None:
                self._apply_shard(algorithm, prefix, read)
                self._progress("blobs", number + 1, len(changed))

            return Task(read_shard, (algorithm, prefix), apply)

        self._run(look(number, *shard) for number, shard in enumerate(changed))

    def _list(self, path: str, sound: Callable[[str], bool]) -> list[str]:
        """List a directory above the shards."""
        names, odd = read_blobs(self._survey, path, sound)
        self._ledger.found(path, odd)
        return names

    def _apply_shard(self, algorithm: str, prefix: str, read: ShardRead) -> None:
        path = layout.shard(algorithm, prefix)
        self._ledger.store_shard(f"{algorithm}:{prefix}", read.blobs)
        self._found_at(path, read.odd, read.stamp)

    def _found_at(self, path: str, odd: Sequence[Finding], stamp: int, *, again: bool = False) -> None:
        """Note that a directory was read; one with a gap, or with what nobody knows, is read each time."""
        self._ledger.found(path, odd)
        if again or any(finding.reach is not Reach.NONE or finding.kind in _LOOKED_INTO for finding in odd):
            self._ledger.note_place(path, 0)
        elif stamp:
            self._ledger.note_place(path, stamp)
        else:
            self._ledger.forget_place(path)

    # --- repositories ------------------------------------------------------------------------------

    def _repositories(self) -> None:
        self._known = self._ledger.repositories()
        self._below: dict[str, list[str]] = {}
        for name in self._known:
            self._below.setdefault(name.rpartition("/")[0], []).append(name)
        self._seen: set[str] = set()
        self._done = 0
        self._run(self._enter(""))
        for name in self._known.keys() - self._seen:
            self._ledger.forget_repository(self._known[name])

    def _enter(self, name: str) -> Iterator[Task]:
        """Give the tasks for a directory among the repositories, and all below it."""
        path = layout.repository(name)
        if path in self._same and (not name or name in self._known):
            yield from self._entered(name, self._known.get(name))
            for below in self._below.get(name, ()):
                yield from self._enter(below)
            return

        def apply(read: tuple[DirectorySeen, list[str], list[Finding]]) -> Iterator[Task]:
            seen, nested, odd = read
            repository = self._store_repository(name, seen) if name else None
            if repository and repository.marks.repository:
                odd = [*odd, *refused(name)]
            self._found_at(path, odd, seen.stamp)
            yield from self._entered(name, repository)
            for below in nested:
                yield from self._enter(below)

        yield Task(read_names, (name,), apply)

    def _store_repository(self, name: str, seen: DirectorySeen) -> Repository:
        marks = Mark.NOTHING
        for entry in seen.directories():
            marks |= MARKS.get(entry, Mark.NOTHING)
        if any(entry.name == layout.LAYERS for entry in seen.entries):
            marks |= Mark.LAYERS  # whatever it is, the collector goes by its name
        return self._ledger.store_repository(name, marks, self._known.get(name))

    def _entered(self, name: str, repository: Repository | None) -> Iterator[Task]:
        self._seen.add(name)
        if repository is None:
            return
        if Mark.MANIFESTS in repository.marks:
            yield from self._revisions(repository)
            yield from self._tags(repository)
        if Mark.LAYERS in repository.marks:
            yield from self._layers(repository)
        if Mark.UPLOADS in repository.marks:
            yield from self._uploads(repository)
        if repository.marks.repository:
            self._done += 1
            self._progress("repositories", self._done, 0)

    # --- tags --------------------------------------------------------------------------------------

    def _tags(self, repository: Repository, *, again: bool = False) -> Iterator[Task]:
        """Read the tags whose link changed; all of them `again` where histories may have changed."""
        again = again or self._thorough
        path = layout.tags(repository.name)
        known = self._ledger.tag_stamps(repository)
        if path in self._same:
            yield from self._changed_tags(repository, known, again=again)
            return

        def apply(seen: DirectorySeen) -> Iterator[Task]:
            there, unread, odd = tags_below(repository.name, seen)
            names = {name: known.get(name, 0) for name in there}
            for name in known.keys() - names.keys() - {tag.name for tag in unread}:
                self._ledger.forget_tag(repository, name)
            self._ledger.store_tags(repository, unread)
            self._found_at(path, odd, seen.stamp, again=bool(unread))
            return self._changed_tags(repository, names, again=again)

        yield Task(Survey.directory, (path,), apply)

    def _changed_tags(self, repository: Repository, known: dict[str, int], *, again: bool) -> Iterator[Task]:
        unknown = [name for name, stamp in known.items() if again or not stamp]
        for names in chunks(unknown, self._names):
            yield self._read_tags(repository, names)
        believed = (name for name, stamp in known.items() if stamp and not again)
        for names in chunks(believed, self._names):

            def apply(stamps: Sequence[int], names: Sequence[str] = names) -> Iterator[Task]:
                if stamps != [known[name] for name in names]:
                    changed = [
                        name for name, stamp in zip(names, stamps, strict=True) if stamp != known[name]
                    ]
                    yield self._read_tags(repository, changed)

            paths = [f"{name}/{layout.CURRENT}" for name in names]
            yield Task(Survey.stamps, (layout.tags(repository.name), paths), apply)

    def _read_tags(self, repository: Repository, names: Sequence[str]) -> Task:
        def apply(seen: list[TagSeen]) -> Iterator[Task]:
            for gone in set(names) - {tag.name for tag in seen}:
                self._ledger.forget_tag(repository, gone)
            before = set() if self._ledger.fresh else self._ledger.named_by(repository, names)
            self._ledger.store_tags(repository, seen)
            if not self._ledger.fresh and not self._thorough:
                # What was pushed again has a new date as a revision; what no tag names now may be gone.
                now = {tag.digest for tag in seen if tag.digest}
                yield self._read_some_revisions(repository, before | now)

        return Task(Survey.tags, (repository.name, names), apply)

    # --- links -------------------------------------------------------------------------------------

    def _algorithms(
        self,
        repository: Repository,
        directory: str,
        reach: Reach,
        enter: Callable[[str, bool], Iterable[Task]],
        gone: Callable[[str], Iterable[Task]],
    ) -> Iterator[Task]:
        """Enter the directory of each algorithm below `revisions` or `_layers`: `enter(algorithm, same)`."""
        known = [name for name in LENGTHS if f"{directory}/{name}" in self._ledger.places]

        def tasks(algorithms: Iterable[str]) -> Iterator[Task]:
            for algorithm in algorithms:
                same = f"{directory}/{algorithm}" in self._same and not self._thorough
                yield from enter(algorithm, same)

        if directory in self._same:
            yield from tasks(known)
            return

        def apply(seen: DirectorySeen) -> Iterator[Task]:
            there, odd = algorithms_below(directory, seen, reach, repository.name)
            self._found_at(directory, odd, seen.stamp)
            for algorithm in known:
                if algorithm not in there:
                    self._ledger.forget_below(f"{directory}/{algorithm}")
                    yield from gone(algorithm)
            yield from tasks(there)

        yield Task(Survey.directory, (directory,), apply)

    def _revisions(self, repository: Repository) -> Iterator[Task]:
        def enter(algorithm: str, same: bool) -> Iterable[Task]:
            if same:
                return self._deleted_revisions(repository, algorithm)
            return [self._read_revisions(repository, algorithm)]

        return self._algorithms(
            repository,
            layout.revisions(repository.name),
            Reach.REVISIONS,
            enter,
            lambda algorithm: self._apply_revisions(repository, algorithm, []),
        )

    def _read_revisions(self, repository: Repository, algorithm: str) -> Task:
        path = f"{layout.revisions(repository.name)}/{algorithm}"

        def apply(read: tuple[int, list[LinkSeen], list[Finding]]) -> Iterable[Task]:
            stamp, links, odd = read
            self._found_at(path, odd, stamp)
            return self._apply_revisions(repository, algorithm, links)

        return Task(read_revisions, (repository.name, algorithm, self._thorough), apply)

    def _read_some_revisions(self, repository: Repository, digests: set[str]) -> Task:
        def apply(links: list[LinkSeen]) -> None:
            self._ledger.forget_revisions(repository, digests - {link.name for link in links})
            self._ledger.store_revisions(repository, links)

        return Task(read_some_revisions, (layout.revisions(repository.name), sorted(digests)), apply)

    def _deleted_revisions(self, repository: Repository, algorithm: str) -> Iterator[Task]:
        """Look at links in a directory that did not change: the API deletes one and leaves its directory.

        With a manifest it deletes all tags that name it: as long as the tags' directory is the same, only
        revisions without a tag can be gone.
        """
        same = layout.tags(repository.name) in self._same
        rows = self._ledger.revision_stamps(repository, algorithm, untagged=same)
        directory = f"{layout.revisions(repository.name)}/{algorithm}"
        skip = len(algorithm) + 1
        for chunk in chunks(rows, self._names):

            def apply(stamps: Sequence[int], chunk: Sequence[tuple[str, int]] = chunk) -> Iterator[Task]:
                if stamps != [stamp for _, stamp in chunk]:
                    yield self._read_revisions(repository, algorithm)

            paths = [f"{name[skip:]}/{layout.LINK}" for name, _ in chunk]
            yield Task(Survey.stamps, (directory, paths), apply)

    def _apply_revisions(
        self, repository: Repository, algorithm: str, links: list[LinkSeen]
    ) -> Iterable[Task]:
        gone = self._ledger.replace_revisions(repository, algorithm, links)
        # A collection takes the entry of a deleted revision out of each tag's history as well.
        return self._tags(repository, again=True) if gone else ()

    def _layers(self, repository: Repository) -> Iterator[Task]:
        def enter(algorithm: str, same: bool) -> Iterator[Task]:
            path = f"{layout.layers(repository.name)}/{algorithm}"

            def apply(read: LinksRead) -> None:
                self._found_at(path, read.odd, read.stamp)
                self._ledger.store_layers(repository, algorithm, read)

            if not same:
                yield Task(read_layer_links, (repository.name, algorithm, self._thorough), apply)

        def gone(algorithm: str) -> Iterable[Task]:
            self._ledger.store_layers(repository, algorithm, LinksRead(0, b"", [], []))
            return ()

        return self._algorithms(repository, layout.layers(repository.name), Reach.LAYERS, enter, gone)

    # --- uploads -----------------------------------------------------------------------------------

    def _uploads(self, repository: Repository) -> Iterator[Task]:
        path = layout.uploads(repository.name)
        if path in self._same and not self._ledger.has_uploads(repository):
            return

        def apply(read: tuple[DirectorySeen, list[UploadSeen]]) -> None:
            seen, uploads = read
            self._ledger.store_uploads(repository, uploads)
            odd = [_undated(repository.name, upload.name) for upload in uploads if not upload.started]
            odd += unlisted(path, seen.error, Reach.NOTHING, repository.name)
            self._found_at(path, odd, seen.stamp)

        yield Task(Survey.uploads, (repository.name,), apply)

    # --- manifests ---------------------------------------------------------------------------------

    def _manifests(self, last: int) -> None:
        """Read each manifest that is named and was not read yet, then the manifests that those name.

        `last` is the last number of a blob from before the pass.
        """
        done = 0
        while True:
            self._look_for_unknown(last)
            last = self._ledger.last()
            digests = list(self._ledger.unread())
            if not digests:
                return

            def look(chunk: Sequence[str], before: int, total: int = done + len(digests)) -> Task:
                def apply(manifests: list[ManifestRead]) -> None:
                    self._ledger.store_manifests(manifests)
                    self._progress("manifests", before + len(chunk), total)

                return Task(read_manifests, (chunk,), apply)

            size = min(self._names, _MANIFESTS)
            starts = range(done, done + len(digests), size)
            self._run(look(*pair) for pair in zip(chunks(digests, size), starts, strict=True))
            done += len(digests)

    def _look_elsewhere(self) -> None:
        """Find what is neither blob, link nor upload: in each shard, in each repository, and beside them."""
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
            layout.REPOSITORIES: frozenset(parts),
            **{path: frozenset(below) for path, below in uploads.items()},
        }

        def look(path: str) -> Task:
            def apply(found: list[tuple[str, int]]) -> None:
                self._ledger.store_elsewhere(path, found)

            return Task(look_elsewhere, (path, passed.get(path, frozenset())), apply)

        paths = [*top, *shards, *parts]
        self._ledger.keep_elsewhere(paths)
        self._run(map(look, paths))

    def _look_for_unknown(self, last: int) -> None:
        """Look for blobs that are named, and were not there when their shard was read."""

        def apply(seen: BlobSeen | None) -> None:
            if seen:
                self._ledger.store([seen])

        self._run(
            [Task(Survey.blob, (Digest.parse(digest),), apply) for digest in self._ledger.not_stored(last)]
        )


def _undated(repository: str, upload: str) -> Finding:
    return Finding(
        Kind.UPLOAD,
        repository,
        wanted="a date in startedat",
        found="none: no purge takes this upload",
        path=layout.upload(repository, upload),
    )
