"""How two stores differ: their tags, and the blobs that one has and the other lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from regfs.graph.index import Snapshot
from regfs.graph.index.blobs import NumberedBlob, all_manifests, digests_below, size_of, tagged_blobs
from regfs.graph.index.doubt import gaps, lies_unread
from regfs.graph.index.tags import TagNamed
from regfs.graph.index.tags import tags as all_tags
from regfs.graph.reports.comparison import Compared, Holds
from regfs.graph.reports.paths import Paths
from regfs.graph.reports.table import SPARE, Column, Row, Table, Type
from regfs.oci import Digest
from regfs.registry import layout

#: What is said of a blob that may lie where the second store could not be read.
NOT_READ = "not read"

#: What is said of one whose content is not its digest's in the first store: there is nothing to be copied.
OTHER_IN_FIRST, OTHER_IN_BOTH = "other content in STORE_A", "other content in both"

#: The blobs that the second store does not lack, or that the first has not got to give.
NOT_TO_COPY = frozenset({NOT_READ, OTHER_IN_FIRST, OTHER_IN_BOTH})

TAGS = (
    Column("change", Type.STATE, "added, removed, moved, or unknown: something could not be read"),
    Column("repository", help="its name"),
    Column("tag", help="its name"),
    Column("first", Type.DIGEST, "what it names in STORE_A"),
    Column("second", Type.DIGEST, "what it names in STORE_B"),
    Column("pushed_first", Type.TIME, "when, there", SPARE),
    Column("pushed_second", Type.TIME, "when, there", SPARE),
)

BLOBS = (
    Column("digest", Type.DIGEST, "its name"),
    Column("size", Type.SIZE, "in STORE_A"),
    Column("second", Type.SIZE, "in STORE_B", SPARE),
    Column(
        "there",
        Type.STATE,
        "missing there, other size, or not read: what STORE_B has; with --digests also other content, other "
        "content in STORE_A, other content in both",
    ),
    Column("example", help="one path of the mounted tree at which it shows"),
)


def tags(first: Snapshot, second: Snapshot) -> Table:
    """List the tags that the second store has and the first has not (added), lacks, or names differently."""
    return Table(TAGS, list(_tags(first, second)))


def _names(snapshot: Snapshot) -> dict[tuple[str, str], TagNamed]:
    return {(tag.repository, tag.tag): tag for tag in all_tags(snapshot)}


def _tags(first: Snapshot, second: Snapshot) -> Iterator[Row]:
    ours, theirs = _names(first), _names(second)
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name), theirs.get(name)
        if one is None and other is not None:
            change = "unknown" if _may_hold(first, *name) else "added"
            yield change, *name, None, other.digest, None, other.pushed
        elif other is None and one is not None:
            change = "unknown" if _may_hold(second, *name) else "removed"
            yield change, *name, one.digest, None, one.pushed, None
        elif one is not None and other is not None and one.digest != other.digest:
            unread = any(
                side.digest is None and _may_hold(store, *name)
                for side, store in ((one, first), (other, second))
            )
            change = "unknown" if unread else "moved"
            yield change, *name, one.digest, other.digest, one.pushed, other.pushed


def _may_hold(snapshot: Snapshot, repository: str, tag: str) -> bool:
    """Tell whether a tag may stand, or name something, where that store could not be read."""
    path = layout.tag_link(repository, tag)
    return any(f"{path}/".startswith(f"{gap.path}/") or gap.path.startswith("../") for gap in gaps(snapshot))


def in_both(first: Snapshot, second: Snapshot) -> list[NumberedBlob]:
    """Give the blobs that tags of the first store need, and the second has with the same size, by digest."""
    return [blob for blob in tagged_blobs(first) if size_of(second, blob.digest) == blob.size]


def blobs(first: Snapshot, second: Snapshot, otherwise: Mapping[str, Compared] | None = None) -> Table:
    """List the blobs that tags of the first store need, and the second lacks or has with another size.

    Or of which that cannot be told, for the second could not be read there; or whose content is `otherwise`.
    """
    return Table(BLOBS, list(_blobs(first, second, otherwise or {})))


def _blobs(first: Snapshot, second: Snapshot, otherwise: Mapping[str, Compared]) -> Iterator[Row]:
    paths = Paths(first)
    for blob in tagged_blobs(first):
        there = size_of(second, blob.digest)
        if there != blob.size:
            unread = there is None and lies_unread(second, blob.digest)
            said = "other size" if there is not None else NOT_READ if unread else "missing there"
        elif compared := otherwise.get(blob.digest):
            said = _content(compared)
        else:
            continue
        yield blob.digest, blob.size, there, said, paths.example(blob.id)


def _content(compared: Compared) -> str:
    if compared.second is Holds.UNREAD:
        return NOT_READ
    if compared.first is not Holds.OTHER:
        return Holds.OTHER.value
    return OTHER_IN_BOTH if compared.second is Holds.OTHER else OTHER_IN_FIRST


def paths(first: Snapshot, missing: Iterable[Row], changes: Iterable[Row]) -> Iterator[str]:
    """Give the files, below the first store, that the second lacks: blobs, then links of tags that it lacks.

    `missing` and `changes` are rows of `blobs` and `tags`. Not every link that is named need be there. What
    lies where the second store was not read, what the first has with other content, and tags that moved, are
    left out.
    """
    for digest, _, _, there, _ in missing:
        if there not in NOT_TO_COPY:
            yield layout.blob_data(Digest.parse(str(digest)))
    manifests = set(all_manifests(first))
    for change, repository, tag, named, *_ in changes:
        if change == "removed" and named:
            name = str(repository)
            only = (name, str(tag))
            for digest in sorted(digests_below(first, lambda *found, only=only: found[:2] == only)):
                above = layout.revisions(name) if digest in manifests else layout.layers(name)
                yield f"{layout.link_below(above, Digest.parse(digest))}"
            yield layout.link_below(layout.tag_history(name, str(tag)), Digest.parse(str(named)))
            yield layout.tag_link(name, str(tag))
