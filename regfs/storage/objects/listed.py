"""A directory of an object store that was listed with all below it: a storage that asks no more.

Names, sizes and times are from that one LIST; only contents are asked for. So a thousand questions about a
directory are one request, and all of them of one moment (but for pages). Safe for many threads: nothing
changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from regfs.errors import MissingError, StoreError, UnsafeError, remake
from regfs.storage.objects.below import Below
from regfs.storage.objects.bucket import Bucket, Key
from regfs.storage.objects.keys import all_below, directory_stat, file_stat, markers, names_stamp, stamp_of
from regfs.storage.protocol import Content, Entry, FileStat, FileType, Leaf, Space

if TYPE_CHECKING:
    from regfs.storage.objects.objects import ObjectStorage

#: Inside the class, `list` is its method.
_Entries = list[Entry]
_Leaves = list[Leaf]


class ListedStorage:
    """What stands at `path` of a storage and below it, under the same paths as there.

    `error` is why it could not be listed: then every question raises that. `opened` is the time of what has
    none, in nanoseconds.
    """

    follow_symlinks = False

    def __init__(self, whole: ObjectStorage, path: str) -> None:
        self._whole = whole
        self.path = path
        self.error: StoreError | None = None
        self.files: dict[str, FileStat] = {}
        #: Each directory's names, with their types.
        self._names: dict[str, dict[str, FileType]] = {}
        self._newest: dict[str, int] = {}
        #: Changes with whatever stands below.
        self.stamp = 0
        try:
            self._list_all(whole.bucket, whole.key(path))
        except StoreError as error:
            self.error = _at(path, error)

    def __len__(self) -> int:
        """Tell how many objects there are."""
        return len(self.files)

    def files_with_sizes(self) -> Iterator[tuple[str, int]]:
        """Give each object, and its bytes; none if they could not be listed."""
        return ((path, stat.size) for path, stat in self.files.items())

    def _list_all(self, bucket: Bucket, prefix: str) -> None:
        keys, odd = all_below(bucket, prefix)
        self.stamp = stamp_of([f"{key.path}\1{key.size}\1{key.modified}\1{key.etag}" for key in keys] + odd)
        skip = len(self._whole.key("")) + 1 if self._whole.key("") else 0
        directories = markers(bucket, keys, _parents(keys))
        for path in directories:
            self._enter(path[skip:], FileType.DIRECTORY)
        for key in keys:
            path = key.path[skip:]
            # An object that others stand below is told as their directory: one name, one thing.
            if key.path in directories or path == self.path or path in self._names:
                continue
            self.files[path] = file_stat(key)
            self._enter(path, FileType.FILE, key.modified * 10**9)
        for path in list(self.files):
            if path in self._names:
                del self.files[path]
        for above in odd:
            self._enter(f"{above[skip:]}/".lstrip("/"), FileType.ODD)

    def _enter(self, path: str, kind: FileType, mtime_ns: int = 0) -> None:
        """Note a path in the directories above it, up to this one's own."""
        while len(path) > len(self.path):
            above, _, name = path.rpartition("/")
            names = self._names.setdefault(above, {})
            known = names.get(name)
            if known is None or kind is FileType.DIRECTORY:
                names[name] = kind
            newest = self._newest.get(above, 0)
            if known is kind and mtime_ns <= newest:
                return
            self._newest[above] = max(newest, mtime_ns)
            path, kind = above, FileType.DIRECTORY
        self._names.setdefault(self.path, {})

    # --- the protocol -------------------------------------------------------------------------------------

    def list(self, path: str) -> list[Entry]:
        """List a directory."""
        self._see(path)
        names = self._names.get(path)
        if not names and (names is None or path == self.path):
            if path in self.files:
                raise UnsafeError(path, FileType.FILE.value, FileType.DIRECTORY.value)
            raise MissingError(path)
        return [Entry(name, kind) for name, kind in names.items()]

    def stat(self, path: str, below: str = "") -> FileStat:
        """Tell what stands at a path."""
        self._see(path)
        if (found := self.files.get(path)) is not None:
            return found
        if self._names.get(path):
            return directory_stat(names_stamp(self.list(path)), self._newest.get(path) or self._whole.opened)
        if path in self._names and path != self.path:
            return directory_stat(stamp_of(()), self._whole.opened)
        self._see_way(path)
        raise MissingError(path)

    def _see_way(self, path: str) -> None:
        """Raise UnsafeError if a file stands on the way to a path."""
        end = path.find("/", len(self.path) + 1)
        while end > 0:
            if path[:end] in self.files:
                raise UnsafeError(path[:end], FileType.FILE.value, FileType.DIRECTORY.value)
            end = path.find("/", end + 1)

    def read(self, path: str, limit: int) -> bytes:
        """Read a file: one request."""
        return self.examine(path, limit)[1]

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        """Read a file, as it is by now, and tell about it: one request, if it is there."""
        self._file(path)
        return self._whole.examine(path, limit)

    def open(self, path: str) -> Content:
        """Open a file."""
        self._file(path)
        return self._whole.open(path)

    def _file(self, path: str) -> None:
        found = self.stat(path)
        if found.type is not FileType.FILE:
            raise UnsafeError(path, found.type.value, FileType.FILE.value)

    def space(self) -> Space:
        """Tell nothing: nobody knows how large a bucket can be."""
        return self._whole.space()

    def beside(self, path: str) -> bool:
        """Ask for what is above."""
        return self._whole.beside(path)

    @contextmanager
    def at(self, path: str) -> Iterator[Below]:
        """Give what is below a path, by shorter paths."""
        self.list(path)
        yield Below(self, path)

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> Sequence[Leaf]:
        """Look for the name `leaf` in every directory that is `depth` levels below `path`."""
        found: _Leaves = []
        self._find(path, "", depth, leaf, found)
        return found

    def _find(self, path: str, prefix: str, depth: int, leaf: str, found: _Leaves) -> None:
        wanted = FileType.DIRECTORY.value
        for name, kind in self.list(path):
            below = f"{path}/{name}" if path else name
            if kind is not FileType.DIRECTORY:
                found.append((prefix + name, UnsafeError(prefix + name, kind.value, wanted)))
            elif depth > 1:
                if self._names.get(below):
                    self._find(below, f"{prefix}{name}/", depth - 1, leaf, found)
            else:
                place = f"{below}/{leaf}"
                stat = self.files.get(place)
                if stat is None and leaf in self._names.get(below, ()):
                    stat = self.stat(place)
                found.append((prefix + name, stat))

    def stamps(self, paths: Iterable[str]) -> Sequence[int]:
        """Give `changed_ns` of each path, 0 for what is not there."""
        found = []
        for path in paths:
            try:
                found.append(self.stat(path).changed_ns)
            except StoreError:
                found.append(0)
        return found

    def _see(self, path: str) -> None:
        if self.error is not None:
            raise _at(path, self.error)
        assert self.covers(path), path  # noqa: S101 - whoever listed this knows what it holds

    def covers(self, path: str) -> bool:
        """Tell whether a path is this one or below it."""
        return not self.path or path == self.path or path.startswith(f"{self.path}/")


def _parents(keys: Iterable[Key]) -> set[str]:
    """Give all paths that some key stands below."""
    found: set[str] = set()
    for key in keys:
        above = key.path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


def _at(path: str, error: StoreError) -> StoreError:
    """Give an error about a place that holds what was asked for, as one of that."""
    said = str(error).removeprefix(f"{error.path or '.'}: ")
    again = remake(type(error), (f"{path or '.'}: {said}",), {**error.__dict__, "path": path})
    assert isinstance(again, StoreError)  # noqa: S101 - as it was
    return again
