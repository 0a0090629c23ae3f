"""What images take: computed when it is first asked for (`Need.WEIGHTS`), and kept until the facts change.

An image's size counts each blob that it leads to once. Its exclusive size is what nothing else leads to: what
would go if it alone were deleted, with the children and referrers that are only its own, and garbage were
collected. What else can hold a blob is each other tag, and each revision that no tag of its repository leads
to. Where what nothing else leads to may be held by a gap, the exclusive size is not known.

An image that several tags name has nothing that is exclusive to one of them, and all the same something that
goes when all of them do: its weight alone.
"""

from __future__ import annotations

import sqlite3

from regfs.graph.index.snapshot import Snapshot

#: Each image that stands for itself, with how many names it has: tags, and untagged revisions that are
#: nobody's referrer.
_ROOTS = """
    SELECT blob, count(*) AS names FROM (
        SELECT blob FROM tag WHERE blob IS NOT NULL
        UNION ALL SELECT blob FROM untagged WHERE NOT referrer
    ) GROUP BY blob
"""


def weigh(connection: sqlite3.Connection) -> None:
    """Fill `weight` and `repository_weight`."""
    for table in ("weight", "repository_weight"):
        connection.execute(f"DELETE FROM {table}")
    for table in ("root", "pair", "holders", "theirs"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
    # Declared with their keys: of a table made by a query SQLite knows none, and would join by searching.
    connection.execute("CREATE TEMP TABLE root (blob INTEGER PRIMARY KEY, names INTEGER)")
    connection.execute(f"INSERT INTO root {_ROOTS}")
    # Each image with each stored blob that it leads to.
    connection.execute(
        "CREATE TEMP TABLE pair (root INTEGER, blob INTEGER, size INTEGER, PRIMARY KEY (root, blob)) "
        "WITHOUT ROWID"
    )
    connection.execute("CREATE TEMP TABLE holders (blob INTEGER PRIMARY KEY, names INTEGER, doubt INTEGER)")
    connection.execute(
        """
        INSERT INTO pair
        WITH RECURSIVE reached (root, blob) AS (
            SELECT blob, blob FROM root
            UNION
            SELECT reached.root, edge.target FROM reached JOIN edge ON edge.source = reached.blob
        )
        SELECT root, blob, size FROM reached JOIN blob ON blob.id = reached.blob WHERE size IS NOT NULL
        """
    )
    connection.execute(
        "INSERT INTO holders SELECT pair.blob, sum(names), pair.blob IN (SELECT blob FROM doubted) FROM root "
        "JOIN pair ON pair.root = root.blob GROUP BY 1"
    )
    connection.execute(
        """
        INSERT INTO weight
        SELECT root, sum(size), CASE
            WHEN sum(holders.names = 1 AND doubt) THEN NULL
            ELSE sum(CASE WHEN holders.names = 1 THEN size ELSE 0 END)
        END, CASE
            WHEN sum(holders.names = root.names AND doubt) THEN NULL
            ELSE sum(CASE WHEN holders.names = root.names THEN size ELSE 0 END)
        END
        FROM pair JOIN holders ON holders.blob = pair.blob JOIN root ON root.blob = pair.root GROUP BY root
        """
    )
    _weigh_repositories(connection)
    for table in ("root", "pair", "holders"):
        connection.execute(f"DROP TABLE temp.{table}")


def _weigh_repositories(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TEMP TABLE theirs (blob INTEGER, repository INTEGER, size INTEGER, "
        "PRIMARY KEY (blob, repository)) WITHOUT ROWID"
    )
    connection.execute(
        """
        INSERT OR IGNORE INTO theirs SELECT pair.blob, repository, size FROM (
            SELECT repository, blob FROM tag WHERE blob IS NOT NULL
            UNION SELECT repository, blob FROM untagged
        ) AS name JOIN pair ON pair.root = name.blob
        """
    )
    connection.execute(
        """
        INSERT INTO repository_weight
        SELECT repository, sum(size), CASE
            WHEN sum(number = 1 AND doubt) THEN NULL ELSE sum(CASE WHEN number = 1 THEN size ELSE 0 END)
        END
        FROM (
            SELECT blob, count(*) AS number, blob IN (SELECT blob FROM doubted) AS doubt
            FROM theirs GROUP BY blob
        ) AS holders
        JOIN theirs ON theirs.blob = holders.blob GROUP BY repository
        """
    )
    connection.execute("DROP TABLE temp.theirs")


def sizes_of_images(snapshot: Snapshot) -> dict[int, int]:
    """Give the bytes that each image takes, by the numbers of manifests. Needs WEIGHTS."""
    return dict(snapshot.rows("SELECT blob, size FROM weight"))
