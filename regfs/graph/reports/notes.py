"""What `reclaim` says beside its answer: rules that match nothing, and what the rules keep by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import NamedTuple

from regfs.errors import printable
from regfs.graph.reports.holdings import Holding
from regfs.graph.reports.policy import Policy
from regfs.graph.reports.rules import Pattern, Patterns, Rules
from regfs.graph.reports.selection import Candidate, Selected

#: Names that a note lists; the rest is counted.
_MOST = 3


def notes(holdings: Sequence[Holding], selected: Sequence[Sequence[Selected]], policy: Policy) -> list[str]:
    """Say what a person may not expect of the rules, a line each.

    `selected` has, for each repository, what each rule alone makes of it.
    """
    candidates = [candidate for holding in holdings for candidate in holding.candidates]
    names = {_Name(found.path, found.tag, "" if found.tag else found.digest) for found in candidates}
    signatures = {_Name(found.path, found.tag, "") for found in candidates if found.tag and found.belongs_to}
    found = [(rules, note) for rules in policy.rules for note in _idle(rules, names, signatures)]
    found += [(policy.rules[0], note) for note in _keeps_nothing(holdings, policy.rules[0].keep, names)]
    for number, rules in enumerate(policy.rules):
        found += [(rules, note) for note in _kept([each[number] for each in selected], rules)]
    said = [f"{rules.name}: {note}" if rules.name else note for rules, note in found]
    if not any(rules.stale_signatures for rules in policy.rules):
        said += _stale(candidates)
    return [printable(note) for note in said]


def _idle(rules: Rules, names: Set[_Name], signatures: Set[_Name]) -> Iterator[str]:
    """Name the rules that match nothing today, as they were given."""
    for given, fitting in _fitting(rules.match, names):
        if not fitting:
            yield f"{given} matches nothing"
        elif fitting <= signatures and not rules.stale_signatures:
            yield f"{given} matches signatures alone, and these go with their images"
    if rules.untagged and rules.match and not any(pattern.whole or pattern.digest for pattern in rules.match):
        yield "--untagged selects nothing: no --match is REPO:* or REPO@DIGEST"


def _keeps_nothing(holdings: Sequence[Holding], keep: Iterable[Pattern], names: Set[_Name]) -> Iterator[str]:
    """Name what keeps nothing today, as it was given."""
    digests = (
        _Name(holding.path, "", digest) for holding in holdings for digest in holding.revisions.values()
    )
    for given, fitting in _fitting(keep, names | set(digests) if keep else names):
        if not fitting:
            yield f"{given} matches nothing, so it keeps nothing"


class _Name(NamedTuple):
    """A tag of a repository, or an image of it by its digest; the other one is ""."""

    repository: str
    tag: str
    digest: str


def _fitting(patterns: Iterable[Pattern], names: Set[_Name]) -> Iterable[tuple[str, set[_Name]]]:
    """Give each rule, as a person gave it, with the names that it fits."""
    fitting: dict[str, set[_Name]] = {}
    for pattern in patterns:
        found = fitting.setdefault(pattern.given, set())
        if pattern.literal:
            found |= {_Name(*pattern[1:])} & names
        else:
            rule = Patterns([pattern])
            found |= {name for name in names if rule.find(*name)}
    return fitting.items()


def _kept(selected: Sequence[Selected], rules: Rules) -> Iterator[str]:
    spared = [tag.path for found in selected for tag in found.spared]
    if spared:
        where = _listed(spared, "repository", "repositories")
        yield f"latest is spared in {where}; --match '*:latest' selects it"
    tied = [_name(tag) for found in selected for tag in found.tied]
    if tied:
        yield (
            f"--keep-last {rules.keep_last} keeps {_listed(tied, 'tag', 'tags')} more: "
            "nothing tells which of those that tie at the cut are the last"
        )
    unordered = [_name(tag) for found in selected for tag in found.unordered]
    if unordered:
        order = f"by {rules.by.value}" if rules.by else "by date"
        yield f"--keep-last keeps {_listed(unordered, 'tag', 'tags')} more: they have no place {order}"


def _stale(candidates: Iterable[Candidate]) -> Iterator[str]:
    stale = [_name(found) for found in candidates if found.stale]
    if stale:
        yield (
            f"{_listed(stale, 'stale signature', 'stale signatures')}: the images are gone; "
            "--stale-signatures selects such"
        )


def _name(candidate: Candidate) -> str:
    return f"{candidate.path}:{candidate.tag}" if candidate.tag else f"{candidate.path}@{candidate.digest}"


def _listed(names: Sequence[str], one: str, many: str) -> str:
    """Count some things, and name the first."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{len(names)} {one if len(names) == 1 else many} ({', '.join(names[:_MOST])}{more})"
