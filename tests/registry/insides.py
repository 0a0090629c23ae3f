"""File systems in one form, to be compared: one that is mounted or unpacked, and one that a tar describes.

Paths are bytes, as in the file system; the top's is empty.
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

_XATTR = "SCHILY.xattr."

#: The letters of ls(1), by what tarfile calls the types.
_LETTERS = {
    tarfile.DIRTYPE: "d",
    tarfile.LNKTYPE: "h",
    tarfile.SYMTYPE: "l",
    tarfile.CHRTYPE: "c",
    tarfile.BLKTYPE: "b",
    tarfile.FIFOTYPE: "p",
}


class Found(NamedTuple):
    """What stands at a path; `type` is the letter that ls(1) shows. Only a file has `size` and `sha256`."""

    type: str
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    size: int = 0
    sha256: str = ""
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()


class Tree(NamedTuple):
    """A file system.

    `links` are the sets of paths that name one file, where more than one does; `names` says how many each
    file has by its own account, which is more where some of them are hidden.
    """

    entries: Mapping[bytes, Found]
    links: frozenset[frozenset[bytes]]
    names: Mapping[bytes, int]


#: The top has regfs's own attributes, since to look at it reads no layer: it is compared with nothing.
TOP = Found("d", 0o555, (0, 0), 0)


def read_tree(top: Path) -> Tree:
    """Read all below a directory through the kernel: lstat, readlink, listxattr, and every byte."""
    entries = {b"": TOP}
    files: dict[tuple[int, int], list[bytes]] = {}
    names = {}
    for path in _below(os.fsencode(top)):
        found = os.lstat(path)
        relative = os.path.relpath(path, os.fsencode(top))
        entries[relative] = _read(path, found)
        if not stat.S_ISDIR(found.st_mode):
            files.setdefault((found.st_dev, found.st_ino), []).append(relative)
            names[relative] = found.st_nlink
    return Tree(entries, _linked(files.values()), names)


def _below(directory: bytes) -> Iterator[bytes]:
    with os.scandir(directory) as found:
        for entry in found:
            yield entry.path
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)


def _read(path: bytes, found: os.stat_result) -> Found:
    letter = stat.filemode(found.st_mode)[0]
    size, sha256 = 0, ""
    if letter == "-":
        content = Path(os.fsdecode(path)).read_bytes()
        assert len(content) == found.st_size, path
        size, sha256 = found.st_size, hashlib.sha256(content).hexdigest()
    special = letter in "bc"
    return Found(
        letter,
        stat.S_IMODE(found.st_mode),
        (found.st_uid, found.st_gid),
        found.st_mtime_ns,
        size,
        sha256,
        os.readlink(path) if letter == "l" else b"",
        (os.major(found.st_rdev), os.minor(found.st_rdev)) if special else (0, 0),
        tuple(
            sorted(
                (name, os.getxattr(path, name, follow_symlinks=False))
                for name in os.listxattr(path, follow_symlinks=False)
            )
        ),
    )


def _linked(groups: Iterable[list[bytes]]) -> frozenset[frozenset[bytes]]:
    return frozenset(frozenset(group) for group in groups if len(group) > 1)


def tar_tree(tar: bytes) -> Tree:
    """Tell what a tar describes, as Python's tarfile reads it. A name given twice: the last counts.

    Directories that no entry names are left out, and a hard link into a lower layer has the type `h`. A tar
    that ends with its last byte of content, as some builders leave it, is filled up: tarfile takes none such.
    """
    entries: dict[bytes, Found] = {}
    first: dict[bytes, bytes] = {}  # the path by which a file is known, of each of its names
    filled = tar + bytes(-len(tar) % tarfile.BLOCKSIZE)
    with tarfile.open(
        fileobj=io.BytesIO(filled), mode="r:", encoding="utf-8", errors="surrogateescape"
    ) as read:
        for info in read:
            path = clean(info.name)
            known = first.get(clean(info.linkname)) if info.islnk() else None
            first[path] = known or path
            entries[path] = entries[known] if known else _of_info(read, info)
    files: dict[bytes, list[bytes]] = {}
    for path, known in first.items():
        files.setdefault(known, []).append(path)
    names = {path: len(files[known]) for path, known in first.items() if entries[path].type != "d"}
    return Tree(entries, _linked(files.values()), names)


def clean(name: str) -> bytes:
    """Give the path that a tar's name means, inside the layer."""
    return os.fsencode(posixpath.normpath(f"/{name}").lstrip("/"))


def _of_info(read: tarfile.TarFile, info: tarfile.TarInfo) -> Found:
    letter = _LETTERS.get(info.type, "-")
    content = read.extractfile(info) if letter == "-" else None
    data = content.read() if content else b""
    assert letter != "-" or len(data) == info.size
    return Found(
        letter,
        stat.S_IMODE(info.mode),
        (info.uid, info.gid),
        # tarfile itself makes a float of it, which loses nanoseconds.
        int(Decimal(info.pax_headers.get("mtime", info.mtime)) * 1_000_000_000),
        len(data),
        hashlib.sha256(data).hexdigest() if letter == "-" else "",
        os.fsencode(info.linkname) if letter == "l" else b"",
        (info.devmajor, info.devminor) if letter in "bc" else (0, 0),
        tuple(
            sorted(
                (key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
                for key, value in info.pax_headers.items()
                if key.startswith(_XATTR)
            )
        ),
    )


def with_parents(entries: Mapping[bytes, Found]) -> dict[bytes, Found]:
    """Add the directories above all entries that no entry names, as regfs shows them."""
    implied = Found("d", 0o755, (0, 0), 0)
    all_entries = {**entries, b"": TOP}
    for path in entries:
        above = path
        while above := os.path.dirname(above):
            all_entries.setdefault(above, implied)
    return all_entries


def links_told(tree: Tree) -> dict[bytes, int]:
    """Tell how many links regfs says that each file has.

    At least two of one with content: regfs cannot know its names in other layers and images without a search,
    and tools look for other names of an inode only where there are more links than one.
    """
    return {
        path: max(links, 2) if tree.entries[path].type == "-" else links for path, links in tree.names.items()
    }


def times_told(want: Mapping[bytes, Found], layers: Iterable[Tree]) -> set[bytes]:
    """Tell of which paths of an unpacked image the time is that of an entry; the layers are base first.

    That of a directory is not if no entry names it, or if a layer after the last that names it has anything
    directly in it: the unpacker wrote there. Neither is one before 1970, which not every file system holds.
    """
    told = {path for path, found in want.items() if found.type != "d"}
    for layer in layers:
        named = {path for path, found in layer.entries.items() if found.type == "d"}
        written = {os.path.dirname(path) for path in layer.entries}
        told = (told - written) | (named & want.keys())
    return {path for path in told if want[path].mtime_ns > 0}


def differences(shown: Mapping[bytes, Found], want: Mapping[bytes, Found]) -> list[str]:
    """Say in which paths, and in which points of them, what is shown is not what should be."""
    points = [f"{path!r} is not there" for path in want if path not in shown]
    points += [f"{path!r} should not be there" for path in shown if path not in want]
    for path in want:
        if path in shown:
            points += [
                f"{path!r}: {field} is {got!r}, not {right!r}"
                for field, got, right in zip(Found._fields, shown[path], want[path], strict=True)
                if got != right
            ]
    return points
