"""Reading a store in bulk, for the index: directories full of tags, links and blobs at a time.

`Contents` answers one question; this answers ten thousand of a kind, from one opened directory and by
short paths. Digests are given as text here, checked for their form. What is wrong with one thing stands in
its place as the error and is never raised, so one damaged file spoils nothing. Nothing is kept between
calls: safe for many threads. Only StoreAwayError is raised: it is about nothing that stands there.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from regfs.errors import (
    DigestError,
    LinkError,
    MissingError,
    RegfsError,
    StoreError,
    TooLargeError,
    UnreadableError,
    UnsafeError,
)
from regfs.oci.digest import LENGTHS, LONGEST, Digest, well_formed
from regfs.oci.names import is_upload
from regfs.registry import layout
from regfs.registry.evidence import Evidence
from regfs.storage.protocol import Entry, FileStat, FileType, Leaf, Listed, ListingStorage, Storage

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: What a digest's text is of. To strip it is the fastest way to see that there is nothing else.
_HEX = "0123456789abcdef"

#: Where the files of an upload lie below its directory: data and startedat, hashstates/<alg>/<offset>.
_DEEPEST_UPLOAD = 3

#: Digits of an offset in an upload: fewer than a number of bytes that any storage has.
_DIGITS = 18

#: Directories that are looked through below each other: names of repositories have 255 characters at most.
_DEEPEST = 160


class DirectorySeen(NamedTuple):
    """A directory's names, and its `changed_ns` from before they were read (0: there is no directory)."""

    stamp: int
    entries: list[Entry]
    error: RegfsError | None = None

    def directories(self) -> list[str]:
        """Give the names of the directories in it."""
        return [entry.name for entry in self.entries if entry.type is FileType.DIRECTORY]


class TagSeen(NamedTuple):
    """A tag's link: when it changed and when it was pushed (ns), what it names, and all that it has named.

    `digest` is None where `error` tells why: a StoreError that it could not be read, a LinkError that it
    holds no digest or is missing. `stamp` is 0, and `pushed` None, where no link could be looked at.
    `unread` tells why the history is not known, or not whole.
    """

    name: str
    stamp: int
    pushed: int | None
    digest: str | None
    error: RegfsError | None
    history: list[tuple[str, int | None]]
    unread: StoreError | None = None


class LinkSeen(NamedTuple):
    """A link below `revisions` or `_layers`: the digest in its path, and the one that it holds.

    `digest` is None where `error` tells why; `pushed` is None where the link could not be looked at.
    """

    name: str
    stamp: int
    pushed: int | None
    digest: str | None
    error: RegfsError | None


class LinksSeen(NamedTuple):
    """Links of one directory, and its `changed_ns` from before; `error` tells why they cannot be listed."""

    stamp: int
    links: list[LinkSeen]
    error: RegfsError | None


#: A stored blob: digest, bytes, blocks of 512 bytes, when it was stored (ns). A plain tuple, for there are
#: more of them than of anything else.
BlobSeen = tuple[str, int, int, int]


class UploadSeen(NamedTuple):
    """An unfinished push: its bytes and blocks, the number of its files; the text of `startedat`.

    `changed` is the time of the newest of the files, in nanoseconds. `at_least`: it may have more bytes, for
    an object store keeps what was uploaded in no object.
    """

    name: str
    size: int
    blocks: int
    files: int
    started: str
    changed: int
    at_least: bool


class Survey:
    """Bulk reading of one store. `looks`, if given, looks at the files of a directory side by side."""

    def __init__(
        self, store: Storage, looks: Executor | None = None, evidence: Evidence | None = None
    ) -> None:
        self._store = store
        self._looks = looks
        # To ask whether something is as a protocol says takes as long as to look at ten files: once for all.
        self._lists = store if isinstance(store, ListingStorage) else None
        self._listing = store if self._lists is None and isinstance(store, Listed) else None
        #: None, where the store tells no MD5 with what it lists.
        self._evidence = evidence or (Evidence() if self.lists else None)

    @property
    def lists(self) -> bool:
        """Whether the store tells of a thousand files at once, and what changed in no other way."""
        return self._lists is not None

    def listed(self, path: str, known: int = 0) -> tuple[Survey, int]:
        """List a directory of such a store with all below it: what reads that, and its stamp (0: none).

        If it cannot be listed, everything that is read there is an error. With the stamp that is `known`,
        nothing can be read there.
        """
        assert self._lists is not None  # noqa: S101 - see `lists`
        found = self._lists.listed(path, known)
        return Survey(found, evidence=self._evidence), found.stamp

    def looking_by(self, looks: Executor) -> Survey:
        """Give the same for a slow store."""
        return Survey(self._store, looks, self._evidence)

    def _leaves(self, below: Storage, path: str, leaf: str) -> Iterable[Leaf]:
        """Look for `leaf` in every directory of `path`, as `Storage.find` does."""
        if self._looks is None:
            return below.find(path, 1, leaf)

        def look(name: str) -> Leaf:
            directory = f"{path}/{name}" if path else name
            try:
                return name, below.stat(f"{directory}/{leaf}", directory)
            except MissingError:
                return name, None
            except StoreError as error:
                return name, error

        entries = below.list(path)
        names = [entry.name for entry in entries if entry.type is FileType.DIRECTORY]
        odd = [entry for entry in entries if entry.type is not FileType.DIRECTORY]
        return [(entry.name, _no_directory(entry.name, entry)) for entry in odd] + list(
            self._looks.map(look, names)
        )

    def stamps(self, directory: str, paths: Sequence[str]) -> Sequence[int]:
        """Tell when each path below a directory last changed; 0 for one that is not there."""
        above = f"{directory}/" if directory else ""
        return self._store.stamps([above + path for path in paths])

    def directory(self, path: str) -> DirectorySeen:
        """List a directory; one that is not there is empty, and so is what cannot be read, with the error."""
        try:
            if self._lists is not None:  # one request, not two
                entries = self._lists.list(path)
                return DirectorySeen(self._lists.names_stamp(entries), entries)
            return DirectorySeen(self._stamp(path), self._store.list(path))
        except MissingError:
            return DirectorySeen(0, [])
        except StoreError as error:
            return DirectorySeen(0, [], error)

    def _stamp(self, path: str) -> int:
        """Give a directory's stamp. Raises UnsafeError, which names what stands there instead."""
        found = self._store.stat(path)
        if found.type is not FileType.DIRECTORY:
            raise UnsafeError(path, found.type.value, FileType.DIRECTORY.value)
        return found.changed_ns

    def beside(self, name: str) -> bool:
        """Tell whether a file of that name is in the directory above the store."""
        return self._store.beside(name)

    def tags(self, repository: str, names: Iterable[str]) -> list[TagSeen]:
        """Read tags with their histories. A tag that is gone meanwhile is left out."""
        directory = layout.tags(repository)
        names = list(names)
        try:
            with self._store.at(directory) as below:
                return [seen for name in names if (seen := _tag(below, directory, name, self._evidence))]
        except MissingError:
            return []
        except StoreError as error:
            return [TagSeen(name, 0, None, None, error, [], error) for name in names]

    def links(self, directory: str, *, read: bool = False) -> LinksSeen:
        """Look at all links of one algorithm below `revisions` or `_layers`, but for deleted ones.

        Without `read`, a link as long as its own name is believed to hold that: only others are read.
        """
        algorithm = directory.rpartition("/")[2]
        found: list[LinkSeen] = []
        stamp = 0
        try:
            stamp = self._stamp(directory)
            with self._store.at(directory) as below:
                for encoded, stat in self._leaves(below, "", layout.LINK):
                    name = f"{algorithm}:{encoded}"
                    if stat is None or not well_formed(name):
                        continue
                    if isinstance(stat, StoreError):
                        found.append(LinkSeen(name, 0, None, None, stat))
                    elif self._says(stat, name, read=read):
                        found.append(LinkSeen(name, stat.changed_ns, stat.mtime_ns, name, None))
                    else:
                        found.append(_read_link(below, directory, name, stat))
        except MissingError:
            return LinksSeen(stamp, [], None)
        except StoreError as error:
            return LinksSeen(stamp, [], error)
        return LinksSeen(stamp, found, None)

    def _says(self, stat: FileStat, name: str, *, read: bool) -> bool:
        """Tell whether a link holds its own name: by its MD5; or if it is not to be `read`, by its length."""
        if stat.type is not FileType.FILE or stat.size != len(name):
            return False
        if self._evidence is None:
            return not read
        if read:
            return self._evidence.digest(stat, [name]) is not None
        return not self._evidence.doubts(stat, name)

    def some_links(self, directory: str, names: Iterable[str]) -> list[LinkSeen]:
        """Look at a few links below `revisions` or `_layers`; one that is not there is left out."""
        found = []
        for name in names:
            algorithm, _, encoded = name.partition(":")
            below = f"{directory}/{algorithm}"
            try:
                stat = self._store.stat(f"{below}/{encoded}/{layout.LINK}")
                if self._says(stat, name, read=True):
                    found.append(LinkSeen(name, stat.changed_ns, stat.mtime_ns, name, None))
                    continue
                with self._store.at(below) as opened:
                    found.append(_read_link(opened, below, name, stat))
            except MissingError:
                pass
            except StoreError as error:
                found.append(LinkSeen(name, 0, None, None, error))
        return found

    def layer_links(self, directory: str, *, read: bool = False) -> tuple[list[str], LinksSeen]:
        """Look at all links of one algorithm below `_layers`, as `links` does.

        Gives the hex digits of all, and those links that hold something else than their names.
        """
        algorithm = directory.rpartition("/")[2]
        length, size = LENGTHS[algorithm], LENGTHS[algorithm] + len(algorithm) + 1
        names, other = [], []
        stamp, error = 0, None
        try:
            stamp = self._stamp(directory)
            with self._store.at(directory) as below:
                for encoded, stat in self._leaves(below, "", layout.LINK):
                    if stat is None or len(encoded) != length or encoded.strip(_HEX):
                        continue
                    names.append(encoded)
                    if isinstance(stat, StoreError):
                        other.append(LinkSeen(f"{algorithm}:{encoded}", 0, None, None, stat))
                    elif (
                        read or self._evidence or stat.size != size or stat.type is not FileType.FILE
                    ) and not self._says(stat, f"{algorithm}:{encoded}", read=read):
                        link = _read_link(below, directory, f"{algorithm}:{encoded}", stat)
                        if link.digest != link.name:
                            other.append(link)
        except MissingError:
            pass
        except StoreError as reason:
            error = reason
        return names, LinksSeen(stamp, other, error)

    def shard(self, algorithm: str, prefix: str) -> tuple[int, list[BlobSeen], list[tuple[str, RegfsError]]]:
        """Look at every blob of a shard: its stamp from before, the blobs, and what has no place there.

        That is told with the digest that it stands for, empty for none.
        """
        path = layout.shard(algorithm, prefix)
        (stamp,) = self._store.stamps([path])
        start, length = f"{algorithm}:", LENGTHS[algorithm]
        found: list[BlobSeen] = []
        odd: list[tuple[str, RegfsError]] = []
        try:
            leaves = self._leaves(self._store, path, layout.DATA)
        except MissingError:
            leaves = []
        except StoreError as error:
            return stamp, [], [("", error)]
        for encoded, stat in leaves:
            place = f"{path}/{encoded}"
            if not encoded.startswith(prefix) or len(encoded) != length or encoded.strip(_HEX):
                if isinstance(stat, UnsafeError) and encoded == layout.DATA:
                    odd.append(("", UnsafeError(place, "blob of no digest", "blob of this shard")))
                elif not isinstance(stat, StoreError):
                    got = "blob of no digest" if stat and stat.type is not FileType.DIRECTORY else "directory"
                    odd.append(("", UnsafeError(place, got, "blob of this shard")))
            elif isinstance(stat, UnsafeError):
                odd.append((start + encoded, UnsafeError(place, stat.got, stat.want)))
            elif isinstance(stat, StoreError):
                odd.append((start + encoded, stat))
            elif stat is not None and stat.type is FileType.FILE:
                found.append((start + encoded, stat.size, stat.blocks, stat.mtime_ns))
            elif stat is not None:
                data = f"{place}/{layout.DATA}"
                odd.append((start + encoded, UnsafeError(data, stat.type.value, FileType.FILE.value)))
        return stamp, found, odd

    def blob(self, digest: Digest) -> BlobSeen | None:
        """Look at one blob; None if it is not stored, or not as a plain file."""
        try:
            stat = self._store.stat(layout.blob_data(digest))
        except StoreError:
            return None
        if stat.type is not FileType.FILE:
            return None
        return (str(digest), stat.size, stat.blocks, stat.mtime_ns)

    def read_blob(self, digest: Digest, limit: int) -> bytes:
        """Read a whole blob of at most `limit` bytes. Raises StoreError."""
        path = layout.blob_directory(digest)
        return self._store.examine(f"{path}/{layout.DATA}", limit, path)[1]

    def uploads(self, repository: str) -> tuple[DirectorySeen, list[UploadSeen]]:
        """Look at every unfinished push of a repository; gives their directory as well."""
        path = layout.uploads(repository)
        seen = self.directory(path)
        names = sorted(filter(is_upload, seen.directories()))
        try:
            with self._store.at(path) as below:
                # Only object stores tell MD5s, and keep bytes of uploads in no object.
                apart = self._evidence is not None
                return seen, [_upload(below, name, apart=apart) for name in names]
        except MissingError:
            return seen, []
        except StoreError as error:
            return seen._replace(error=seen.error or error), []

    def marks_below(self, path: str, marks: frozenset[str]) -> str | None:
        """Find a directory below a path, at any depth, whose name is one of `marks`; None if there is none.

        Where that cannot be told, gives the place that could not be looked into.
        """
        waiting = [path]
        while waiting:
            above = waiting.pop()
            if above.count("/") > _DEEPEST:
                return above
            seen = self.directory(above)
            if seen.error is not None:
                return above
            for entry in seen.entries:
                if entry.name in marks:
                    return f"{above}/{entry.name}"
                if entry.type in (FileType.DIRECTORY, FileType.SYMLINK) and not entry.name.startswith("_"):
                    waiting.append(f"{above}/{entry.name}")
        return None

    def files_below(self, path: str, passed: Container[str] = ()) -> Iterator[tuple[str, int]]:
        """Give each file at a path or below it, and its bytes; directories in `passed` are left out.

        What cannot be read is left out as well.
        """
        if self._listing is not None:
            yield from _files_in_listing(self._listing, path, passed)
            return
        if self._lists is not None:
            yield from _files_listed(self._lists, path, passed)
            return
        waiting = [path]
        while waiting:
            above = waiting.pop()
            try:
                stat = self._store.stat(above)
                entries = self._store.list(above) if stat.type is FileType.DIRECTORY else []
            except StoreError:
                continue
            if stat.type is FileType.FILE:
                yield above, stat.size
            for entry in entries:
                place = f"{above}/{entry.name}"
                if entry.type is FileType.FILE:
                    with suppress(StoreError):
                        yield place, self._store.stat(place, above).size
                elif entry.type is FileType.DIRECTORY and place not in passed and place.count("/") < _DEEPEST:
                    waiting.append(place)


def _files_in_listing(store: Listed, path: str, passed: Container[str]) -> Iterator[tuple[str, int]]:
    """Do as `files_below`, by a listing that was made."""
    for file, size in store.files_with_sizes(path):
        if not passed or not any(above in passed for above in _parents(file)):
            yield file, size


def _files_listed(store: ListingStorage, path: str, passed: Container[str]) -> Iterator[tuple[str, int]]:
    """Do as `files_below`: by one listing of all below each directory that holds nothing that is passed."""
    passed_over = frozenset(passed) if isinstance(passed, Iterable) else frozenset()
    above_passed = {parent for place in passed_over for parent in _parents(place)}
    waiting = [path]
    while waiting:
        above = waiting.pop()
        if above not in above_passed:
            yield from _listed_or_file(store, above)
            continue
        with suppress(StoreError):
            for entry in store.list(above):
                place = f"{above}/{entry.name}"
                if entry.type is FileType.FILE:
                    with suppress(StoreError):
                        yield place, store.stat(place).size
                elif entry.type is FileType.DIRECTORY and place not in passed_over:
                    waiting.append(place)


def _listed_or_file(store: ListingStorage, path: str) -> Iterator[tuple[str, int]]:
    """Give each file below a path; or if there is none, the one that stands there, which no listing tells."""
    none = True
    for found in store.listed(path).files_with_sizes(path):
        none = False
        yield found
    with suppress(StoreError):
        if none and (stat := store.stat(path)).type is FileType.FILE:
            yield path, stat.size


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _tag(below: Storage, directory: str, name: str, evidence: Evidence | None) -> TagSeen | None:
    if evidence and (proved := proved_tag(below, name, evidence)):
        return proved
    path = f"{directory}/{name}/{layout.CURRENT}"
    digest: str | None = None
    error: RegfsError | None = None
    stamp, pushed = 0, None
    try:
        stat, content = below.examine(f"{name}/{layout.CURRENT}", LONGEST, name)
        stamp, pushed = stat.changed_ns, stat.mtime_ns
        digest = content.decode("ascii", "backslashreplace")
        if not well_formed(digest):
            digest = str(Digest.parse_link(content))
    except DigestError as reason:
        digest, error = None, LinkError(path, str(reason))
    except TooLargeError as reason:
        digest, error = None, LinkError(path, str(reason))
    except MissingError:
        try:
            pushed = below.stat(name).mtime_ns
        except StoreError:
            return None
        error = LinkError(path, "is missing")
    except StoreError as reason:
        error = _unread(below, path, name, reason)
    history, unread = _history(below, name, digest or "")
    return TagSeen(name, stamp, pushed, digest, error, history, unread)


def proved_tag(below: Storage, name: str, evidence: Evidence) -> TagSeen | None:
    """Tell of a tag without reading its link, where its MD5 is that of a digest that the tag has had.

    `name` is its directory below `below`.
    """
    try:
        if evidence.none or not (stat := below.stat(f"{name}/{layout.CURRENT}")).md5:
            return None
    except StoreError:
        return None
    history, unread = _history(below, name, "")
    digest = evidence.digest(stat, (digest for digest, _ in history))
    if digest is None or any(pushed is None for _, pushed in history):
        return None
    return TagSeen(name, stat.changed_ns, stat.mtime_ns, digest, None, history, unread)


def _unread(below: Storage, path: str, name: str, error: StoreError) -> StoreError:
    """Tell why a tag's link cannot be read: by the first name on the way that is not what it should be."""
    directory = path.removesuffix(f"{name}/{layout.CURRENT}")
    current = f"{name}/{layout.CURRENT.partition('/')[0]}"
    for part, wanted in (
        (name, FileType.DIRECTORY),
        (current, FileType.DIRECTORY),
        (f"{name}/{layout.CURRENT}", FileType.FILE),
    ):
        with suppress(StoreError):
            found = below.stat(part)
            if found.type is not wanted:
                return UnsafeError(directory + part, found.type.value, wanted.value)
    return UnreadableError(
        path, error.reason, getattr(error, "errno", 0), denied=getattr(error, "denied", False)
    )


#: All that a tag has named, each with its time, and why not all of it is known.
History = tuple[list[tuple[str, int | None]], StoreError | None]


def _history(
    below: Storage, tag: str, current: str
) -> tuple[list[tuple[str, int | None]], StoreError | None]:
    """Tell all that a tag has named: most have named nothing but what they name now. And why not all.

    Where an entry's link is gone or cannot be read, its directory's name tells the digest of a tag that
    names nothing now.
    """
    found: list[tuple[str, int | None]] = []
    unread: StoreError | None = None
    likely = current.replace(":", "/")
    try:
        leaves = below.find(f"{tag}/{layout.HISTORY}", 2, layout.LINK, likely)
    except MissingError:
        return [], None
    except StoreError as error:
        return [], error
    for directory, stat in leaves:
        digest = directory.replace("/", ":")
        named = well_formed(digest)
        if named and isinstance(stat, FileStat):
            found.append((digest, stat.mtime_ns))
        elif named and not current:
            found.append((digest, None))
        elif isinstance(stat, StoreError) and not (named or _leftover(directory, stat)):
            unread = stat
    return found, unread


def _leftover(directory: str, error: StoreError) -> bool:
    """Tell whether what has no place in a history is a plain file, which hides nothing."""
    return isinstance(error, UnsafeError) and error.got == FileType.FILE.value and directory not in LENGTHS


def _no_directory(path: str, entry: Entry) -> UnsafeError:
    return UnsafeError(path, entry.type.value, FileType.DIRECTORY.value)


def _read_link(below: Storage, directory: str, name: str, stat: FileStat) -> LinkSeen:
    path = f"{name.partition(':')[2]}/{layout.LINK}"
    place = f"{directory}/{path}"
    error: RegfsError
    try:
        digest = str(Digest.parse_link(below.read(path, LONGEST)))
    except (DigestError, TooLargeError) as reason:
        error = LinkError(place, str(reason))
    except UnsafeError as reason:
        error = UnsafeError(place, reason.got, reason.want)
    except StoreError as unread:
        error = UnreadableError(place, unread.reason, getattr(unread, "errno", 0), denied=True)
    else:
        return LinkSeen(name, stat.changed_ns, stat.mtime_ns, digest, None)
    return LinkSeen(name, stat.changed_ns, stat.mtime_ns, None, error)


def _upload(below: Storage, name: str, *, apart: bool) -> UploadSeen:
    started = ""
    with suppress(StoreError):
        started = (
            below.read(f"{name}/{layout.STARTED}", layout.LONGEST_DATE).decode("utf-8", "replace").strip()
        )
    stats = list(_files(below, name, _DEEPEST_UPLOAD))
    elsewhere, at_least = _received(below, name) if apart else (0, False)
    return UploadSeen(
        name,
        sum(stat.size for stat in stats) + elsewhere,
        sum(stat.blocks for stat in stats) + -(-elsewhere // 512),
        len(stats),
        started,
        max((stat.mtime_ns for stat in stats), default=0),
        at_least,
    )


def _received(below: Storage, name: str) -> tuple[int, bool]:
    """Tell how many bytes of an upload are in no object, and whether it may have more of them.

    The largest offset of its hashstates is what the registry had received when it last wrote one. S3 shows no
    `data` before the push ends, GCS the last bytes of it, Azure all.
    """
    data = -1
    with suppress(StoreError):
        data = below.stat(f"{name}/{layout.DATA}").size
    offsets = [0]
    with suppress(StoreError):
        for algorithm in below.list(f"{name}/{layout.HASHSTATES}"):
            for state in below.list(f"{name}/{layout.HASHSTATES}/{algorithm.name}"):
                if state.name.isdecimal() and len(state.name) < _DIGITS:
                    offsets.append(int(state.name))
    return max(0, max(offsets) - max(0, data)), data < max(offsets)


def _files(below: Storage, path: str, depth: int) -> Iterator[FileStat]:
    with suppress(StoreError):
        for entry in below.list(path):
            if entry.type is FileType.FILE:
                yield below.stat(f"{path}/{entry.name}")
            elif entry.type is FileType.DIRECTORY and depth > 1:
                yield from _files(below, f"{path}/{entry.name}", depth - 1)
