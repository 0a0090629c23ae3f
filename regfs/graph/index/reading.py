"""What one task reads, as the rows that the index keeps.

Each function may run in another thread or process: it takes the survey and plain values, gives plain values,
and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import intern
from typing import NamedTuple

from regfs.errors import ManifestError, MissingError, RegfsError
from regfs.graph.forward import MANIFEST_LIMIT
from regfs.graph.index.findings import Finding, Kind
from regfs.graph.index.schema import Role
from regfs.graph.naming import layer_titles
from regfs.oci import Descriptor, Digest, ImageManifest, Index, Manifest, Schema1Manifest, parse_manifest
from regfs.oci.platform import directory_names
from regfs.store import layout
from regfs.store.contents import join, nested_sound, tag_sound
from regfs.store.protocol import Entry, FileType
from regfs.store.survey import BlobSeen, DirectorySeen, LinkSeen, LinksSeen, Survey

#: What a manifest says of one blob: role, position, digest, size, media type, a child's directory name in the
#: tree, whether it is kept elsewhere, the title by which a layer is named in the tree.
EdgeRow = tuple[int, int, str, int | None, str, str, bool, str]


class ShardRead(NamedTuple):
    """The blobs of a shard, its stamp from before they were read, and what is odd there."""

    stamp: int
    blobs: list[BlobSeen]
    odd: list[Finding]


class LinksRead(NamedTuple):
    """The links of one algorithm below `_layers`: the digests in binary, sorted, one after the other.

    `aliases` are those that hold another digest: the one in the path, and the one in the link.
    """

    stamp: int
    digests: bytes
    aliases: list[tuple[str, str]]
    odd: list[Finding]


class ManifestRead(NamedTuple):
    """A manifest as the index keeps it; no `kind` where `error` tells why it cannot be read.

    `subject` is the digest of what it refers to, or empty. `missing`: it is not stored (any more), which is
    no fault of its content.
    """

    digest: str
    kind: str | None
    media_type: str
    artifact_type: str
    edges: list[EdgeRow]
    subject: str
    error: RegfsError | None = None
    missing: bool = False


def read_shard(survey: Survey, algorithm: str, prefix: str) -> ShardRead:
    """Look at every blob of a shard."""
    stamp, blobs, odd = survey.shard(algorithm, prefix)
    path = layout.shard(algorithm, prefix)
    findings = [_odd_blob(path, digest, error) for digest, error in odd]
    return ShardRead(stamp, blobs, findings)


def _odd_blob(path: str, digest: str, error: RegfsError) -> Finding:
    if getattr(error, "path", "") == path:
        return unlisted(path, error)[0]
    return Finding(Kind.BLOB if digest else Kind.STRAY, digest=digest, found=str(error), path=path)


def unlisted(path: str, error: RegfsError | None, repository: str = "") -> list[Finding]:
    """Give the finding for a directory that cannot be listed; none if there is no error."""
    if error is None:
        return []
    return [Finding(Kind.DIRECTORY, repository, wanted="a directory", found=str(error), path=path)]


def names_below(name: str, seen: DirectorySeen) -> tuple[list[str], list[Finding]]:
    """Give the names of the repositories, or of what leads to some, in a directory; and what is odd there."""
    path = layout.repository(name)
    names, odd = [], unlisted(path, seen.error, name)
    for entry in sorted(seen.entries):
        sound = nested_sound(name, entry.name, entry.type)
        place = f"{path}/{entry.name}"
        if sound:
            names.append(join(name, entry.name))
        elif name and entry.name in layout.OWN and entry.type is not FileType.DIRECTORY:
            found = f"a {entry.type.value}"
            odd.append(Finding(Kind.DIRECTORY, name, wanted="a directory", found=found, path=place))
        elif sound is False or (entry.type is FileType.OTHER and not layout.ignored(entry.name)):
            odd.append(_stray(name, place, entry, "repository"))
    return names, odd


def tags_below(repository: str, seen: DirectorySeen) -> tuple[list[str], list[Finding]]:
    """Give the names of the tags in the directory of a repository's, and what is odd there."""
    path = layout.tags(repository)
    names, odd = [], unlisted(path, seen.error, repository)
    for entry in seen.entries:
        sound = tag_sound(entry.name, entry.type)
        if sound:
            names.append(entry.name)
        elif sound is False or (entry.type is FileType.OTHER and not entry.name.startswith(".")):
            odd.append(_stray(repository, f"{path}/{entry.name}", entry, "tag", entry.name))
    return names, odd


def _stray(repository: str, path: str, entry: Entry, want: str, tag: str = "") -> Finding:
    found = f"a {entry.type.value} under a name or in a form that no registry makes"
    return Finding(Kind.STRAY, repository, tag, wanted=f"a {want}", found=found, path=path)


def read_layer_links(survey: Survey, repository: str, algorithm: str, thorough: bool) -> LinksRead:
    """Look at all links of one algorithm below `_layers`; and into each, if it is to be thorough."""
    directory = f"{layout.layers(repository)}/{algorithm}"
    names, other = survey.layer_links(directory, read=thorough)
    digests = b"".join(sorted(map(bytes.fromhex, names)))
    aliases = [(link.name, link.digest) for link in other.links if link.digest and _alias(link)]
    return LinksRead(other.stamp, digests, aliases, list(_odd_links(repository, directory, other)))


def read_revisions(
    survey: Survey, repository: str, algorithm: str, thorough: bool
) -> tuple[int, list[LinkSeen], list[Finding]]:
    """Look at all links of one algorithm below `revisions`: their stamp, the links, and what is odd there."""
    directory = f"{layout.revisions(repository)}/{algorithm}"
    seen = survey.links(directory, read=thorough)
    return seen.stamp, seen.links, list(_odd_links(repository, directory, seen))


def _alias(link: LinkSeen) -> bool:
    """Tell whether a link leads from one algorithm's digest to another's, as a push by sha512 leaves it."""
    return link.digest is not None and link.digest.partition(":")[0] != link.name.partition(":")[0]


def _odd_links(repository: str, directory: str, seen: LinksSeen) -> Iterator[Finding]:
    yield from unlisted(directory, seen.error, repository)
    for link in seen.links:
        path = f"{directory}/{link.name.partition(':')[2]}/{layout.LINK}"
        if link.error:
            yield Finding(Kind.LINK, repository, "", "", link.name, "a digest", reason(link.error), path)
        elif link.digest != link.name and not _alias(link):
            yield Finding(Kind.LINK, repository, "", "", link.name, link.name, f"{link.digest}", path)


def reason(error: RegfsError) -> str:
    """Give what is wrong, without the place, which is told beside it."""
    return getattr(error, "reason", "") or str(error)


def read_manifests(survey: Survey, digests: Iterable[str]) -> list[ManifestRead]:
    """Read manifests, each checked against its digest."""
    return [_read(survey, digest) for digest in digests]


def _read(survey: Survey, text: str) -> ManifestRead:
    digest = Digest.parse(text)
    try:
        raw = survey.read_blob(digest, MANIFEST_LIMIT)
        if digest.computable and (found := Digest.of(raw, digest.algorithm)) != digest:
            raise ManifestError(f"its content is {found}")
        manifest = parse_manifest(raw)
    except RegfsError as error:
        missing = isinstance(error, MissingError)
        return ManifestRead(text, None, "", "", [], "", error, missing)
    subject = None if isinstance(manifest, Schema1Manifest) else manifest.subject
    return ManifestRead(
        text,
        manifest.kind,
        manifest.media_type,
        "" if isinstance(manifest, Schema1Manifest) else manifest.artifact_type,
        list(_edges(manifest)),
        str(subject.digest) if subject else "",
    )


def _edges(manifest: Manifest) -> Iterator[EdgeRow]:
    if isinstance(manifest, Index):
        names = directory_names([child.platform for child in manifest.children])
        for position, child in enumerate(manifest.children):
            yield _edge(Role.CHILD, position, child, names[position])
    if isinstance(manifest, ImageManifest) and manifest.config is not None:
        yield _edge(Role.CONFIG, 0, manifest.config)
    for position, (layer, title) in enumerate(zip(manifest.layers, layer_titles(manifest), strict=True)):
        yield _edge(Role.LAYER, position, layer, title=title)


def _edge(
    role: Role, position: int, descriptor: Descriptor, platform: str = "", *, title: str = ""
) -> EdgeRow:
    return (
        int(role),
        position,
        str(descriptor.digest),
        descriptor.size,
        intern(storable(descriptor.media_type)),  # few are sent and written, each many times
        storable(platform),
        bool(descriptor.urls),
        title,
    )


def storable(text: str) -> str:
    """Give text that SQLite takes: names that are not UTF-8 are for people only, from here on."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
