"""The summary: how much of the store is in use, what could go, and what is wrong, on one page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from regfs.graph.index import Snapshot, State, blobs
from regfs.graph.index.collector import collected
from regfs.graph.index.findings import findings_of_each_kind, some_blobs_unread
from regfs.graph.index.repositories import count_repositories, largest_repositories
from regfs.graph.index.revisions import count_revisions
from regfs.graph.index.tags import count_tags
from regfs.graph.index.uploads import sum_of_uploads
from regfs.graph.reports.table import Row, Table, Type, columns, readable_size
from regfs.graph.times import iso
from regfs.registry.findings import SEVERITIES

#: What registries purge by default: uploads older than a week (distribution's configuration,
#: storage.maintenance.uploadpurging.age).
_PURGE_AGE = timedelta(days=7)

_LARGEST = 10


def summary(snapshot: Snapshot, now: float) -> Table:
    """Sum the store up. `now` is in seconds since 1970: uploads have an age.

    Needs WEIGHTS, LINKS, CONTENTS and COLLECTIONS.
    """
    return Table(
        columns("section", "item", count=Type.NUMBER, size=Type.SIZE, note=Type.TEXT),
        list(_rows(snapshot, now)),
    )


def _rows(snapshot: Snapshot, now: float) -> Iterator[Row]:
    unread = some_blobs_unread(snapshot)
    yield from _stored(snapshot, unread=unread)
    yield from _freed(snapshot, now, unread=unread)
    yield from _names(snapshot)
    yield from _dates(snapshot)
    yield from _wrong(snapshot)
    for name, size, exclusive in largest_repositories(snapshot, _LARGEST):
        own = "unknown" if exclusive is None else readable_size(exclusive)
        yield "largest repositories", name, None, size, f"{own} its own alone"


def _stored(snapshot: Snapshot, *, unread: bool) -> Iterator[Row]:
    found = blobs.sums_by_state(snapshot)
    notes = {
        State.TAGGED: "some tag leads there",
        State.UNTAGGED: "some revision leads there, and no tag",
        State.ORPHANED: "nothing leads there",
        State.UNKNOWN: "what was not read may lead there" if found.get(State.UNKNOWN) else "",
    }
    for state in State:
        yield "stored", state.word, *found.get(state, (0, 0)), notes[state]
    uploads = sum_of_uploads(snapshot)
    yield "stored", "uploads", *uploads, "unfinished pushes"
    every = blobs.sum_of_blobs(snapshot)
    note = f"blobs and uploads; the blobs take {readable_size(every.blocks * 512)} of disk"
    if unread:
        note = f"and what was not read: see broken; {note}"
    yield "stored", "all", every.number + uploads.number, every.size + uploads.size, note
    others = blobs.files_elsewhere(snapshot)
    yield "beside that", "links", None, others.links, "of tags, manifests and layers, as last looked at"
    note = f"no blob, link or upload, as {others.example}" if others.number else ""
    yield "beside that", "elsewhere", others.number, others.size, note


def _freed(snapshot: Snapshot, now: float, *, unread: bool) -> Iterator[Row]:
    section = "would be freed by"
    for item, delete_untagged in (("garbage-collect", False), ("garbage-collect -m", True)):
        yield section, item, *_collected(snapshot, delete_untagged=delete_untagged, unread=unread)
    limit = datetime.fromtimestamp(now, timezone.utc) - _PURGE_AGE
    purged = sum_of_uploads(snapshot, limit.strftime("%Y-%m-%dT%H:%M:%S"))
    yield section, "an upload purge", *purged, "older than a week, as registries do by default"


def _collected(snapshot: Snapshot, *, delete_untagged: bool, unread: bool) -> tuple[int, int, str]:
    """Tell what a collection by the registry would delete: blobs, bytes, and what is to be known of that."""
    found = collected(snapshot, delete_untagged=delete_untagged)
    if found.stops:
        more = f" and {len(found.stops) - 1} more" if len(found.stops) > 1 else ""
        return 0, 0, f"nothing: it ends with an error at {found.stops[0]}{more}"
    needed = f"{readable_size(found.needed)} of it tags need!" if found.needed else ""
    if found.doubted:
        words = [f"at least; of {readable_size(found.doubted)} more it is unknown", needed]
    elif unread:
        words = ["at least; some blobs were not read", needed]
    else:
        words = [needed or "no tag needs any of it"]
    return found.blobs, found.size, "; ".join(filter(None, words))


def _names(snapshot: Snapshot) -> Iterator[Row]:
    yield "names", "repositories", count_repositories(snapshot), None, ""
    yield "names", "tags", count_tags(snapshot), None, ""
    revisions = count_revisions(snapshot)
    note = f"{revisions.untagged} of them no tag of their repository leads to"
    note += f"; of {revisions.doubtful} it is unknown" if revisions.doubtful else ""
    yield "names", "manifests", revisions.all, None, note
    yield "names", "indexes", blobs.count_indexes(snapshot), None, ""


def _dates(snapshot: Snapshot) -> Iterator[Row]:
    spans = (("blob stored", blobs.times_stored(snapshot)), ("tag pushed", blobs.times_pushed(snapshot)))
    for item, (oldest, newest) in spans:
        if oldest is not None and newest is not None:
            yield "dates", f"oldest {item}", None, None, iso(oldest)
            yield "dates", f"newest {item}", None, None, iso(newest)


def _wrong(snapshot: Snapshot) -> Iterator[Row]:
    found = findings_of_each_kind(snapshot)
    for severity, note in SEVERITIES.items():
        count = sum(number for kind, number in found.items() if kind.severity == severity)
        yield "wrong", severity, count, None, f"{note}: see broken" if count else ""
