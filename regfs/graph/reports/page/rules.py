"""What the usual rules would free: what registries do by themselves, and some of `regfs reclaim`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from regfs.graph.index import Snapshot
from regfs.graph.index.collector import collected
from regfs.graph.index.garbage import freed_by
from regfs.graph.index.uploads import sum_of_uploads
from regfs.graph.reports.holdings import Holding, read_holdings
from regfs.graph.reports.policy import Policy
from regfs.graph.reports.reclaim import deletable
from regfs.graph.reports.rules import Rules
from regfs.page.document import RuleAnswer
from regfs.page.units import readable

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


def usual_rules(snapshot: Snapshot, now: int) -> Iterator[RuleAnswer]:
    """Tell what each rule would free. `now` is in seconds. Needs COLLECTIONS; configs that were read."""
    yield _collection(snapshot, "what nothing leads to", "")
    yield _collection(snapshot, "and what no tag leads to", " --delete-untagged")
    limit = datetime.fromtimestamp(now, timezone.utc) - _PURGE_AGE
    purged = sum_of_uploads(snapshot, limit.strftime("%Y-%m-%dT%H:%M:%S"))
    yield RuleAnswer(
        "uploads begun over a week ago",
        "uploadpurging, as registries do by default",
        None,
        purged.size,
        0,
        0,
        "at least; their parts may stay in the bucket" if purged.at_least else "",
        alarm=False,
    )
    holdings = read_holdings(snapshot, with_dates=True)
    for name, options, days, keep_last in _USUAL:
        before = None if days is None else now * 1_000_000_000 - days * _DAY
        rules = Rules(before=before, keep_last=keep_last, untagged=options == "--untagged")
        found = _selected(holdings, rules)
        freed = freed_by(snapshot, found.deleted)
        yield RuleAnswer(
            name,
            f"regfs reclaim STORE {options}",
            found.tags if rules.tags else None,
            freed.total.size,
            freed.orphaned.size,
            freed.unknown.size,
            _withheld(found.withheld),
            alarm=False,
        )


class _Selection(NamedTuple):
    """What a rule selects: numbers of repositories and manifests, and how many tags go; see Reclaim."""

    deleted: list[tuple[int, int]]
    tags: int
    withheld: int


def _selected(holdings: Iterable[Holding], rules: Rules) -> _Selection:
    """Select as `reclaim` does, without its words: of a large store these take longer than all else."""
    policy = Policy((rules,))
    deleted: list[tuple[int, int]] = []
    tags = withheld = 0
    for holding in holdings:
        selected, _ = policy.select(holding.candidates)
        goes = deletable(holding, selected, policy.keeping)
        deleted.extend((holding.repository, blob) for blob in goes)
        tags += sum(1 for candidate in holding.candidates if candidate.tag and candidate.blob in goes)
        withheld += len(selected.unknown)
    return _Selection(deleted, tags, withheld)


def _withheld(number: int) -> str:
    return (
        f"{number:,} more match, and may be in use for all that could be read: not counted" if number else ""
    )


def _collection(snapshot: Snapshot, name: str, option: str) -> RuleAnswer:
    """Tell what a collection by the registry itself would delete, and what harm it would do."""
    found = collected(snapshot, delete_untagged=bool(option))
    note = ""
    if found.stops:
        more = f" and {len(found.stops) - 1:,} more" if len(found.stops) > 1 else ""
        note = f"frees nothing: it ends with an error at {found.stops[0]}{more}"
    elif found.needed:
        note = f"{readable(found.needed)} of it tags need: registries before 3.0 lose that"
    return RuleAnswer(
        name,
        f"registry garbage-collect{option}",
        None,
        0 if found.stops else found.size,
        0,
        found.doubted,
        note,
        alarm=bool(found.needed or found.stops),
    )
