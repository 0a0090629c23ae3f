"""What a deletion would free: what some rules select, and the bytes that go with it. Deletes nothing.

To delete an image is to delete its manifest from its repository by digest (distribution-spec, "Deleting
Manifests"), with the children, referrers and signatures that are only its own; all tags of that repository
which name it go with it. So a tag whose image has a name that is kept stays. Then `garbage-collect` deletes
each blob that no remaining revision names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from regfs.graph.index import Snapshot
from regfs.graph.index.blobs import Sum
from regfs.graph.index.garbage import Freed, freed_by
from regfs.graph.index.signatures import Belonging, names_of
from regfs.graph.index.weights import sizes_of_images
from regfs.graph.reports.holdings import Holding, read_holdings
from regfs.graph.reports.notes import notes
from regfs.graph.reports.policy import Policy
from regfs.graph.reports.rules import Patterns, Rules
from regfs.graph.reports.selection import Candidate, Selected
from regfs.graph.reports.table import SPARE, Column, Row, Table, Type
from regfs.graph.reports.words import image_in_words
from regfs.oci.names import is_whole_repository

BY_REPOSITORY = (
    Column("repository", help="its name; the last rows are sums, in brackets"),
    Column("tags", Type.NUMBER, "how many go"),
    Column("blobs", Type.NUMBER, "how many go with them, which nothing else needs"),
    Column("freed", Type.SIZE, "their bytes"),
)

BY_TAG = (
    Column("repository", help="its name"),
    Column("tag", help="its name"),
    Column("digest", Type.DIGEST, "what it names; none: its link cannot be read", SPARE),
    Column("pushed", Type.TIME, "when it was set; none: unknown"),
    Column("age", Type.AGE, "since then; none: unknown", SPARE),
    Column("size", Type.SIZE, "all that it leads to, each blob once; none: unknown"),
    Column("selected_by", help="the rules that select it", rank=SPARE),
    Column("goes", help="yes; or no, and why it stays"),
)


class SelectedTag(NamedTuple):
    """A tag that goes, or would but for what `stays` tells; `selected_by` says which rules select it."""

    tag: Candidate
    selected_by: str
    stays: str = ""


@dataclass(slots=True)
class Reclaim:
    """What the rules select, and what deleting it frees.

    `tags` go with what they name, `stays` are selected and stay all the same; `untagged` are images that go
    and that no tag leads to. `digests` are to be deleted, as repository@digest, what leads to others before
    these in `manifests`. `withheld` counts what the rules match, and what may be in use for all that could be
    read. `notes` say in words what the rules do that a person may not expect of them.
    """

    tags: list[SelectedTag] = field(default_factory=list)
    stays: list[SelectedTag] = field(default_factory=list)
    untagged: list[SelectedTag] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    manifests: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    withheld: int = 0
    freed: Freed = field(default_factory=lambda: Freed({}, Sum(0, 0)))

    @property
    def leaves_out(self) -> bool:
        """Whether the answer leaves something out that is unknown."""
        return bool(self.withheld or self.freed.unknown[0])

    @property
    def size(self) -> int:
        """All bytes that the store would shrink by."""
        return self.freed.total[1]

    def by_repository(self) -> Table:
        """List what each repository frees, and the sums."""
        freed = self.freed.by_repository
        names: dict[str, int] = {}
        for row in self.tags:
            names[row.tag.path] = names.get(row.tag.path, 0) + 1
        rows: list[Row] = [
            (repository, names.get(repository, 0), *freed.get(repository, (0, 0)))
            for repository in sorted({*names, *freed} - {""})
        ]
        rows.append(("(in several of them)", None, *freed.get("", (0, 0))))
        rows.append(("(orphaned already)", None, *self.freed.orphaned))
        if self.freed.unknown[0]:
            rows.append(("(unknown: not counted)", None, *self.freed.unknown))
        rows.append(("(total)", len(self.tags), *self.freed.total))
        return Table(BY_REPOSITORY, rows)


def by_tag(snapshot: Snapshot, found: Reclaim, now: int) -> Table:
    """List the selected tags with size and age, which rules select each, and whether it can go.

    `now` is the time in nanoseconds that ages are counted to. Needs WEIGHTS.
    """
    sizes = sizes_of_images(snapshot)
    rows = [
        (
            tag.path,
            tag.tag,
            tag.digest or None,
            tag.pushed,
            None if tag.pushed is None else max(now - tag.pushed, 0),
            None if tag.blob is None else sizes.get(tag.blob),
            selected_by,
            f"no: {stays}" if stays else "yes",
        )
        for tag, selected_by, stays in (*found.tags, *found.stays)
    ]
    return Table(BY_TAG, rows)


def reclaim(snapshot: Snapshot, rules: Rules | Policy, *, listed: bool = False) -> Reclaim:
    """Compute what deleting what the rules select would free.

    `rules.need_created`: an image whose config was not read has no date. `listed`: name the blobs, too.
    """
    policy = rules if isinstance(rules, Policy) else Policy((rules,))
    found = Reclaim()
    deleted: list[tuple[int, int]] = []
    chosen: list[list[Selected]] = []
    ignore = policy.ignore_no_tags
    holdings = read_holdings(snapshot, with_dates=policy.need_created, ignore_no_tags=ignore)
    for holding in holdings:
        selected, each = policy.select(holding.candidates)
        goes = deletable(holding, selected, policy.keeping)
        _tell(snapshot, found, holding, selected, goes)
        found.manifests.extend((holding.path, holding.revisions[blob]) for blob in in_order(holding, goes))
        deleted.extend((holding.repository, blob) for blob in goes)
        chosen.append(each)
        found.withheld += len(selected.unknown)
    found.digests = sorted(f"{path}@{digest}" for path, digest in found.manifests)
    found.notes = notes(holdings, chosen, policy)
    found.freed = freed_by(snapshot, deleted, ignore_no_tags=ignore, listed=listed)
    return found


def deletable(holding: Holding, selected: Selected, keeping: Patterns) -> set[int]:
    """Give the manifests of one repository that what is selected leads to, and nothing that stays.

    `keeping` has digests that stay.
    """
    if not is_whole_repository(holding.path):
        return set()
    kept = {blob for blob, digest in holding.revisions.items() if keeping.digest(holding.path, digest)}
    wanted = {candidate.blob for candidate in selected.goes}
    goes = holding.closure(wanted)
    # What is no revision cannot be deleted: it stays, with what it leads to.
    stays = holding.closure(
        {candidate.blob for candidate in selected.stays}
        | kept
        | (wanted - holding.revisions.keys())
        | holding.doubtful
    )
    for candidate in holding.candidates:  # signatures that no image leads to: none that is selected or kept
        if candidate.blob not in goes and candidate.blob not in stays:
            stays |= holding.closure({candidate.blob})
    return (goes - stays) & holding.revisions.keys()


def in_order(holding: Holding, manifests: Iterable[int]) -> list[int]:
    """Sort manifests so that each comes before its children and referrers: some registries insist on that."""
    ordered: list[int] = []
    left = set(manifests)
    for root in sorted(left, key=holding.revisions.__getitem__, reverse=True):
        waiting = [(root, False)]
        while waiting:
            blob, seen_below = waiting.pop()
            if seen_below:
                ordered.append(blob)
            elif blob in left:
                left.remove(blob)
                waiting.append((blob, True))
                waiting.extend((below, False) for below in holding.manifests.get(blob, ()))
    return ordered[::-1]


def _tell(
    snapshot: Snapshot, found: Reclaim, holding: Holding, selected: Selected, deleted: set[int]
) -> None:
    """Note which tags of one repository go, and which that are selected stay."""
    kept = {tag.blob: tag.tag for tag in selected.stays if tag.tag and not tag.belongs_to}
    for tag in holding.candidates:
        if not tag.tag:
            if tag.blob in deleted and tag in selected.goes:
                found.untagged.append(SelectedTag(tag, selected.goes[tag]))
        elif tag.blob in deleted:
            subject = tag.belongs_to
            why = selected.goes.get(tag, "")
            if subject and not why:
                name = names_of(snapshot, holding.repository, subject)
                belonging = Belonging(tag.path, tag.tag, name, subject.place)
                why = f"with {image_in_words(belonging)}"
            found.tags.append(SelectedTag(tag, why))
        elif tag in selected.goes:
            if tag.blob in kept:
                stays = f"{kept[tag.blob]} names it as well"
            elif tag.blob not in holding.revisions:
                stays = "it names no revision, so no API can delete it"
            elif not is_whole_repository(holding.path):
                stays = "no registry serves a repository of this name, so no API can delete it"
            else:
                stays = "a kept image leads to it"
            found.stays.append(SelectedTag(tag, selected.goes[tag], stays))
        elif tag in selected.unknown:
            why = "what could not be read may need it" if tag.doubt else "what it names could not be read"
            found.stays.append(SelectedTag(tag, "", why))
        elif tag in selected.spared:
            found.stays.append(SelectedTag(tag, "", "latest is spared where no --match names it"))
