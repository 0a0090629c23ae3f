"""One pass over the store, which brings the index up to date. On an empty index that reads everything.

What the registry writes shows in the time of a directory or of a link: a new blob in its shard's, a new tag
in its repository's, a moved tag in its link's. So what has the stamp that it had before is not read again,
and a manifest is read once for all, since its digest cannot change. What the registry does not do shows in no
such time: a blob cut short in its place, a layer's link deleted alone. A thorough pass looks at those as
well.

A directory whose stamp is hardly older than the pass may get another name within the same tick of the clock;
it is noted as unknown, and read again the next time.

Everything is read by `Survey`, in tasks; everything is written here, in the caller's transaction. Nothing
that is odd ends the pass: it becomes a finding, owned by what was read, and goes when that is read again.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from regfs.graph.index.findings import Finding, Kind
from regfs.graph.index.readers import Submit, Task, run
from regfs.graph.index.reading import (
    BlobRow,
    LinksRead,
    ManifestRead,
    ShardRead,
    read_layer_links,
    read_manifests,
    read_revisions,
    read_shard,
    reason,
    storable,
)
from regfs.graph.index.schema import INDEXES, Mark, Role
from regfs.oci.digest import LENGTHS, Digest
from regfs.store import layout
from regfs.store.contents import join, nested_sound, tag_sound
from regfs.store.survey import BlobSeen, DirectorySeen, LinkSeen, Survey, TagSeen, UploadSeen

T = TypeVar("T")

#: Names in one task: enough to be worth a directory's opening, few enough to share out.
_CHUNK = 256

#: Manifests in one task; each may have 4 MiB.
_MANIFESTS = 64

#: How much older than the pass a stamp must be, in nanoseconds. Clocks of file systems tick every 10 ms or
#: less; FAT's and some NFS servers' every two seconds.
_TICK = 2_500_000_000

#: Numbers of blobs that a first pass keeps in memory, so as not to ask the index for each: some 40 MB.
_REMEMBERED = 200_000

#: What a pass tells of its progress: of what, how many are done, and of how many (0: unknown).
Progress = Callable[[str, int, int], None]

_SHARD = re.compile("[0-9a-f]{2}")

#: The parts of a repository, and the tables that hold what is below each.
_PARTS = (
    (layout.LAYERS, Mark.LAYERS, ("layer_links",)),
    (layout.MANIFESTS, Mark.MANIFESTS, ("tag", "history", "revision")),
    (layout.UPLOADS, Mark.UPLOADS, ("upload",)),
)
_MARKS = {name: mark for name, mark, _ in _PARTS}


class Repository(NamedTuple):
    """A directory among the repositories, as the index has it."""

    id: int
    name: str
    marks: Mark


class Update:
    """One pass. `now` is the time of its start, in nanoseconds since 1970."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        survey: Survey,
        now: int,
        *,
        thorough: bool = False,
        submit: Submit | None = None,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        self._db = connection
        self._survey = survey
        self._settled = now - _TICK
        self._thorough = thorough
        self._submit = submit
        self._progress = progress
        self._places: dict[str, int] = {}
        self._same: set[str] = set()
        self._fresh = False
        self._numbers: dict[str, int] = {}
        self._next = 1
        #: Blobs that were found to be named as manifests.
        self._named: set[int] = set()

    def run(self) -> bool:
        """Do the pass. Tells whether anything had changed."""
        before = self._db.total_changes
        self._places = dict(self._db.execute("SELECT path, stamp FROM place"))
        self._fresh = not self._places
        self._look_at_places()
        self._blobs()
        self._repositories()
        self._manifests()
        if not self._fresh and self._db.total_changes != before:
            self._forget_unnamed()
        if self._fresh:
            for statement in INDEXES.strip().splitlines():
                self._db.execute(statement)
        return self._db.total_changes != before

    def _run(self, tasks: Iterable[Task]) -> None:
        run(self._survey, tasks, self._submit)

    # --- directories -------------------------------------------------------------------------------

    def _look_at_places(self) -> None:
        """Find out which of the known directories are as they were."""

        def look(paths: Sequence[str]) -> Task:
            def apply(stamps: Sequence[int]) -> None:
                self._same.update(
                    path
                    for path, stamp in zip(paths, stamps, strict=True)
                    if stamp and stamp == self._places[path]
                )

            return Task(Survey.stamps, ("", paths), apply)

        self._run(look(paths) for paths in _chunks(self._places))

    def _note_place(self, path: str, stamp: int) -> None:
        """Remember a directory that was just read."""
        stamp = stamp if stamp < self._settled else 0
        if self._places.get(path) != stamp:
            self._db.execute("REPLACE INTO place VALUES (?, ?)", (path, stamp))
            self._places[path] = stamp

    def _forget_place(self, path: str) -> None:
        if path in self._places:
            self._db.execute("DELETE FROM place WHERE path = ?", (path,))

    def _found(self, owner: str, findings: Iterable[Finding]) -> None:
        """Replace the findings of one thing that was read."""
        if not self._fresh:
            self._db.execute("DELETE FROM finding WHERE owner = ?", (owner,))
        self._db.executemany(
            "INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(owner, finding.kind.value, *map(storable, finding[1:])) for finding in findings],
        )

    # --- blobs -------------------------------------------------------------------------------------

    def _blobs(self) -> None:
        shards = []
        for algorithm in self._survey.directory(layout.BLOBS).directories():
            if algorithm not in LENGTHS:
                continue
            names = self._survey.directory(f"{layout.BLOBS}/{algorithm}").directories()
            shards += [(algorithm, name) for name in sorted(names) if _SHARD.fullmatch(name)]
        there = {layout.shard(*shard) for shard in shards}
        for path in [path for path in self._places if path.startswith(f"{layout.BLOBS}/")]:
            if path not in there:
                self._forget_place(path)
                _, algorithm, prefix = path.split("/")
                self._apply_shard(algorithm, prefix, ShardRead(0, [], []))
        changed = [shard for shard in shards if self._thorough or layout.shard(*shard) not in self._same]

        def look(number: int, algorithm: str, prefix: str) -> Task:
            def apply(read: ShardRead) -> None:
                self._apply_shard(algorithm, prefix, read)
                self._progress("blobs", number + 1, len(changed))

            return Task(read_shard, (algorithm, prefix), apply)

        self._run(look(number, *shard) for number, shard in enumerate(changed))

    def _apply_shard(self, algorithm: str, prefix: str, read: ShardRead) -> None:
        path = layout.shard(algorithm, prefix)
        if self._fresh:
            self._store_new(read.blobs)
        else:
            self._store(self._changed(f"{algorithm}:{prefix}", read.blobs))
        self._found(path, read.odd)
        if read.stamp:
            self._note_place(path, read.stamp)

    def _store_new(self, blobs: list[BlobRow]) -> None:
        numbers = range(self._next, self._next + len(blobs))
        self._db.executemany(
            "INSERT INTO blob (id, digest, size, blocks, stored) VALUES (?, ?, ?, ?, ?)",
            [(number, *blob) for number, blob in zip(numbers, blobs, strict=True)],
        )
        self._next = numbers.stop
        if len(self._numbers) < _REMEMBERED:
            self._numbers.update(zip((blob[0] for blob in blobs), numbers, strict=True))

    def _store(self, blobs: list[BlobRow]) -> None:
        """Keep blobs that may be known: those that were named as manifests before can be read now."""
        self._db.executemany(
            "INSERT INTO blob (digest, size, blocks, stored) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (digest) DO UPDATE "
            "SET size = excluded.size, blocks = excluded.blocks, stored = excluded.stored",
            blobs,
        )
        for chunk in _chunks(blobs):
            marks = ",".join("?" * len(chunk))
            rows = self._db.execute(
                f"SELECT id FROM blob WHERE digest IN ({marks}) AND (id IN (SELECT blob FROM tag) "
                "OR id IN (SELECT blob FROM revision) "
                f"OR EXISTS (SELECT 1 FROM edge WHERE target = id AND role = {Role.CHILD:d}))",
                [blob[0] for blob in chunk],
            )
            self._named.update(number for (number,) in rows)

    def _changed(self, start: str, blobs: list[BlobRow]) -> list[BlobRow]:
        """Forget the blobs of a shard that are gone, and what was read of changed ones; give the new."""
        now = {blob[0]: blob for blob in blobs}
        rows = self._db.execute(
            "SELECT id, digest, size, blocks, stored FROM blob "
            "WHERE digest >= ? AND digest < ? AND size IS NOT NULL",
            (start, f"{start}g"),
        ).fetchall()
        for number, *known in rows:
            blob = now.get(known[0])
            if blob == tuple(known):
                del now[known[0]]
                continue
            self._db.execute(
                "UPDATE blob SET size = NULL, blocks = NULL, stored = NULL WHERE id = ?", (number,)
            )
            self._forget_manifest(number)
            self._named.update([number])
        return list(now.values())

    def _forget_manifest(self, number: int) -> None:
        self._db.execute("DELETE FROM manifest WHERE blob = ?", (number,))
        self._db.execute(
            "DELETE FROM edge WHERE source = ? AND role IN (?, ?, ?)",
            (number, Role.CONFIG, Role.LAYER, Role.CHILD),
        )
        self._db.execute("DELETE FROM edge WHERE target = ? AND role = ?", (number, Role.REFERRER))
        self._db.execute("DELETE FROM content WHERE blob = ?", (number,))
        self._db.execute("DELETE FROM config WHERE blob = ?", (number,))

    def _ids(self, digests: Iterable[str]) -> dict[str, int]:
        """Give the numbers of digests, new ones to those not known yet."""
        found: dict[str, int] = {}
        unknown = []
        for digest in dict.fromkeys(digests):
            number = self._numbers.get(digest)
            if number is None:
                unknown.append(digest)
            else:
                found[digest] = number
        for chunk in _chunks(unknown):
            marks = ",".join("?" * len(chunk))
            known = f"SELECT digest, id FROM blob WHERE digest IN ({marks})"
            found.update(self._db.execute(known, chunk))
            new = [(digest,) for digest in chunk if digest not in found]
            if new:
                self._db.executemany("INSERT INTO blob (digest) VALUES (?)", new)
                found.update(self._db.execute(known, chunk))
        return found

    # --- repositories ------------------------------------------------------------------------------

    def _repositories(self) -> None:
        rows = self._db.execute("SELECT name, id, marks FROM repository")
        self._known = {name: Repository(number, name, Mark(marks)) for name, number, marks in rows}
        self._below: dict[str, list[str]] = {}
        for name in self._known:
            self._below.setdefault(name.rpartition("/")[0], []).append(name)
        self._seen: set[str] = set()
        self._done = 0
        self._run(self._enter(""))
        for name in self._known.keys() - self._seen:
            self._forget_repository(self._known[name])

    def _enter(self, name: str) -> Iterator[Task]:
        """Give the tasks for a directory among the repositories, and all below it."""
        path = layout.repository(name)
        if path in self._same and (not name or name in self._known):
            yield from self._entered(name, self._known.get(name))
            for below in self._below.get(name, ()):
                yield from self._enter(below)
            return

        def apply(seen: DirectorySeen) -> Iterator[Task]:
            nested = []
            odd = [Finding(Kind.STRAY, name, found=str(seen.error), path=path)] if seen.error else []
            for entry in sorted(seen.entries):
                sound = nested_sound(name, entry.name, entry.type)
                if sound:
                    nested.append(join(name, entry.name))
                elif sound is False:
                    odd.append(_stray(name, f"{path}/{entry.name}", entry.type.value, "repository"))
            self._found(path, odd)
            self._note_place(path, seen.stamp)
            yield from self._entered(name, self._store_repository(name, seen) if name else None)
            for below in nested:
                yield from self._enter(below)

        yield Task(Survey.directory, (path,), apply)

    def _store_repository(self, name: str, seen: DirectorySeen) -> Repository:
        marks = Mark.NOTHING
        for entry in seen.directories():
            marks |= _MARKS.get(entry, Mark.NOTHING)
        if name in self._known:
            self._forget_parts(self._known[name], self._known[name].marks & ~marks)
        self._db.execute(
            "INSERT INTO repository (name, marks) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET marks = excluded.marks",
            (name, int(marks)),
        )
        (number,) = self._db.execute("SELECT id FROM repository WHERE name = ?", (name,)).fetchone()
        return Repository(number, name, marks)

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

    def _forget_parts(self, repository: Repository, parts: Mark) -> None:
        """Forget what was read below `_layers`, `_manifests` or `_uploads`, which are gone as a whole."""
        for name, mark, tables in _PARTS:
            if mark in parts:
                for table in tables:
                    self._db.execute(f"DELETE FROM {table} WHERE repository = ?", (repository.id,))
                self._forget_below(f"{layout.repository(repository.name)}/{name}")
        if Mark.LAYERS in parts:
            for algorithm in LENGTHS:
                self._forget_aliases(repository, algorithm)

    def _forget_below(self, path: str) -> None:
        """Forget findings and directories at a path and below it."""
        below = (f"{path}/", f"{path}0")  # "0" follows "/"
        self._db.execute("DELETE FROM finding WHERE owner = ? OR (owner > ? AND owner < ?)", (path, *below))
        self._db.execute("DELETE FROM place WHERE path = ? OR (path > ? AND path < ?)", (path, *below))

    def _forget_repository(self, repository: Repository) -> None:
        self._forget_parts(repository, Mark.LAYERS | Mark.MANIFESTS | Mark.UPLOADS)
        self._db.execute("DELETE FROM repository WHERE id = ?", (repository.id,))
        self._forget_below(layout.repository(repository.name))

    # --- tags --------------------------------------------------------------------------------------

    def _tags(self, repository: Repository, *, again: bool = False) -> Iterator[Task]:
        """Read the tags whose link changed; all of them `again` where histories may have changed."""
        again = again or self._thorough
        path = layout.tags(repository.name)
        known = dict(
            self._db.execute("SELECT name, stamp FROM tag WHERE repository = ?", (repository.id,)).fetchall()
        )
        if path in self._same:
            yield from self._changed_tags(repository, known, again=again)
            return

        def apply(seen: DirectorySeen) -> Iterator[Task]:
            odd = []
            names = {}
            for entry in seen.entries:
                sound = tag_sound(entry.name, entry.type)
                if sound:
                    names[entry.name] = known.get(entry.name, 0)
                elif sound is False:
                    odd.append(
                        _stray(repository.name, f"{path}/{entry.name}", entry.type.value, "tag", entry.name)
                    )
            self._found(path, odd)
            for name in known.keys() - names.keys():
                self._forget_tag(repository, name)
            self._note_place(path, seen.stamp)
            return self._changed_tags(repository, names, again=again)

        yield Task(Survey.directory, (path,), apply)

    def _changed_tags(self, repository: Repository, known: dict[str, int], *, again: bool) -> Iterator[Task]:
        unknown = [name for name, stamp in known.items() if again or not stamp]
        for names in _chunks(unknown):
            yield self._read_tags(repository, names)
        for names in _chunks(name for name, stamp in known.items() if stamp and not again):

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
                self._forget_tag(repository, gone)
            before = set() if self._fresh else self._named_by(repository, names)
            self._apply_tags(repository, seen)
            if not self._fresh:
                # What was pushed again has a new date as a revision, too; what no tag names now may be deleted.
                now = {tag.digest for tag in seen if tag.digest}
                yield self._read_some_revisions(repository, before | now)

        return Task(Survey.tags, (repository.name, names), apply)

    def _named_by(self, repository: Repository, tags: Sequence[str]) -> set[str]:
        """Tell what tags named at the last pass."""
        marks = ",".join("?" * len(tags))
        rows = self._db.execute(
            f"SELECT digest FROM tag JOIN blob ON id = blob WHERE repository = ? AND name IN ({marks})",
            (repository.id, *tags),
        )
        return {digest for (digest,) in rows}

    def _apply_tags(self, repository: Repository, seen: list[TagSeen]) -> None:
        number = repository.id
        named = [tag.digest for tag in seen if tag.digest]
        ids = self._ids([*named, *(digest for tag in seen for digest, _ in tag.history)])
        self._named.update(ids[digest] for digest in named)
        self._db.executemany(
            "REPLACE INTO tag VALUES (?, ?, ?, ?, ?)",
            [
                (
                    number,
                    tag.name,
                    ids[tag.digest] if tag.digest else None,
                    tag.pushed,
                    tag.stamp if tag.stamp < self._settled else 0,
                )
                for tag in seen
            ],
        )
        self._db.executemany(
            "DELETE FROM history WHERE repository = ? AND tag = ?", [(number, tag.name) for tag in seen]
        )
        self._db.executemany(
            "INSERT INTO history VALUES (?, ?, ?, ?)",
            [(number, tag.name, ids[digest], pushed) for tag in seen for digest, pushed in tag.history],
        )
        for tag in seen:
            path = f"{layout.tag(repository.name, tag.name)}"
            if tag.error:
                link = layout.tag_link(repository.name, tag.name)
                found = reason(tag.error)
                finding = Finding(Kind.TAG_LINK, repository.name, tag.name, "", "", "a digest", found, link)
                self._found(path, [finding])
            elif not self._fresh:
                self._found(path, [])

    def _forget_tag(self, repository: Repository, name: str) -> None:
        key = (repository.id, name)
        self._db.execute("DELETE FROM tag WHERE repository = ? AND name = ?", key)
        self._db.execute("DELETE FROM history WHERE repository = ? AND tag = ?", key)
        self._found(layout.tag(repository.name, name), [])

    # --- links -------------------------------------------------------------------------------------

    def _algorithms(
        self,
        directory: str,
        enter: Callable[[str, bool], Iterable[Task]],
        gone: Callable[[str], Iterable[Task]],
    ) -> Iterator[Task]:
        """Enter the directory of each algorithm below `revisions` or `_layers`: `enter(algorithm, same)`."""
        known = [name for name in LENGTHS if f"{directory}/{name}" in self._places]

        def tasks(algorithms: Iterable[str]) -> Iterator[Task]:
            for algorithm in algorithms:
                same = f"{directory}/{algorithm}" in self._same and not self._thorough
                yield from enter(algorithm, same)

        if directory in self._same:
            yield from tasks(known)
            return

        def apply(seen: DirectorySeen) -> Iterator[Task]:
            self._note_place(directory, seen.stamp)
            there = [name for name in seen.directories() if name in LENGTHS]
            for algorithm in known:
                if algorithm not in there:
                    self._forget_below(f"{directory}/{algorithm}")
                    yield from gone(algorithm)
            yield from tasks(there)

        yield Task(Survey.directory, (directory,), apply)

    def _revisions(self, repository: Repository) -> Iterator[Task]:
        def enter(algorithm: str, same: bool) -> Iterable[Task]:
            if same:
                return self._deleted_revisions(repository, algorithm)
            return [self._read_revisions(repository, algorithm)]

        return self._algorithms(
            layout.revisions(repository.name),
            enter,
            lambda algorithm: self._apply_revisions(repository, algorithm, []),
        )

    def _read_revisions(self, repository: Repository, algorithm: str) -> Task:
        path = f"{layout.revisions(repository.name)}/{algorithm}"

        def apply(read: tuple[int, list[LinkSeen], list[Finding]]) -> Iterable[Task]:
            stamp, links, odd = read
            self._found(path, odd)
            self._note_place(path, stamp)
            return self._apply_revisions(repository, algorithm, links)

        return Task(read_revisions, (repository.name, algorithm, self._thorough), apply)

    def _read_some_revisions(self, repository: Repository, digests: set[str]) -> Task:
        def apply(links: list[LinkSeen]) -> None:
            gone = digests - {link.name for link in links}
            self._db.executemany(
                "DELETE FROM revision WHERE repository = ? AND name = ?",
                [(repository.id, name) for name in gone],
            )
            self._store_revisions(repository, links)

        return Task(Survey.some_links, (layout.revisions(repository.name), sorted(digests)), apply)

    def _deleted_revisions(self, repository: Repository, algorithm: str) -> Iterator[Task]:
        """Look at links in a directory that did not change: the API deletes one and leaves its directory.

        With a manifest it deletes all tags that name it: as long as the tags' directory is the same, only
        revisions without a tag can be gone.
        """
        query = "SELECT name, stamp FROM revision WHERE repository = ?1 AND name >= ?2 AND name < ?3"
        if layout.tags(repository.name) in self._same:
            query += " AND blob NOT IN (SELECT blob FROM tag WHERE repository = ?1 AND blob IS NOT NULL)"
        rows = self._db.execute(query, (repository.id, f"{algorithm}:", f"{algorithm};")).fetchall()
        directory = f"{layout.revisions(repository.name)}/{algorithm}"
        skip = len(algorithm) + 1
        for chunk in _chunks(rows):

            def apply(stamps: Sequence[int], chunk: Sequence[tuple[str, int]] = chunk) -> Iterator[Task]:
                if stamps != [stamp for _, stamp in chunk]:
                    yield self._read_revisions(repository, algorithm)

            paths = [f"{name[skip:]}/{layout.LINK}" for name, _ in chunk]
            yield Task(Survey.stamps, (directory, paths), apply)

    def _apply_revisions(
        self, repository: Repository, algorithm: str, links: list[LinkSeen]
    ) -> Iterable[Task]:
        known = {
            row[0]: row
            for row in self._db.execute(
                "SELECT name, blob, pushed, stamp FROM revision "
                "WHERE repository = ? AND name >= ? AND name < ?",
                (repository.id, f"{algorithm}:", f"{algorithm};"),
            )
        }
        gone = known.keys() - {link.name for link in links}
        self._db.executemany(
            "DELETE FROM revision WHERE repository = ? AND name = ?", [(repository.id, name) for name in gone]
        )
        self._store_revisions(repository, links, known)
        # A collection takes the entry of a deleted revision out of each tag's history as well.
        return self._tags(repository, again=True) if gone else ()

    def _store_revisions(
        self,
        repository: Repository,
        links: list[LinkSeen],
        known: Mapping[str, tuple[object, ...]] = MappingProxyType({}),
    ) -> None:
        for chunk in _chunks(links):
            ids = self._ids(link.digest for link in chunk if link.digest)
            self._named.update(ids.values())
            rows = [
                (
                    link.name,
                    ids[link.digest] if link.digest else None,
                    link.pushed,
                    link.stamp if link.stamp < self._settled else 0,
                )
                for link in chunk
            ]
            self._db.executemany(
                "REPLACE INTO revision VALUES (?, ?, ?, ?, ?)",
                [(repository.id, *row) for row in rows if known.get(row[0]) != row],
            )

    def _layers(self, repository: Repository) -> Iterator[Task]:
        def enter(algorithm: str, same: bool) -> Iterator[Task]:
            path = f"{layout.layers(repository.name)}/{algorithm}"

            def apply(read: LinksRead) -> None:
                self._found(path, read.odd)
                self._note_place(path, read.stamp)
                self._apply_layers(repository, algorithm, read)

            if not same:
                yield Task(read_layer_links, (repository.name, algorithm, self._thorough), apply)

        def gone(algorithm: str) -> Iterable[Task]:
            self._apply_layers(repository, algorithm, LinksRead(0, b"", [], []))
            return ()

        return self._algorithms(layout.layers(repository.name), enter, gone)

    def _apply_layers(self, repository: Repository, algorithm: str, read: LinksRead) -> None:
        key = (repository.id, algorithm)
        known = self._db.execute(
            "SELECT digests FROM layer_links WHERE repository = ? AND algorithm = ?", key
        ).fetchone()
        if known != (read.digests,):
            self._db.execute("REPLACE INTO layer_links VALUES (?, ?, ?)", (*key, read.digests))
        if not self._fresh:
            self._forget_aliases(repository, algorithm)
        ids = self._ids(digest for alias in read.aliases for digest in alias)
        self._db.executemany(
            "INSERT INTO edge VALUES (?, ?, ?, ?, NULL, '', '', FALSE)",
            [(ids[name], Role.ALIAS, repository.id, ids[stored]) for name, stored in read.aliases],
        )

    def _forget_aliases(self, repository: Repository, algorithm: str) -> None:
        self._db.execute(
            f"DELETE FROM edge WHERE role = {Role.ALIAS:d} AND position = ? "
            "AND (SELECT digest >= ? AND digest < ? FROM blob WHERE id = source)",
            (repository.id, f"{algorithm}:", f"{algorithm};"),
        )

    # --- uploads -----------------------------------------------------------------------------------

    def _uploads(self, repository: Repository) -> Iterator[Task]:
        path = layout.uploads(repository.name)
        known = self._db.execute(
            "SELECT 1 FROM upload WHERE repository = ? LIMIT 1", (repository.id,)
        ).fetchone()
        if path in self._same and not known:
            return

        def apply(seen: tuple[int, list[UploadSeen]]) -> None:
            stamp, uploads = seen
            rows = [(repository.id, *upload) for upload in uploads]
            old = self._db.execute(
                "SELECT * FROM upload WHERE repository = ? ORDER BY name", (repository.id,)
            )
            if rows != old.fetchall():
                self._db.execute("DELETE FROM upload WHERE repository = ?", (repository.id,))
                self._db.executemany("INSERT INTO upload VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                self._found(
                    path,
                    [
                        Finding(
                            Kind.UPLOAD,
                            repository.name,
                            wanted="a date in startedat",
                            found="none: no purge takes this upload",
                            path=layout.upload(repository.name, upload.name),
                        )
                        for upload in uploads
                        if not upload.started
                    ],
                )
            self._note_place(path, stamp)

        yield Task(Survey.uploads, (repository.name,), apply)

    # --- manifests ---------------------------------------------------------------------------------

    def _manifests(self) -> None:
        """Read each manifest that is named and was not read yet, then the manifests that those name."""
        done, last = 0, 0
        while True:
            self._look_for_unknown(last)
            (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM blob").fetchone()
            digests = list(self._unread())
            if not digests:
                return

            def look(chunk: Sequence[str], before: int, total: int = done + len(digests)) -> Task:
                def apply(manifests: list[ManifestRead]) -> None:
                    self._apply_manifests(manifests)
                    self._progress("manifests", before + len(chunk), total)

                return Task(read_manifests, (chunk,), apply)

            starts = range(done, done + len(digests), _MANIFESTS)
            self._run(look(*pair) for pair in zip(_chunks(digests, _MANIFESTS), starts, strict=True))
            done += len(digests)

    def _unread(self) -> Iterator[str]:
        """Give the manifests that were named since this was last asked, are stored, and were not read yet."""
        named, self._named = self._named, set()
        for chunk in _chunks(sorted(named)):
            marks = ",".join("?" * len(chunk))
            for (digest,) in self._db.execute(
                "SELECT digest FROM blob LEFT JOIN manifest ON manifest.blob = id "
                f"WHERE id IN ({marks}) AND size IS NOT NULL AND manifest.blob IS NULL",
                chunk,
            ).fetchall():
                yield digest

    def _forget_unnamed(self) -> None:
        """Forget what was read as a manifest and is none any more: no tag, revision or index names it."""
        while rows := self._db.execute(
            "SELECT blob FROM manifest AS m WHERE NOT EXISTS (SELECT 1 FROM tag WHERE blob = m.blob) "
            "AND NOT EXISTS (SELECT 1 FROM revision WHERE blob = m.blob) "
            "AND NOT EXISTS (SELECT 1 FROM edge WHERE target = m.blob AND role = ?)",
            (Role.CHILD,),
        ).fetchall():
            for (number,) in rows:
                self._forget_manifest(number)

    def _look_for_unknown(self, last: int) -> None:
        """Look for blobs that are named, and were not there when their shard was read."""
        rows = self._db.execute("SELECT digest FROM blob WHERE size IS NULL AND id > ?", (last,))

        def apply(seen: BlobSeen) -> None:
            if seen.stat:
                self._store([(seen.digest, *seen.stat[1:4])])

        self._run([Task(Survey.blob, (Digest.parse(digest),), apply) for (digest,) in rows.fetchall()])

    def _apply_manifests(self, manifests: list[ManifestRead]) -> None:
        manifests = [manifest for manifest in manifests if not manifest.missing]
        named: list[str] = []
        for manifest in manifests:
            named.append(manifest.digest)
            named.extend([edge[2] for edge in manifest.edges])
            if manifest.subject:
                named.append(manifest.subject)
        ids = self._ids(named)
        self._db.executemany(
            "REPLACE INTO manifest VALUES (?, ?, ?, ?, ?)",
            [
                (
                    ids[read.digest],
                    read.kind,
                    storable(read.media_type),
                    storable(read.artifact_type),
                    storable(str(read.error or "")),
                )
                for read in manifests
            ],
        )
        rows: list[tuple[object, ...]] = []
        for read in manifests:
            source = ids[read.digest]
            for role, position, digest, *said in read.edges:
                rows.append((source, role, position, ids[digest], *said))
                if role == Role.CHILD:
                    self._named.add(ids[digest])
            if read.subject:
                rows.append(
                    (ids[read.subject], Role.REFERRER, source, source, None, read.media_type, "", False)
                )
        self._db.executemany("REPLACE INTO edge VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _chunks(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    waiting = iter(items)
    while chunk := list(islice(waiting, size)):
        yield chunk


def _stray(repository: str, path: str, got: str, want: str, tag: str = "") -> Finding:
    found = f"a {got} under a name or in a form that no registry makes"
    return Finding(Kind.STRAY, repository, tag, wanted=f"a {want}", found=found, path=path)
