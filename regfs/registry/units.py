"""The units that a storage is read by: what each is, and how it is read.

A unit is one directory, or some links or manifests: small enough to be read anew when it has changed. Most
have a stamp, as it was before they were read: as long as that is the same, so are they. What is wrong with a
unit comes with it, as findings; one with a reach is a gap. Reading keeps nothing and may be done in another
thread or process: units, and what they give, are plain values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from regfs.errors import UnsafeError
from regfs.oci.digest import LENGTHS, Digest
from regfs.oci.names import is_repository, is_tag
from regfs.registry import layout
from regfs.registry.contents import join
from regfs.registry.findings import Finding, Kind, Reach, stopped, storable
from regfs.registry.manifests import ManifestRead, read_manifests
from regfs.registry.odd import (
    hiding,
    is_alias,
    look_into,
    misplaced,
    odd_blob,
    odd_links,
    refused,
    stray,
    undated,
    unlisted,
)
from regfs.registry.survey import BlobSeen, DirectorySeen, LinkSeen, Survey, TagSeen, UploadSeen
from regfs.registry.terms import Mark
from regfs.storage.protocol import FileType

#: The parts of a repository by their names.
MARKS = {layout.LAYERS: Mark.LAYERS, layout.MANIFESTS: Mark.MANIFESTS, layout.UPLOADS: Mark.UPLOADS}

#: How far it reaches that a part of a repository cannot be read.
_PARTS = {layout.MANIFESTS: Reach.MANIFESTS, layout.UPLOADS: Reach.NOTHING}


class Unit(Protocol):
    """Something that is read as a whole. What `read` gives is each unit's own."""

    def read(self, survey: Survey) -> Any:
        """Read it. Raises StoreAwayError, and nothing else."""


class Read(NamedTuple):
    """What a directory is told to hold: its stamp from before (0: none), the names, and what is odd there."""

    stamp: int
    names: list[str]
    odd: list[Finding]


# --- blobs ---------------------------------------------------------------------------------------------


class AlgorithmShards(NamedTuple):
    """`blobs`, or the directory of an algorithm in it: the names of the algorithms, or of the shards."""

    algorithm: str = ""

    @property
    def path(self) -> str:
        """Its directory."""
        return f"{layout.BLOBS}/{self.algorithm}" if self.algorithm else layout.BLOBS

    def read(self, survey: Survey) -> Read:
        """List it."""
        seen = survey.directory(self.path)
        names, odd = [], unlisted(self.path, seen.error, Reach.BLOBS)
        for entry in sorted(seen.entries):
            place = f"{self.path}/{entry.name}"
            if not self._sound(entry.name):
                if not layout.ignored(entry.name) or entry.type is FileType.DIRECTORY:
                    odd += look_into(survey, stray("", place, entry, "directory of blobs"))
            elif entry.type is FileType.DIRECTORY:
                names.append(entry.name)
            else:
                odd.append(misplaced(place, entry, Reach.BLOBS))
        return Read(seen.stamp, names, odd)

    def _sound(self, name: str) -> bool:
        return layout.SHARD.fullmatch(name) is not None if self.algorithm else name in LENGTHS


class ShardRead(NamedTuple):
    """The blobs of a shard, its stamp from before they were read, and what is odd there.

    `elsewhere`: what `Elsewhere` would read of it, if that was read as well.
    """

    stamp: int
    blobs: list[BlobSeen]
    odd: list[Finding]
    elsewhere: list[tuple[str, int]] | None = None


class Shard(NamedTuple):
    """The blobs whose digits begin with `prefix`."""

    algorithm: str
    prefix: str

    @property
    def path(self) -> str:
        """Its directory."""
        return layout.shard(self.algorithm, self.prefix)

    def read(self, survey: Survey) -> ShardRead:
        """Look at every blob."""
        stamp, blobs, odd = survey.shard(self.algorithm, self.prefix)
        return ShardRead(stamp, blobs, [odd_blob(self.path, digest, error) for digest, error in odd])


class OneBlob(NamedTuple):
    """One blob."""

    digest: str

    def read(self, survey: Survey) -> BlobSeen | None:
        """Look at it; None if it is not stored."""
        return survey.blob(Digest.parse(self.digest))


class Manifests(NamedTuple):
    """Some manifests. What a digest names never changes: they have no stamp."""

    digests: Sequence[str]

    def read(self, survey: Survey) -> list[ManifestRead]:
        """Read them, each checked against its digest."""
        return read_manifests(survey, self.digests)


# --- repositories --------------------------------------------------------------------------------------


class NamesRead(NamedTuple):
    """What a directory among the repositories holds: its own parts, the names below, and what is odd."""

    stamp: int
    marks: Mark
    names: list[str]
    odd: list[Finding]


class Names(NamedTuple):
    """A directory among the repositories: one, or the part of names that leads to some; "" is the top."""

    name: str

    @property
    def path(self) -> str:
        """Its directory."""
        return layout.repository(self.name)

    def read(self, survey: Survey) -> NamesRead:
        """List it."""
        seen = survey.directory(self.path)
        marks = self._marks(seen) if self.name else Mark.NOTHING
        names, odd = self._below(survey, seen)
        return NamesRead(seen.stamp, marks, names, odd + (refused(self.name) if marks.repository else []))

    def _marks(self, seen: DirectorySeen) -> Mark:
        marks = Mark.NOTHING
        for name in seen.directories():
            marks |= MARKS.get(name, Mark.NOTHING)
        if any(entry.name == layout.LAYERS for entry in seen.entries):
            marks |= Mark.LAYERS  # whatever it is, the collector goes by its name
        return marks

    def _below(self, survey: Survey, seen: DirectorySeen) -> tuple[list[str], list[Finding]]:
        names, odd = [], unlisted(self.path, seen.error, Reach.EVERYTHING, self.name)
        for entry in sorted(seen.entries):
            place = f"{self.path}/{entry.name}"
            directory = entry.type is FileType.DIRECTORY
            if self.name and entry.name in layout.OWN:
                if not directory and entry.name != layout.LAYERS:  # those say so themselves
                    odd.append(misplaced(place, entry, _PARTS[entry.name], self.name))
            elif layout.ignored(entry.name):
                if directory and not entry.name.startswith("_"):
                    odd += look_into(survey, stray(self.name, place, entry, "repository"))
            elif not directory:
                odd.append(misplaced(place, entry, Reach.EVERYTHING, self.name))
            elif is_repository(join(self.name, entry.name)):
                names.append(join(self.name, entry.name))
            else:
                odd += look_into(survey, stray(self.name, place, entry, "repository"))
            if entry.name.startswith("_") and entry.type in (FileType.FILE, FileType.OTHER):
                odd += hiding(self.name, place, seen)
        return names, odd


class TagNamesRead(NamedTuple):
    """The tags' names; `unread` are those of which no more can be known."""

    stamp: int
    names: list[str]
    unread: list[TagSeen]
    odd: list[Finding]


class TagNames(NamedTuple):
    """The directory of a repository's tags. `again`: their histories may have changed as well."""

    repository: str
    again: bool = False

    @property
    def path(self) -> str:
        """Its directory."""
        return layout.tags(self.repository)

    def read(self, survey: Survey) -> TagNamesRead:
        """List it. A symlink in a tag's place is a tag that cannot be read."""
        seen = survey.directory(self.path)
        unread: list[TagSeen] = []
        names, odd = [], unlisted(self.path, seen.error, Reach.TAGS, self.repository)
        for entry in seen.entries:
            place = f"{self.path}/{entry.name}"
            tag = is_tag(entry.name) and not layout.ignored_tag(entry.name)
            if tag and entry.type is FileType.DIRECTORY:
                names.append(entry.name)
            elif tag and entry.type is FileType.SYMLINK:
                error = UnsafeError(place, entry.type.value, FileType.DIRECTORY.value)
                unread.append(TagSeen(entry.name, 0, None, None, error, [], error))
            elif tag:
                odd.append(misplaced(place, entry, Reach.TAGS, self.repository)._replace(tag=entry.name))
            if entry.type in (FileType.FILE, FileType.OTHER) or not layout.PATH_NAME.fullmatch(entry.name):
                found = stopped("-m", f"a {entry.type.value} that is no tag")
                odd.append(
                    Finding(
                        *(Kind.COLLECTOR_M_STOPS, self.repository, entry.name),
                        wanted="a tag",
                        found=found,
                        path=place,
                    )
                )
            elif not tag and not entry.name.startswith("."):
                odd.append(stray(self.repository, place, entry, "tag", entry.name))
        return TagNamesRead(seen.stamp, names, unread, odd)


class TagLinks(NamedTuple):
    """The links of some tags of a repository, with their histories."""

    repository: str
    names: Sequence[str]

    def read(self, survey: Survey) -> list[TagSeen]:
        """Read them; a tag that is gone is left out."""
        return survey.tags(self.repository, self.names)


class Algorithms(NamedTuple):
    """The directories in a repository's `revisions`, or in its `_layers`."""

    repository: str
    layers: bool

    @property
    def path(self) -> str:
        """Its directory."""
        return layout.layers(self.repository) if self.layers else layout.revisions(self.repository)

    @property
    def reach(self) -> Reach:
        """How far it reaches that something in it cannot be read."""
        return Reach.LAYERS if self.layers else Reach.REVISIONS

    def read(self, survey: Survey) -> Read:
        """List it."""
        seen = survey.directory(self.path)
        odd = unlisted(self.path, seen.error, self.reach, self.repository)
        for entry in seen.entries:
            if entry.type is not FileType.DIRECTORY and entry.name in LENGTHS:
                odd.append(misplaced(f"{self.path}/{entry.name}", entry, self.reach, self.repository))
        return Read(seen.stamp, [name for name in seen.directories() if name in LENGTHS], odd)


class RevisionsRead(NamedTuple):
    """Links to revisions, and the stamp of their directory."""

    stamp: int
    links: list[LinkSeen]
    odd: list[Finding]


class Revisions(NamedTuple):
    """The links of one algorithm below `revisions`. `thorough`: look into each of them."""

    repository: str
    algorithm: str
    thorough: bool = False

    @property
    def path(self) -> str:
        """Its directory."""
        return f"{layout.revisions(self.repository)}/{self.algorithm}"

    def read(self, survey: Survey) -> RevisionsRead:
        """Look at all of them."""
        seen = survey.links(self.path, read=self.thorough)
        odd = list(odd_links(self.repository, self.path, seen, Reach.REVISIONS))
        return RevisionsRead(seen.stamp, list(map(_by_name, seen.links)), odd)


class SomeRevisions(NamedTuple):
    """A few links below `revisions`."""

    repository: str
    digests: Sequence[str]

    def read(self, survey: Survey) -> list[LinkSeen]:
        """Look at them; one that is not there is left out."""
        directory = layout.revisions(self.repository)
        return list(map(_by_name, survey.some_links(directory, self.digests)))


def _by_name(link: LinkSeen) -> LinkSeen:
    """Take the name of a revision's directory for what its link says, where that cannot be told."""
    return link._replace(digest=link.name) if link.error else link


class LinksRead(NamedTuple):
    """The links of one algorithm below `_layers`: the digests in binary, sorted, one after the other.

    `aliases` are those that hold another digest: the one in the path, and the one in the link.
    """

    stamp: int
    digests: bytes
    aliases: list[tuple[str, str]]
    odd: list[Finding]


class LayerLinks(NamedTuple):
    """The links of one algorithm below `_layers`. `thorough`: look into each of them."""

    repository: str
    algorithm: str
    thorough: bool = False

    @property
    def path(self) -> str:
        """Its directory."""
        return f"{layout.layers(self.repository)}/{self.algorithm}"

    def read(self, survey: Survey) -> LinksRead:
        """Look at all of them."""
        names, other = survey.layer_links(self.path, read=self.thorough)
        digests = b"".join(sorted(map(bytes.fromhex, names)))
        aliases = [(link.name, link.digest) for link in other.links if link.digest and is_alias(link)]
        odd = list(odd_links(self.repository, self.path, other, Reach.LAYERS))
        return LinksRead(other.stamp, digests, aliases, odd)


class UploadsRead(NamedTuple):
    """The unfinished pushes of a repository."""

    stamp: int
    uploads: list[UploadSeen]
    odd: list[Finding]


class Uploads(NamedTuple):
    """The directory of a repository's unfinished pushes. Each may grow: its stamp tells only of new ones."""

    repository: str

    @property
    def path(self) -> str:
        """Its directory."""
        return layout.uploads(self.repository)

    def read(self, survey: Survey) -> UploadsRead:
        """Look at all their files."""
        seen, uploads = survey.uploads(self.repository)
        odd = [undated(self.repository, upload.name) for upload in uploads if not upload.started]
        return UploadsRead(
            seen.stamp, uploads, odd + unlisted(self.path, seen.error, Reach.NOTHING, self.repository)
        )


# --- stamps, and what is none of the registry's ------------------------------------------------------------


class Stamps(NamedTuple):
    """The stamps of some paths, as the graph knows them: what has another one now is to be read anew."""

    directory: str
    paths: Sequence[str]
    known: Sequence[int]

    def read(self, survey: Survey) -> list[int]:
        """Give the positions of those that have changed, or that are not there."""
        stamps = survey.stamps(self.directory, self.paths)
        pairs = enumerate(zip(stamps, self.known, strict=True))
        return [position for position, (stamp, known) in pairs if not stamp or stamp != known]


class LinkStamps(NamedTuple):
    """The stamps of a repository's links: of tags, or of the revisions of one algorithm."""

    repository: str
    algorithm: str
    names: Sequence[str]
    known: Sequence[int]

    def read(self, survey: Survey) -> list[int]:
        """Give the positions of the names whose links have changed, or are not there."""
        if self.algorithm:
            directory = f"{layout.revisions(self.repository)}/{self.algorithm}"
            skip = len(self.algorithm) + 1
            paths = [f"{name[skip:]}/{layout.LINK}" for name in self.names]
        else:
            directory = layout.tags(self.repository)
            paths = [f"{name}/{layout.CURRENT}" for name in self.names]
        return Stamps(directory, paths, self.known).read(survey)


class Elsewhere(NamedTuple):
    """All files at a path and below it, but for paths in `passed`."""

    path: str
    passed: frozenset[str] = frozenset()

    def read(self, survey: Survey) -> list[tuple[str, int]]:
        """Find what is neither blob, link nor upload: each file with its bytes.

        The bytes of all links have no path.
        """
        links, found = 0, []
        for file, size in survey.files_below(self.path, self.passed):
            if layout.LINK_PATH.search(file):
                links += size
            elif not layout.BLOB_PATH.fullmatch(file):
                found.append((storable(file), size))
        return [("", links), *found] if links else found
