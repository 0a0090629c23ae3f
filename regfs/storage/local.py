"""A storage in a directory of this machine, or of a server that is mounted on it.

Below its root no symlink is followed, whatever part of a path it stands at, and nothing but plain files is
opened: paths are walked with O_NOFOLLOW, one component at a time. If asked to, it follows symlinks that stand
for directories; one that stands for a file, never. Safe for many threads: all it keeps is one descriptor of
the root.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from regfs.errors import (
    MissingError,
    RegfsError,
    StoreAwayError,
    StoreError,
    StoreGoneError,
    TooLargeError,
    UnreadableError,
    UnsafeError,
)
from regfs.machine import counts_directories
from regfs.storage.looks import look_at_all
from regfs.storage.protocol import Entry, FileStat, FileType, Leaf, Space

_log = logging.getLogger(__name__)

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: should a FIFO take the file's place between the look and the open, it cannot block.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

#: The bits of a mode that tell the type (inode(7), S_IFMT).
_FORMAT = 0o170000
_TYPES = {stat.S_IFDIR: FileType.DIRECTORY, stat.S_IFREG: FileType.FILE, stat.S_IFLNK: FileType.SYMLINK}

#: How many symlinks a path may lead over, where any are followed. In a circle none comes so far; without a
#: bound, a dozen directories full of symlinks to one another would make a tree of millions.
_MOST_SYMLINKS = 4

#: Links of a directory with one directory in it: its name, its "." and the other's "..".
_ONE_INSIDE = 3

#: The server of the file system is gone, or did not answer (FUSE, NFS `soft`, SMB).
_SERVER_GONE = frozenset(
    {errno.ENOTCONN, errno.ECONNABORTED, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENODEV}
)
#: After these, the path of the root may lead to another directory (ESTALE: NFS).
_ANOTHER_ROOT = _SERVER_GONE | {errno.ESTALE}
#: What tells of no single file that it is damaged: that, and what this process lacks.
_AWAY = _SERVER_GONE | {errno.EMFILE, errno.ENFILE, errno.ENOMEM}

#: Seconds after which a listing, or a name that is not there, is a reason to see whether the store is.
_LOOK_EVERY = 0.5

#: Makes a named tuple in half the time that its own constructor takes; a listing makes a hundred thousand.
_new = tuple.__new__

#: Inside the class, `list` is its method.
_Entries = list[Entry]
_Leaves = list[Leaf]
_Stamps = list[int]


class OpenFile:
    """The content of an open file: `read_into` goes straight to the given buffer, without the GIL."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path

    @property
    def descriptor(self) -> int:
        """The descriptor: for a child process, which reads the same file by it."""
        return self._descriptor

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

    def fileno(self) -> int:
        """Give the descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Expected(NamedTuple):
    """What a root must hold, so as not to take another directory for it after it is gone.

    `there` tells whether it stands at a path; it may raise OSError. `top` are the paths below the root that
    are missing only where it is new, or gone.
    """

    there: Callable[[str], bool]
    top: frozenset[str]


class LocalStorage:
    """The files below the directory `root`. `follow_symlinks`: its directories may be symlinks.

    `expected`, if given, is looked for at the root whenever something is missing.
    """

    def __init__(
        self,
        root: str,
        descriptor: int | None = None,
        *,
        follow_symlinks: bool = False,
        expected: Expected | None = None,
    ) -> None:
        """Open `root`; or take the descriptor under which it is open already, and close that in the end."""
        self.root = root
        self.follow_symlinks = follow_symlinks
        self._inner = _LIST & ~os.O_NOFOLLOW if follow_symlinks else _LIST
        self._by_path = descriptor is None
        if descriptor is None:
            try:
                descriptor = os.open(root, _ROOT)
            except OSError as error:
                raise _translate(root, error) from error
        self._root = descriptor
        # Not so a directory that never held it.
        self._expected = expected if expected and _may_be_there(expected, root) else None
        self._look_again = 0.0
        self._away_since = ""

    @property
    def identity(self) -> str:
        """The path of the root."""
        return self.root

    @property
    def descriptor(self) -> int:
        """The open root, for a process that is to read the same directory."""
        return self._root

    def close(self) -> None:
        """Give up the root's descriptor."""
        os.close(self._root)

    def list(self, path: str) -> list[Entry]:
        """List a directory. Raises StoreGoneError for what is not there because the store is gone."""
        if (self._expected and path in self._expected.top) or self._due():
            self._see_root()
        try:
            return self._list(path)
        except MissingError:
            if not self._see_root():
                raise
            return self._list(path)

    def _list(self, path: str) -> _Entries:
        with self._translated(path), self._parent(path) as (directory, name):
            descriptor = self._open_directory(name, directory, path, _LIST)
            try:
                with os.scandir(descriptor) as entries:
                    found = [
                        Entry(
                            entry.name,
                            FileType.DIRECTORY if self._leads_to_directory(entry) else _type_of_entry(entry),
                        )
                        for entry in entries
                    ]
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
                if stat.S_ISLNK(mode) and self.follow_symlinks:
                    self._admit(path[:end])
                elif not stat.S_ISDIR(mode):
                    raise UnsafeError(path[:end], _type_of_mode(mode).value, FileType.DIRECTORY.value)
                end = path.find("/", end + 1)
            found = os.stat(path or ".", dir_fd=root, follow_symlinks=False)
            target = self._target(path, found)
            if target:
                self._admit(path)
        except (OSError, ValueError) as error:
            raise self._failed(path, error) from error
        if target:
            return _file_stat(target)._replace(changed_ns=max(found.st_ctime_ns, target.st_ctime_ns))
        return _file_stat(found)

    def read(self, path: str, limit: int) -> bytes:
        """Read a whole plain file of at most `limit` bytes."""
        return self.examine(path, limit)[1]

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        """Tell about a plain file of at most `limit` bytes, and read it."""
        try:
            descriptor, found = self._open(path, below)
            try:
                size = found.st_size
                if size > limit:
                    raise TooLargeError(path, size, limit)
                content = os.read(descriptor, size + 1)
                while size != len(content) <= limit and (piece := os.read(descriptor, limit + 1)):
                    content += piece
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise self._failed(path, error) from error
        if len(content) > limit:
            raise TooLargeError(path, len(content), limit)
        return _file_stat(found), content

    def open(self, path: str, size: int | None = None) -> OpenFile:
        """Open a plain file."""
        with self._translated(path):
            return OpenFile(self._open(path)[0], path)

    def space(self) -> Space:
        """Tell about the file system that holds the store."""
        if self._away_since or self._due():
            self._see_root()
        with self._translated(""):
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

    def beside(self, path: str) -> bool:
        """Tell whether something stands at a path in the directory above the store."""
        try:
            os.stat(f"../{path}", dir_fd=self._root, follow_symlinks=False)
        except OSError:
            return False
        return True

    @contextmanager
    def at(self, path: str) -> Iterator[LocalStorage]:
        """Open a directory, to read much below it by shorter paths."""
        with self._translated(path), self._parent(path) as (directory, name):
            below = LocalStorage(
                f"{self.root}/{path}",
                self._open_directory(name, directory, path, _LIST),
                follow_symlinks=self.follow_symlinks,
            )
        try:
            yield below
        finally:
            below.close()

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> Sequence[Leaf]:
        """Look for the name `leaf` in every directory that is `depth` levels below `path`."""
        found: _Leaves = []
        with self._translated(path):
            if likely and self._is_alone(path, likely):
                found.append((likely, _look(f"{path or '.'}/{likely}/{leaf}", self._root)))
            else:
                self._find(self._open_directory(path or ".", self._root, path, _LIST), "", depth, leaf, found)
        return found

    def _is_alone(self, path: str, inner: str) -> bool:
        """Tell whether no other directory is as deep below `path` as `inner`: by the numbers of links.

        Those count no symlinks.
        """
        if self.follow_symlinks:
            return False
        path = path or "."
        try:
            for name in inner.split("/"):
                found = os.stat(path, dir_fd=self._root, follow_symlinks=False)
                single = found.st_nlink == _ONE_INSIDE and stat.S_ISDIR(found.st_mode)
                if not single or not counts_directories(found.st_dev):
                    return False
                path = f"{path}/{name}"
            return stat.S_ISDIR(os.stat(path, dir_fd=self._root, follow_symlinks=False).st_mode)
        except (OSError, ValueError):
            return False

    def _find(
        self,
        descriptor: int,
        prefix: str,
        depth: int,
        leaf: str,
        found: _Leaves,
    ) -> None:
        """Look for `leaf` so far below an open directory, and close that."""
        try:
            names = []
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False) or self._leads_to_directory(entry):
                        names.append(entry.name)
                    else:
                        kind = _type_of_entry(entry).value
                        wanted = FileType.DIRECTORY.value
                        found.append((prefix + entry.name, UnsafeError(prefix + entry.name, kind, wanted)))
            if depth > 1:
                for name in names:
                    try:
                        below = os.open(name, self._inner, dir_fd=descriptor)
                        self._find(below, f"{prefix}{name}/", depth - 1, leaf, found)
                    except FileNotFoundError:
                        pass
                    except OSError as error:
                        if error.errno in _AWAY:
                            raise
                        found.append((prefix + name, _told(prefix + name, error)))
                return
            found += [(prefix + name, _look(f"{name}/{leaf}", descriptor)) for name in names]
        finally:
            os.close(descriptor)

    def stamps(self, paths: Iterable[str]) -> Sequence[int]:
        """Give when each path last changed. Many that the disk has to seek are looked at side by side."""
        return look_at_all(self._stamps, list(paths))

    def _stamps(self, paths: Sequence[str]) -> _Stamps:
        root, stat, followed = self._root, os.stat, self.follow_symlinks
        found = []
        for path in paths:
            try:
                seen = stat(path or ".", dir_fd=root, follow_symlinks=False)
                target = self._target(path, seen) if followed else None
                found.append(max(seen.st_ctime_ns, target.st_ctime_ns) if target else seen.st_ctime_ns)
            except ValueError:
                found.append(0)
            except OSError as error:
                if error.errno in _AWAY:
                    raise self._failed(path, error) from error
                found.append(0)
        return found

    def _open(self, path: str, below: str = "") -> tuple[int, os.stat_result]:
        directory, name = self._enter(path, below)
        try:
            # Looked at before it is opened: to open a device may already do something.
            _expect_file(path, os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
            descriptor = os.open(name, _READ, dir_fd=directory)
        finally:
            if directory != self._root:
                os.close(directory)
        try:
            found = os.fstat(descriptor)
            _expect_file(path, found.st_mode)
        except (OSError, RegfsError):
            os.close(descriptor)
            raise
        return descriptor, found

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """Open the directory above a path's last name; gives it and the name."""
        descriptor, name = self._enter(path)
        try:
            yield descriptor, name or "."
        finally:
            if descriptor != self._root:
                os.close(descriptor)

    def _enter(self, path: str, below: str = "") -> tuple[int, str]:
        """Open the directories above a path's last name, one after the other from `below` on.

        Gives the last, which the caller closes unless it is the root, and the name.
        """
        *parents, name = path[len(below) :].split("/")
        if below:
            parents[:2] = [below + "/" + parents[1] if len(parents) > 1 else below]
        descriptor = self._root
        for depth, part in enumerate(parents, 1):
            try:
                inner = self._open_directory(part, descriptor, "/".join(parents[:depth]), _DIRECTORY)
            finally:
                if descriptor != self._root:
                    os.close(descriptor)
            descriptor = inner
        return descriptor, name

    def _open_directory(self, name: str, above: int, path: str, flags: int) -> int:
        """Open a directory by its name in another; `path` is that from the root."""
        try:
            return os.open(name, flags, dir_fd=above)
        except NotADirectoryError:  # or a symlink
            if not self.follow_symlinks:
                raise
        self._admit(path)
        return os.open(name, flags & ~os.O_NOFOLLOW, dir_fd=above)

    def _admit(self, path: str) -> None:
        """See that a symlink may be followed; UnsafeError if it leads to no directory, or back.

        A directory that stood for one above it would be its own content without end.
        """
        wanted = FileType.DIRECTORY.value
        link = os.stat(path, dir_fd=self._root, follow_symlinks=False)
        target = self._target(path, link)
        if target is None:
            raise UnsafeError(path, _type_of_mode(link.st_mode).value, wanted)
        followed = 0
        end = 0
        while end >= 0:
            above = path[:end] or "."
            found = os.stat(above, dir_fd=self._root)
            if os.path.samestat(found, target):
                got = f"symbolic link that leads back to {above}"
                raise UnsafeError(path, got, wanted)
            followed += stat.S_ISLNK(os.stat(above, dir_fd=self._root, follow_symlinks=False).st_mode)
            end = path.find("/", end + 1)
        if followed >= _MOST_SYMLINKS:
            raise UnsafeError(path, f"symbolic link behind {followed} others", wanted)

    def _target(self, path: str, found: os.stat_result) -> os.stat_result | None:
        """Tell about the directory that a symlink which was `found` leads to; None if none is followed."""
        if not (self.follow_symlinks and stat.S_ISLNK(found.st_mode)):
            return None
        try:
            target = os.stat(path, dir_fd=self._root)
        except OSError as error:
            if error.errno in _AWAY:
                raise
            return None
        return target if stat.S_ISDIR(target.st_mode) else None

    def _leads_to_directory(self, entry: os.DirEntry[str]) -> bool:
        """Tell whether an entry is a symlink to a directory, and followed."""
        if not (self.follow_symlinks and entry.is_symlink()):
            return False
        try:
            return entry.is_dir()
        except OSError as error:
            if error.errno in _AWAY:
                raise
            return False

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """Turn the operating system's errors into regfs's."""
        try:
            yield
        except (OSError, ValueError) as error:
            raise self._failed(path, error) from error

    def _failed(self, path: str, error: OSError | ValueError) -> RegfsError:
        """Give regfs's error for the operating system's; the next call may do better."""
        if isinstance(error, OSError) and error.errno in _ANOTHER_ROOT and self._by_path:
            self._open_again()
        elif isinstance(error, FileNotFoundError) and self._may_be_gone(path) and self._see_root():
            return StoreAwayError(
                path, "another store has taken the place of the one asked; ask again", errno.EIO
            )
        elif isinstance(error, NotADirectoryError):
            return self._in_the_way(path)
        return _translate(path, error)

    def _in_the_way(self, path: str) -> UnsafeError:
        """Tell what stands in the place of a directory on a path: the first that is none."""
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            place = "/".join(parts[:end])
            with suppress(OSError):
                kind = _type_of_mode(os.stat(place, dir_fd=self._root, follow_symlinks=False).st_mode)
                if kind is not FileType.DIRECTORY and not (self.follow_symlinks and end < len(parts)):
                    return UnsafeError(place, kind.value, FileType.DIRECTORY.value)
        return UnsafeError(path, "path through something else", FileType.DIRECTORY.value)

    def _may_be_gone(self, path: str) -> bool:
        """Tell whether a name that is not there is a reason to see whether the store is."""
        if (self._expected and path in self._expected.top) or self._away_since or self._due():
            return True
        with suppress(OSError):
            return self._expected is not None and os.fstat(self._root).st_nlink == 0
        return False

    def _due(self) -> bool:
        """Tell whether it is time to look for the root again: not at each listing, nor each missing name."""
        now = time.monotonic()
        if now < self._look_again:
            return False
        self._look_again = now + _LOOK_EVERY
        return True

    def _see_root(self) -> bool:
        """See that the root is still the store at its path; open what is there now, and tell whether it was.

        A store that is gone looks like an empty one: it was deleted, or emptied, or something else stands at
        its path. Raises StoreGoneError then. One that was moved, or unmounted lazily, is read on.
        """
        if self._expected is None:
            return False
        another = False
        try:
            here = os.fstat(self._root)
            try:
                there = os.stat(self.root)
                another = (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)
                is_there = self._expected.there(self.root)
            except (FileNotFoundError, NotADirectoryError):
                is_there = here.st_nlink > 0 and self._expected.there(f"/proc/self/fd/{self._root}")
        except OSError:  # it may not be looked at, or not now
            return False
        if not is_there:
            if not self._away_since:
                self._away_since = time.strftime("%Y-%m-%d %H:%M:%S %z")
                _log.warning("no store is at %s any more; what was known of it is kept", self.root)
            raise StoreGoneError(self.root, self._away_since, errno.EIO)
        if self._away_since:
            self._away_since = ""
            _log.warning("a store is at %s again", self.root)
        if another:
            self._open_again()
        return another

    def _open_again(self) -> None:
        """Open the root anew, if a store lies there: its file system died, and may have come back.

        An open directory stays that of the dead one for ever. Whoever uses the descriptor just now has
        either, since dup2(2) puts the new one in its place in one step.
        """
        with suppress(OSError):
            descriptor = os.open(self.root, _ROOT)
            try:
                # Not the empty place of what is not mounted.
                if self._expected is None or self._expected.there(f"/proc/self/fd/{descriptor}"):
                    os.dup2(descriptor, self._root, inheritable=False)
            finally:
                os.close(descriptor)


def _may_be_there(expected: Expected, root: str) -> bool:
    try:
        return expected.there(root)
    except OSError:
        return True


def _translate(path: str, error: OSError | ValueError) -> RegfsError:
    match error:
        case FileNotFoundError() | ValueError():  # ValueError: a NUL byte in a name
            return MissingError(path)
        case OSError(errno=errno.ENAMETOOLONG):
            return MissingError(path)
        case NotADirectoryError():  # O_DIRECTORY with O_NOFOLLOW says this of a symlink as well
            return UnsafeError(path, "path through something else", FileType.DIRECTORY.value)
        case OSError(errno=number) if number in _AWAY:
            return StoreAwayError(path, os.strerror(number), number)
        case _:
            reason = os.strerror(error.errno) if error.errno else str(error)
            denied = isinstance(error, PermissionError)
            return UnreadableError(path, reason, error.errno or 0, denied=denied)


def _look(path: str, below: int) -> FileStat | StoreError | None:
    """Tell what stands at a path: None for nothing, an error for what cannot be told."""
    try:
        return _file_stat(os.stat(path, dir_fd=below, follow_symlinks=False))
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in _AWAY:
            raise
        return _told(path, error)


def _told(path: str, error: OSError) -> StoreError:
    told = _translate(path, error)
    assert isinstance(told, StoreError)  # noqa: S101 - what is not, was raised
    return told


def _file_stat(found: os.stat_result) -> FileStat:
    kind = _TYPES.get(found.st_mode & _FORMAT, FileType.OTHER)
    return _new(FileStat, (kind, found.st_size, found.st_blocks, found.st_mtime_ns, found.st_ctime_ns, ""))


def _expect_file(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise UnsafeError(path, _type_of_mode(mode).value, FileType.FILE.value)


def _type_of_mode(mode: int) -> FileType:
    return _TYPES.get(mode & _FORMAT, FileType.OTHER)


def _type_of_entry(entry: os.DirEntry[str]) -> FileType:
    if entry.is_symlink():
        return FileType.SYMLINK
    if entry.is_dir(follow_symlinks=False):
        return FileType.DIRECTORY
    return FileType.FILE if entry.is_file(follow_symlinks=False) else FileType.OTHER
