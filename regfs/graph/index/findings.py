"""What is wrong: findings of what was read, and those that follow from it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from regfs.graph.index.snapshot import Snapshot
from regfs.registry.findings import Finding, Kind, Reach


class KeptFinding(NamedTuple):
    """One thing that is wrong, as `Finding` has it; names that are not UTF-8 in readable form."""

    kind: Kind
    repository: str
    tag: str
    image: str
    digest: str
    wanted: str
    found: str
    path: str


_COLUMNS = "kind, repository, tag, image, digest, wanted, found, path"
_ROW = f"SELECT {_COLUMNS} FROM finding"


def replace_findings(connection: sqlite3.Connection, owner: str, findings: Iterable[Finding]) -> None:
    """Keep what was found of one owner: this and no more."""
    rows = [finding.row(owner) for finding in findings]
    connection.execute("DELETE FROM finding WHERE owner = ?", (owner,))
    connection.executemany("INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def forget_findings(connection: sqlite3.Connection, owners: Iterable[str]) -> None:
    """Forget what was found of some owners."""
    connection.executemany("DELETE FROM finding WHERE owner = ?", [(owner,) for owner in owners])


def findings(
    snapshot: Snapshot, *, repository: str | None = None, digest: str | None = None
) -> list[KeptFinding]:
    """Give what is wrong, in the order in which it was found: all of it, or of one repository or digest.

    Needs LINKS and CONTENTS for all that there is.
    """
    given = {"repository": repository, "digest": digest}
    conditions = [f"{name} = :{name}" for name, value in given.items() if value is not None] or ["TRUE"]
    rows = snapshot.rows(f"{_ROW} WHERE {' AND '.join(conditions)} ORDER BY rowid", given)
    return [KeptFinding(Kind(kind), *texts) for kind, *texts in rows]


def repositories_with_findings(snapshot: Snapshot) -> list[str]:
    """Name the repositories of which something is wrong, sorted; "" for what is of none."""
    return snapshot.column("SELECT DISTINCT repository FROM finding ORDER BY 1")


def findings_of_each_kind(snapshot: Snapshot) -> Counter[Kind]:
    """Count what is wrong."""
    rows = snapshot.rows("SELECT kind, count(*) FROM finding GROUP BY 1")
    return Counter({Kind(kind): count for kind, count in rows})


def some_blobs_unread(snapshot: Snapshot) -> bool:
    """Tell whether some of `blobs/` was not read: what lies there is in no sum."""
    query = "SELECT 1 FROM finding WHERE reach = ? LIMIT 1"
    return snapshot.row(query, (Reach.BLOBS.value,)) is not None


class UnreadFinding(NamedTuple):
    """What could not be read, and how far it reaches."""

    finding: KeptFinding
    reach: Reach


def unread_findings(snapshot: Snapshot) -> list[UnreadFinding]:
    """Give the findings that are gaps, in the order in which they were found."""
    rows = snapshot.rows(f"SELECT {_COLUMNS}, reach FROM finding WHERE reach != '' ORDER BY rowid")
    return [UnreadFinding(KeptFinding(Kind(kind), *texts), Reach(reach)) for kind, *texts, reach in rows]
