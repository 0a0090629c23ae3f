"""What each repository holds, as the rules of `reclaim` see it: read from the index, all at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from regfs.graph.index import Role
from regfs.graph.index.doubt import may_be_tagged
from regfs.graph.reports.selection import Candidate
from regfs.graph.reports.signatures import Signatures
from regfs.graph.times import nanoseconds

#: Images that no tag of their repository leads to, and no other such image: a child goes with its index.
_UNTAGGED = f"""
    SELECT untagged.repository, repository.name, '', digest, untagged.blob, max(pushed)
    FROM untagged JOIN repository ON repository.id = untagged.repository
    JOIN blob ON blob.id = untagged.blob
    JOIN revision ON revision.repository = untagged.repository AND revision.blob = untagged.blob
    WHERE NOT referrer AND NOT EXISTS (
        SELECT 1 FROM edge JOIN revision AS above ON above.blob = edge.source
        WHERE edge.target = untagged.blob AND edge.role = {Role.CHILD:d}
        AND above.repository = untagged.repository
    )
    GROUP BY 1, 5 ORDER BY digest
"""

_TAGS = """
    SELECT repository, repository.name, tag.name, coalesce(digest, ''), blob, pushed FROM tag
    JOIN repository ON repository.id = repository LEFT JOIN blob ON blob.id = blob ORDER BY tag.name
"""


@dataclass(slots=True)
class Holding:
    """What one repository has: its manifests with their digests, and what the rules select from.

    `manifests` leads from manifests to those below them, in all repositories: children, and what has them as
    its subject; `named_after` from images to signatures of this repository that tell by their tags.
    `doubtful` are manifests that something may tag which could not be read: no rule selects them.
    """

    repository: int
    path: str
    manifests: Mapping[int, list[int]]
    revisions: dict[int, str] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    named_after: dict[int, list[int]] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)

    def closure(self, roots: Iterable[int | None]) -> set[int]:
        """Give manifests with all that they lead to: children, and what belongs to them."""
        reached: set[int] = set()
        waiting = [root for root in roots if root is not None]
        while waiting:
            blob = waiting.pop()
            if blob not in reached:
                reached.add(blob)
                waiting.extend(self.manifests.get(blob, ()))
                waiting.extend(self.named_after.get(blob, ()))
        return reached


def read_holdings(
    connection: sqlite3.Connection, *, with_dates: bool, ignore_no_tags: bool = False
) -> list[Holding]:
    """Read what each repository holds, sorted by name.

    `with_dates`: and when images were built, as far as the table `config` tells. `ignore_no_tags`: a store
    without any tag is believed to have none.
    """
    below: dict[int, list[int]] = {}
    for source, target in connection.execute(
        "SELECT source, target FROM edge WHERE role IN (?, ?)", (Role.CHILD, Role.REFERRER)
    ):
        below.setdefault(source, []).append(target)
    found = {
        number: Holding(number, name, below)
        for number, name in connection.execute("SELECT id, name FROM repository ORDER BY name")
    }
    for repository, blob, digest in connection.execute(
        "SELECT repository, blob, digest FROM revision JOIN blob ON blob.id = blob"
    ):
        found[repository].revisions[blob] = digest
    for repository, blob in may_be_tagged(connection, no_tags=not ignore_no_tags):
        if repository in found:
            found[repository].doubtful.add(blob)
    built = _built(connection) if with_dates else {}
    signatures = Signatures(connection)
    for query in (_TAGS, _UNTAGGED):
        for repository, path, tag, digest, blob, pushed in connection.execute(query).fetchall():
            subject = signatures.subject(repository, tag, blob)
            holding = found[repository]
            holding.candidates.append(
                Candidate(
                    *(repository, path, tag, digest, blob, pushed, built.get(blob), subject),
                    doubt=not holding.doubtful.isdisjoint(holding.closure([blob])),
                )
            )
            if subject and subject.blob is not None and blob is not None:
                holding.named_after.setdefault(subject.blob, []).append(blob)
    return list(found.values())


def _built(connection: sqlite3.Connection) -> dict[int, int]:
    """Tell when images were built, in nanoseconds; indexes with the last of their images."""
    found: dict[int, int] = {}
    for query in (
        f"SELECT source, created FROM edge JOIN config ON config.blob = target WHERE role = {Role.CONFIG:d}",
        "SELECT manifest.blob, created FROM manifest JOIN config ON config.blob = manifest.blob",
    ):
        for blob, created in connection.execute(query):
            time = nanoseconds(created)
            if time is not None:
                found[blob] = time
    for index, child in connection.execute(
        "SELECT source, target FROM edge WHERE role = ?", (Role.CHILD,)
    ).fetchall():
        if child in found:
            found[index] = max(found[child], found.get(index, found[child]))
    return found
