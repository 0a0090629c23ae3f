"""What one blob is, who holds it, and what would have to go for it to go: in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from regfs.errors import NotKnownError
from regfs.graph.index import Kind, Role, State
from regfs.graph.index.ancestry import tags_above
from regfs.graph.index.doubt import gaps_of
from regfs.graph.reports.kinds import KIND, MEDIA_TYPE
from regfs.graph.reports.paths import Holder, Paths
from regfs.graph.reports.signatures import images_of
from regfs.graph.reports.table import readable_size
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


def find(connection: sqlite3.Connection, text: str) -> str:
    """Find the one digest that a text begins: `sha256:ab12…`, or its hex digits. Raises NotKnownError."""
    algorithm, colon, encoded = text.rpartition(":")
    encoded = encoded.lower()
    if len(encoded) < _SHORTEST or not set(encoded) <= set("0123456789abcdef"):
        raise NotKnownError(text, f"is no digest, nor the first {_SHORTEST} or more digits of one")
    found: list[str] = [
        digest
        for name in ([algorithm] if colon else LENGTHS)
        for (digest,) in connection.execute(
            "SELECT digest FROM blob WHERE digest >= ? AND digest < ? LIMIT 10",
            (f"{name}:{encoded}", f"{name}:{encoded}g"),
        )
    ]
    if not found:
        raise NotKnownError(text, "no blob is stored or named under a digest that begins so")
    if len(found) > 1:
        raise NotKnownError(text, "more than one digest begins so: " + ", ".join(found))
    return found[0]


def explain(connection: sqlite3.Connection, digest: str) -> Iterator[str]:
    """Explain one blob, by its whole digest; gives lines. Raises NotKnownError."""
    row = connection.execute(
        "SELECT id, size, blocks, stored, held.state, kind, manifest.media_type, manifest.error "
        "FROM blob LEFT JOIN held ON held.blob = id LEFT JOIN manifest ON manifest.blob = id "
        "WHERE digest = ?",
        (digest,),
    ).fetchone()
    if row is None:
        raise NotKnownError(digest, "the store neither has this blob nor names it")
    number, size, blocks, stored, state, kind, media_type, error = row
    yield digest
    yield f"  is       {_what(connection, number, kind, media_type, error)}"
    unread = connection.execute("SELECT 1 FROM unread WHERE blob = ?", (number,)).fetchone()
    if size is None:
        yield "  stored   not read: see below" if unread else "  stored   no"
    else:
        yield f"  size     {size} bytes ({readable_size(size)}), {blocks * 512} on disk"
        yield f"  stored   {iso(stored)}"
        yield f"  state    {_MEANING[State(state or State.ORPHANED)]}"
    if kind:
        yield from _listed("of", images_of(connection, number))
    holders = _sorted(Paths(connection).holders(number))
    yield from _listed("held by", [f"{holder.path}{_role(holder.role)}" for holder in holders])
    yield from _listed("linked", _linked(connection, digest))
    yield from _listed("was", _was(connection, number))
    doubts = gaps_of(connection, number)
    yield from _goes(connection, number, unknown=bool(doubts))
    if doubts and state != State.TAGGED:
        yield from _listed("gaps", [f"{path} {found}" for path, found in doubts])
    for finding in connection.execute(
        "SELECT kind, repository, tag, wanted, found FROM finding WHERE digest = ?", (digest,)
    ):
        name, repository, tag, wanted, found = finding
        where = f"{repository}:{tag}" if tag else repository
        yield f"  {Kind(name).severity:<8} {where} wants {wanted}: {found}"


def describe(connection: sqlite3.Connection, digest: str) -> Mapping[str, object]:
    """Give what is known of one blob, for programs: bytes, ISO 8601, paths. Raises NotKnownError."""
    row = connection.execute(
        f"SELECT id, size, blocks, stored, held.state, {KIND}, {MEDIA_TYPE} FROM blob "
        "LEFT JOIN held ON held.blob = id LEFT JOIN manifest ON manifest.blob = id "
        "LEFT JOIN content ON content.blob = id WHERE digest = ?",
        (digest,),
    ).fetchone()
    if row is None:
        raise NotKnownError(digest, "the store neither has this blob nor names it")
    number, size, blocks, stored, state, kind, media_type = row
    holders = _sorted(Paths(connection).holders(number))
    return {
        "digest": digest,
        "kind": kind,
        "media_type": media_type,
        "size": size,
        "blocks": blocks,
        "stored": None if stored is None else iso(stored),
        "state": State(state or State.ORPHANED).word,
        "held_by": [holder.path for holder in holders],
        "linked": _linked(connection, digest),
        "gaps": [f"{path} {found}" for path, found in gaps_of(connection, number)],
    }


def _what(connection: sqlite3.Connection, number: int, kind: str | None, media_type: str, error: str) -> str:
    if error:
        return f"a damaged manifest: {error}"
    if kind:
        article = "an" if kind[0] in "aeiou" or kind == "sbom" else "a"
        what = f"{article} {kind}" if kind == "index" else f"the manifest of {article} {kind}"
        return f"{what}, {media_type}"
    named = connection.execute(
        "SELECT role, edge.media_type, holder.kind, count(*) FROM edge "
        "LEFT JOIN manifest AS holder ON holder.blob = source "
        "WHERE target = ? GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        (number,),
    ).fetchall()
    for role, named_type, holder, count in named:
        if role in (Role.CONFIG, Role.LAYER):
            holders = _counted(holder, count)
            return f"a {Role(role).name.lower()} of {holders}, {named_type or 'of no media type'}"
        if role == Role.ALIAS:
            return "stored under this digest, and pushed under one of another algorithm"
    seen = connection.execute("SELECT media_type FROM content WHERE blob = ?", (number,)).fetchone()
    return (
        f"named by nothing; by its first bytes {seen[0] or 'of no known form'}"
        if seen
        else "named by nothing"
    )


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


def _linked(connection: sqlite3.Connection, digest: str) -> list[str]:
    """Find the repositories that have a link to a blob, as a layer or as a revision."""
    algorithm, _, encoded = digest.partition(":")
    raw = bytes.fromhex(encoded)
    found = [
        f"in {repository} as a layer"
        for repository, digests in connection.execute(
            "SELECT name, digests FROM layer_links JOIN repository ON repository.id = repository "
            "WHERE algorithm = ? AND instr(digests, ?) ORDER BY name",
            (algorithm, raw),
        )
        if raw in {digests[start : start + len(raw)] for start in range(0, len(digests), len(raw))}
    ]
    found += [
        f"in {repository} as a revision" + (f", since {iso(pushed)}" if pushed else "")
        for repository, pushed in connection.execute(
            "SELECT repository.name, pushed FROM revision JOIN repository ON repository.id = repository "
            "WHERE revision.name = ? ORDER BY 1",
            (digest,),
        )
    ]
    return found


def _was(connection: sqlite3.Connection, number: int) -> list[str]:
    """Find the tags that have named a manifest, and name another now."""
    return [
        f"{repository}:{tag}" + (f", pushed {iso(pushed)}" if pushed else "")
        for repository, tag, pushed in connection.execute(
            "SELECT repository.name, tag, history.pushed FROM history "
            "JOIN repository ON repository.id = history.repository "
            "JOIN tag ON tag.repository = history.repository AND tag.name = history.tag "
            "WHERE history.blob = :blob AND tag.blob IS NOT :blob ORDER BY 3",
            {"blob": number},
        )
    ]


def _goes(connection: sqlite3.Connection, number: int, *, unknown: bool) -> Iterator[str]:
    """Tell which tags and untagged revisions lead to a blob: all of them would have to go."""
    if unknown:
        yield "  goes     unknown: what was not read may need it"
        return
    tags = sorted(f"{repository}:{tag}" for repository, tag in tags_above(connection, number, Role))
    revisions = connection.execute(
        "WITH RECURSIVE above (blob) AS ("
        "VALUES (?) UNION SELECT edge.source FROM above JOIN edge ON edge.target = above.blob) "
        "SELECT repository.name || '@' || digest FROM above "
        "JOIN untagged ON untagged.blob = above.blob JOIN blob ON blob.id = above.blob "
        "JOIN repository ON repository.id = untagged.repository "
        "WHERE NOT referrer ORDER BY 1",
        (number,),
    ).fetchall()
    names = [*tags, *(name for (name,) in revisions)]
    if names:
        yield from _listed("goes", [f"when {name} is deleted" for name in names], "and ")
        yield "           and garbage is collected"


def _listed(title: str, lines: list[str], between: str = "") -> Iterator[str]:
    for position, line in enumerate(lines[:_MOST]):
        yield f"  {title if not position else '':<8} {between if position else ''}{line}"
    if len(lines) > _MOST:
        yield f"           and {len(lines) - _MOST} more"
