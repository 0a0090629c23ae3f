"""What is wrong in a store, by kind, and what could not be read: in words."""

from __future__ import annotations

from itertools import groupby

from regfs.graph.index import Snapshot
from regfs.graph.index.findings import KeptFinding, UnreadFinding, findings, unread_findings
from regfs.graph.reports.lists import loudest_first
from regfs.page.document import UnreadPlace, WrongGroup, WrongThing
from regfs.registry.findings import SEVERITIES, Reach

#: How many of each kind are shown.
_EXAMPLES = 20

#: What is not known where a gap reaches so far.
_HIDES = {
    Reach.NOTHING: "nothing more: its name tells what it says",
    Reach.TAG: "which of the images that this tag has had it names now",
    Reach.TAGS: "which of this repository's images have tags",
    Reach.CONTENT: "what this manifest needs",
    Reach.REVISIONS: "which images this repository holds",
    Reach.MANIFESTS: "which images and tags this repository has",
    Reach.LAYERS: "which layers this repository links",
    Reach.BLOBS: "which blobs lie there, and their sizes: they are in no sum",
    Reach.EVERYTHING: "which repositories, images and tags lie there",
    Reach.NO_TAGS: "which images have tags: this registry seems to keep them elsewhere",
}


def wrong_things(snapshot: Snapshot) -> list[WrongGroup]:
    """Give what is wrong by kind, the loudest first. Needs LINKS and CONTENTS."""
    return [
        _group(list(found))
        for _, found in groupby(loudest_first(findings(snapshot)), lambda found: found.kind)
    ]


def _group(found: list[KeptFinding]) -> WrongGroup:
    kind = found[0].kind
    return WrongGroup(
        kind.severity,
        kind.value,
        SEVERITIES[kind.severity],
        len(found),
        len({(one.repository, one.tag) for one in found if one.tag}),
        [WrongThing(_where(one), one.wanted, one.found) for one in found[:_EXAMPLES]],
    )


def _where(found: KeptFinding) -> str:
    """Name what is wrong: a tag, an image, a repository, a blob; and the path, if there is one."""
    name = found.repository
    if found.tag:
        name = f"{name}:{found.tag}"
    elif found.image:
        name = f"{name}@{found.image}"
    return " ".join(filter(None, (name, found.digest if found.digest != found.image else "", found.path)))


def unread_places(snapshot: Snapshot, most: int) -> tuple[list[UnreadPlace], int]:
    """Give the first `most` places that could not be read, and how many there are."""
    found = unread_findings(snapshot)
    return [_unread(one) for one in found[:most]], len(found)


def _unread(gap: UnreadFinding) -> UnreadPlace:
    found = gap.finding
    return UnreadPlace(found.path or _where(found), found.found or found.kind.value, _HIDES[gap.reach])
