"""A prefix of a bucket as a storage. Each question is a request, or a few; nothing is kept.

A directory is what something stands below: so an empty one cannot be, and one LIST tells of it. Symlinks and
devices do not occur. Safe for many threads. To fork after the first request is not safe, see the package.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from regfs.errors import MissingError, StoreError, UnsafeError
from regfs.storage.objects.below import Below
from regfs.storage.objects.bucket import Bucket
from regfs.storage.objects.content import Blocks, ObjectContent
from regfs.storage.objects.keys import directory_stat, entries_of, file_stat, names_stamp, stamps_of
from regfs.storage.objects.listed import ListedStorage
from regfs.storage.protocol import Entry, FileStat, FileType, Leaf, Space

_FILE, _DIRECTORY = FileType.FILE.value, FileType.DIRECTORY.value

#: Inside the class, `list` is its method.
_Entries = list[Entry]


class ObjectStorage:
    """What is below the key `prefix` of a bucket.

    `expected`, if given, are names that a store has at its top, one of them at least: where none is any more,
    it is gone.
    """

    follow_symlinks = False

    def __init__(self, bucket: Bucket, prefix: str = "", expected: frozenset[str] = frozenset()) -> None:
        self.bucket = bucket
        self._prefix = prefix
        self._expected = expected
        self._blocks = Blocks()
        #: When it was opened, in nanoseconds: the time of directories that have none.
        self.opened = time.time_ns()

    @property
    def root(self) -> str:
        """The address, for people."""
        return str(self.bucket.address.at(self._prefix))

    @property
    def identity(self) -> str:
        """What tells it from all other stores."""
        return self.bucket.address.at(self._prefix).identity

    def key(self, path: str) -> str:
        """Give the key of a path, in the bucket's terms."""
        return "/".join(filter(None, (self._prefix, path)))

    def close(self) -> None:
        """Do nothing: there is no connection of its own, and what is read belongs to who reads."""

    # --- directories --------------------------------------------------------------------------------------

    def list(self, path: str) -> list[Entry]:
        """List a directory: one request for each thousand names.

        Raises StoreGoneError if no store is left.
        """
        entries = self._entries(path)
        if not entries and path:
            found = self._head(path)
            raise UnsafeError(path, _FILE, _DIRECTORY) if found else MissingError(path)
        return entries

    def _entries(self, path: str) -> _Entries:
        """List what stands below a path; nothing where there is no such directory."""
        with self._about(path):
            entries = entries_of(*self.bucket.names(self.key(path)))
        if self._expected and path == "" and not self._expected & {entry.name for entry in entries}:
            raise self.bucket.gone("nothing is there")
        if not entries and path in self._expected:
            self._entries("")  # raises StoreGoneError
        return entries

    def _head(self, path: str) -> FileStat | None:
        try:
            with self._about(path):
                return file_stat(self.bucket.head(self.key(path))) if path else None
        except MissingError:
            return None

    def names_stamp(self, entries: Iterable[Entry]) -> int:
        """Give the stamp of a directory that was just listed."""
        return names_stamp(entries)

    def listed(self, path: str, known: int = 0) -> ListedStorage:
        """List a directory with all below it: one request for each thousand objects.

        What stops that is told by what it gives; `known` as there. Raises StoreAwayError alone.
        """
        return ListedStorage(self, path, known)

    def tree_stamp(self, path: str) -> int:
        """Give what changes with all below a directory; 0 if it cannot be listed, or is not there."""
        listed = self.listed(path)
        return listed.stamp if listed.error is None and len(listed) else 0

    @contextmanager
    def at(self, path: str) -> Iterator[Below]:
        """Give what is below a path, by shorter paths."""
        self.list(path)
        yield Below(self, path)

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> Sequence[Leaf]:
        """Look for the name `leaf` in every directory that is `depth` levels below `path`."""
        listed = self.listed(path)
        if listed.error is not None:
            raise listed.error
        return listed.find(path, depth, leaf)

    # --- files --------------------------------------------------------------------------------------------

    def stat(self, path: str, below: str = "") -> FileStat:
        """Tell what stands at a path: one request for an object, two for a directory."""
        # That an object is missing is also said of a bucket that is gone: only a LIST tells.
        return self._head(path) or self._as_directory(path) or _missing(path)

    def directory(self, path: str) -> FileStat:
        """Tell what stands at a path: one request for a directory, two for an object."""
        return self._as_directory(path) or self._head(path) or _missing(path)

    def _as_directory(self, path: str) -> FileStat | None:
        entries = self._entries(path)
        return directory_stat(names_stamp(entries), self.opened) if entries or not path else None

    def read(self, path: str, limit: int) -> bytes:
        """Read a whole object of at most `limit` bytes: one request."""
        return self.examine(path, limit)[1]

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        """Read an object and tell about it: one request."""
        try:
            with self._about(path):
                key, content = self.bucket.get(self.key(path), limit)
        except MissingError:
            self._see_why(path)
            raise
        return file_stat(key), content

    def open(self, path: str, size: int | None = None) -> ObjectContent:
        """Open an object: one request, for its size, unless that is given."""
        if size is None:
            found = self.stat(path)
            if found.type is not FileType.FILE:
                raise UnsafeError(path, found.type.value, _FILE)
            size = found.size
        return ObjectContent(self.bucket, self.key(path), size, self._blocks)

    def _see_why(self, path: str) -> None:
        """After a path was not found: raise UnsafeError if it is a directory, or that no store is left."""
        found = self.stat(path)
        raise UnsafeError(path, found.type.value, _FILE)

    def stamps(self, paths: Iterable[str]) -> Sequence[int]:
        """Give `changed_ns` of each path, 0 for what is not there."""
        return stamps_of(self.stat, paths)

    # --- around it ----------------------------------------------------------------------------------------

    def space(self) -> Space:
        """Tell nothing: nobody knows how large a bucket can be."""
        return Space(4096, 4096, 0, 0, 0, 0, 0, 0, 255)

    def beside(self, path: str) -> bool:
        """Tell whether something stands at a path next to the store. Raises StoreAwayError."""
        if not self._prefix:
            return False
        above, slash, _ = self._prefix.rpartition("/")
        try:
            self.bucket.head(f"{above}{slash}{path}")
        except StoreError:
            return False
        return True

    @contextmanager
    def _about(self, path: str) -> Iterator[None]:
        """Have errors tell of a path of this storage, not of the bucket's key."""
        try:
            yield
        except StoreError as error:
            raise error.at(path) from error


def _missing(path: str) -> NoReturn:
    raise MissingError(path)
