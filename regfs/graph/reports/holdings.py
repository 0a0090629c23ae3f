"""What each repository holds, as the rules of `reclaim` see it: read from the index, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from regfs.graph.index import Snapshot
from regfs.graph.index.doubt import may_be_tagged
from regfs.graph.index.repositories import repository_names
from regfs.graph.index.revisions import manifests_below, revisions, times_built, untagged_roots
from regfs.graph.index.signatures import Signatures
from regfs.graph.index.tags import TagNamed, tags
from regfs.graph.reports.selection import Candidate


@dataclass(slots=True)
class Holding:
    """What one repository has: its manifests with their digests, and what the rules select from.

    `manifests` leads from manifests to those below them, in all repositories: children, and what has them as
    its subject; `named_after` from images to signatures of this repository that tell by their tags.
    `doubtful` are manifests that something may tag which could not be read: no rule selects them.
    """

    repository: int
    path: str
    manifests: Mapping[int, list[int]]
    revisions: dict[int, str] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    named_after: dict[int, list[int]] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)

    def closure(self, roots: Iterable[int | None]) -> set[int]:
        """Give manifests with all that they lead to: children, and what belongs to them."""
        reached: set[int] = set()
        waiting = [root for root in roots if root is not None]
        while waiting:
            blob = waiting.pop()
            if blob not in reached:
                reached.add(blob)
                waiting.extend(self.manifests.get(blob, ()))
                waiting.extend(self.named_after.get(blob, ()))
        return reached


def read_holdings(snapshot: Snapshot, *, with_dates: bool, ignore_no_tags: bool = False) -> list[Holding]:
    """Read what each repository holds, sorted by name.

    `with_dates`: and when images were built, as far as configs were read. `ignore_no_tags`: a store without
    any tag is believed to have none.
    """
    below = manifests_below(snapshot)
    found = {id_: Holding(id_, name, below) for id_, name in repository_names(snapshot).items()}
    for revision in revisions(snapshot):
        found[revision.repository_id].revisions[revision.blob] = revision.digest
    for repository, manifest in may_be_tagged(snapshot, no_tags=not ignore_no_tags):
        if repository in found:
            found[repository].doubtful.add(manifest)
    built = times_built(snapshot) if with_dates else {}
    signatures = Signatures(snapshot)
    for tag in (*tags(snapshot), *_untagged(snapshot)):
        blob = tag.blob
        subject = signatures.subject(tag.repository_id, tag.tag, blob)
        holding = found[tag.repository_id]
        holding.candidates.append(
            Candidate(
                tag.repository_id,
                tag.repository,
                tag.tag,
                tag.digest or "",
                blob,
                tag.pushed,
                None if blob is None else built.get(blob),
                subject,
                doubt=not holding.doubtful.isdisjoint(holding.closure([blob])),
            )
        )
        if subject and subject.blob is not None and blob is not None:
            holding.named_after.setdefault(subject.blob, []).append(blob)
    return list(found.values())


def _untagged(snapshot: Snapshot) -> list[TagNamed]:
    """Give the images that no tag leads to as what has no name of a tag."""
    return [
        TagNamed(image.repository_id, image.repository, "", image.blob, image.digest, image.pushed)
        for image in untagged_roots(snapshot)
    ]
