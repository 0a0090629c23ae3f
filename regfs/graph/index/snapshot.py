"""One state of the index, to be asked: what was found in the store, and what follows from that.

The questions are functions of this package that take a snapshot and give plain values: `tags`, `revisions`,
`repositories`, `blobs`, `holders`, `findings`, `signatures`, `garbage`, `uploads`, `gaps`. Nobody else puts
one to the connection.

A snapshot is used by one thread at a time, and ends with its `with` block.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from regfs.graph.index.schema import WHEN


class Snapshot(NamedTuple):
    """A consistent, read-only view on the index."""

    connection: sqlite3.Connection

    def rows(self, query: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
        """Give all rows of a query."""
        return self.connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[object] | Mapping[str, object] = ()) -> Any:
        """Give the first row of a query; None if there is none."""
        return self.connection.execute(query, values).fetchone()

    def column(self, query: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
        """Give the first cell of each row."""
        return [row[0] for row in self.rows(query, values)]

    @property
    def changed(self) -> int:
        """When what the index says has last changed, in nanoseconds since 1970."""
        (when,) = self.row("SELECT value FROM meta WHERE key = ?", (WHEN,))
        return int(when)
