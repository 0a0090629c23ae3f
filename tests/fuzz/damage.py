"""What goes wrong with files on a disk, at random: each seed damages a store in its own way.

Everything is done with the store's own files and names, below its `v2` directory; symlinks may lead out.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

#: Names that no registry gives, some of them not UTF-8.
_JUNK = (
    b"new\nline",
    b"back\rspace\x08",
    b"\x1b[31mred",
    b"bad-\xff\xfe",
    b"x" * 255,
    b" ",
    b"_x",
    b".nfs01",
)

#: Bytes of a link and of a blob that take no room on the disk; the second is more than a manifest may have.
_HUGE_LINK, _HUGE_DATA = 1 << 40, 5 << 20


class Damager:
    """Damages the store at `v2`. `outside` is a directory with a file `secret`; nothing there may be read."""

    def __init__(self, v2: Path, outside: Path, seed: int) -> None:
        self._v2 = v2
        self._outside = outside
        self._chance = random.Random(seed)

    def run(self) -> Iterator[str]:
        """Do one to eight things; tell each, as what was done and where."""
        for _ in range(self._chance.choice((1, 1, 1, 2, 3, 5, 8))):
            yield self._one()

    def _one(self) -> str:
        kind = self._chance.choices(("link", "data", "directory", "file"), (35, 40, 20, 5))[0]
        ways = _OF_DIRECTORIES if kind == "directory" else _OF_FILES
        choose = {"link": _links, "data": _data, "directory": _directories, "file": _files}[kind]
        paths = sorted(choose(self._v2))
        if not paths:
            return "nothing left to damage"
        path, way = self._chance.choice(paths), self._chance.choice(ways)
        told = f"{way.__name__.strip('_')} {os.fsencode(path.relative_to(self._v2))!r}"
        with suppress(FileNotFoundError, FileExistsError, NotADirectoryError):
            way(self, path)
        return told

    # --- files -------------------------------------------------------------------------------------

    def _truncate(self, path: Path) -> None:
        os.truncate(path, self._chance.randint(0, max(path.stat().st_size - 1, 0)))

    def _flip(self, path: Path) -> None:
        content = bytearray(path.read_bytes() or b"\0")
        for _ in range(self._chance.choice((1, 1, 4))):
            content[self._chance.randrange(len(content))] ^= 1 << self._chance.randrange(8)
        path.write_bytes(content)

    def _append(self, path: Path) -> None:
        with path.open("ab") as file:
            file.write(self._chance.choice((b"\n", b"\0" * 100, b"sha256:")))

    def _empty(self, path: Path) -> None:
        os.truncate(path, 0)

    def _huge(self, path: Path) -> None:
        os.truncate(path, _HUGE_LINK if path.name == "link" else _HUGE_DATA)

    def _swap(self, path: Path) -> None:
        """Swap the contents of two files of one kind, or the places of two directories."""
        choose = _directories if path.is_dir() else (_links if path.name == "link" else _data)
        other = self._chance.choice(sorted(choose(self._v2)))
        if other.is_relative_to(path) or path.is_relative_to(other):
            return
        between = path.with_name("between")
        path.rename(between)
        other.rename(path)
        between.rename(other)

    def _to_directory(self, path: Path) -> None:
        self._delete(path)
        path.mkdir()

    # --- files and directories ---------------------------------------------------------------------

    def _delete(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def _unreadable(self, path: Path) -> None:
        path.chmod(0)

    def _to_symlink(self, path: Path) -> None:
        others = sorted(_data(self._v2))
        self._delete(path)
        inside = os.path.relpath(self._chance.choice(others), path.parent) if others else "."
        to = ("/etc/passwd", "..", "../../../../..", "nowhere", path.name, str(self._outside))
        path.symlink_to(self._chance.choice((*to, str(self._outside / "secret"), inside)))

    def _to_fifo(self, path: Path) -> None:
        self._delete(path)
        os.mkfifo(path)

    def _to_socket(self, path: Path) -> None:
        self._delete(path)
        here = os.getcwd()
        with socket.socket(socket.AF_UNIX) as bound:
            descriptor = os.open(path.parent, os.O_PATH)
            try:  # a socket's path has room for 108 bytes
                bound.bind(f"/proc/self/fd/{descriptor}/{path.name}")
            finally:
                os.close(descriptor)
        assert os.getcwd() == here

    def _to_file(self, path: Path) -> None:
        self._delete(path)
        path.write_bytes(b"a file")

    def _rename(self, path: Path) -> None:
        path.rename(
            path.with_name(self._chance.choice(("x" + path.name, path.name[::-1], path.name.upper())))
        )

    def _junk(self, path: Path) -> None:
        """Put names into a directory that have no place there; some with files as a repository or tag has."""
        name = os.path.join(os.fsencode(path), self._chance.choice(_JUNK))
        if self._chance.random() < 0.3:
            Path(os.fsdecode(name)).write_bytes(b"junk")
            return
        os.makedirs(name)
        if self._chance.random() < 0.5 and len(name) < 3000:
            os.makedirs(name + b"/_manifests/tags/1.0/current")
            Path(os.fsdecode(name + b"/_manifests/tags/1.0/current/link")).write_bytes(b"sha256:" + b"0" * 64)


Way = Callable[[Damager, Path], None]

_OF_BOTH: tuple[Way, ...] = (
    Damager._delete,
    Damager._unreadable,
    Damager._to_symlink,
    Damager._to_fifo,
    Damager._to_socket,
    Damager._swap,
)
_OF_FILES: tuple[Way, ...] = (
    *_OF_BOTH,
    Damager._to_symlink,
    Damager._truncate,
    Damager._flip,
    Damager._flip,
    Damager._append,
    Damager._empty,
    Damager._huge,
    Damager._to_directory,
    Damager._swap,
)
_OF_DIRECTORIES: tuple[Way, ...] = (*_OF_BOTH, Damager._to_file, Damager._rename, Damager._junk)


def _files(v2: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(v2):
        for name in names:
            path = Path(directory, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _links(v2: Path) -> Iterator[Path]:
    """Find links. Those that tags have are there several times: most of all links are of layers."""
    for path in _files(v2 / "repositories"):
        if path.name == "link":
            yield from [path] * (3 if path.parent.name == "current" else 1)


def _data(v2: Path) -> Iterator[Path]:
    return (path for path in _files(v2 / "blobs") if path.name == "data")


def _directories(v2: Path) -> Iterator[Path]:
    for directory, names, _ in os.walk(v2):
        yield from (path for name in names if not (path := Path(directory, name)).is_symlink())
