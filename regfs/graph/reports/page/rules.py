"""What the usual rules would free: what registries do by themselves, and some of `regfs reclaim`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from regfs.graph.index import Snapshot
from regfs.graph.index.collector import collected
from regfs.graph.index.uploads import sum_of_uploads
from regfs.graph.reports.reclaim import reclaim
from regfs.graph.reports.rules import Rules
from regfs.graph.reports.table import readable_size
from regfs.page.document import RuleAnswer

#: What registries purge by default (distribution's configuration, storage.maintenance.uploadpurging.age).
_PURGE_AGE = timedelta(days=7)

_DAY = 86_400 * 1_000_000_000

#: The rules that people ask about: what they say of tags, the options, and days and tags for `Rules`.
_USUAL = (
    ("images that no tag names", "--untagged", None, 0),
    ("all but the last 10 tags of each repository", "--keep-last 10", None, 10),
    ("tags pushed over 90 days ago", "--older-than 90d", 90, 0),
    ("tags pushed over a year ago", "--older-than 365d", 365, 0),
    ("over 90 days ago, but the last 10 stay", "--older-than 90d --keep-last 10", 90, 10),
)


def usual_rules(snapshot: Snapshot, now: int, *, some_unread: bool) -> Iterator[RuleAnswer]:
    """Tell what each rule would free. `now` is in seconds. Needs COLLECTIONS; configs that were read."""
    yield _collection(snapshot, "what nothing leads to", "", some_unread=some_unread)
    yield _collection(snapshot, "and what no tag leads to", " --delete-untagged", some_unread=some_unread)
    limit = datetime.fromtimestamp(now, timezone.utc) - _PURGE_AGE
    purged = sum_of_uploads(snapshot, limit.strftime("%Y-%m-%dT%H:%M:%S"))
    yield RuleAnswer(
        "uploads begun over a week ago",
        "uploadpurging, as registries do by default",
        None,
        purged.size,
        0,
        0,
        "",
        alarm=False,
    )
    for name, options, days, keep_last in _USUAL:
        before = None if days is None else now * 1_000_000_000 - days * _DAY
        rules = Rules(before=before, keep_last=keep_last, untagged=options == "--untagged")
        found = reclaim(snapshot, rules)
        yield RuleAnswer(
            name,
            f"regfs reclaim STORE {options}",
            len(found.tags),
            found.size,
            found.freed.orphaned.size,
            found.freed.unknown.size,
            _withheld(found.withheld, some_unread=some_unread),
            alarm=False,
        )


def _withheld(number: int, *, some_unread: bool) -> str:
    notes = []
    if number:
        notes.append(f"{number:,} more match, and may be in use for all that could be read: not counted")
    if some_unread:
        notes.append("at least: some blobs were not read")
    return "; ".join(notes)


def _collection(snapshot: Snapshot, name: str, option: str, *, some_unread: bool) -> RuleAnswer:
    """Tell what a collection by the registry itself would delete, and what harm it would do."""
    found = collected(snapshot, delete_untagged=bool(option))
    notes = []
    if found.stops:
        more = f" and {len(found.stops) - 1:,} more" if len(found.stops) > 1 else ""
        notes.append(f"frees nothing: it ends with an error at {found.stops[0]}{more}")
    elif found.needed:
        notes.append(f"{readable_size(found.needed)} of it tags need: registries before 3.0 lose that")
    if some_unread and not found.stops:
        notes.append("at least: some blobs were not read")
    return RuleAnswer(
        name,
        f"registry garbage-collect{option}",
        None,
        0 if found.stops else found.size,
        0,
        found.doubted,
        "; ".join(notes),
        alarm=bool(found.needed or found.stops),
    )
