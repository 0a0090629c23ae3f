"""What one blob is, who holds it, and what would have to go for it to go: in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from regfs.errors import NotKnownError
from regfs.graph.index import Role, Snapshot, State, holders
from regfs.graph.index.blobs import BlobKnown, blob_known, digests_that_begin, named_as
from regfs.graph.index.doubt import gaps_of
from regfs.graph.index.findings import findings
from regfs.graph.index.signatures import Place, belongings_of
from regfs.graph.index.tags import tags_that_named
from regfs.graph.reports.paths import Holder, Paths
from regfs.graph.reports.table import Value, readable_size
from regfs.graph.reports.words import image_in_words
from regfs.graph.times import iso
from regfs.oci import naming
from regfs.oci.digest import LENGTHS

#: Hex digits that are enough to look for.
_SHORTEST = 4

#: Paths that are listed of each kind; the rest is counted.
_MOST = 50

_MEANING = {
    State.TAGGED: "tagged: some tag leads to it",
    State.UNTAGGED: "untagged: a revision leads to it, but no tag does; garbage-collect -m would free it",
    State.ORPHANED: "orphaned: nothing leads to it; garbage-collect would free it",
    State.UNKNOWN: "unknown: what was not read may lead to it, and no tag that was read does",
}


def find(snapshot: Snapshot, text: str) -> str:
    """Find the one digest that a text begins: `sha256:ab12…`, or its hex digits. Raises NotKnownError."""
    algorithm, colon, encoded = text.rpartition(":")
    encoded = encoded.lower()
    if len(encoded) < _SHORTEST or not set(encoded) <= set("0123456789abcdef"):
        raise NotKnownError(text, f"is no digest, nor the first {_SHORTEST} or more digits of one")
    found = [
        digest
        for name in ([algorithm] if colon else LENGTHS)
        for digest in digests_that_begin(snapshot, f"{name}:{encoded}")
    ]
    if not found:
        raise NotKnownError(text, "no blob is stored or named under a digest that begins so")
    if len(found) > 1:
        raise NotKnownError(text, "more than one digest begins so: " + ", ".join(found))
    return found[0]


def explain(snapshot: Snapshot, digest: str) -> Iterator[str]:
    """Explain one blob, by its whole digest; gives lines. Raises NotKnownError."""
    blob = _known(snapshot, digest)
    yield digest
    yield f"  is       {_what(snapshot, blob)}"
    if blob.size is None or blob.blocks is None or blob.stored is None:
        yield "  stored   not read: see below" if blob.unread else "  stored   no"
    else:
        yield f"  size     {blob.size} bytes ({readable_size(blob.size)}), {blob.blocks * 512} on disk"
        yield f"  stored   {iso(blob.stored)}"
        yield f"  state    {_MEANING[blob.state]}"
    if blob.manifest:
        yield from _listed("of", _images(snapshot, blob.id))
    held = _sorted(Paths(snapshot).holders(blob.id))
    yield from _listed("held by", [f"{holder.path}{_role(holder.role)}" for holder in held])
    yield from _listed("linked", _linked(snapshot, digest))
    yield from _listed("was", _was(snapshot, blob.id))
    doubts = gaps_of(snapshot, blob.id)
    yield from _goes(snapshot, blob.id, unknown=bool(doubts))
    if doubts and blob.state is not State.TAGGED:
        yield from _listed("gaps", [f"{path} {found}" for path, found in doubts])
    for finding in findings(snapshot, digest=digest):
        where = f"{finding.repository}:{finding.tag}" if finding.tag else finding.repository
        yield f"  {finding.kind.severity:<8} {where} wants {finding.wanted}: {finding.found}"


def describe(snapshot: Snapshot, digest: str) -> dict[str, Value]:
    """Give what is known of one blob, for programs: bytes, ISO 8601, paths. Raises NotKnownError."""
    blob = _known(snapshot, digest)
    return {
        "digest": digest,
        "kind": blob.kind,
        "media_type": blob.media_type,
        "size": blob.size,
        "blocks": blob.blocks,
        "stored": None if blob.stored is None else iso(blob.stored),
        "state": blob.state.word,
        "held_by": [holder.path for holder in _sorted(Paths(snapshot).holders(blob.id))],
        "linked": _linked(snapshot, digest),
        "gaps": [f"{path} {found}" for path, found in gaps_of(snapshot, blob.id)],
    }


def facts(snapshot: Snapshot, digest: str) -> dict[str, Value]:
    """Give all that `explain` says of one blob, for programs. Raises NotKnownError.

    `goes_with` names what would all have to be deleted for it to go; None: unknown.
    """
    blob = _known(snapshot, digest)
    unknown = bool(gaps_of(snapshot, blob.id))
    return {
        **describe(snapshot, digest),
        "unread": blob.unread,
        "images": _images(snapshot, blob.id) if blob.manifest else [],
        "was": _was(snapshot, blob.id),
        "goes_with": None if unknown else _needed_by(snapshot, blob.id),
        "findings": [
            {**finding._asdict(), "kind": finding.kind.value, "severity": finding.kind.severity}
            for finding in findings(snapshot, digest=digest)
        ],
    }


def _known(snapshot: Snapshot, digest: str) -> BlobKnown:
    found = blob_known(snapshot, digest)
    if found is None:
        raise NotKnownError(digest, "the store neither has this blob nor names it")
    return found


def _what(snapshot: Snapshot, blob: BlobKnown) -> str:
    if blob.error:
        return f"a damaged manifest: {blob.error}"
    if blob.manifest:
        article = "an" if blob.kind[0] in "aeiou" or blob.kind == "sbom" else "a"
        what = f"{article} {blob.kind}" if blob.kind == "index" else f"the manifest of {article} {blob.kind}"
        return f"{what}, {blob.media_type}"
    for named in named_as(snapshot, blob.id):
        if named.role in (Role.CONFIG, Role.LAYER):
            images = _counted(named.holder or "", named.number)
            return f"a {named.role.name.lower()} of {images}, {named.media_type or 'of no media type'}"
        if named.role is Role.ALIAS:
            return "stored under this digest, and pushed under one of another algorithm"
    if blob.seen is None:
        return "named by nothing"
    return f"named by nothing; by its first bytes {blob.seen or 'of no known form'}"


def _images(snapshot: Snapshot, manifest: int) -> list[str]:
    """Tell in words to which images a manifest belongs, in each of its repositories."""
    found = [
        f"{image_in_words(one)} in {one.repository}" + ": a stale signature" * (one.place is Place.GONE)
        for one in belongings_of(snapshot, manifest)
    ]
    return list(dict.fromkeys(found))


def _counted(kind: str, count: int) -> str:
    """Count images, or artifacts of a kind."""
    if kind in ("image", "index"):
        return "1 image" if count == 1 else f"{count} images"
    artifacts = "1 artifact" if count == 1 else f"{count} artifacts"
    return artifacts if kind == "artifact" else f"{artifacts} ({kind.removeprefix('artifact: ')})"


def _sorted(holders: Iterable[Holder]) -> list[Holder]:
    """Sort by path; what only a digest leads to comes last."""
    return sorted(holders, key=lambda holder: (naming.revision_name("") in holder.path, holder.path))


def _role(role: Role) -> str:
    return " (refers to it)" if role is Role.REFERRER else ""


def _linked(snapshot: Snapshot, digest: str) -> list[str]:
    """Find the repositories that have a link to a blob, as a layer or as a revision."""
    layers = [f"in {name} as a layer" for name in holders.repositories_linking_layer(snapshot, digest)]
    return layers + [
        f"in {repository} as a revision" + (f", since {iso(pushed)}" if pushed else "")
        for repository, pushed in holders.repositories_linking_revision(snapshot, digest)
    ]


def _was(snapshot: Snapshot, manifest: int) -> list[str]:
    """Find the tags that have named a manifest, and name another now."""
    return [
        f"{repository}:{tag}" + (f", pushed {iso(pushed)}" if pushed else "")
        for repository, tag, pushed in tags_that_named(snapshot, manifest)
    ]


def _goes(snapshot: Snapshot, blob: int, *, unknown: bool) -> Iterator[str]:
    """Tell which tags and untagged revisions lead to a blob: all of them would have to go."""
    if unknown:
        yield "  goes     unknown: what was not read may need it"
        return
    if names := _needed_by(snapshot, blob):
        yield from _listed("goes", [f"when {name} is deleted" for name in names], "and ")
        yield "           and garbage is collected"


def _needed_by(snapshot: Snapshot, blob: int) -> list[str]:
    """Name the tags and untagged revisions that lead to a blob."""
    names = sorted(f"{repository}:{tag}" for repository, tag in holders.all_tags_above(snapshot, blob))
    return names + [f"{repository}@{digest}" for repository, digest in holders.untagged_above(snapshot, blob)]


def _listed(title: str, lines: list[str], between: str = "") -> Iterator[str]:
    for position, line in enumerate(lines[:_MOST]):
        yield f"  {title if not position else '':<8} {between if position else ''}{line}"
    if len(lines) > _MOST:
        yield f"           and {len(lines) - _MOST} more"
