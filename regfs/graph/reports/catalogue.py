"""Every report by its name, and how to make it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from regfs.graph.index import Need, ReferenceIndex, Snapshot
from regfs.graph.reports import lists
from regfs.graph.reports.contents import BlobContents
from regfs.graph.reports.summary import summary
from regfs.graph.reports.table import Table
from regfs.graph.reports.view import ShownTable, TableView, matched, see
from regfs.registry import Contents


class Report(NamedTuple):
    """How a report is made, what has to be there for it, and what it tells, for `--help`.

    `read`: what is read of blobs before. `thorough`: from what a thorough pass saw; `elsewhere`: there must
    have been one.
    """

    make: Callable[[Snapshot], Table]
    help: str
    needs: tuple[Need, ...] = ()
    read: Callable[[BlobContents], None] = lambda contents: None
    thorough: bool = False
    elsewhere: bool = False


REPORTS: Mapping[str, Report] = {
    "summary": Report(
        lambda snapshot: summary(snapshot, time.time()),
        "what is in use, what could go, what is wrong",
        needs=tuple(Need),
        elsewhere=True,
    ),
    "repositories": Report(
        lists.repositories, "tags, size and exclusive size of each", needs=(Need.WEIGHTS,)
    ),
    "tags": Report(
        lists.tags,
        "what each names, since when, its size and exclusive size",
        needs=(Need.WEIGHTS,),
        read=BlobContents.read_configs,
    ),
    "images": Report(
        lists.images,
        "each image once, with all of its tags and exclusive size",
        needs=(Need.WEIGHTS,),
        read=BlobContents.read_configs,
    ),
    "blobs": Report(
        lists.blobs, "what each is, its size and date, and who needs it", read=BlobContents.read_orphans
    ),
    "untagged": Report(lists.untagged, "images that no tag names", needs=(Need.WEIGHTS,)),
    "orphans": Report(lists.orphans, "blobs that nothing leads to", read=BlobContents.read_orphans),
    "unknown": Report(
        lists.unknown, "blobs that something may need which was not read", read=BlobContents.read_orphans
    ),
    "uploads": Report(lists.uploads, "unfinished pushes"),
    "broken": Report(
        lists.broken,
        "what is wrong or was not read, the loudest first",
        needs=(Need.LINKS, Need.CONTENTS),
        thorough=True,
    ),
}


#: What the page of HTML is called beside the reports, which are tables.
PAGE = "html"


class Reports:
    """Makes the reports of one store. Safe for many threads."""

    def __init__(self, index: ReferenceIndex, contents: Contents) -> None:
        self._index = index
        self._contents = BlobContents(index, contents)

    @contextmanager
    def making(self, name: str) -> Iterator[Table]:
        """Make the report of that name. Its rows are read within the `with` block."""
        with self.viewing(name, TableView()) as seen:
            yield seen.table

    @contextmanager
    def viewing(self, name: str, view: TableView) -> Iterator[ShownTable]:
        """Make what a person asked for of the report of that name, as `making` does. Raises UsageError."""
        report = REPORTS[name]
        report.read(self._contents)
        with self._index.snapshot(
            *report.needs, thorough=report.thorough, elsewhere=report.elsewhere
        ) as snapshot:
            fitting = matched(snapshot, report.make(snapshot), view.match)
            seen = see(fitting.table, view)
            yield ShownTable(seen.table, fitting.notes + seen.notes)

    def page(self, registry: str = "") -> bytes:
        """Make the page of HTML. `registry` is the name by which images are pulled, "" if it is not known."""
        # Only now: Jinja2 takes a while to load.
        from regfs.graph.reports.page.making import describe
        from regfs.page.rendering import render

        self._contents.read_configs()
        with self._index.snapshot(*Need) as snapshot:
            page = describe(snapshot, self._index.path, int(time.time()), registry)
        return render(page)

    @contextmanager
    def explaining(self, digest: str) -> Iterator[Snapshot]:
        """Give a snapshot with all that is to be known of one blob."""
        self._contents.read_orphan(digest)
        with self._index.snapshot() as snapshot:
            yield snapshot

    @contextmanager
    def recognised_orphans(self) -> Iterator[Snapshot]:
        """Give a snapshot in which each orphan, and each blob of which that is unknown, was recognised."""
        self._contents.read_orphans()
        with self._index.snapshot() as snapshot:
            yield snapshot
