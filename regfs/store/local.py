"""A store in a directory of this machine, or of a server that is mounted on it.

Below its root no symlink is ever followed, whatever part of a path it stands at, and nothing but plain
files is opened: paths are walked with O_NOFOLLOW, one component at a time. Safe for many threads: all it
keeps is one descriptor of the root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from regfs.errors import MissingError, RegfsError, TooLargeError, UnreadableError, UnsafeError
from regfs.store.protocol import Entry, FileStat, FileType, Space

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: should a FIFO take the file's place between the look and the open, it cannot block.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


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
            raise _translate(self._path, error) from error
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
            raise _translate(root, error) from error

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
        return found

    def stat(self, path: str, below: str = "") -> FileStat:
        """Tell what stands at a path."""
        root = self._root
        try:
            end = path.find("/", len(below) + 1)
            while end > 0:
                mode = os.stat(path[:end], dir_fd=root, follow_symlinks=False).st_mode
                if not stat.S_ISDIR(mode):
                    raise UnsafeError(path[:end], _type_of_mode(mode).value, FileType.DIRECTORY.value)
                end = path.find("/", end + 1)
            found = os.stat(path or ".", dir_fd=root, follow_symlinks=False)
        except (OSError, ValueError) as error:
            raise _translate(path, error) from error
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


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn the operating system's errors into regfs's."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise _translate(path, error) from error


def _translate(path: str, error: OSError | ValueError) -> RegfsError:
    match error:
        case FileNotFoundError() | ValueError():  # ValueError: a NUL byte in a name
            return MissingError(path)
        case OSError(errno=errno.ENAMETOOLONG):
            return MissingError(path)
        case NotADirectoryError():  # O_DIRECTORY with O_NOFOLLOW says this of a symlink as well
            return UnsafeError(path, "path through something else", FileType.DIRECTORY.value)
        case _:
            reason = os.strerror(error.errno) if error.errno else str(error)
            denied = isinstance(error, PermissionError)
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
