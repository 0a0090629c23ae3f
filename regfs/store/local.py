"""A store in a directory of this machine, or of a server that is mounted on it.

Below its root no symlink is ever followed, whatever part of a path it stands at, and nothing but plain
files is opened: paths are walked with O_NOFOLLOW, one component at a time. Safe for many threads: it
keeps one descriptor of the root, and the set of directories last seen to be real ones.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from regfs.errors import MissingError, RegfsError, TooLargeError, UnreadableError, UnsafeError
from regfs.store.protocol import Entry, FileStat, FileType, Space

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: should a FIFO take the file's place between the look and the open, it cannot block.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

#: How many directories are remembered as real ones, and for how many seconds, before they are looked at
#: again. It bears on `stat` alone: what is opened is always walked from the root.
_MOST_KNOWN = 4096
_KNOWN_FOR = 10.0


class OpenFile:
    """The content of an open file: `read_into` goes straight to the given buffer, without the GIL."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on. Raises UnreadableError."""
        filled = 0
        try:
            while filled < len(buffer):
                got = os.preadv(self._descriptor, [buffer[filled:] if filled else buffer], offset + filled)
                if got == 0:
                    break
                filled += got
        except OSError as error:
            raise _refused(self._path, error) from error
        return filled

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class LocalStore:
    """The store whose `v2` directory is `root`."""

    def __init__(self, root: str) -> None:
        self.root = root
        try:
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _refused(root, error) from error
        self._known: dict[str, float] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give up the root's descriptor."""
        os.close(self._root)

    def list(self, path: str) -> list[Entry]:
        """List a directory."""
        with _translated(path), self._parent(path) as (directory, name):
            descriptor = os.open(name, _LIST, dir_fd=directory)
            try:
                with os.scandir(descriptor) as entries:
                    found = [Entry(entry.name, _type_of_entry(entry)) for entry in entries]
            finally:
                os.close(descriptor)
        self._remember(path)
        return found

    def stat(self, path: str) -> FileStat:
        """Tell what stands at a path."""
        with _translated(path):
            self._check_parents(path)
            found = os.stat(path or ".", dir_fd=self._root, follow_symlinks=False)
        return FileStat(_type_of_mode(found.st_mode), found.st_size, found.st_blocks, found.st_mtime_ns)

    def read(self, path: str, limit: int) -> bytes:
        """Read a whole plain file of at most `limit` bytes."""
        with _translated(path):
            descriptor = self._open(path)
            try:
                size = os.fstat(descriptor).st_size
                if size > limit:
                    raise TooLargeError(path, size, limit)
                pieces = []
                room = limit + 1
                while room > 0 and (piece := os.read(descriptor, min(room, 1 << 20))):
                    pieces.append(piece)
                    room -= len(piece)
            finally:
                os.close(descriptor)
        if room <= 0:
            raise TooLargeError(path, limit + 1, limit)
        return b"".join(pieces)

    def open(self, path: str) -> OpenFile:
        """Open a plain file."""
        with _translated(path):
            return OpenFile(self._open(path), path)

    def space(self) -> Space:
        """Tell about the file system that holds the store."""
        with _translated(""):
            found = os.fstatvfs(self._root)
        return Space(
            found.f_bsize,
            found.f_frsize,
            found.f_blocks,
            found.f_bfree,
            found.f_bavail,
            found.f_files,
            found.f_ffree,
            found.f_favail,
            found.f_namemax,
        )

    def _open(self, path: str) -> int:
        with self._parent(path) as (directory, name):
            # Looked at before it is opened: to open a device may already do something.
            _expect_file(path, os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
            descriptor = os.open(name, _READ, dir_fd=directory)
        try:
            _expect_file(path, os.fstat(descriptor).st_mode)
        except RegfsError:
            os.close(descriptor)
            raise
        return descriptor

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """Open the directory above a path's last name, one component at a time."""
        *parents, name = path.split("/")
        descriptor = self._root
        try:
            for part in parents:
                below = os.open(part, _DIRECTORY, dir_fd=descriptor)
                if descriptor != self._root:
                    os.close(descriptor)
                descriptor = below
            yield descriptor, name or "."
        finally:
            if descriptor != self._root:
                os.close(descriptor)

    def _check_parents(self, path: str) -> None:
        """See that every directory on the way to a path is a real one, as far as that is not known."""
        unknown = []
        parent = path.rpartition("/")[0]
        oldest = time.monotonic() - _KNOWN_FOR
        while parent and self._known.get(parent, 0.0) < oldest:
            unknown.append(parent)
            parent = parent.rpartition("/")[0]
        for parent in reversed(unknown):
            mode = os.stat(parent, dir_fd=self._root, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(mode):
                raise UnsafeError(parent, _type_of_mode(mode).value, FileType.DIRECTORY.value)

    def _remember(self, path: str) -> None:
        """Note a directory that was opened component by component as a real one.

        Only directories that were listed are kept: those are the ones that many paths lead through.
        """
        with self._lock:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[path] = time.monotonic()


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn the operating system's errors into regfs's."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingError(path) from error
    except NotADirectoryError as error:
        # O_DIRECTORY with O_NOFOLLOW says this of a symlink as well.
        raise UnsafeError(path, "path through something else", FileType.DIRECTORY.value) from error
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error


def _refused(path: str, error: OSError | ValueError) -> RegfsError:
    if isinstance(error, ValueError):  # a NUL byte in a name
        return MissingError(path)
    denied = isinstance(error, PermissionError)
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UnreadableError(path, reason, error.errno or 0, denied=denied)


def _expect_file(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise UnsafeError(path, _type_of_mode(mode).value, FileType.FILE.value)


def _type_of_mode(mode: int) -> FileType:
    if stat.S_ISDIR(mode):
        return FileType.DIRECTORY
    if stat.S_ISREG(mode):
        return FileType.FILE
    return FileType.SYMLINK if stat.S_ISLNK(mode) else FileType.OTHER


def _type_of_entry(entry: os.DirEntry[str]) -> FileType:
    if entry.is_symlink():
        return FileType.SYMLINK
    if entry.is_dir(follow_symlinks=False):
        return FileType.DIRECTORY
    return FileType.FILE if entry.is_file(follow_symlinks=False) else FileType.OTHER
