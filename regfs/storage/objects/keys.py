"""Keys as a tree: an object store knows no directories, but every slash in a key is the end of one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

from regfs.errors import StoreError
from regfs.storage.objects.bucket import Bucket, Key, OddKeyError
from regfs.storage.protocol import Entry, FileStat, FileType

#: Stamps made of hashes: below any time of this century in nanoseconds, so that each counts as old.
_STAMPS = 10**18

_SECOND = 10**9

#: Empty objects without anything below them, of so many directories at most, are asked about: whether they
#: are files, or the "directories" that consoles make.
_EMPTY = 16


def file_stat(key: Key) -> FileStat:
    """Tell about an object. LastModified has whole seconds, so the ETag is mixed into the stamp."""
    changed = key.modified * _SECOND + crc32(key.etag.encode()) % _SECOND
    return FileStat(FileType.FILE, key.size, -(-key.size // 512), key.modified * _SECOND, changed, key.md5)


def stamps_of(look: Callable[[str], FileStat], paths: Iterable[str]) -> list[int]:
    """Give `changed_ns` of each path as `look` tells it, 0 for what is not there."""
    found = []
    for path in paths:
        try:
            found.append(look(path).changed_ns)
        except StoreError:
            found.append(0)
    return found


def directory_stat(stamp: int, mtime_ns: int) -> FileStat:
    """Tell about a directory, which has neither size nor time of its own."""
    return FileStat(FileType.DIRECTORY, 0, 0, mtime_ns, stamp)


def stamp_of(texts: Iterable[str]) -> int:
    """Give a stamp that is equal as long as these are, in their order; never 0."""
    hashing = blake2b(digest_size=8)
    for text in texts:
        hashing.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return int.from_bytes(hashing.digest(), "big") % _STAMPS + 1


def names_stamp(entries: Iterable[Entry]) -> int:
    """Give the stamp of a directory: as a file system's, it changes with the names in it, and no more."""
    return stamp_of(sorted(f"{name}\1{kind.value}" for name, kind in entries))


def entries_of(prefixes: Iterable[str], objects: Iterable[Key]) -> list[Entry]:
    """Give the entries of a directory from what one LIST with a delimiter gave."""
    return [
        *(Entry(name, FileType.DIRECTORY if name else FileType.ODD) for name in prefixes),
        *(Entry(key.path.rpartition("/")[2], FileType.FILE) for key in objects),
    ]


class AllBelow(NamedTuple):
    """All objects below a path, but for those that no path can name.

    `odd` are the directories that hold such; `unlisted` those of which nothing else is known for that.
    """

    keys: list[Key]
    odd: list[str]
    unlisted: list[str]


def all_below(bucket: Bucket, path: str) -> AllBelow:
    """List all objects below a path.

    Where a key is odd, a LIST of all gives nothing: then it goes down level by level around it.
    """
    try:
        return AllBelow(bucket.keys(path), [], [])
    except OddKeyError:
        return _around(bucket, path)


def _around(bucket: Bucket, path: str) -> AllBelow:
    found = AllBelow([], [], [])
    waiting = [path]
    while waiting:
        above = waiting.pop()
        try:
            prefixes, objects = bucket.names(above)
        except OddKeyError:
            found.unlisted.append(above)
            continue
        found.keys.extend(objects)
        for name in prefixes:
            if not name:
                found.odd.append(above)
                continue
            below = f"{above}/{name}" if above else name
            try:
                found.keys.extend(bucket.keys(below))
            except OddKeyError:
                waiting.append(below)
    return found


def markers(bucket: Bucket, empty: Sequence[Key], paths: Sequence[str]) -> set[str]:
    """Find which empty objects are directories: `dir/`, made by consoles, which obstore shows as `dir`.

    `paths` are those of all objects, in their order.
    """
    found: set[str] = set()
    asked: dict[str, list[str]] = {}
    for key in empty:
        position = bisect_left(paths, f"{key.path}/")
        if position < len(paths) and paths[position].startswith(f"{key.path}/"):
            found.add(key.path)
        else:
            asked.setdefault(key.path.rpartition("/")[0], []).append(key.path)
    for above, waiting in asked.items() if len(asked) <= _EMPTY else ():
        prefixes, _ = bucket.names(above)
        found.update(path for path in waiting if path.rpartition("/")[2] in prefixes)
    return found
