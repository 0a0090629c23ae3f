"""What the rules of `reclaim` select in one repository, and why; and what they keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from regfs.graph.index.signatures import Place, Subject
from regfs.graph.reports.last import last
from regfs.graph.reports.rules import Rules

#: What many pull without naming it: only who names it here as well means it.
_LATEST = "latest"


class Candidate(NamedTuple):
    """A tag, or an image that no tag leads to (`tag` is ""), as the rules see it.

    `repository` and `blob` are numbers in the index; `blob` is None where the tag's link cannot be read. An
    untagged image's `pushed` is the time of its revision's link. Times in nanoseconds, None if not known.
    `doubt`: what could not be read may tag it, or lead to it from a tag.
    `belongs_to` is the image whose signature, attestation or SBOM it is.
    """

    repository: int
    path: str
    tag: str
    digest: str
    blob: int | None
    pushed: int | None
    created: int | None = None
    belongs_to: Subject | None = None
    doubt: bool = False

    @property
    def stale(self) -> bool:
        """Whether it belongs to an image that is gone."""
        return self.belongs_to is not None and self.belongs_to.place is Place.GONE


@dataclass(slots=True)
class Selected:
    """What the rules make of one repository's tags and untagged images.

    `goes` tells which rules select each. `stays` is kept with all that it leads to. What is in neither is a
    signature whose image is here, and goes or stays with that. Of what stays, `last` is kept by --keep-last,
    `unknown` matches and may not be selected, `spared` is selected but for being `latest`, and `tied` and
    `unordered` are kept by --keep-last for want of an order.
    """

    goes: dict[Candidate, str] = field(default_factory=dict)
    stays: list[Candidate] = field(default_factory=list)
    last: set[Candidate] = field(default_factory=set)
    unknown: list[Candidate] = field(default_factory=list)
    spared: list[Candidate] = field(default_factory=list)
    tied: list[Candidate] = field(default_factory=list)
    unordered: list[Candidate] = field(default_factory=list)


def may_be_selected(candidate: Candidate) -> bool:
    """Tell whether any rule may select this. What the store does not tell for certain, none may."""
    return candidate.blob is not None and not candidate.doubt


def select(candidates: Iterable[Candidate], rules: Rules) -> Selected:
    """Part what one repository has by the rules."""
    found = Selected()
    matched: dict[Candidate, str] = {}
    for candidate in candidates:
        why = _matches(candidate, rules)
        subject = candidate.belongs_to
        if not may_be_selected(candidate):
            found.stays.append(candidate)
            if not (why is None or subject or _kept(candidate, rules) or _young(candidate, rules)):
                found.unknown.append(candidate)
        elif subject and subject.place is Place.HERE:
            if _kept(candidate, rules):
                found.stays.append(candidate)
        elif why is None or (subject and candidate.tag and not candidate.stale):
            found.stays.append(candidate)
        elif candidate.tag and not subject:
            matched[candidate] = why
        else:
            _decide(found, candidate, rules, why, "--stale-signatures" if candidate.stale else "--untagged")
    _select_tags(found, matched, rules)
    return found


def _select_tags(found: Selected, matched: dict[Candidate, str], rules: Rules) -> None:
    """Select from the tags that --match does: the last of them are counted among these."""
    latest = [
        tag for tag in matched if tag.tag == _LATEST and not rules.matching.literally(tag.path, tag.tag)
    ]
    counted = [tag for tag in matched if tag not in latest]
    found.last = _last(found, counted, rules)
    for tag in counted:
        if tag in found.last:
            found.stays.append(tag)
        else:
            _decide(
                found, tag, rules, matched[tag], f"--keep-last {rules.keep_last}" if rules.keep_last else ""
            )
    for tag in latest:
        found.stays.append(tag)
        if not (_kept(tag, rules) or _young(tag, rules) or tag in _last(Selected(), [*counted, tag], rules)):
            found.spared.append(tag)


def _last(found: Selected, tags: Sequence[Candidate], rules: Rules) -> set[Candidate]:
    """Give the tags that --keep-last keeps."""
    if not rules.keep_last:
        return set()
    order = last(tags, rules.keep_last, rules.by)
    found.tied.extend(tags[position] for position in sorted(order.tied))
    found.unordered.extend(tags[position] for position in sorted(order.unordered))
    return {tags[position] for position in order.kept}


def _decide(found: Selected, candidate: Candidate, rules: Rules, *why: str) -> None:
    """Select what matches, unless a rule that asks for nothing else keeps it."""
    if _kept(candidate, rules) or _young(candidate, rules):
        found.stays.append(candidate)
    else:
        older = "--older-than" if rules.before is not None else ""
        found.goes[candidate] = " ".join(filter(None, (*why, older)))


def _matches(candidate: Candidate, rules: Rules) -> str | None:
    """Tell which --match selects this, "" where none is given; None if the rules do not ask for it."""
    if not _asked_for(candidate, rules):
        return None
    if not rules.match:
        return ""
    pattern = rules.matching.find(candidate.path, candidate.tag, candidate.digest)
    return pattern.given if pattern else None


def _asked_for(candidate: Candidate, rules: Rules) -> bool:
    """Tell whether the rules are about such things at all."""
    if candidate.stale:
        return rules.stale_signatures or (rules.untagged and not candidate.tag)
    return rules.tags if candidate.tag else rules.untagged


def _kept(candidate: Candidate, rules: Rules) -> bool:
    patterns, path = rules.keeping, candidate.path
    found = patterns.find(path, candidate.tag, candidate.digest) or patterns.digest(path, candidate.digest)
    return found is not None


def _young(candidate: Candidate, rules: Rules) -> bool:
    """Tell whether --older-than keeps this: an age that is not known is never old enough."""
    return rules.before is not None and (candidate.pushed is None or candidate.pushed >= rules.before)
