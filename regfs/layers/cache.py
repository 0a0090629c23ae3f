"""The directory of what is kept of layers: who makes a file, when it is there, and which go when it is full.

    <cache directory>/layers/
        sha256-<hex>.sqlite        the index of a layer
        sha256-<hex>.zst           the seekable copy of a layer
        <one of those>.new         one that is being made
        <one of those>.lock        locked (flock(2)) by who makes it

A file is published by renaming it, and never written again; what is open when it is removed stays readable.
Only who has the lock makes a `.new`, so one whose lock is free was left by a process that was killed.

Nothing is kept in memory: any thread and any process may use the directory.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from regfs.errors import NoRoomError
from regfs.machine import make_private
from regfs.oci.digest import Digest

INDEX = ".sqlite"
COPY = ".zst"

_NEW, _LOCK = ".new", ".lock"

_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Claim(NamedTuple):
    """The right to make a file. A process that inherits `descriptor` has it too, until both have ended."""

    new: Path
    target: Path
    descriptor: int


class LayerCache:
    """Files of up to `size` bytes in all, the least recently used of which go first."""

    def __init__(self, directory: Path, size: int) -> None:
        self.directory = directory / "layers"
        self._size = size

    def path(self, digest: Digest, kind: str) -> Path:
        """Give the place of a layer's INDEX or COPY."""
        return self.directory / f"{digest.algorithm}-{digest.hex}{kind}"

    @contextmanager
    def claimed(self, target: Path, idle: Callable[[], object]) -> Iterator[Claim]:
        """Be the only one who makes a file, until the end of `with`; nothing half-made is left then.

        While another does, `idle` is called again and again: it waits a little, or raises. Raises NoRoomError
        if the directory cannot be written.
        """
        new, lock = target.with_name(target.name + _NEW), target.with_name(target.name + _LOCK)
        try:
            if not self.directory.is_dir():
                make_private(self.directory)
            while (descriptor := _locked(lock)) is None:
                idle()
        except OSError as error:
            raise self._no_room(error) from error
        try:
            self.discard(new)
            self._sweep()
            yield Claim(new, target, descriptor)
        finally:
            _forget(new, lock)
            os.close(descriptor)

    def publish(self, claim: Claim) -> None:
        """Let a file that is made be found, and make room for it. Raises NoRoomError."""
        try:
            claim.new.replace(claim.target)
        except OSError as error:
            raise self._no_room(error) from error
        self._trim(claim.target)

    def used(self, path: Path) -> None:
        """Note that a file is in use now, which lets it stay."""
        with suppress(OSError):
            # Not the time of change, by which `opening` knows that nobody has written it.
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))

    def discard(self, path: Path) -> None:
        """Remove a file that is of no use."""
        with suppress(OSError):
            path.unlink()

    def _no_room(self, error: OSError) -> NoRoomError:
        return NoRoomError(str(self.directory), error.strerror or str(error))

    def _sweep(self) -> None:
        """Remove what processes left that were killed."""
        for name in self._names(_NEW, _LOCK):
            lock = self.directory / (name.removesuffix(_NEW).removesuffix(_LOCK) + _LOCK)
            with suppress(OSError):
                descriptor = _locked(lock)
                if descriptor is not None:
                    _forget(lock.with_suffix(_NEW), lock)
                    os.close(descriptor)

    def _trim(self, keep: Path) -> None:
        """Remove the files that were used longest ago, until all fit; but not `keep`, however large."""
        found, total = [], 0
        for name in self._names(INDEX, COPY):
            with suppress(OSError):
                stat = (self.directory / name).stat()
                found.append((stat.st_atime_ns, stat.st_size, name))
                total += stat.st_size
        for _, size, name in sorted(found):
            if total <= self._size:
                break
            if name != keep.name:
                self.discard(self.directory / name)
                total -= size

    def _names(self, *kinds: str) -> list[str]:
        try:
            return [name for name in os.listdir(self.directory) if name.endswith(kinds)]
        except OSError:
            return []


def _locked(path: Path) -> int | None:
    """Lock a file, made if there is none; give its descriptor, or None if somebody else has it locked."""
    descriptor = os.open(path, _LOCK_FLAGS, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it before removed it: another file may have its name by now.
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _forget(new: Path, lock: Path) -> None:
    """Remove what was not published, and the lock, which is held."""
    for path in (new, lock):
        with suppress(OSError):
            path.unlink()
