"""What regfs asks of a storage. `LocalStorage` is one; tests bring another."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, runtime_checkable

from regfs.errors import StoreError


class FileType(enum.Enum):
    """What stands under a name. The values are for people."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    OTHER = "FIFO, socket or device"
    #: Of an object store: keys that have an empty part, or `.` or `..`, which no path can name.
    ODD = "key with an empty part"


class Entry(NamedTuple):
    """One name in a directory."""

    name: str
    type: FileType


class FileStat(NamedTuple):
    """What the storage records about one name: size in bytes, blocks of 512 bytes, times in nanoseconds.

    `changed_ns` changes with whatever happens to the file (ctime), `mtime_ns` can be set by anybody. `md5`,
    32 hex digits, is what the storage says may be the content's: whose MD5 it is, that content it is. Another
    one, and "", tell nothing.
    """

    type: FileType
    size: int
    blocks: int
    mtime_ns: int
    changed_ns: int
    md5: str = ""


#: A directory, relative to another, and what stands under some name in it: None for nothing, an error for
#: what cannot be told. A plain tuple, for there are more of them than of anything else.
Leaf = tuple[str, "FileStat | StoreError | None"]


class Space(NamedTuple):
    """The file system that holds the store, as statvfs(3) counts it."""

    block_size: int
    fragment_size: int
    blocks: int
    blocks_free: int
    blocks_available: int
    files: int
    files_free: int
    files_available: int
    longest_name: int


class Content(Protocol):
    """The bytes of an open file. Those of a directory's file stay readable when it is deleted."""

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on; give the number of bytes, less only at the end."""

    def close(self) -> None:
        """Free what the content holds. Reading it afterwards is a fault."""


def descriptor_of(content: Content) -> int:
    """Give the descriptor of content that the kernel can send by itself; -1 if it has none.

    Nobody else has it, and nothing depends on its position. (To ask isinstance for a protocol with `fileno`
    takes ten times as long as to open a file.)
    """
    fileno: Callable[[], int] | None = getattr(content, "fileno", None)
    return fileno() if fileno else -1


class Storage(Protocol):
    """Read access to files, by paths relative to a root, with slashes, without one at either end.

    Every method may raise MissingError, UnsafeError, UnreadableError and StoreAwayError, and may be called
    from any thread. No method follows a symlink at any part of a path; but with `follow_symlinks` those that
    stand for a directory are that directory. To enter one that leads back to a directory on the way, or that
    stands behind several others, is an UnsafeError.
    """

    @property
    def follow_symlinks(self) -> bool:
        """Whether directories may be symlinks. What is known with that is not known without."""

    def list(self, path: str) -> list[Entry]:
        """List a directory, in no order."""

    def stat(self, path: str, below: str = "") -> FileStat:
        """Tell what stands at a path, without opening it. A symlink is told, if it is not followed.

        `below` is the beginning of the path that the caller has lately seen to be a directory; whether the
        names behind it are, is looked at here.
        """

    def read(self, path: str, limit: int) -> bytes:
        """Read a whole plain file of at most `limit` bytes; TooLargeError if it has more."""

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        """Tell about a plain file, and read it as `read` does: both of one file. `below` as for `stat`."""

    def open(self, path: str, size: int | None = None) -> Content:
        """Open a plain file. `size`: what it was just seen to have, so that no request is made for that."""

    def space(self) -> Space:
        """Tell about the file system that holds the store."""

    def beside(self, path: str) -> bool:
        """Tell whether something stands at a path in the directory above the store; follows no symlink."""

    def at(self, path: str) -> AbstractContextManager[Storage]:
        """Open a directory, to read much below it by shorter paths."""

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> Sequence[Leaf]:
        """Look for the name `leaf` in every directory that is `depth` levels below `path`, in no order.

        Gives those directories, relative to `path`, and what stands under the name in each: None for nothing.
        What stands in a directory's place, or cannot be looked into, is told with its error. All but the last
        name of `path` was lately seen to be a directory. `likely` is which directory may be the only one:
        where it is, that may be told faster, and without what is no directory.
        """

    def stamps(self, paths: Iterable[str]) -> Sequence[int]:
        """Give `changed_ns` of each path, 0 for what cannot be looked at: no more than to see what changed.

        Only the last name of each path is looked at.
        """


class WholeStorage(Storage, Protocol):
    """A storage as it was opened: all of it."""

    @property
    def root(self) -> str:
        """What people call it: a path, or a URL."""

    @property
    def identity(self) -> str:
        """What tells it from all others: what is kept of it is kept under that."""

    def close(self) -> None:
        """Free what it holds."""


@runtime_checkable
class ListingStorage(Storage, Protocol):
    """A storage that tells of a thousand files in one request, and only so tells what changed.

    A directory's stamp costs as much as its listing there, and one of a file as much as a thousand.
    """

    def names_stamp(self, entries: Iterable[Entry]) -> int:
        """Give the stamp of a directory that was just listed: as a file system's, of the names in it."""

    def listed(self, path: str, known: int = 0) -> Listed:
        """List a directory with all below it. Raises StoreAwayError alone.

        If its stamp is the one that is `known`, nothing else may be asked of what is given.
        """


@runtime_checkable
class GatheringStorage(Storage, Protocol):
    """Such a storage, where what was listed lately answers what is asked next."""

    def gather(self, path: str) -> None:
        """See that a directory is listed with all below it, for the questions that follow."""

    def asked(self, path: str) -> None:
        """Note that a file below a directory will be asked for: gathers it where that is worth it."""

    def directory(self, path: str) -> FileStat:
        """Tell what stands at a path, which is a directory if anything."""

    def tree_stamp(self, path: str) -> int:
        """Give the stamp of all that is below a directory; 0 if it cannot be told."""


@runtime_checkable
class Listed(Storage, Protocol):
    """A directory with all below it, as one listing gave it: only contents are asked for any more.

    If it could not be listed, `error` tells why, and each question raises that. Paths are the storage's own.
    """

    @property
    def error(self) -> StoreError | None:
        """Why it could not be listed."""

    @property
    def stamp(self) -> int:
        """What changes with whatever is below it; 0 if it could not be listed."""

    def files_with_sizes(self, path: str) -> Iterator[tuple[str, int]]:
        """Give each file below a path, and its bytes; none if it could not be listed."""
