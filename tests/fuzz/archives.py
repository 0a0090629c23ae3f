"""What is fuzzed inside layers: tars and their pax headers, and trees of layers on top of each other."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Iterable, Iterator

from regfs.errors import LayerError
from regfs.layers.changes import changes
from regfs.layers.entry import EntryType, TarEntry
from regfs.layers.tar import TarLimits, TarParser
from regfs.layers.tree import LayerTree, Merged, MergedTree
from tests.layer_trees import written

BLOCK = 512

#: Small, so that what is bounded by them is met.
_LIMITS = TarLimits(entries=500, name=4000, extension=20_000, xattrs=5000, extents=200)

#: Names that paths are made of: whiteouts, ways up, what no file system can show, and plain ones.
_NAMES = (b"a", b"b", b"c", b".wh.a", b".wh.b", b".wh..wh..opq", b"..", b".", b"", b"\xff", b"n" * 256, b"\0")


def tar(content: bytes) -> None:
    """Parse bytes as a tar: in one piece, and cut; as they are, and with right checksums."""
    for raw in (content, repaired(content)):
        whole = parse([raw])
        assert parse(cut(raw)) == whole
        for entry in whole[0]:
            check_entry(entry)
        if not whole[1]:
            check_trees([whole[0]])


def pax(content: bytes) -> None:
    """Parse bytes as the records of a pax header, of one file and of all; the file may be sparse by them."""
    content = content[:20_000]
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE):
        header = tarfile.TarInfo("pax")
        header.type, header.size = kind, len(content)
        file = tarfile.TarInfo("file")
        file.size = 7
        records = header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % BLOCK)
        raw = records + file.tobuf(tarfile.USTAR_FORMAT) + b"content".ljust(BLOCK, b"\0") + bytes(2 * BLOCK)
        found = parse([raw])
        assert parse(cut(raw)) == found
        for entry in found[0]:
            check_entry(entry)


def tree(content: bytes) -> None:
    """Make entries of bytes, in up to four layers; write their trees, and walk them merged."""
    layers: list[list[TarEntry]] = [[]]
    for kind, path, target in zip(content[::3], content[1::3], content[2::3], strict=False):
        if kind == 0xFF and len(layers) < 4:
            layers.append([])
        elif len(layers[-1]) < 200:
            layers[-1].append(_entry(kind, path, target))
    check_trees(layers)


def _entry(kind: int, path: int, target: int) -> TarEntry:
    type_ = tuple(EntryType)[kind % len(EntryType)]
    said = b"/".join(_NAMES[number] for number in (path % 12, path // 12 % 12, kind // 16 % 12))
    links = b"/" * (target & 1) + b"/".join(_NAMES[number] for number in (target % 12, target // 12 % 12))
    target_of = links if type_ in (EntryType.SYMLINK, EntryType.HARDLINK) else b""
    return TarEntry(said, type_, 0o644, 0, 0, kind if type_ is EntryType.FILE else 0, target, target_of)


def parse(pieces: Iterable[bytes]) -> tuple[list[TarEntry], str]:
    """Parse a tar: the entries, and why it ends; empty if it ends as it should."""
    parser, entries = TarParser(_LIMITS), []
    try:
        for piece in pieces:
            entries += parser.feed(piece)
        parser.finish()
    except LayerError as error:
        return [], str(error)
    return entries, ""


def cut(raw: bytes) -> Iterator[bytes]:
    """Cut bytes at places that follow from them."""
    chance, at = random.Random(len(raw)), 0
    while at < len(raw):
        size = chance.choice((1, 7, 100, 511, 512, 513, 5000))
        yield raw[at : at + size]
        at += size


def repaired(raw: bytes) -> bytes:
    """Put the right checksum into each block that has the magic of a header."""
    found = bytearray(raw)
    for at in range(0, len(raw) - BLOCK + 1, BLOCK):
        block = raw[at : at + BLOCK]
        if block[257:262] == b"ustar":
            total = sum(block[:148]) + sum(block[156:]) + 8 * ord(" ")
            found[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(found)


def check_entry(entry: TarEntry) -> None:
    """See that an entry says nothing impossible."""
    assert 0 <= entry.mode <= 0o7777
    assert 0 <= entry.size < 1 << 63
    assert -(1 << 63) <= entry.mtime_ns < 1 << 63
    assert all(0 <= number < 1 << 32 for number in (entry.uid, entry.gid, *entry.device))
    assert max(len(entry.path), len(entry.target)) <= _LIMITS.name
    end = 0
    for start, size, _ in entry.extents or ():
        assert start >= end
        assert size > 0
        end = start + size
    assert end <= entry.size


def check_trees(layers: list[list[TarEntry]]) -> None:
    """Write layers' trees; see that the merged one is finite, safe, and the same by listing and by name."""
    trees: list[LayerTree] = []
    for layer in layers:
        trees.append(written(layer)[0])
        check_merged(MergedTree(trees))
    for found in changes(trees):
        assert min(found) >= 0


def check_merged(merged: MergedTree) -> None:
    """Walk a merged tree. Its directories are no more than its layers can have made."""
    waiting: list[tuple[Merged, int]] = [(merged.root, 0)]
    met = 0
    while waiting:
        directory, depth = waiting.pop()
        children = merged.children(directory)
        assert len({name for name, _ in children}) == len(children)
        for name, child in children:
            met += 1
            assert met < 50_000
            assert depth < 4100
            assert 0 < len(name) <= 255
            assert name not in (b".", b"..")
            assert not set(name) & set(b"/\0")
            assert not name.startswith(b".wh..wh.")
            assert not name.startswith(b".wh.") or child.type is EntryType.DIRECTORY  # on the way to another
            assert merged.lookup(directory, name) == child
            _check_node(merged, child)
            if child.type is EntryType.DIRECTORY:
                waiting.append((child, depth + 1))


def _check_node(merged: MergedTree, child: Merged) -> None:
    try:
        node = merged.node(child)
    except LayerError:
        assert child.type is EntryType.HARDLINK
        return
    assert node.type is child.type
    assert node.links >= 1
    for start, size, offset in merged.extents(child) if node.type is EntryType.FILE else ():
        assert min(start, size, offset) >= 0
        assert start + size <= node.size
    merged.xattrs(child)
