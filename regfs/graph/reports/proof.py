"""A plan beside the store as it is now: what went, what is still to go, what stays, and why.

Before a deletion it tells what of the plan still holds: what was tagged, pushed or signed since is not to
go any more. After it, it proves what went. What could not be read is neither: it is unknown.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from regfs.errors import PlanError
from regfs.graph.index import Snapshot, State
from regfs.graph.index.blobs import states_of, sum_of_blobs
from regfs.graph.index.doubt import Unread
from regfs.graph.index.findings import some_blobs_unread
from regfs.graph.index.garbage import freed_by
from regfs.graph.index.revisions import times_of_revisions, unread_revisions
from regfs.graph.reports.holdings import Holding, read_holdings
from regfs.graph.reports.plan import Plan, PlannedBlob, pushed_in_words
from regfs.graph.reports.reclaim import deletable, in_order
from regfs.graph.reports.rules import Patterns
from regfs.graph.reports.selection import Candidate, Selected
from regfs.graph.reports.table import SPARE, Cell, Column, Row, Table, Type
from regfs.graph.times import iso, nanoseconds
from regfs.oci import Digest
from regfs.registry import layout

_NO_PATTERNS = Patterns(())

OUTCOMES = (
    Column("outcome", help="promised: by the plan; then what became of it"),
    Column("images", Type.NUMBER, "how many"),
    Column("manifests", Type.NUMBER, "how many"),
    Column("blobs", Type.NUMBER, "how many"),
    Column("size", Type.SIZE, "their bytes"),
)

IMAGES = (
    Column("repository", help="its name"),
    Column("tag", help="its name; empty: an untagged image"),
    Column("digest", Type.DIGEST, "of its manifest", SPARE),
    Column("selected_by", help="the rules that selected it", rank=SPARE),
    Column("outcome", help="what became of it"),
    Column("why", help="it stays"),
)


class Outcome(enum.Enum):
    """What became of a part of a plan. The values are what reports call it."""

    GONE = "gone"
    #: Nothing needs it, and it was not deleted.
    TO_DELETE = "to delete"
    #: A blob that nothing leads to any more.
    TO_COLLECT = "to collect"
    #: It is needed now.
    STAYS = "stays"
    UNKNOWN = "unknown"


class Judged(NamedTuple):
    """What became of a part of a plan, and why."""

    outcome: Outcome
    why: str = ""


@dataclass(frozen=True)
class Proof:
    """A plan, and what became of it.

    `manifests` by repository and digest, `blobs` by digest; `to_delete` is in the order in which to do it.
    `size` is what all blobs of the store take, `unread` whether some of them were not read.
    """

    plan: Plan
    manifests: Mapping[tuple[str, str], Judged]
    blobs: Mapping[str, Outcome]
    to_delete: list[tuple[str, str]]
    size: int
    unread: bool

    @property
    def whole(self) -> bool:
        """Whether all that the plan promised is gone."""
        return self.count(Outcome.GONE) == (
            len(self.plan.images),
            len(self.manifests),
            len(self.blobs),
            self.plan.promised_size,
        )

    def count(self, outcome: Outcome) -> tuple[int, int, int, int]:
        """Count what became this: images, manifests, blobs, and the bytes of these."""
        images = sum(self.of(image.repository, image.digest).outcome is outcome for image in self.plan.images)
        manifests = sum(judged.outcome is outcome for judged in self.manifests.values())
        sizes = [blob.size for blob in self.plan.blobs if self.blobs[blob.digest] is outcome]
        return images, manifests, len(sizes), sum(sizes)

    def of(self, repository: str, digest: str) -> Judged:
        """Tell what became of an image."""
        return self.manifests[repository, digest]

    @property
    def left(self) -> dict[str, str]:
        """Tell what is not to go any more, or perhaps not, and why: by repository@digest."""
        return {
            f"{repository}@{digest}": judged.why
            for (repository, digest), judged in self.manifests.items()
            if judged.outcome in (Outcome.STAYS, Outcome.UNKNOWN)
        }

    @property
    def grown(self) -> int | None:
        """The bytes that the store grew by besides what of the plan went; None if that cannot be told.

        Less than 0: so much went that is not in the plan.
        """
        if self.unread:
            return None
        *_, gone = self.count(Outcome.GONE)
        return self.size - (self.plan.store.size - gone)

    def summary(self) -> Table:
        """Sum it up, beside what the plan promised."""
        plan = self.plan
        rows: list[Row] = [
            ("promised", len(plan.images), len(plan.manifests), plan.promised_blobs, plan.promised_size)
        ]
        for outcome in Outcome:
            images, manifests, *sizes = self.count(outcome)
            of_blobs = outcome is Outcome.TO_COLLECT
            counts: tuple[Cell, ...] = (None, None) if of_blobs else (images, manifests)
            rows.append((outcome.value, *counts, *sizes))
        return Table(
            OUTCOMES,
            rows,
        )

    def by_image(self) -> Table:
        """List the plan's tags and untagged images, what selected each, and what became of it."""
        return Table(
            IMAGES,
            [
                (
                    image.repository,
                    image.tag,
                    image.digest,
                    image.selected_by,
                    *self._judged(image.repository, image.digest),
                )
                for image in self.plan.images
            ],
        )

    def _judged(self, repository: str, digest: str) -> tuple[str, str]:
        judged = self.of(repository, digest)
        return judged.outcome.value, judged.why


def see_that_it_is_of(snapshot: Snapshot, path: str, plan: Plan, place: tuple[str, int | None]) -> str:
    """See that a plan is of this store, or of what this is a copy of. Raises PlanError.

    `path` is the plan's file; `place` the store's path and its directory's inode. Gives what is to be said
    about a store at another place, "" for the same.
    """
    was = plan.store
    if place == (was.path, was.inode) and (was.inode is not None or "://" in was.path):
        return ""
    here = {
        f"{holding.path}@{digest}"
        for holding in read_holdings(snapshot, with_dates=False)
        for digest in holding.revisions.values()
    }
    known = sum(name in here for name in was.kept)
    if known * 2 <= len(was.kept):
        raise PlanError(
            path,
            f"is no plan of {place[0]}: it was made of {was.path}, and of {len(was.kept)} images that stay "
            f"there this store has {known}",
        )
    return f"the plan was made of {was.path}; this store has the same images, and is believed to be a copy"


def prove(snapshot: Snapshot, plan: Plan, keeping: Patterns = _NO_PATTERNS) -> Proof:
    """Compare a plan with the store as it is. What `keeping` fits is not to go any more."""
    ignore = plan.ignore_no_tags
    holdings = {
        holding.path: holding for holding in read_holdings(snapshot, with_dates=False, ignore_no_tags=ignore)
    }
    planned: dict[str, _Part] = {}
    for manifest in plan.manifests:
        planned.setdefault(manifest.repository, _Part({}, {})).manifests[manifest.digest] = manifest.pushed
    for image in plan.images:
        planned[image.repository].pushed[image.tag, image.digest] = image.pushed
    unread, torn, times = Unread(snapshot), unread_revisions(snapshot), times_of_revisions(snapshot)
    judged: dict[tuple[str, str], Judged] = {}
    deleted: list[tuple[int, int]] = []
    to_delete: list[tuple[str, str]] = []
    newest = nanoseconds(plan.store.newest) or 0
    for path, part in planned.items():
        digests = part.manifests.keys()
        holding = holdings.get(path)
        here = set(holding.revisions.values()) if holding else set()
        for digest in digests - here:
            judged[path, digest] = _absent(path, digest, unread, torn)
        if holding and digests & here:
            review = _Review(holding, part, newest, times.get(path, {}), keeping)
            goes = review.goes
            deleted.extend((holding.repository, blob) for blob in goes)
            to_delete.extend((path, holding.revisions[blob]) for blob in in_order(holding, goes))
            for blob, digest in holding.revisions.items():
                if digest in digests:
                    judged[path, digest] = review.judge(blob)
    would_go = {blob.digest for blob in freed_by(snapshot, deleted, ignore_no_tags=ignore, listed=True).blobs}
    return Proof(
        plan,
        {(one.repository, one.digest): judged[one.repository, one.digest] for one in plan.manifests},
        dict(_blobs(snapshot, plan.blobs, would_go, unread)),
        to_delete,
        sum_of_blobs(snapshot).size,
        some_blobs_unread(snapshot),
    )


def _absent(repository: str, digest: str, unread: Unread, torn: set[tuple[str, str]]) -> Judged:
    """Judge a manifest that the repository has not, as far as it was read."""
    place = layout.link_below(layout.revisions(repository), Digest.parse(digest))
    if (repository, digest) in torn:
        return Judged(Outcome.UNKNOWN, f"not read: {place}")
    gap = unread.at(place)
    return Judged(Outcome.GONE) if gap is None else Judged(Outcome.UNKNOWN, f"not read: {gap}")


def _blobs(
    snapshot: Snapshot, blobs: Iterable[PlannedBlob], would_go: set[str], unread: Unread
) -> Iterator[tuple[str, Outcome]]:
    """Judge blobs; `would_go` are those that a collection frees once what is to be deleted is."""
    digests = [blob.digest for blob in blobs]
    states = states_of(snapshot, digests)
    for digest in digests:
        state = states.get(digest)
        if state is None:
            gone = unread.at(layout.blob_directory(Digest.parse(digest))) is None
            yield digest, Outcome.GONE if gone else Outcome.UNKNOWN
        elif state is State.UNKNOWN:
            yield digest, Outcome.UNKNOWN
        elif state is State.ORPHANED:
            yield digest, Outcome.TO_COLLECT
        else:
            yield digest, Outcome.TO_DELETE if digest in would_go else Outcome.STAYS


class _Part(NamedTuple):
    """The part of a plan that is one repository's: when its manifests were pushed, and when its images.

    The latter by tag ("" for none) and digest.
    """

    manifests: dict[str, str]
    pushed: dict[tuple[str, str], str]


class _Review:
    """What of a plan is still to go from one repository. `goes` are the manifests, by number.

    What is to go is what was pushed when the plan says. Of what it does not name, only what was pushed before
    the newest manifest that it knew is surely no later than it: a storage elsewhere has another clock, and a
    file's time may be a tick behind any. `times` are those of the repository's links to manifests, by digest.
    """

    def __init__(
        self,
        holding: Holding,
        part: _Part,
        newest: int,
        times: Mapping[str, int | None],
        keeping: Patterns,
    ) -> None:
        self._holding = holding
        self._newest = newest
        self._times = times
        self._planned, self._pushed = part
        self._keeping = keeping
        self._since: dict[Candidate, str] = {}
        selected = self._select()
        goes = deletable(holding, selected, keeping)
        # A signature that was pushed since: somebody means to keep its image.
        while more := {blob for blob in goes if not self._is_planned(blob) and not self._is_old(blob)}:
            for candidate in list(selected.goes):
                if new := more & holding.closure({candidate.blob}):
                    digest = holding.revisions[min(new)]
                    self._keep(
                        selected, candidate, f"{digest} belongs to it, which was pushed since the plan"
                    )
            goes = deletable(holding, selected, keeping)
        self.goes = {blob for blob in goes if self._is_planned(blob)}
        self._above = self._who_needs(selected.stays)

    def _select(self) -> Selected:
        """Select what the plan did, as far as it is what it was."""
        selected = Selected()
        for candidate in self._holding.candidates:
            key = candidate.tag, candidate.digest
            planned = key in self._pushed
            kept = self._keeping.find(*candidate[1:4]) or self._keeping.digest(
                candidate.path, candidate.digest
            )
            if candidate.doubt or candidate.blob is None:
                selected.stays.append(candidate)
            elif kept:
                self._keep(selected, candidate, f"{kept.given} keeps it")
            elif planned and self._pushed[key] == pushed_in_words(candidate.pushed):
                selected.goes[candidate] = ""
            elif not candidate.tag and self._is_untouched(candidate):
                selected.goes[candidate] = ""  # its tag was deleted since, or moved
            elif planned or not candidate.belongs_to or candidate.belongs_to.blob is None:
                when = "" if candidate.pushed is None else f", {iso(candidate.pushed)}"
                what = f"{candidate.path}:{candidate.tag}" if candidate.tag else "it"
                said = f"{what} was pushed again since the plan" if planned or not candidate.tag else ""
                self._keep(selected, candidate, (said or f"{what} names it since the plan") + when)
        return selected

    def _is_planned(self, blob: int) -> bool:
        return self._holding.revisions[blob] in self._planned

    def _is_old(self, blob: int) -> bool:
        """Tell whether a manifest was pushed before the plan was made, for certain."""
        pushed = self._times[self._holding.revisions[blob]]
        return pushed is not None and pushed < self._newest

    def _is_untouched(self, candidate: Candidate) -> bool:
        """Tell whether an image is in the plan and was not pushed again, for certain."""
        pushed = candidate.pushed
        return pushed is not None and self._planned.get(candidate.digest) == pushed_in_words(pushed)

    def _keep(self, selected: Selected, candidate: Candidate, why: str) -> None:
        selected.goes.pop(candidate, None)
        selected.stays.append(candidate)
        self._since[candidate] = why

    def judge(self, blob: int) -> Judged:
        """Judge a manifest that is there."""
        if blob in self.goes:
            return Judged(Outcome.TO_DELETE)
        if blob in self._holding.doubtful:
            return Judged(Outcome.UNKNOWN, "what could not be read may need it")
        first = self._above.get(blob)
        if first is None:
            kept = self._keeping.digest(self._holding.path, self._holding.revisions[blob])
            why = f"{kept.given} keeps it" if kept else "something leads to it that the plan does not have"
            return Judged(Outcome.STAYS, why)
        if first.blob == blob and first in self._since:
            return Judged(Outcome.STAYS, self._since[first])
        name = f"{first.path}:{first.tag}" if first.tag else f"{first.path}@{first.digest}"
        return Judged(Outcome.STAYS, f"{name} names it" if first.blob == blob else f"{name} leads to it")

    def _who_needs(self, stays: Iterable[Candidate]) -> dict[int, Candidate]:
        """Give, for each manifest that stays, what names it, else what leads to it; tags before others."""
        ordered = sorted(stays, key=lambda found: (not found.tag, found.tag))
        above: dict[int, Candidate] = {}
        for found in ordered:
            if found.blob is not None:
                above.setdefault(found.blob, found)
        for found in ordered:
            for blob in self._holding.closure({found.blob}):
                above.setdefault(blob, found)
        return above
