"""What one task reads, as the rows that the index keeps.

Each function may run in another thread or process: it takes the survey and plain values, gives plain values,
and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from sys import intern
from typing import NamedTuple

from regfs.errors import (
    ManifestError,
    MissingError,
    RegfsError,
    StoreError,
    UnreadableError,
    UnsafeError,
)
from regfs.oci import Descriptor, Digest, ImageManifest, Index, Manifest, Schema1Manifest, parse_manifest
from regfs.oci.digest import LENGTHS
from regfs.oci.names import is_repository, is_tag, is_whole_repository
from regfs.oci.naming import layer_titles
from regfs.oci.platform import directory_names
from regfs.registry import layout
from regfs.registry.contents import MANIFEST_LIMIT, join
from regfs.registry.findings import Finding, Kind, Reach, stopped, storable
from regfs.registry.survey import BlobSeen, DirectorySeen, LinkSeen, LinksSeen, Survey, TagSeen
from regfs.registry.terms import Role
from regfs.storage.protocol import Entry, FileType

#: What a manifest says of one blob: role, position, digest, size, media type, a child's directory name in the
#: tree, whether it is kept elsewhere, the title by which a layer is named in the tree, a child's machine.
EdgeRow = tuple[int, int, str, int | None, str, str, bool, str, str]


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
    no fault of its content. `stops`: the registry's collector ends with an error at its content.
    """

    digest: str
    kind: str | None
    media_type: str
    artifact_type: str
    edges: list[EdgeRow]
    subject: str
    error: RegfsError | None = None
    missing: bool = False
    stops: bool = False


def read_shard(survey: Survey, algorithm: str, prefix: str) -> ShardRead:
    """Look at every blob of a shard."""
    stamp, blobs, odd = survey.shard(algorithm, prefix)
    path = layout.shard(algorithm, prefix)
    findings = [_odd_blob(path, digest, error) for digest, error in odd]
    return ShardRead(stamp, blobs, findings)


def _odd_blob(path: str, digest: str, error: RegfsError) -> Finding:
    if getattr(error, "path", "") == path:
        return unlisted(path, error, Reach.BLOBS)[0]
    place = f"{path}/{digest.partition(':')[2]}"
    if isinstance(error, UnsafeError) and not digest:
        stops = error.got == "blob of no digest"
        return Finding(
            Kind.COLLECTOR_STOPS if stops else Kind.STRAY,
            wanted="a blob of this shard",
            found=stopped("", "no digest is named so") if stops else str(error),
            path=error.path,
        )
    if isinstance(error, UnsafeError) and error.path != place and error.got != FileType.SYMLINK.value:
        return Finding(Kind.BLOB, digest=digest, wanted="a file", found=str(error), path=path)
    kind = Kind.DIRECTORY if isinstance(error, UnsafeError) and error.path == place else Kind.UNREAD
    return Finding(kind, digest=digest, wanted="a blob", found=advised(error), path=place, reach=Reach.BLOBS)


def unlisted(path: str, error: RegfsError | None, reach: Reach, repository: str = "") -> list[Finding]:
    """Give the finding for a directory that cannot be listed; none if there is no error."""
    if error is None:
        return []
    found = advised(error)
    return [Finding(Kind.DIRECTORY, repository, wanted="a directory", found=found, path=path, reach=reach)]


def advised(error: RegfsError) -> str:
    """Say why something could not be read, and what helps."""
    said = reason(error)
    path = getattr(error, "path", "")
    if path:
        said = said.removeprefix(f"{path}: ")
    if isinstance(error, UnsafeError) and error.got == FileType.SYMLINK.value:
        return said if error.want == FileType.DIRECTORY.value else f"{said}. Put the file itself there"
    if isinstance(error, UnsafeError) and error.got == FileType.FILE.value:
        return f"{said}. If it is none of the registry's, move it away"
    if getattr(error, "denied", False):
        return f"{said}. Read the store as root, or as the registry's user"
    return said


def _placed(place: str, entry: Entry, reach: Reach, repository: str = "") -> Finding:
    """Give the finding for what stands where a directory of the registry's belongs."""
    return unlisted(place, UnsafeError(place, entry.type.value, FileType.DIRECTORY.value), reach, repository)[
        0
    ]


def blobs_below(
    path: str, seen: DirectorySeen, sound: Callable[[str], bool]
) -> tuple[list[str], list[Finding]]:
    """Give the names of the directories in `blobs`, or in that of an algorithm; and what is odd there.

    `sound` tells whether a name is one of the registry's.
    """
    names, odd = [], unlisted(path, seen.error, Reach.BLOBS)
    for entry in sorted(seen.entries):
        place = f"{path}/{entry.name}"
        if not sound(entry.name):
            if not layout.ignored(entry.name) or entry.type is FileType.DIRECTORY:
                odd.append(_stray("", place, entry, "directory of blobs"))
        elif entry.type is FileType.DIRECTORY:
            names.append(entry.name)
        else:
            odd.append(_placed(place, entry, Reach.BLOBS))
    return names, odd


def names_below(name: str, seen: DirectorySeen) -> tuple[list[str], list[Finding]]:
    """Give the names of the repositories, or of what leads to some, in a directory; and what is odd there."""
    path = layout.repository(name)
    names, odd = [], unlisted(path, seen.error, Reach.EVERYTHING, name)
    for entry in sorted(seen.entries):
        place = f"{path}/{entry.name}"
        directory = entry.type is FileType.DIRECTORY
        if name and entry.name in layout.OWN:
            if not directory and entry.name != layout.LAYERS:  # those say so themselves
                odd.append(_placed(place, entry, _PARTS[entry.name], name))
        elif layout.ignored(entry.name):
            if directory and not entry.name.startswith("_"):
                odd.append(_stray(name, place, entry, "repository"))
        elif not directory:
            odd.append(_placed(place, entry, Reach.EVERYTHING, name))
        elif is_repository(join(name, entry.name)):
            names.append(join(name, entry.name))
        else:
            odd.append(_stray(name, place, entry, "repository"))
        if entry.name.startswith("_") and entry.type in (FileType.FILE, FileType.OTHER):
            odd += _hiding(name, place, seen)
    return names, odd


def read_names(survey: Survey, name: str) -> tuple[DirectorySeen, list[str], list[Finding]]:
    """List a directory among the repositories: what it is, the names below, and what is odd there."""
    seen = survey.directory(layout.repository(name))
    names, odd = names_below(name, seen)
    return seen, names, [found for finding in odd for found in _look_into(survey, finding)]


def read_blobs(survey: Survey, path: str, sound: Callable[[str], bool]) -> tuple[list[str], list[Finding]]:
    """List `blobs` or the directory of an algorithm: the names of the registry's, and what is odd there."""
    names, odd = blobs_below(path, survey.directory(path), sound)
    return names, [found for finding in odd for found in _look_into(survey, finding)]


#: How far it reaches that a part of a repository cannot be read.
_PARTS = {
    layout.MANIFESTS: Reach.MANIFESTS,
    layout.UPLOADS: Reach.NOTHING,
}


def _hiding(repository: str, place: str, seen: DirectorySeen) -> Iterator[Finding]:
    """Give the finding for a file that the collector takes for a reason to look no further in a directory.

    (distribution, catalog.go: handleRepository gives ErrSkipDir, which for a file ends its directory's walk.)
    """
    file = place.rpartition("/")[2]
    after = [name for name in seen.directories() if name > file]
    if any(not name.startswith("_") or name in layout.REPOSITORY_MARKS for name in after):
        found = (
            "garbage-collect does not see what comes after this name, and would delete what is needed there"
        )
        yield Finding(Kind.COLLECTOR_HIDES, repository, wanted="nothing", found=found, path=place)


def tags_below(repository: str, seen: DirectorySeen) -> tuple[list[str], list[TagSeen], list[Finding]]:
    """Give the names of the tags in the directory of a repository's, and what is odd there.

    A symlink in a tag's place is a tag that cannot be read.
    """
    path = layout.tags(repository)
    unread: list[TagSeen] = []
    names, odd = [], unlisted(path, seen.error, Reach.TAGS, repository)
    for entry in seen.entries:
        place = f"{path}/{entry.name}"
        tag = is_tag(entry.name) and not layout.ignored_tag(entry.name)
        if tag and entry.type is FileType.DIRECTORY:
            names.append(entry.name)
        elif tag and entry.type is FileType.SYMLINK:
            error = UnsafeError(place, entry.type.value, FileType.DIRECTORY.value)
            unread.append(TagSeen(entry.name, 0, None, None, error, [], error))
        elif tag:
            odd.append(_placed(place, entry, Reach.TAGS, repository)._replace(tag=entry.name))
        if entry.type in (FileType.FILE, FileType.OTHER) or not layout.PATH_NAME.fullmatch(entry.name):
            why = f"a {entry.type.value} that is no tag"
            found = stopped("-m", why)
            kind = Kind.COLLECTOR_M_STOPS
            odd.append(Finding(kind, repository, entry.name, wanted="a tag", found=found, path=place))
        elif not tag and not entry.name.startswith("."):
            odd.append(_stray(repository, place, entry, "tag", entry.name))
    return names, unread, odd


def _stray(repository: str, path: str, entry: Entry, want: str, tag: str = "") -> Finding:
    found = f"a {entry.type.value} under a name or in a form that no registry makes"
    return Finding(Kind.STRAY, repository, tag, wanted=f"a {want}", found=found, path=path)


def _look_into(survey: Survey, finding: Finding) -> list[Finding]:
    """Look into a directory that no registry makes: whether the collector stops there, and what it may hold.

    The collector goes through all directories: it stops at a file `data` below `blobs`, and at a repository
    whose name it refuses. What such a repository refers to is not read.
    """
    path = finding.path
    if finding.kind is not Kind.STRAY:
        return [finding]
    if path.startswith(f"{layout.BLOBS}/"):
        for file, _ in survey.files_below(path):
            if file.rpartition("/")[2] == layout.DATA:
                return [finding._replace(kind=Kind.COLLECTOR_STOPS, found=stopped("", f"{file} is no blob"))]
        return [finding]
    mark = survey.marks_below(path, layout.REPOSITORY_MARKS)
    if mark is None:
        return [] if layout.ignored(path.rpartition("/")[2]) else [finding]
    holds = finding._replace(
        kind=Kind.DIRECTORY,
        wanted="a name that a repository can have",
        found=f"{mark} is not read, for no registry serves it under this name",
        reach=Reach.EVERYTHING,
    )
    return [
        holds,
        finding._replace(kind=Kind.COLLECTOR_STOPS, found=stopped("", "no repository is named so")),
    ]


def refused(name: str) -> list[Finding]:
    """Give the finding for a repository whose name the collector refuses, though it may lead to others."""
    if is_whole_repository(name):
        return []
    path, found = layout.repository(name), stopped("", "no repository is named so")
    return [Finding(Kind.COLLECTOR_STOPS, name, wanted="a repository", found=found, path=path)]


def look_elsewhere(survey: Survey, path: str, passed: frozenset[str]) -> list[tuple[str, int]]:
    """Find what lies below a path, and is neither blob, link nor upload: each file with its bytes.

    Paths in `passed` are left out. The bytes of all links have no path.
    """
    links, found = 0, []
    for file, size in survey.files_below(path, passed):
        if layout.LINK_PATH.search(file):
            links += size
        elif not layout.BLOB_PATH.fullmatch(file):
            found.append((storable(file), size))
    return [("", links), *found] if links else found


def algorithms_below(
    path: str, seen: DirectorySeen, reach: Reach, repository: str
) -> tuple[list[str], list[Finding]]:
    """Give the algorithms in `revisions` or `_layers`, and what is odd there."""
    odd = unlisted(path, seen.error, reach, repository)
    for entry in seen.entries:
        if entry.type is not FileType.DIRECTORY and entry.name in LENGTHS:
            odd.append(_placed(f"{path}/{entry.name}", entry, reach, repository))
    return [name for name in seen.directories() if name in LENGTHS], odd


def read_layer_links(survey: Survey, repository: str, algorithm: str, thorough: bool) -> LinksRead:
    """Look at all links of one algorithm below `_layers`; and into each, if it is to be thorough."""
    directory = f"{layout.layers(repository)}/{algorithm}"
    names, other = survey.layer_links(directory, read=thorough)
    digests = b"".join(sorted(map(bytes.fromhex, names)))
    aliases = [(link.name, link.digest) for link in other.links if link.digest and _alias(link)]
    odd = list(_odd_links(repository, directory, other, Reach.LAYERS))
    return LinksRead(other.stamp, digests, aliases, odd)


def read_revisions(
    survey: Survey, repository: str, algorithm: str, thorough: bool
) -> tuple[int, list[LinkSeen], list[Finding]]:
    """Look at all links of one algorithm below `revisions`: their stamp, the links, and what is odd there."""
    directory = f"{layout.revisions(repository)}/{algorithm}"
    seen = survey.links(directory, read=thorough)
    odd = list(_odd_links(repository, directory, seen, Reach.REVISIONS))
    return seen.stamp, list(map(by_name, seen.links)), odd


def by_name(link: LinkSeen) -> LinkSeen:
    """Take the name of a revision's directory for what its link says, where that cannot be told."""
    return link._replace(digest=link.name) if link.error else link


def read_some_revisions(survey: Survey, directory: str, names: Iterable[str]) -> list[LinkSeen]:
    """Look at a few revisions, as `read_revisions` looks at all."""
    return list(map(by_name, survey.some_links(directory, names)))


def _alias(link: LinkSeen) -> bool:
    """Tell whether a link leads from one algorithm's digest to another's, as a push by sha512 leaves it."""
    return link.digest is not None and link.digest.partition(":")[0] != link.name.partition(":")[0]


def _odd_links(repository: str, directory: str, seen: LinksSeen, reach: Reach) -> Iterator[Finding]:
    yield from unlisted(directory, seen.error, reach, repository)
    for link in seen.links:
        path = f"{directory}/{link.name.partition(':')[2]}/{layout.LINK}"
        if isinstance(link.error, StoreError):
            found = advised(link.error)
            yield Finding(Kind.UNREAD, repository, "", "", link.name, "a digest", found, path, Reach.NOTHING)
        elif link.error:
            yield Finding(Kind.LINK, repository, "", "", link.name, "a digest", reason(link.error), path)
            if reach is Reach.REVISIONS:
                stops, found = Kind.COLLECTOR_STOPS, stopped("", "no digest")
            else:
                stops, found = Kind.COLLECTOR_3_STOPS, stopped("of registries from 3.0 on", "no digest")
            yield Finding(stops, repository, "", "", link.name, "a digest", found, path)
        elif link.digest != link.name and not _alias(link):
            yield Finding(Kind.LINK, repository, "", "", link.name, link.name, f"{link.digest}", path)


def tag_findings(repository: str, tag: TagSeen) -> list[Finding]:
    """Give what is wrong with a tag's link, and how far that reaches."""
    path = layout.tag_link(repository, tag.name)
    if tag.error is None:
        if tag.unread is None:
            return []
        place = layout.tag_history(repository, tag.name)
        return unlisted(place, _at(place, tag.unread), Reach.NOTHING, repository)
    reach = Reach.TAG if tag.history and tag.unread is None else Reach.TAGS
    if isinstance(tag.error, StoreError):
        path, found = getattr(tag.error, "path", path) or path, advised(tag.error)
        if not path.startswith(layout.REPOSITORIES):
            path = layout.tag(repository, tag.name)
        return [Finding(Kind.UNREAD, repository, tag.name, "", "", "a digest", found, path, reach)]
    found = reason(tag.error)
    odd = [Finding(Kind.TAG_LINK, repository, tag.name, "", "", "a digest", found, path, reach)]
    if tag.stamp:  # a link that is missing is no error to the collector
        found = stopped("-m", "no digest")
        kind = Kind.COLLECTOR_M_STOPS
        odd.append(Finding(kind, repository, tag.name, wanted="a digest", found=found, path=path))
    return odd


def _at(path: str, error: StoreError) -> StoreError:
    """Give an error about what stands at `path`, in place of a name below it."""
    said = reason(error).removeprefix(f"{error.path}: ")
    return UnreadableError(path, f"{error.path}: {said}" if error.path else said, 0, denied=False)


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
    except ManifestError as error:
        return ManifestRead(text, None, "", "", [], "", error, stops=not _parsable(raw))
    except RegfsError as error:
        return ManifestRead(text, None, "", "", [], "", error, missing=isinstance(error, MissingError))
    subject = None if isinstance(manifest, Schema1Manifest) else manifest.subject
    return ManifestRead(
        text,
        manifest.kind,
        manifest.media_type,
        "" if isinstance(manifest, Schema1Manifest) else manifest.artifact_type,
        list(edges_of(manifest)),
        str(subject.digest) if subject else "",
    )


def _parsable(raw: bytes) -> bool:
    """Tell whether the registry's collector takes some bytes for a manifest: it does not hash them."""
    with suppress(ManifestError):
        parse_manifest(raw)
        return True
    return False


def edges_of(manifest: Manifest) -> Iterator[EdgeRow]:
    """Give what a manifest names, in its order."""
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
    machine = descriptor.platform.text if descriptor.platform and role is Role.CHILD else ""
    return (
        int(role),
        position,
        str(descriptor.digest),
        descriptor.size,
        intern(storable(descriptor.media_type)),  # few are sent and written, each many times
        storable(platform),
        bool(descriptor.urls),
        title,
        storable(machine),
    )
