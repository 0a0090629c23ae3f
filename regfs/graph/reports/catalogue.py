"""Every report by its name, and how to make it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from regfs.graph.index import ReferenceIndex
from regfs.graph.reports import lists
from regfs.graph.reports.contents import BlobContents
from regfs.graph.reports.summary import summary
from regfs.graph.reports.table import Table
from regfs.registry import Contents

Make = Callable[[sqlite3.Connection], Table]
Fill = Callable[[BlobContents, sqlite3.Connection], None]


class Report(NamedTuple):
    """How a report is made, what has to be read for it first, and what it tells, for `--help`.

    `thorough`: from what a thorough pass saw; `elsewhere`: there must have been one.
    """

    make: Make
    fill: Fill
    help: str
    thorough: bool = False
    elsewhere: bool = False


def _nothing(contents: BlobContents, connection: sqlite3.Connection) -> None:
    pass


REPORTS: Mapping[str, Report] = {
    "summary": Report(
        lambda connection: summary(connection, time.time()),
        _nothing,
        "what is in use, what could go, what is wrong",
        elsewhere=True,
    ),
    "repositories": Report(lists.repositories, _nothing, "tags, size and exclusive size of each"),
    "tags": Report(
        lists.tags, BlobContents.read_configs, "what each names, since when, its size and exclusive size"
    ),
    "blobs": Report(
        lists.blobs, BlobContents.read_orphans, "what each is, its size and date, and who needs it"
    ),
    "untagged": Report(lists.untagged, _nothing, "images that no tag names"),
    "orphans": Report(lists.orphans, BlobContents.read_orphans, "blobs that nothing leads to"),
    "unknown": Report(
        lists.unknown, BlobContents.read_orphans, "blobs that something may need which was not read"
    ),
    "uploads": Report(lists.uploads, _nothing, "unfinished pushes"),
    "broken": Report(
        lists.broken, _nothing, "what is wrong or was not read, the loudest first", thorough=True
    ),
}


class Reports:
    """Makes the reports of one store."""

    def __init__(self, index: ReferenceIndex, contents: Contents) -> None:
        self._index = index
        self._contents = BlobContents(contents)

    @contextmanager
    def making(self, name: str) -> Iterator[Table]:
        """Make the report of that name. Its rows are read within the `with` block."""
        report = REPORTS[name]
        with self._index.reading(thorough=report.thorough, elsewhere=report.elsewhere) as connection:
            report.fill(self._contents, connection)
            yield report.make(connection)

    @contextmanager
    def explaining(self) -> Iterator[Callable[[str], sqlite3.Connection]]:
        """Give a function that gives the index with all that is to be known of one blob, by its digest."""
        with self._index.reading() as connection:

            def of(digest: str) -> sqlite3.Connection:
                self._contents.read_orphan(connection, digest)
                return connection

            yield of

    @contextmanager
    def recognised_orphans(self) -> Iterator[sqlite3.Connection]:
        """Give the index with each orphan's suffix and media type in its table `content`."""
        with self._index.reading() as connection:
            self._contents.read_orphans(connection)
            yield connection
