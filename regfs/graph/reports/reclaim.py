"""What a deletion would free: which tags some rules select, and the bytes that go with them. Deletes nothing.

To delete an image is to delete its manifest from its repository by digest (distribution-spec, "Deleting
Manifests"), with the children and referrers that are only its own; all tags of that repository which name it
go with it. So a tag whose image has a name that is kept stays. Then `garbage-collect` deletes each blob that
no remaining revision names.
"""

from __future__ import annotations

import fnmatch
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from regfs.graph.index import Role
from regfs.graph.index.states import NAMED
from regfs.graph.reports.table import Row, Table, Type, columns


@dataclass(frozen=True, slots=True)
class Rules:
    """Which tags may go. A tag is selected if all rules that are given select it.

    `match` and `keep` are patterns `repository:tag`, with the wildcards of a shell (`*` matches slashes as
    well): some of `match` must fit, if there are any, and none of `keep`. `before` is a time of push, in
    nanoseconds. `keep_last` counts, in each repository, among the tags that `match` selects. `untagged`
    selects the images that no tag leads to besides.
    """

    match: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    before: int | None = None
    keep_last: int = 0
    untagged: bool = False

    @property
    def tags(self) -> bool:
        """Whether they select any tags: nothing is selected by `keep` or `untagged` alone."""
        return bool(self.match or self.before is not None or self.keep_last)


class Tag(NamedTuple):
    """A tag as the rules see it: numbers of the repository and of its manifest, and when it was pushed."""

    repository: int
    path: str
    name: str
    blob: int | None
    pushed: int


@dataclass(slots=True)
class Reclaim:
    """What the rules select, and what that would free.

    `stays` are selected tags that stay, with the reason. `freed` has a row for each repository: bytes that
    only it leads to; "" for what several lead to. `orphaned` is what a collection frees without any deletion.
    Sizes in bytes.
    """

    tags: list[Row] = field(default_factory=list)
    stays: list[Row] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    freed: dict[str, tuple[int, int]] = field(default_factory=dict)
    orphaned: tuple[int, int] = (0, 0)

    @property
    def size(self) -> int:
        """All bytes that the store would shrink by."""
        return sum(size for _, size in self.freed.values()) + self.orphaned[1]

    def by_tag(self) -> Table:
        """List the selected tags, and whether each can go."""
        return Table(
            columns("repository", "tag", "digest", pushed=Type.TIME, goes=Type.TEXT),
            [(*row, "yes") for row in self.tags] + self.stays,
        )

    def by_repository(self) -> Table:
        """List what each repository frees, and the sums."""
        names: dict[str, int] = {}
        for repository, *_ in self.tags:
            names[str(repository)] = names.get(str(repository), 0) + 1
        rows: list[Row] = [
            (repository, names.get(repository, 0), *self.freed.get(repository, (0, 0)))
            for repository in sorted({*names, *self.freed} - {""})
        ]
        rows.append(("(in several of them)", None, *self.freed.get("", (0, 0))))
        rows.append(("(orphaned already)", None, *self.orphaned))
        blobs = sum(count for count, _ in self.freed.values()) + self.orphaned[0]
        rows.append(("(total)", len(self.tags), blobs, self.size))
        return Table(columns("repository", tags=Type.NUMBER, blobs=Type.NUMBER, freed=Type.SIZE), rows)


def reclaim(connection: sqlite3.Connection, rules: Rules) -> Reclaim:
    """Compute what deleting what the rules select would free."""
    found = Reclaim()
    tags = [
        Tag(*row)
        for row in connection.execute(
            "SELECT repository, repository.name, tag.name, blob, pushed FROM tag "
            "JOIN repository ON repository.id = repository ORDER BY 2, 3"
        )
    ]
    selected = _select(tags, rules)
    below = _manifests_below(connection)
    revisions: dict[int, set[int]] = {}
    for repository, blob in connection.execute(
        "SELECT repository, blob FROM revision WHERE blob IS NOT NULL"
    ):
        revisions.setdefault(repository, set()).add(blob)
    loose: dict[int, set[int]] = {}
    for repository, blob in connection.execute("SELECT repository, blob FROM untagged WHERE NOT referrer"):
        loose.setdefault(repository, set()).add(blob)

    deleted: set[tuple[int, int]] = set()
    for repository, held in revisions.items():
        wanted, kept = selected.get(repository, ([], []))
        spare = loose.get(repository, set())
        goes = _closure({tag.blob for tag in wanted} | (spare if rules.untagged else set()), below)
        stays = _closure({tag.blob for tag in kept} | (set() if rules.untagged else spare), below)
        deleted |= {(repository, blob) for blob in (goes - stays) & held}
    _tell(connection, found, selected, deleted)
    _free(connection, found, deleted)
    return found


Selection = Mapping[int, tuple[list[Tag], list[Tag]]]


def _select(tags: Iterable[Tag], rules: Rules) -> Selection:
    """Part the tags of each repository into those that the rules select, and the others."""
    parted: dict[int, tuple[list[Tag], list[Tag]]] = {}
    for tag in tags:
        wanted, kept = parted.setdefault(tag.repository, ([], []))
        (wanted if rules.tags and _fits(tag, rules.match, none=True) else kept).append(tag)
    for wanted, kept in parted.values():
        wanted.sort(key=lambda tag: (-tag.pushed, tag.name))
        spared = [
            tag
            for position, tag in enumerate(wanted)
            if position < rules.keep_last
            or (rules.before is not None and tag.pushed >= rules.before)
            or _fits(tag, rules.keep, none=False)
        ]
        kept.extend(spared)
        wanted[:] = [tag for tag in wanted if tag not in spared]
    return parted


def _fits(tag: Tag, patterns: tuple[str, ...], *, none: bool) -> bool:
    """Tell whether one of the patterns fits; `none` is the answer where there are no patterns."""
    if not patterns:
        return none
    return any(fnmatch.fnmatchcase(f"{tag.path}:{tag.name}", pattern) for pattern in patterns)


def _manifests_below(connection: sqlite3.Connection) -> dict[int, list[int]]:
    below: dict[int, list[int]] = {}
    for source, target in connection.execute(
        "SELECT source, target FROM edge WHERE role IN (?, ?)", (Role.CHILD, Role.REFERRER)
    ):
        below.setdefault(source, []).append(target)
    return below


def _closure(roots: set[int | None], below: Mapping[int, list[int]]) -> set[int]:
    """Give manifests with all that they lead to: children, and what refers to them."""
    reached: set[int] = set()
    waiting = [root for root in roots if root is not None]
    while waiting:
        blob = waiting.pop()
        if blob not in reached:
            reached.add(blob)
            waiting.extend(below.get(blob, ()))
    return reached


def _tell(
    connection: sqlite3.Connection, found: Reclaim, selected: Selection, deleted: set[tuple[int, int]]
) -> None:
    digests = dict(connection.execute("SELECT id, digest FROM blob WHERE id IN (SELECT blob FROM revision)"))
    for wanted, kept in selected.values():
        names = {tag.blob: tag.name for tag in kept}
        for tag in sorted(wanted, key=lambda tag: tag.name):
            row = (tag.path, tag.name, digests.get(tag.blob) if tag.blob else None, tag.pushed)
            if (tag.repository, tag.blob) in deleted:
                found.tags.append(row)
            elif tag.blob in names and tag.blob is not None:
                found.stays.append((*row, f"no: {names[tag.blob]} names it as well"))
            elif tag.blob is None or tag.blob not in digests:
                found.stays.append((*row, "no: it names no revision, so no API can delete it"))
            else:
                found.stays.append((*row, "no: a kept image leads to it"))
    names_of = dict(connection.execute("SELECT id, name FROM repository"))
    found.digests = sorted(f"{names_of[repository]}@{digests[blob]}" for repository, blob in deleted)


def _free(connection: sqlite3.Connection, found: Reclaim, deleted: set[tuple[int, int]]) -> None:
    """Collect garbage in a model: mark what the remaining revisions and tags lead to."""
    for statement in (
        "DROP TABLE IF EXISTS temp.deleted",
        "DROP TABLE IF EXISTS temp.kept",
        "CREATE TEMP TABLE deleted (repository INTEGER, blob INTEGER, PRIMARY KEY (repository, blob)) "
        "WITHOUT ROWID",
        "CREATE TEMP TABLE kept (blob INTEGER PRIMARY KEY)",
    ):
        connection.execute(statement)
    connection.executemany("INSERT INTO deleted VALUES (?, ?)", deleted)
    follow = f"role IN {NAMED} OR role = {Role.ALIAS:d}"
    remaining = """
        SELECT blob FROM (SELECT repository, blob FROM revision UNION SELECT repository, blob FROM tag)
        WHERE blob IS NOT NULL AND (repository, blob) NOT IN (SELECT * FROM deleted)
    """
    connection.execute(
        f"""
        INSERT INTO kept WITH RECURSIVE reached (blob) AS (
            {remaining} UNION
            SELECT edge.target FROM reached JOIN edge ON edge.source = reached.blob WHERE {follow}
        ) SELECT blob FROM reached
        """
    )
    found.orphaned = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE size IS NOT NULL "
        "AND id NOT IN (SELECT blob FROM held)"
    ).fetchone()
    found.freed = {
        name: (count, size)
        for name, count, size in connection.execute(
            f"""
            WITH RECURSIVE theirs (repository, blob) AS (
                SELECT * FROM deleted UNION
                SELECT repository, edge.target FROM theirs JOIN edge ON edge.source = theirs.blob
                WHERE {follow}
            ), freed AS (
                SELECT theirs.blob AS blob, min(repository) AS one, count(*) AS number FROM theirs
                WHERE theirs.blob NOT IN (SELECT blob FROM kept) GROUP BY theirs.blob
            )
            SELECT CASE WHEN number = 1 THEN name ELSE '' END, count(*), sum(size) FROM freed
            JOIN blob ON blob.id = freed.blob JOIN repository ON repository.id = one
            WHERE size IS NOT NULL GROUP BY 1
            """
        )
    }
    connection.execute("DROP TABLE temp.deleted")
    connection.execute("DROP TABLE temp.kept")
