"""A directory of an object store that was listed with all below it: a storage that asks no more.

Names, sizes and times are from that one LIST; only contents are asked for. So a thousand questions about a
directory are one request, and all of them of one moment (but for pages). Safe for many threads: nothing
changes.

There may be a hundred thousand objects, and dozens of these at once: it holds sorted paths and the numbers
beside them, some 200 bytes an object, and makes of them what is asked for.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from regfs.errors import MissingError, StoreError, UnsafeError
from regfs.storage.objects.below import Below
from regfs.storage.objects.bucket import Key, OddKeyError
from regfs.storage.objects.keys import (
    all_below,
    directory_stat,
    file_stat,
    markers,
    names_stamp,
    stamp_of,
    stamps_of,
)
from regfs.storage.protocol import Content, Entry, FileStat, FileType, Leaf, Space

if TYPE_CHECKING:
    from regfs.storage.objects.objects import ObjectStorage

_SECOND = 10**9

#: Inside the class, `list` is its method.
_Entries = list[Entry]
_Leaves = list[Leaf]


class ListedStorage:
    """What stands at `path` of a storage and below it, under the same paths as there.

    `error` is why it could not be listed: then every question raises that. If its stamp is the one that is
    `known`, nothing but that was taken over.
    """

    follow_symlinks = False

    def __init__(self, whole: ObjectStorage, path: str, known: int = 0) -> None:
        self._whole = whole
        self.path = path
        self.error: StoreError | None = None
        #: Changes with whatever stands below; 0 if it could not be listed.
        self.stamp = 0
        #: Of each object, in the order of its path below this one: that, bytes, time in seconds, ETag.
        self._paths: list[str] = []
        self._sizes, self._times = array("q"), array("q")
        self._etags: list[str] = []
        #: Directories that nothing stands in, those in which something has no name, and those of which
        #: nothing is known for that.
        self._empty: frozenset[str] = frozenset()
        self._odd: frozenset[str] = frozenset()
        self._unlisted: frozenset[str] = frozenset()
        try:
            self._list_all(known)
            if not path and not self._paths:
                whole.list("")  # raises StoreGoneError, where something must be
        except StoreError as error:
            self.error = error.at(path)

    def __len__(self) -> int:
        """Tell how many objects there are."""
        return len(self._paths)

    def _list_all(self, known: int) -> None:
        bucket, prefix = self._whole.bucket, self._whole.key(self.path)
        skip = len(prefix) + 1 if prefix else 0
        keys, odd, unlisted = all_below(bucket, prefix)
        keys.sort()
        told = (f"{key.path}\1{key.size}\1{key.modified}\1{key.etag}" for key in keys)
        self.stamp = stamp_of(chain(told, sorted(odd), sorted(unlisted)))
        if self.stamp == known:
            return
        self._odd = frozenset(above[skip:] for above in odd)
        self._unlisted = frozenset(above[skip:] for above in unlisted)
        empty = markers(bucket, [key for key in keys if not key.size], [key.path for key in keys])
        self._empty = frozenset(path[skip:] for path in empty if len(path) > len(prefix))
        while keys and keys[0].path == prefix:
            del keys[0]
        keys.reverse()
        while keys:  # each goes as it is taken over: there are many
            key = keys.pop()
            if key.path in empty:
                continue
            self._paths.append(key.path[skip:])
            self._sizes.append(key.size)
            self._times.append(key.modified)
            self._etags.append(key.etag)

    # --- where something stands ---------------------------------------------------------------------------

    def _below(self, path: str) -> str:
        """Give a path below this one's own. Raises why this could not be listed."""
        if self.error is not None:
            raise self.error.at(path)
        assert self.covers(path), path  # noqa: S101 - whoever listed this knows what it holds
        return path[len(self.path) :].lstrip("/")

    def covers(self, path: str) -> bool:
        """Tell whether a path is this one or below it."""
        return not self.path or path == self.path or path.startswith(f"{self.path}/")

    def _range(self, below: str) -> tuple[int, int]:
        """Tell where the objects below a directory begin and end."""
        if not below:
            return 0, len(self._paths)
        first = bisect_left(self._paths, f"{below}/")
        return first, bisect_left(self._paths, f"{below}0", first)  # "0" follows "/"

    def _position(self, below: str) -> int:
        """Tell where the object at a path is; -1 for none."""
        position = bisect_left(self._paths, below)
        there = position < len(self._paths) and self._paths[position] == below
        return position if there and below else -1

    def _file_stat(self, position: int) -> FileStat:
        key = Key("", self._sizes[position], self._times[position], self._etags[position])
        return file_stat(key)

    def _is_directory(self, below: str) -> bool:
        first, end = self._range(below)
        if first < end or below in self._special or not (below or self.path):
            return True
        return any(path.startswith(f"{below}/") for path in self._special)

    @property
    def _special(self) -> frozenset[str]:
        """Directories that are there whether or not something known stands in them."""
        return self._empty | self._odd | self._unlisted

    def _names(self, below: str) -> dict[str, FileType]:
        """Give the names in a directory."""
        first, end = self._range(below)
        skip = len(below) + 1 if below else 0
        found: dict[str, FileType] = {}
        while first < end:
            name, slash, _ = self._paths[first][skip:].partition("/")
            if not slash:
                found.setdefault(name, FileType.FILE)
                first += 1
                continue
            found[name] = FileType.DIRECTORY  # whatever object is named so as well: one name, one thing
            start = self._paths[first][: skip + len(name) + 1]
            first += 1
            if first < end and self._paths[first].startswith(start):
                first = bisect_left(self._paths, f"{start[:-1]}0", first, end)
        above = f"{below}/" if below else ""
        for path in self._special:
            if path.startswith(above) and path != below:
                found[path[len(above) :].partition("/")[0]] = FileType.DIRECTORY
        if below in self._odd:
            found[""] = FileType.ODD
        return found

    # --- the protocol -------------------------------------------------------------------------------------

    def list(self, path: str) -> list[Entry]:
        """List a directory."""
        below = self._below(path)
        if not self._is_directory(below) or below in self._unlisted:
            raise self._none(path, below)
        return [Entry(name, kind) for name, kind in self._names(below).items()]

    def _none(self, path: str, below: str) -> StoreError:
        """Say why a path is no directory: an object stands there, or on the way; or nothing does.

        Or that this is not known, for a directory on the way could not be listed.
        """
        end = len(below)
        while end >= 0:
            if below[:end] in self._unlisted:
                return OddKeyError(path)
            if self._position(below[:end]) >= 0:
                place = path[: len(path) - len(below) + end]
                return UnsafeError(place, FileType.FILE.value, FileType.DIRECTORY.value)
            end = below.rfind("/", 0, end) if "/" in below[:end] else 0 if end else -1
        return MissingError(path)

    def stat(self, path: str, below: str = "") -> FileStat:
        """Tell what stands at a path."""
        inner = self._below(path)
        if self._is_directory(inner):
            first, end = self._range(inner)
            newest = max(self._times[first:end], default=0) * _SECOND
            entries = [Entry(*item) for item in self._names(inner).items()]
            return directory_stat(names_stamp(entries), newest or self._whole.opened)
        position = self._position(inner)
        if position >= 0:
            return self._file_stat(position)
        raise self._none(path, inner)

    def read(self, path: str, limit: int) -> bytes:
        """Read a file: one request."""
        return self.examine(path, limit)[1]

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        """Read a file, as it is by now, and tell about it: one request, if it is there."""
        self._file(path)
        return self._whole.examine(path, limit)

    def open(self, path: str, size: int | None = None) -> Content:
        """Open a file."""
        return self._whole.open(path, self._file(path).size)

    def _file(self, path: str) -> FileStat:
        found = self.stat(path)
        if found.type is not FileType.FILE:
            raise UnsafeError(path, found.type.value, FileType.FILE.value)
        return found

    def space(self) -> Space:
        """Tell nothing: nobody knows how large a bucket can be."""
        return self._whole.space()

    def beside(self, path: str) -> bool:
        """Ask for what is above."""
        return self._whole.beside(path)

    @contextmanager
    def at(self, path: str) -> Iterator[Below]:
        """Give what is below a path, by shorter paths."""
        if not self._is_directory(inner := self._below(path)):
            raise self._none(path, inner)
        yield Below(self, path)

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> Sequence[Leaf]:
        """Look for the name `leaf` in every directory that is `depth` levels below `path`."""
        below = self._below(path)
        if not self._is_directory(below) or below in self._unlisted:
            raise self._none(path, below)
        first, end = self._range(below)
        skip = len(below) + 1 if below else 0
        found: dict[str, FileStat | StoreError | None] = {}
        for position in range(first, end):
            parts = self._paths[position][skip:].split("/", depth)
            name = "/".join(parts[:depth])
            if len(parts) <= depth:
                wanted = FileType.DIRECTORY.value
                found.setdefault(name, UnsafeError(name, FileType.FILE.value, wanted))
            elif parts[depth] == leaf:
                found[name] = self._file_stat(position)
            elif parts[depth].startswith(f"{leaf}/"):
                if not isinstance(found.get(name), FileStat):
                    found[name] = self.stat("/".join(filter(None, (path, name, leaf))))
            elif not isinstance(found.get(name), FileStat):
                found[name] = None
        above = f"{below}/" if below else ""
        for empty in self._empty:
            parts = empty.removeprefix(above).split("/", depth)
            if empty.startswith(above) and empty != below and len(parts) >= depth:
                found.setdefault("/".join(parts[:depth]), None)
        for odd in self._unlisted:
            parts = odd.removeprefix(above).split("/", depth)
            if odd.startswith(above) and odd != below:
                found["/".join(parts[:depth])] = OddKeyError(odd)
        return list(found.items())

    def stamps(self, paths: Iterable[str]) -> Sequence[int]:
        """Give `changed_ns` of each path, 0 for what is not there."""
        return stamps_of(self.stat, paths)

    def files_with_sizes(self, path: str) -> Iterator[tuple[str, int]]:
        """Give each object below a path, and its bytes; none if they could not be listed."""
        if self.error is not None:
            return
        above = f"{self.path}/" if self.path else ""
        for position in range(*self._range(self._below(path))):
            yield above + self._paths[position], self._sizes[position]
