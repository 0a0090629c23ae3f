"""The summary: how much of the store is in use, what could go, and what is wrong, on one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from regfs.graph.index import Snapshot, State, blobs
from regfs.graph.index.collector import Collected, collected
from regfs.graph.index.findings import findings_of_each_kind, some_blobs_unread
from regfs.graph.index.repositories import RepositoryWeight, count_repositories, largest_repositories
from regfs.graph.index.revisions import RevisionCounts, count_revisions
from regfs.graph.index.tags import count_tags
from regfs.graph.index.uploads import UploadSum, sum_of_uploads
from regfs.graph.reports.table import Column, Row, Table, Type, Value, amount, readable_size
from regfs.graph.times import iso
from regfs.registry.findings import SEVERITIES

#: What registries purge by default: uploads older than a week (distribution's configuration,
#: storage.maintenance.uploadpurging.age).
_PURGE_AGE = timedelta(days=7)

_LARGEST = 10


COLUMNS = (
    Column("section", help="of which part of the summary"),
    Column("item", Type.STATE, "of what"),
    Column("count", Type.NUMBER, "how many"),
    Column("size", Type.SIZE, "their bytes"),
    Column("note", help="what is to be known of that"),
)


class Facts(NamedTuple):
    """What the summary says, as values."""

    states: Mapping[State, blobs.Sum]
    uploads: UploadSum
    every: blobs.StoredSum
    unread: bool
    elsewhere: blobs.FilesElsewhere
    plain: Collected
    delete_untagged: Collected
    purged: UploadSum
    names: Mapping[str, int]
    revisions: RevisionCounts
    stored: blobs.Span
    pushed: blobs.Span
    wrong: Mapping[str, int]
    largest: Sequence[RepositoryWeight]


def summary(snapshot: Snapshot, now: float) -> Table:
    """Sum the store up. `now` is in seconds since 1970: uploads have an age.

    Needs WEIGHTS, LINKS, CONTENTS and COLLECTIONS.
    """
    facts = gather(snapshot, now)
    return Table(COLUMNS, list(_rows(facts)), flat(facts))


def gather(snapshot: Snapshot, now: float) -> Facts:
    """Ask for all that the summary says; as `summary`."""
    found = findings_of_each_kind(snapshot)
    return Facts(
        blobs.sums_by_state(snapshot),
        sum_of_uploads(snapshot),
        blobs.sum_of_blobs(snapshot),
        some_blobs_unread(snapshot),
        blobs.files_elsewhere(snapshot),
        collected(snapshot, delete_untagged=False),
        collected(snapshot, delete_untagged=True),
        purged_uploads(snapshot, now),
        {
            "repositories": count_repositories(snapshot),
            "tags": count_tags(snapshot),
            "indexes": blobs.count_indexes(snapshot),
        },
        count_revisions(snapshot),
        blobs.times_stored(snapshot),
        blobs.times_pushed(snapshot),
        {
            severity: sum(number for kind, number in found.items() if kind.severity == severity)
            for severity in SEVERITIES
        },
        largest_repositories(snapshot, _LARGEST),
    )


def flat(facts: Facts) -> dict[str, Value]:
    """Give the facts as one flat object: counts, `…_bytes`, times; `FACTS` says what each is."""
    none = blobs.Sum(0, 0)
    states = {state.word: facts.states.get(state, none) for state in State}
    values: dict[str, Value] = {}
    for word, (number, size) in states.items():
        values |= {f"{word}_blobs": number, f"{word}_bytes": size}
    values |= {
        "blobs": facts.every.number,
        "blob_bytes": facts.every.size,
        "blob_disk_bytes": facts.every.blocks * 512,
        "some_blobs_unread": facts.unread,
        "uploads": facts.uploads.number,
        "upload_bytes": facts.uploads.size,
        "uploads_at_least": facts.uploads.at_least,
        "link_bytes": facts.elsewhere.links,
        "elsewhere_files": facts.elsewhere.number,
        "elsewhere_bytes": facts.elsewhere.size,
    }
    for name, found in (("gc", facts.plain), ("gc_m", facts.delete_untagged)):
        stops = bool(found.stops)
        values |= {
            f"{name}_blobs": 0 if stops else found.blobs,
            f"{name}_bytes": 0 if stops else found.size,
            f"{name}_needed_bytes": 0 if stops else found.needed,
            f"{name}_unknown_bytes": 0 if stops else found.doubted,
            f"{name}_stops": stops,
        }
    values |= {
        "purge_uploads": facts.purged.number,
        "purge_bytes": facts.purged.size,
        "purge_at_least": facts.purged.at_least,
    }
    values |= facts.names
    values |= {
        "manifests": facts.revisions.all,
        "untagged_manifests": facts.revisions.untagged,
        "unknown_manifests": facts.revisions.doubtful,
    }
    for name, (oldest, newest) in (("blob", facts.stored), ("tag", facts.pushed)):
        values |= {f"oldest_{name}": _moment(oldest), f"newest_{name}": _moment(newest)}
    values |= {f"{severity}_findings": count for severity, count in facts.wrong.items()}
    return values


#: What each fact is, as `FORMATS.md` tells it.
FACTS = {
    **{f"{state.word}_{of}": f"in the state {state.word}" for state in State for of in ("blobs", "bytes")},
    "blobs": "all that are stored",
    "blob_bytes": "their bytes",
    "blob_disk_bytes": "what they take on the disk",
    "some_blobs_unread": "whether some of blobs/ was not read: then these are at least so many",
    "uploads": "unfinished pushes",
    "upload_bytes": "their bytes",
    "uploads_at_least": "whether they may have more: an object store keeps them in no object",
    "link_bytes": "of the links of tags, manifests and layers, as last looked at",
    "elsewhere_files": "files that are neither blob, link nor upload",
    "elsewhere_bytes": "their bytes",
    **{
        f"{name}_{of}": f"{what} of {command}"
        for name, command in (("gc", "garbage-collect"), ("gc_m", "garbage-collect -m"))
        for of, what in (
            ("blobs", "blobs that would be freed by a run"),
            ("bytes", "bytes that would be freed by a run"),
            ("needed_bytes", "bytes that tags need and that would go with a run"),
            ("unknown_bytes", "bytes of which it is unknown whether they go with a run"),
            ("stops", "whether an error would end a run, which then frees nothing,"),
        )
    },
    "purge_uploads": "uploads older than a week, which registries purge by default",
    "purge_bytes": "their bytes",
    "purge_at_least": "whether they may have more, and may stay where they are, in no object",
    "repositories": "how many",
    "tags": "how many",
    "indexes": "how many",
    "manifests": "images, indexes and artifacts that repositories hold",
    "untagged_manifests": "those that no tag of their repository leads to",
    "unknown_manifests": "those of which that is not known",
    "oldest_blob": "when the first blob that is there was stored; null: not known",
    "newest_blob": "when the last one was",
    "oldest_tag": "when the first tag that is there was pushed; null: not known",
    "newest_tag": "when the last one was",
    **{f"{severity}_findings": f"how many: {meaning}" for severity, meaning in SEVERITIES.items()},
}


def _moment(time: int | None) -> str | None:
    return None if time is None else iso(time)


def _rows(facts: Facts) -> Iterator[Row]:
    yield from _stored(facts)
    section = "would be freed by"
    for item, found in (("garbage-collect", facts.plain), ("garbage-collect -m", facts.delete_untagged)):
        yield section, item, *_collected(found, unread=facts.unread)
    purged = facts.purged
    note = "older than a week, as registries do by default"
    if purged.at_least:
        note += "; their parts may stay in the bucket (AbortIncompleteMultipartUpload)"
    yield section, "an upload purge", purged.number, amount(purged.size, at_least=purged.at_least), note
    yield from _names(facts)
    for item, (oldest, newest) in (("blob stored", facts.stored), ("tag pushed", facts.pushed)):
        if oldest is not None and newest is not None:
            yield "dates", f"oldest {item}", None, None, iso(oldest)
            yield "dates", f"newest {item}", None, None, iso(newest)
    for severity, note in SEVERITIES.items():
        count = facts.wrong[severity]
        yield "wrong", severity, count, None, f"{note}: see broken" if count else ""
    for name, size, exclusive in facts.largest:
        own = "unknown" if exclusive is None else readable_size(exclusive)
        yield "largest repositories", name, None, size, f"{own} its own alone"


def _stored(facts: Facts) -> Iterator[Row]:
    notes = {
        State.TAGGED: "some tag leads there",
        State.UNTAGGED: "some revision leads there, and no tag",
        State.ORPHANED: "nothing leads there",
        State.UNKNOWN: "what was not read may lead there" if facts.states.get(State.UNKNOWN) else "",
    }
    for state in State:
        yield "stored", state.word, *facts.states.get(state, (0, 0)), notes[state]
    uploads, every, others = facts.uploads, facts.every, facts.elsewhere
    size, note = amount(uploads.size, at_least=uploads.at_least), "unfinished pushes"
    if uploads.at_least:
        note += "; at least, for no listing shows all of them"
    yield "stored", "uploads", uploads.number, size, note
    note = f"blobs and uploads; the blobs take {readable_size(every.blocks * 512)} of disk"
    if facts.unread:
        note = f"and what was not read: see broken; {note}"
    size = amount(every.size + uploads.size, at_least=uploads.at_least)
    yield "stored", "all", every.number + uploads.number, size, note
    yield "beside that", "links", None, others.links, "of tags, manifests and layers, as last looked at"
    note = f"no blob, link or upload, as {others.example}" if others.number else ""
    yield "beside that", "elsewhere", others.number, others.size, note


def purged_uploads(snapshot: Snapshot, now: float) -> UploadSum:
    """Sum up what a registry's purge of uploads takes by default; `now` is in seconds since 1970."""
    limit = datetime.fromtimestamp(now, timezone.utc) - _PURGE_AGE
    return sum_of_uploads(snapshot, limit.strftime("%Y-%m-%dT%H:%M:%S"))


def _collected(found: Collected, *, unread: bool) -> tuple[int, int, str]:
    """Tell what a collection by the registry would delete: blobs, bytes, and what is to be known of that."""
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


def _names(facts: Facts) -> Iterator[Row]:
    yield "names", "repositories", facts.names["repositories"], None, ""
    yield "names", "tags", facts.names["tags"], None, ""
    note = f"{facts.revisions.untagged} of them no tag of their repository leads to"
    note += f"; of {facts.revisions.doubtful} it is unknown" if facts.revisions.doubtful else ""
    yield "names", "manifests", facts.revisions.all, None, note
    yield "names", "indexes", facts.names["indexes"], None, ""
