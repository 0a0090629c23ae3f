"""What is wrong by its cause: a row for each damaged blob, link or unread place, however many tags suffer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from regfs.graph.index import Kind, Snapshot
from regfs.graph.index.blobs import number_of, size_wanted
from regfs.graph.index.findings import KeptFinding, findings
from regfs.graph.index.tags import tags
from regfs.graph.reports.paths import Paths
from regfs.graph.reports.table import SPARE, Column, Row, Table, Type
from regfs.oci import Digest
from regfs.registry import layout

CAUSES = (
    Column("severity", Type.STATE, "alarm, unknown, damage, hazard"),
    Column("kind", Type.STATE, "what is wrong, in one word, as in the report broken"),
    Column("digest", Type.DIGEST, "the blob; empty: it is none"),
    Column("size", Type.SIZE, "its bytes, as images say", SPARE),
    Column("found", help="what is there instead"),
    Column("images", Type.NUMBER, "how many suffer; none: not known"),
    Column("tags", Type.NUMBER, "how many suffer; none: not known", SPARE),
    Column("example", help="one path of the mounted tree, or one tag, that suffers; or the place"),
    Column("path", help="the file below the store: what to copy from another host", rank=SPARE),
)

#: What is wrong with a blob, whoever needs it.
_OF_BLOBS = frozenset({Kind.MISSING, Kind.SIZE, Kind.CONTENT, Kind.BLOB, Kind.MANIFEST, Kind.MANIFEST_LOST})


@dataclass(slots=True)
class _Cause:
    """One cause: the loudest finding, and what suffers."""

    finding: KeptFinding
    images: set[str] = field(default_factory=set)
    tags: set[tuple[str, str]] = field(default_factory=set)


def by_cause(snapshot: Snapshot, severities: Iterable[str]) -> Table:
    """List what is wrong, the loudest first, then what most tags suffer from. Needs LINKS and CONTENTS."""
    wanted = frozenset(severities)
    named = {(tag.repository, tag.tag): tag.digest for tag in tags(snapshot)}
    causes: dict[tuple[str, ...], _Cause] = {}
    for found in findings(snapshot):
        if found.kind.severity not in wanted:
            continue
        cause = causes.setdefault(_key(found), _Cause(found))
        if found.kind.rank < cause.finding.kind.rank:
            cause.finding = found
        if found.tag:
            cause.tags.add((found.repository, found.tag))
        if image := found.image or named.get((found.repository, found.tag)):
            cause.images.add(image)
    ordered = sorted(
        causes.items(), key=lambda pair: (pair[1].finding.kind.rank, -len(pair[1].tags), pair[0])
    )
    paths = Paths(snapshot)
    return Table(CAUSES, [_row(snapshot, paths, cause) for _, cause in ordered])


def _known(count: int, *, of_blob: bool) -> int | None:
    """Give how many suffer; of what was not read, nobody knows that it is none."""
    return count if count or of_blob else None


def _key(found: KeptFinding) -> tuple[str, ...]:
    """Tell findings of one cause by this."""
    if found.kind in _OF_BLOBS and found.digest:
        return "blob", found.digest
    if found.kind is Kind.UNTOLD:
        return "gap", found.found
    if found.path:
        return found.kind.value, found.path
    return found.kind.value, found.repository, found.digest, "" if found.digest else found.tag


def _row(snapshot: Snapshot, paths: Paths, cause: _Cause) -> Row:
    found = cause.finding
    of_blob = found.kind in _OF_BLOBS and bool(found.digest)
    number = number_of(snapshot, found.digest) if found.digest else None
    example = paths.example(number) if number is not None and of_blob else ""
    repository, tag = min(cause.tags, default=(found.repository, ""))
    return (
        found.kind.severity,
        found.kind.value,
        found.digest or None,
        None if number is None else size_wanted(snapshot, number),
        found.found,
        _known(len(cause.images), of_blob=of_blob),
        _known(len(cause.tags), of_blob=of_blob),
        example or (f"{repository}:{tag}" if tag else repository or found.path),
        found.path or (layout.blob_data(Digest.parse(found.digest)) if of_blob else ""),
    )
