"""What a pass over the store asks the index and writes into it: all statements on the tables that are read.

One ledger serves one pass, in the caller's transaction and thread.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from regfs.graph.index.schema import INDEXES
from regfs.oci.digest import LENGTHS
from regfs.registry import layout
from regfs.registry.findings import Finding, storable
from regfs.registry.manifests import ManifestRead
from regfs.registry.odd import tag_findings
from regfs.registry.survey import BlobSeen, LinkSeen, TagSeen, UploadSeen
from regfs.registry.terms import Mark, Role
from regfs.registry.units import MARKS, LinksRead

T = TypeVar("T")

#: Names in one statement.
_CHUNK = 256

#: Rows in one statement: written so they take two thirds of the time that each by itself takes. They have at
#: most 288 values; SQLite before 3.32 takes 999.
_ROWS = 32

#: The key in `meta` of the time at which a pass last looked for what is neither blob, link nor upload.
LOOKED_ELSEWHERE = "looked elsewhere"

#: Numbers of blobs that a first pass keeps in memory, so as not to ask the index for each: some 80 MB.
_REMEMBERED = 500_000

#: The tables that hold what is below each part of a repository.
_TABLES = {
    layout.LAYERS: ("layer_links",),
    layout.MANIFESTS: ("tag", "history", "revision"),
    layout.UPLOADS: ("upload",),
}

#: Whether a blob is named as a manifest: by a tag, a revision or an index, or by what a tag has named whose
#: link says nothing.
_NAMED = f"""(
    EXISTS (SELECT 1 FROM tag WHERE tag.blob = {{blob}})
    OR EXISTS (SELECT 1 FROM revision WHERE revision.blob = {{blob}})
    OR EXISTS (SELECT 1 FROM edge WHERE target = {{blob}} AND role = {Role.CHILD:d})
    OR {{blob}} IN (
        SELECT history.blob FROM tag AS broken JOIN history
        ON history.repository = broken.repository AND history.tag = broken.name WHERE broken.blob IS NULL
    )
)"""


class Repository(NamedTuple):
    """A directory among the repositories, as the index has it."""

    id: int
    name: str
    marks: Mark


class Ledger:
    """The index during one pass. A stamp from before `settled` is believed, a younger one noted as unknown.

    `places` are the directories that were read, with their stamps; `fresh` tells that there were none.
    """

    def __init__(self, connection: sqlite3.Connection, settled: int) -> None:
        self._db = connection
        self._settled = settled
        self._before = connection.total_changes
        self.places: dict[str, int] = dict(connection.execute("SELECT path, stamp FROM place"))
        self.fresh = not self.places
        self._numbers: dict[str, int] = {}
        self._next = 1
        # Changes of rows that only say when something was read, and whether anything was forgotten.
        self._quiet = 0
        self._forgot = False
        looked = connection.execute("SELECT 1 FROM meta WHERE key = ?", (LOOKED_ELSEWHERE,)).fetchone()
        self._first_look = looked is None
        # Blobs that were found to be named as manifests.
        self._named: set[int] = set()

    def finish(self) -> bool:
        """End the pass. Tells whether anything had changed."""
        if self._forgot:
            self._forget_unnamed()
        for table in ("kept_link", "kept_manifest"):
            self._quiet += self._db.execute(f"DELETE FROM {table}").rowcount
        if self.fresh:
            for statement in INDEXES.strip().splitlines():
                self._db.execute(statement)
        return self._db.total_changes - self._before != self._quiet

    def _write(self, table: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Write whole rows, each in place of the one with its key."""
        for chunk in chunks(rows, _ROWS):
            row = f"({', '.join('?' * len(chunk[0]))})"
            if len(chunk) == _ROWS:
                values = ", ".join([row] * _ROWS)
                self._db.execute(f"REPLACE INTO {table} VALUES {values}", list(chain.from_iterable(chunk)))
            else:
                self._db.executemany(f"REPLACE INTO {table} VALUES {row}", chunk)

    def repositories(self) -> dict[str, Repository]:
        """Give all directories among the repositories, by name."""
        rows = self._db.execute("SELECT name, id, marks FROM repository")
        return {name: Repository(number, name, Mark(marks)) for name, number, marks in rows}

    def note_place(self, path: str, stamp: int) -> None:
        """Remember a directory that was just read."""
        stamp = stamp if stamp < self._settled else 0
        if self.places.get(path) != stamp:
            self._db.execute("REPLACE INTO place VALUES (?, ?)", (path, stamp))
            self._quiet += path in self.places  # a directory that is new is a change
            self.places[path] = stamp

    def forget_place(self, path: str) -> None:
        """Forget a directory that is gone."""
        if path in self.places:
            self._db.execute("DELETE FROM place WHERE path = ?", (path,))
            del self.places[path]

    def found(self, owner: str, findings: Iterable[Finding]) -> None:
        """Replace the findings of one thing that was read."""
        rows = [finding.row(owner) for finding in findings]
        if not self.fresh:
            if rows == self._db.execute("SELECT * FROM finding WHERE owner = ?", (owner,)).fetchall():
                return
            self._db.execute("DELETE FROM finding WHERE owner = ?", (owner,))
        self._write("finding", rows)

    def store_shard(self, start: str, blobs: list[BlobSeen]) -> None:
        """Keep the blobs whose digests begin so: these and no others."""
        if self.fresh:
            self._store_new(blobs)
        else:
            self.store(self._changed(start, blobs))

    def _store_new(self, blobs: list[BlobSeen]) -> None:
        numbers = range(self._next, self._next + len(blobs))
        self._write("blob", ((number, *blob) for number, blob in zip(numbers, blobs, strict=True)))
        self._next = numbers.stop
        if len(self._numbers) < _REMEMBERED:
            self._numbers.update(zip((blob[0] for blob in blobs), numbers, strict=True))

    def store(self, blobs: list[BlobSeen]) -> None:
        """Keep blobs that may be known: those that were named as manifests before can be read now."""
        self._db.executemany(
            "INSERT INTO blob (digest, size, blocks, stored) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (digest) DO UPDATE "
            "SET size = excluded.size, blocks = excluded.blocks, stored = excluded.stored",
            blobs,
        )
        if self.fresh:  # then those are noted already
            return
        for chunk in chunks(blobs):
            marks = ",".join("?" * len(chunk))
            rows = self._db.execute(
                f"SELECT id FROM blob WHERE digest IN ({marks}) AND {_NAMED.format(blob='id')}",
                [blob[0] for blob in chunk],
            )
            self._named.update(number for (number,) in rows)

    def _changed(self, start: str, blobs: list[BlobSeen]) -> list[BlobSeen]:
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
        self._forgot = True
        self._db.execute("DELETE FROM manifest WHERE blob = ?", (number,))
        self._db.execute(
            "DELETE FROM edge WHERE source = ? AND role IN (?, ?, ?)",
            (number, Role.CONFIG, Role.LAYER, Role.CHILD),
        )
        self._db.execute("DELETE FROM edge WHERE target = ? AND role = ?", (number, Role.REFERRER))
        self._db.execute("DELETE FROM content WHERE blob = ?", (number,))
        self._db.execute("DELETE FROM config WHERE blob = ?", (number,))

    def _ids(self, digests: Iterable[str]) -> dict[str, int]:
        """Give the numbers of digests, among others; new ones to those not known yet."""
        numbers = self._numbers
        named = dict.fromkeys(digests)
        unknown = [digest for digest in named if digest not in numbers]
        if not unknown:
            return numbers
        found = {digest: numbers[digest] for digest in named if digest in numbers}
        for chunk in chunks(unknown):
            marks = ",".join("?" * len(chunk))
            known = f"SELECT digest, id FROM blob WHERE digest IN ({marks})"
            found.update(self._db.execute(known, chunk))
            new = [(digest,) for digest in chunk if digest not in found]
            if new:
                self._db.executemany("INSERT INTO blob (digest) VALUES (?)", new)
                found.update(self._db.execute(known, chunk))
        return found

    def store_repository(self, name: str, marks: Mark, before: Repository | None) -> Repository:
        """Keep a directory among the repositories; forget the parts that it had `before` and has no more."""
        if before is not None:
            if before.marks == marks:
                return before
            self._forget_parts(before, before.marks & ~marks)
        self._db.execute(
            "INSERT INTO repository (name, marks) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET marks = excluded.marks",
            (name, int(marks)),
        )
        (number,) = self._db.execute("SELECT id FROM repository WHERE name = ?", (name,)).fetchone()
        return Repository(number, name, marks)

    def _forget_parts(self, repository: Repository, parts: Mark) -> None:
        """Forget what was read below `_layers`, `_manifests` or `_uploads`, which are gone as a whole."""
        self._forgot = self._forgot or bool(parts)
        for name, mark in MARKS.items():
            if mark in parts:
                for table in _TABLES[name]:
                    self._db.execute(f"DELETE FROM {table} WHERE repository = ?", (repository.id,))
                self.forget_below(f"{layout.repository(repository.name)}/{name}")
        if Mark.LAYERS in parts:
            for algorithm in LENGTHS:
                self._keep_aliases(repository, algorithm, set())

    def forget_below(self, path: str) -> None:
        """Forget findings and directories at a path and below it."""
        below = (f"{path}/", f"{path}0")  # "0" follows "/"
        self._db.execute("DELETE FROM finding WHERE owner = ? OR (owner > ? AND owner < ?)", (path, *below))
        self._db.execute("DELETE FROM place WHERE path = ? OR (path > ? AND path < ?)", (path, *below))

    def forget_repository(self, repository: Repository) -> None:
        """Forget a repository that is gone, with all that was read below it."""
        self._forget_parts(repository, Mark.LAYERS | Mark.MANIFESTS | Mark.UPLOADS)
        self._db.execute("DELETE FROM repository WHERE id = ?", (repository.id,))
        self.forget_below(layout.repository(repository.name))

    def named_by(self, repository: Repository, tags: Sequence[str]) -> set[str]:
        """Tell what tags named at the last pass."""
        marks = ",".join("?" * len(tags))
        rows = self._db.execute(
            f"SELECT digest FROM tag JOIN blob ON id = blob WHERE repository = ? AND name IN ({marks})",
            (repository.id, *tags),
        )
        return {digest for (digest,) in rows}

    def store_tags(self, repository: Repository, seen: list[TagSeen]) -> None:
        """Keep tags and what they have named, in place of what was known of them."""
        named = [tag.digest for tag in seen if tag.digest]
        ids = self._ids([*named, *(digest for tag in seen for digest, _ in tag.history)])
        self._named.update(ids[digest] for digest in named)
        # What a tag has named is all that is known of one whose link says nothing.
        self._named.update(ids[digest] for tag in seen if not tag.digest for digest, _ in tag.history)
        rows = {
            tag.name: (
                repository.id,
                tag.name,
                ids[tag.digest] if tag.digest else None,
                tag.pushed,
                tag.stamp if tag.stamp < self._settled else 0,
            )
            for tag in seen
        }
        histories = {
            tag.name: {(repository.id, tag.name, ids[digest], pushed) for digest, pushed in tag.history}
            for tag in seen
        }
        if not self.fresh:
            self._leave_unchanged(repository, rows, histories)
        self._write("tag", rows.values())
        if not self.fresh:
            self._db.executemany(
                "DELETE FROM history WHERE repository = ? AND tag = ?",
                [(repository.id, name) for name in histories],
            )
        self._write("history", chain.from_iterable(histories.values()))
        for tag in seen:
            odd = tag_findings(repository.name, tag)
            if odd or not self.fresh:
                self.found(layout.tag(repository.name, tag.name), odd)

    def _leave_unchanged(
        self,
        repository: Repository,
        rows: dict[str, tuple[int, str, int | None, int | None, int]],
        histories: dict[str, set[tuple[int, str, int, int | None]]],
    ) -> None:
        """Take out of what is to be written the tags, and the histories, that are known to be so."""
        for name in list(rows):
            key = (repository.id, name)
            known = self._db.execute("SELECT * FROM tag WHERE repository = ? AND name = ?", key).fetchone()
            if known == rows[name]:
                del rows[name]
            elif known and known[:-1] == rows[name][:-1]:
                self._quiet += 1  # nothing but the stamp
            elif known:
                self._forgot = True
            pushes = self._db.execute("SELECT * FROM history WHERE repository = ? AND tag = ?", key)
            if set(pushes.fetchall()) == histories[name]:
                del histories[name]

    def forget_tag(self, repository: Repository, name: str) -> None:
        """Forget a tag that is gone."""
        self._forgot = True
        key = (repository.id, name)
        self._db.execute("DELETE FROM tag WHERE repository = ? AND name = ?", key)
        self._db.execute("DELETE FROM history WHERE repository = ? AND tag = ?", key)
        self.found(layout.tag(repository.name, name), [])

    def tag_stamps(self, repository: Repository) -> dict[str, int]:
        """Give the stamps of a repository's tags."""
        rows = self._db.execute("SELECT name, stamp FROM tag WHERE repository = ?", (repository.id,))
        return dict(rows.fetchall())

    def revision_stamps(
        self, repository: Repository, algorithm: str, *, untagged: bool
    ) -> list[tuple[str, int]]:
        """Give the stamps of a repository's revisions; `untagged`: of those that no tag of it names."""
        query = (
            "SELECT name, stamp FROM revision "
            "WHERE repository = :repository AND name >= :first AND name < :behind"
        )
        if untagged:
            query += (
                " AND blob NOT IN (SELECT blob FROM tag WHERE repository = :repository AND blob IS NOT NULL)"
            )
        names = {"repository": repository.id, "first": f"{algorithm}:", "behind": f"{algorithm};"}
        return self._db.execute(query, names).fetchall()

    def replace_revisions(self, repository: Repository, algorithm: str, links: list[LinkSeen]) -> set[str]:
        """Keep the revisions of one algorithm, these and no others; tells which are gone."""
        rows = self._db.execute(
            "SELECT name FROM revision WHERE repository = ? AND name >= ? AND name < ?",
            (repository.id, f"{algorithm}:", f"{algorithm};"),
        )
        gone = {name for (name,) in rows} - {link.name for link in links}
        self.forget_revisions(repository, gone)
        self.store_revisions(repository, links)
        return gone

    def forget_revisions(self, repository: Repository, names: Iterable[str]) -> None:
        """Forget revisions that were deleted."""
        rows = [(repository.id, name) for name in names]
        self._forgot = self._forgot or bool(rows)
        self._db.executemany("DELETE FROM revision WHERE repository = ? AND name = ?", rows)

    def store_revisions(self, repository: Repository, links: list[LinkSeen]) -> None:
        """Keep revisions; those that are known to be so stay as they are."""
        for chunk in chunks(links):
            ids = self._ids(link.digest for link in chunk if link.digest)
            self._named.update(ids[link.digest] for link in chunk if link.digest)
            rows = []
            for link in chunk:
                number = ids[link.digest] if link.digest else None
                stamp = link.stamp if link.stamp < self._settled else 0
                row = (repository.id, link.name, number, link.pushed, stamp)
                known = None if self.fresh else self._revision(repository, link.name)
                if known != row:
                    rows.append(row)
                    self._quiet += known is not None and known[:-1] == row[:-1]
                    self._forgot = self._forgot or (known is not None and known[2] != number)
            self._write("revision", rows)

    def _revision(self, repository: Repository, name: str) -> tuple[object, ...] | None:
        query = "SELECT * FROM revision WHERE repository = ? AND name = ?"
        found: tuple[object, ...] | None = self._db.execute(query, (repository.id, name)).fetchone()
        return found

    def store_layers(self, repository: Repository, algorithm: str, read: LinksRead) -> None:
        """Keep the links below `_layers` of one algorithm, these and no others."""
        key = (repository.id, algorithm)
        known = self._db.execute(
            "SELECT digests FROM layer_links WHERE repository = ? AND algorithm = ?", key
        ).fetchone()
        if known != (read.digests,):
            self._db.execute("REPLACE INTO layer_links VALUES (?, ?, ?)", (*key, read.digests))
        ids = self._ids(digest for alias in read.aliases for digest in alias)
        self._keep_aliases(repository, algorithm, {(ids[name], ids[stored]) for name, stored in read.aliases})

    def _keep_aliases(self, repository: Repository, algorithm: str, aliases: set[tuple[int, int]]) -> None:
        """Keep which names of one algorithm are aliases, and of what: these and no others."""
        known: set[tuple[int, int]] = set()
        if not self.fresh:
            rows = self._db.execute(
                f"SELECT source, target FROM edge WHERE role = {Role.ALIAS:d} AND position = ? "
                "AND (SELECT digest >= ? AND digest < ? FROM blob WHERE id = source)",
                (repository.id, f"{algorithm}:", f"{algorithm};"),
            )
            known.update(rows)
        self._db.executemany(
            "DELETE FROM edge WHERE source = ? AND role = ? AND position = ?",
            [(name, Role.ALIAS, repository.id) for name, _ in known - aliases],
        )
        self._write(
            "edge",
            [
                (name, Role.ALIAS, repository.id, stored, None, "", "", False, "", "")
                for name, stored in aliases - known
            ],
        )

    def has_uploads(self, repository: Repository) -> bool:
        """Tell whether uploads of a repository are known."""
        query = "SELECT 1 FROM upload WHERE repository = ? LIMIT 1"
        return self._db.execute(query, (repository.id,)).fetchone() is not None

    def store_uploads(self, repository: Repository, uploads: list[UploadSeen]) -> bool:
        """Keep the uploads of a repository, these and no others; tells whether that was news."""
        rows = [(repository.id, *upload) for upload in uploads]
        old = self._db.execute("SELECT * FROM upload WHERE repository = ? ORDER BY name", (repository.id,))
        if rows == old.fetchall():
            return False
        self._db.execute("DELETE FROM upload WHERE repository = ?", (repository.id,))
        self._write("upload", rows)
        return True

    def keep_elsewhere(self, owners: Iterable[str]) -> None:
        """Forget what was found elsewhere, but below these. What is found first of all is no change."""
        known = {owner for (owner,) in self._db.execute("SELECT DISTINCT owner FROM elsewhere")}
        for owner in known - set(map(storable, owners)):
            self._db.execute("DELETE FROM elsewhere WHERE owner = ?", (owner,))
        self._db.execute("REPLACE INTO meta VALUES (?, ?)", (LOOKED_ELSEWHERE, time.time_ns()))
        self._quiet += 1

    def store_elsewhere(self, owner: str, found: list[tuple[str, int]]) -> None:
        """Keep what lies below a path and is neither blob, link nor upload: this and no more."""
        rows = [(storable(owner), *row) for row in found]
        known = self._db.execute("SELECT * FROM elsewhere WHERE owner = ?", (storable(owner),))
        if rows != known.fetchall():
            self._db.execute("DELETE FROM elsewhere WHERE owner = ?", (storable(owner),))
            self._write("elsewhere", rows)
            self._quiet += len(rows) if self._first_look else 0

    def uploads(self) -> list[tuple[str, str]]:
        """Give the repository and id of each upload."""
        query = (
            "SELECT repository.name, upload.name FROM upload JOIN repository ON repository.id = repository"
        )
        return self._db.execute(query).fetchall()

    def last(self) -> int:
        """Give the last number of a blob."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM blob").fetchone()[0])

    def not_stored(self, after: int) -> list[str]:
        """Give the digests that are named and not stored, of those with numbers after one."""
        rows = self._db.execute("SELECT digest FROM blob WHERE size IS NULL AND id > ?", (after,))
        return [digest for (digest,) in rows.fetchall()]

    def unread(self) -> Iterator[str]:
        """Give the manifests that were named since this was last asked, are stored, and were not read yet."""
        named, self._named = self._named, set()
        for chunk in chunks(sorted(named)):
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
            f"SELECT blob FROM manifest AS m WHERE NOT {_NAMED.format(blob='m.blob')}"
        ).fetchall():
            for (number,) in rows:
                self._forget_manifest(number)

    def store_manifests(self, manifests: list[ManifestRead]) -> None:
        """Keep manifests that were read, and the edges that they draw."""
        manifests = [manifest for manifest in manifests if not manifest.missing]
        named: list[str] = []
        for manifest in manifests:
            named.append(manifest.digest)
            named.extend([edge[2] for edge in manifest.edges])
            if manifest.subject:
                named.append(manifest.subject)
        ids = self._ids(named)
        self._write(
            "manifest",
            (
                (
                    ids[read.digest],
                    read.kind,
                    storable(read.media_type),
                    storable(read.artifact_type),
                    storable(str(read.error or "")),
                    read.stops,
                )
                for read in manifests
            ),
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
                    (
                        ids[read.subject],
                        Role.REFERRER,
                        source,
                        source,
                        None,
                        read.media_type,
                        "",
                        False,
                        "",
                        "",
                    )
                )
        self._write("edge", rows)


def chunks(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    """Part items into lists of at most `size`."""
    waiting = iter(items)
    while chunk := list(islice(waiting, size)):
        yield chunk
