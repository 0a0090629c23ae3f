"""What the store holds, in the registry's terms: repositories, tags, links, blobs.

Every call reads the store anew: caching is the graph's business. Safe for many threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from regfs.errors import DigestError, LinkError, MissingError, StoreAwayError, StoreError, UnsafeError
from regfs.oci.digest import LENGTHS, LONGEST, Digest, well_formed
from regfs.oci.names import is_repository, is_tag
from regfs.registry import layout
from regfs.registry.evidence import Evidence
from regfs.registry.survey import proved_tag
from regfs.registry.uploads import Upload
from regfs.storage.looks import look_at_all
from regfs.storage.protocol import (
    Content,
    FileStat,
    FileType,
    GatheringStorage,
    ListingStorage,
    Space,
    Storage,
)

#: The largest manifest that registries accept, in bytes (distribution, maxManifestBodySize).
MANIFEST_LIMIT = 4 << 20

#: A config has no bound of its own; it is read whole only to tell `created`, so the manifest's serves.
CONFIG_LIMIT = MANIFEST_LIMIT

#: What is listed where a directory belongs: a symlink has taken one's place, a plain file is a leftover.
_LISTED = (FileType.DIRECTORY, FileType.SYMLINK)


@dataclass(frozen=True, slots=True)
class Listing:
    """One directory among the repositories.

    `nested` and `tags` map each name to whether it is sound: False where the registry can have made no
    such name, or where a symlink stands in a directory's place. Both are in the order of their names.
    `repository` tells whether the directory is a repository itself or only leads to some. `error` is why its
    tags could not be listed.
    """

    repository: bool
    nested: dict[str, bool]
    tags: dict[str, bool]
    error: StoreError | None = None


@dataclass(frozen=True, slots=True)
class LinkEntry:
    """A link below `_layers`, `revisions` or a tag's `index`; `name` is the digest that its path says.

    What the link itself says can differ: a blob pushed as sha512 is stored under its sha256. `pushed` is the
    link's time, in nanoseconds.
    """

    name: Digest
    path: str
    pushed: int


class Contents:
    """Typed reading of one store."""

    def __init__(self, store: Storage) -> None:
        self._store = store
        #: Whether the store tells of a thousand files in one request, with what may be their MD5s.
        self.lists = isinstance(store, ListingStorage)
        #: Where one request tells of all below a directory: what is about to be asked is gathered first.
        self._gathering = store if isinstance(store, GatheringStorage) else None
        self._evidence = Evidence()

    def _gather(self, path: str) -> None:
        if self._gathering is not None:
            self._gathering.gather(path)

    def listing(self, name: str) -> Listing:
        """List the repositories and tags at a repository's name, or at a part of one ("" is the top)."""
        try:
            entries = self._store.list(layout.repository(name))
        except MissingError:
            if name:
                raise
            entries = []  # nothing was ever pushed
        nested = {
            entry.name: sound
            for entry in sorted(entries)
            if (sound := nested_sound(name, entry.name, entry.type)) is not None
        }
        marks = layout.REPOSITORY_MARKS & {entry.name for entry in entries}
        try:
            return Listing(bool(marks), nested, self._tags(name) if layout.MANIFESTS in marks else {})
        except StoreError as error:
            return Listing(bool(marks), nested, {}, error)

    def _tags(self, name: str) -> dict[str, bool]:
        self._gather(layout.tags(name))
        try:
            entries = self._store.list(layout.tags(name))
        except MissingError:  # no tag was pushed yet
            return {}
        return {
            entry.name: sound
            for entry in sorted(entries)
            if (sound := tag_sound(entry.name, entry.type)) is not None
        }

    def nested(self, name: str, part: str) -> bool | None:
        """Tell of one name what `listing(name).nested` would: sound, unsound, or None if not there."""
        found = self._type(layout.repository(join(name, part)), layout.repository(name))
        return nested_sound(name, part, found) if found else None

    def tagged(self, name: str, tag: str) -> bool | None:
        """Tell of one tag what `listing(name).tags` would: sound, unsound, or None if not there.

        Raises StoreError where no tag can be looked for.
        """
        if name:
            self._gather(layout.tag(name, tag))
        found = self._type(layout.tag(name, tag), layout.repository(name)) if name else None
        return tag_sound(tag, found) if found else None

    def _type(self, path: str, below: str) -> FileType | None:
        try:
            if self._gathering is not None:
                return self._gathering.directory(path).type
            return self._store.stat(path, below).type
        except MissingError:
            return None

    def directory(self, name: str) -> FileStat:
        """Tell about the directory of a repository's name. Its time is that of the newest new tag."""
        here = layout.repository(name)
        if self._gathering is not None:
            return self._gathered_directory(name)
        for path in (layout.tags(name), here) if name else (here,):
            with suppress(StoreError):
                return self._store.stat(path, here)
        return self._store.stat(here if name else "")

    def _gathered_directory(self, name: str) -> FileStat:
        """Do as `directory`: the time is that of the newest link, where there are any."""
        assert self._gathering is not None  # noqa: S101 - for the type checker
        if name:
            with suppress(StoreError):
                self._gather(layout.tags(name))
                return self._store.stat(layout.tags(name))
        return self._gathering.directory(layout.repository(name) if name else "")

    def nested_entry(self, name: str, part: str) -> FileStat:
        """Tell what stands under one name among repositories, whatever it is."""
        return self._store.stat(layout.repository(join(name, part)), layout.repository(name))

    def tag_directory(self, name: str, tag: str) -> FileStat:
        """Tell about the directory of a tag, whether or not it has a link."""
        self._gather(layout.tag(name, tag))
        return self._store.stat(layout.tag(name, tag), layout.repository(name))

    def tag_stat(self, name: str, tag: str) -> FileStat:
        """Tell about a tag's link, without opening it: its time is that of the last push."""
        self._gather(layout.tag(name, tag))
        return self._file(layout.tag_link(name, tag), layout.tag(name, tag))

    def tag_stats(self, name: str, tags: Sequence[str]) -> dict[str, FileStat]:
        """Do as `tag_stat` for many; those of which it tells an error are left out.

        Raises StoreAwayError.
        """

        def look(some: Sequence[str]) -> list[FileStat | None]:
            found: list[FileStat | None] = []
            for tag in some:
                try:
                    found.append(self.tag_stat(name, tag))
                except StoreAwayError:
                    raise
                except StoreError:
                    found.append(None)
            return found

        found = zip(tags, look_at_all(look, tags), strict=True)
        return {tag: stat for tag, stat in found if stat is not None}

    def tag_changed(self, name: str, tag: str) -> int:
        """Tell when a tag's link was last written, or if there is none, made or taken away; in nanoseconds.

        Raises MissingError if there is no such tag.
        """
        directory = self.tag_directory(name, tag).mtime_ns
        with suppress(StoreError):
            return self.tag_stat(name, tag).mtime_ns
        with suppress(StoreError):
            above = self._store.stat(layout.tag_current(name, tag), layout.tag(name, tag))
            return max(directory, above.mtime_ns)
        return directory

    def tag(self, name: str, tag: str) -> tuple[FileStat, Digest]:
        """Read what a tag names now, and tell about its link. Raises LinkError if that holds no digest."""
        path = layout.tag_link(name, tag)
        if self._gathering is not None:
            self._gather(layout.tag(name, tag))
            proved = proved_tag(self._store, layout.tag(name, tag), self._evidence)
            if proved is not None and proved.digest:
                return self._store.stat(path), Digest.parse(proved.digest)
        stat, content = self._store.examine(path, LONGEST, layout.tag(name, tag))
        return stat, _digest_in(path, content)

    def tag_history(self, name: str, tag: str) -> Iterator[LinkEntry]:
        """Find every digest that a tag has named, in no order."""
        return self._links(layout.tag_history(name, tag))

    def revision(self, name: str, digest: Digest) -> Digest:
        """Read the link of one manifest of a repository: the digest under which it is stored."""
        return self._link(layout.link_below(layout.revisions(name), digest))

    def layer_link(self, name: str, digest: Digest) -> Digest:
        """Read the link of one blob of a repository: the digest under which it is stored."""
        return self._link(layout.link_below(layout.layers(name), digest))

    def uploads(self, name: str) -> list[str]:
        """List the ids of a repository's unfinished pushes."""
        self._gather(layout.uploads(name))
        return self._directories(layout.uploads(name))

    def upload(self, name: str, identifier: str) -> Upload:
        """Give one of them, whether it is there or not."""
        return Upload(self._store, name, identifier)

    def algorithms(self) -> list[str]:
        """List the algorithms of the digests under which blobs are stored."""
        return [name for name in self._directories(layout.BLOBS) if name in LENGTHS]

    def blobs_of(self, algorithm: str) -> Iterator[Digest]:
        """Find every blob of an algorithm, in the order of the shards.

        Raises StoreError after the last one if shards could not be read.
        """
        unread: StoreError | None = None
        for shard in self._directories(f"{layout.BLOBS}/{algorithm}"):
            try:
                for encoded, stat in self._store.find(layout.shard(algorithm, shard), 1, layout.DATA):
                    if isinstance(stat, FileStat) and well_formed(f"{algorithm}:{encoded}"):
                        yield Digest(algorithm, encoded)
            except StoreError as error:
                unread = unread or error
        if unread:
            raise unread

    def blob(self, digest: Digest) -> FileStat:
        """Tell about a blob's stored file. Raises MissingError, UnsafeError."""
        if self._gathering is not None:
            self._gathering.asked(layout.shard(digest.algorithm, digest.hex[:2]))
        return self._file(layout.blob_data(digest))

    def read_blob(self, digest: Digest, limit: int) -> bytes:
        """Read a whole blob of at most `limit` bytes."""
        return self._store.read(layout.blob_data(digest), limit)

    def open_blob(self, digest: Digest, size: int | None = None) -> Content:
        """Open a blob's stored file. `size`: see `Storage.open`."""
        return self._store.open(layout.blob_data(digest), size)

    def md5s(self, algorithm: str, shard: str) -> dict[str, str]:
        """Give what may be the MD5 of blobs, by digest, where one listing tells that of a whole shard."""
        if not self.lists:
            return {}
        with suppress(StoreError):
            leaves = self._store.find(layout.shard(algorithm, shard), 1, layout.DATA)
            return {
                f"{algorithm}:{encoded}": stat.md5
                for encoded, stat in leaves
                if isinstance(stat, FileStat) and stat.md5
            }
        return {}

    # --- stamps: what is equal has not changed ---------------------------------------------------------

    def tag_stamps(self, name: str, tags: Iterable[str]) -> Sequence[int]:
        """Give the stamp of each tag's link, 0 for what cannot be looked at."""
        tags = list(tags)
        with suppress(StoreError):
            self._gather(layout.tag(name, tags[0]) if len(tags) == 1 else layout.tags(name))
        return self._store.stamps([layout.tag_link(name, tag) for tag in tags])

    def warm_links(self, tags: Iterable[tuple[str, str]]) -> None:
        """Look at the links of tags in many repositories, so that a disk need not seek for them again."""
        self._store.stamps([layout.tag_link(name, tag) for name, tag in tags])

    def listing_stamps(self, name: str) -> Sequence[int]:
        """Give the stamps of what `listing` lists: the directory of a name, and that of its tags."""
        paths = [layout.repository(name), layout.tags(name)] if name else [layout.repository(name)]
        if self._gathering is not None:
            with suppress(StoreError):
                self._store.list(layout.repository(name))  # which tells whether there are any tags
                self._gather(layout.tags(name))
        return self._store.stamps(paths)

    def shard_stamps(self, algorithm: str, prefixes: Iterable[str]) -> Sequence[int]:
        """Give the stamps of directories that hold blobs', by the first two digits of their digests."""
        shards = [layout.shard(algorithm, prefix) for prefix in prefixes]
        if self._gathering is not None:
            return [self._gathering.tree_stamp(shard) for shard in shards]
        return self._store.stamps(shards)

    def space(self) -> Space:
        """Tell about the file system that holds the store."""
        return self._store.space()

    def _file(self, path: str, below: str = "") -> FileStat:
        """Tell about what must be a plain file."""
        found = self._store.stat(path, below)
        if found.type is not FileType.FILE:
            raise UnsafeError(path, found.type.value, FileType.FILE.value)
        return found

    def _link(self, path: str) -> Digest:
        return _digest_in(path, self._store.read(path, LONGEST))

    def _links(self, directory: str) -> Iterator[LinkEntry]:
        self._gather(directory)
        for algorithm in self._directories(directory):
            for encoded in self._directories(f"{directory}/{algorithm}"):
                try:
                    digest = Digest.parse(f"{algorithm}:{encoded}")
                except DigestError:
                    continue
                path = layout.link_below(directory, digest)
                try:
                    pushed = self._store.stat(path).mtime_ns
                except MissingError:  # deleted through the API: only the directory stays
                    continue
                yield LinkEntry(digest, path, pushed)

    def _directories(self, path: str) -> list[str]:
        """Name the directories, and the symlinks in a directory's place: to read one is an error then."""
        try:
            entries = self._store.list(path)
        except MissingError:
            return []
        return sorted(entry.name for entry in entries if entry.type in _LISTED)


def _digest_in(path: str, content: bytes) -> Digest:
    try:
        return Digest.parse_link(content)
    except DigestError as error:
        raise LinkError(path, str(error)) from error


def join(name: str, part: str) -> str:
    """Give the name of what is nested below a repository's name ("" is the top)."""
    return f"{name}/{part}" if name else part


def nested_sound(name: str, part: str, kind: FileType) -> bool | None:
    """Tell whether an entry among repositories can be one, or lead to one; None if it is none of theirs."""
    if not part or layout.ignored(part) or kind not in _LISTED:
        return None
    return kind is FileType.DIRECTORY and is_repository(join(name, part))


def tag_sound(tag: str, kind: FileType) -> bool | None:
    """Tell whether an entry among tags can be one; None if it is a leftover of something else."""
    if not tag or tag.startswith(".") or kind not in _LISTED:
        return None
    return kind is FileType.DIRECTORY and is_tag(tag)
