"""Puts a page together from what a snapshot tells."""

from __future__ import annotations

from regfs import __version__
from regfs.graph.index import Snapshot
from regfs.graph.index.blobs import sum_of_blobs
from regfs.graph.index.findings import some_blobs_unread
from regfs.graph.index.repositories import count_repositories
from regfs.graph.reports.page.images import list_tags
from regfs.graph.reports.page.places import find_places
from regfs.graph.reports.page.rules import usual_rules
from regfs.graph.reports.page.wrong import unread_places, wrong_things
from regfs.page.document import Page, PlaceKind

#: Tags that are listed one by one; of a larger store, the smallest are summed up, or the page gets too large.
MOST_TAGS = 20_000

#: Places that could not be read, and are shown.
_MOST_UNREAD = 100

#: What no tag needs, for certain.
_NOT_NEEDED = (PlaceKind.UNTAGGED, PlaceKind.ORPHANED)

_SECOND = 1_000_000_000


def describe(snapshot: Snapshot, store: str, now: int, host: str, most_tags: int = MOST_TAGS) -> Page:
    """Tell all that stands in a page. `now` is in seconds since 1970. Needs all needs, and configs read."""
    places = find_places(snapshot)
    listed = list_tags(snapshot, places, now, most_tags)
    blobs = sum_of_blobs(snapshot)
    some_unread = some_blobs_unread(snapshot)
    unread, number_unread = unread_places(snapshot, _MOST_UNREAD)
    parts = places.shown_parts()
    return Page(
        store=store.encode("utf-8", "backslashreplace").decode(),
        host=host,
        version=__version__,
        made=now,
        read=snapshot.changed // _SECOND,
        total=sum(part.size for part in parts),
        not_needed=sum(part.size for part in parts if part.kind in _NOT_NEEDED),
        some_unread=some_unread,
        uploads_at_least=places.at_least,
        number_of_repositories=count_repositories(snapshot),
        number_of_tags=listed.number_of_tags,
        number_of_images=listed.number_of_images,
        number_of_blobs=blobs.number,
        parts=parts,
        top=places.top,
        places=places.shown_places(),
        repositories=listed.repositories,
        images=listed.images,
        tags=listed.tags,
        months=places.shown_months(),
        ages=listed.ages,
        rules=list(usual_rules(snapshot, now)),
        wrong=wrong_things(snapshot),
        unread=unread,
        number_unread=number_unread,
    )
