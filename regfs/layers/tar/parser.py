"""The tar parser: takes the bytes of an archive in pieces of any size, gives the entries they complete.

A tar is a row of members: a header block, and for files their content, padded to whole blocks. A member may
be announced by others, that carry a pax header (`x`, `g`) or a long name (`L`, `K`). Two blocks of zeros end
it. `_archive` follows that grammar and asks for the bytes it wants (see `step`); what lies between them is
passed over without a copy. Kept are the headers of the member in progress.

Where the formats leave a choice, this does as Go's archive/tar, by which container runtimes unpack layers:
hard links, symlinks, directories and devices have no content whatever their size says; blocks of zeros may
be missing, and the last member's padding with them; behind two of them anything may follow, behind a single
one nothing. What a global header (`g`) says is left to Go's callers, and containerd, moby and buildah leave
it out, so it applies to nothing here. Unlike there, a stream that ends behind a header that announces a
member is cut short.

Threads: a parser belongs to one thread at a time.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import NamedTuple

from regfs.errors import LayerError, LayerLimitError
from regfs.layers.entry import EntryType, Extent, TarEntry
from regfs.layers.tar import sparse
from regfs.layers.tar.header import Header, parse_header, size_of, text, type_of, verify
from regfs.layers.tar.limits import TarLimits
from regfs.layers.tar.pax import overridden, parse_records
from regfs.layers.tar.step import BLOCK, ZEROS, TarStep, padded

#: The letters of what becomes an entry: v7's NUL and ustar's digits (7 is a file that was to lie in one piece
#: on a disk), GNU's sparse file, and the directory of GNU's incremental archives, whose content is a list of
#: names. Members of other letters are passed over with their content: a volume's label (V), the rest of a
#: file that began on another volume (M), what vendors have added.
_TYPES = {
    b"\0": EntryType.FILE,
    b"0": EntryType.FILE,
    b"1": EntryType.HARDLINK,
    b"2": EntryType.SYMLINK,
    b"3": EntryType.CHARACTER,
    b"4": EntryType.BLOCK,
    b"5": EntryType.DIRECTORY,
    b"6": EntryType.FIFO,
    b"7": EntryType.FILE,
    b"D": EntryType.DIRECTORY,
    sparse.OLD_TYPE: EntryType.FILE,
}

_OLD_FILE, _INCREMENTAL_DIRECTORY = b"\0", b"D"
_LINKS = (EntryType.SYMLINK, EntryType.HARDLINK)
_DEVICES = (EntryType.CHARACTER, EntryType.BLOCK)

#: The letters of what only says something of the members behind it: pax headers (X is Solaris's x), and names
#: and targets of GNU's that are too long for their fields.
_LOCAL, _GLOBAL, _LONG_NAME, _LONG_TARGET = (b"x", b"X"), b"g", b"L", b"K"
_ANNOUNCING = frozenset({*_LOCAL, _GLOBAL, _LONG_NAME, _LONG_TARGET})

#: The largest offset of a file (off_t) and number in SQLite; as nanoseconds it reaches from 1677 to 2262.
_LARGEST = (1 << 63) - 1

#: chown(2) and mknod(2) take so many bits of an owner and a device's number, and Go passes on those.
_32_BITS = (1 << 32) - 1


class _Announced(NamedTuple):
    """What the headers before a member say of it. GNU's long names win over pax's, as with Go."""

    path: bytes = b""
    target: bytes = b""
    values: Mapping[bytes, bytes] = {}
    xattrs: Mapping[bytes, bytes] = {}


_NOTHING = _Announced()

_DEFAULT_LIMITS = TarLimits()


class TarParser:
    """Reads one archive, uncompressed. `feed` it all its bytes in order, then `finish`.

    Both raise LayerError for what is no sound tar, LayerLimitError for what passes `limits`. From then on
    they raise nothing but that error: there is no way to tell where the next header would be.
    """

    def __init__(self, limits: TarLimits = _DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._entries: list[TarEntry] = []
        #: The headers read until now, of members that become an entry or not.
        self.headers = 0
        self._count = 0
        self._position = 0  # in the tar, behind the bytes that the grammar has been given
        self._failure: LayerError | None = None
        self._ended = False
        self._held = bytearray()  # the first bytes of what the grammar wants, if a piece ended in it
        self._grammar = self._archive()
        self._step = next(self._grammar)
        self._skip = self._step.skip

    def feed(self, piece: bytes | bytearray | memoryview) -> list[TarEntry]:
        """Take the next bytes of the archive; give the entries whose headers they complete, in order.

        An entry's content may be still to come.
        """
        if self._failure is not None:
            raise self._failure
        try:
            self._take(memoryview(piece))
        except LayerError as error:
            reason = f"the tar cannot be read before byte {self._position}: {error.reason}"
            self._failure = type(error)(reason)
            raise self._failure from error
        entries, self._entries = self._entries, []
        return entries

    def finish(self) -> None:
        """Say that there are no more bytes. LayerError if the archive was to go on."""
        if self._failure is not None:
            raise self._failure
        whole = self._step.may_end and self._skip <= self._step.padding and not self._held
        if not (self._ended or whole):
            raise LayerError(f"the tar is cut short somewhere behind byte {self._position}")

    def _take(self, piece: memoryview) -> None:
        """Carry out the grammar's steps as far as the piece goes."""
        start, end = 0, len(piece)
        while start < end and not self._ended:
            if self._skip:
                skipped = min(self._skip, end - start)
                self._skip -= skipped
                start += skipped
                continue
            part = piece[start : start + self._step.take - len(self._held)]
            start += len(part)
            if len(part) == self._step.take:
                self._go_on(bytes(part))
                continue
            self._held += part
            if len(self._held) == self._step.take:
                whole = bytes(self._held)
                self._held.clear()
                self._go_on(whole)

    def _go_on(self, wanted: bytes) -> None:
        """Give the grammar what it asked for, and hear what it asks for next."""
        self._position += self._step.skip + self._step.take
        try:
            self._step = self._grammar.send(wanted)
            self._skip = self._step.skip
        except StopIteration:
            self._ended = True

    def _archive(self) -> Generator[TarStep, bytes, None]:
        """Read members up to the blocks of zeros."""
        announced, rest = _NOTHING, 0
        while (block := (yield TarStep(padded(rest), BLOCK, announced is _NOTHING, -rest % BLOCK))) != ZEROS:
            verify(block)
            self.headers += 1
            if type_of(block) in _ANNOUNCING:
                announced, rest = (yield from self._announcement(block, announced)), 0
            else:
                rest = yield from self._member(block, announced)
                announced = _NOTHING
        if (yield TarStep(0, BLOCK, may_end=True)) != ZEROS:
            raise LayerError("something stands behind a single block of zeros")

    def _announcement(self, block: bytes, announced: _Announced) -> Generator[TarStep, bytes, _Announced]:
        """Read what a member says of the next one. Of two of one kind the last counts."""
        kind, size = type_of(block), size_of(block)
        if size < 0:
            raise LayerError(f"a header of {size} bytes")
        if size > self._limits.extension:
            raise LayerLimitError(f"a header of {size} bytes; {self._limits.extension} are allowed")
        data = (yield TarStep(0, padded(size)))[:size] if size else b""
        if kind == _LONG_NAME:
            return announced._replace(path=text(data))
        if kind == _LONG_TARGET:
            return announced._replace(target=text(data))
        records = parse_records(data)
        if kind in _LOCAL:
            return announced._replace(values=records.values, xattrs=records.xattrs)
        return _NOTHING  # to Go, a global header is a member, so what stood before it is said of that

    def _member(self, block: bytes, announced: _Announced) -> Generator[TarStep, bytes, int]:
        """Make a member's entry; give the bytes of content that follow."""
        header = parse_header(block)
        values = announced.values
        if values:
            header = overridden(header, values)
        path = announced.path or header.path
        kind = _TYPES.get(header.type)
        if header.type == _OLD_FILE and path.endswith(b"/"):
            kind = EntryType.DIRECTORY  # v7 knew no other mark
        has_content = kind in (EntryType.FILE, None) or header.type == _INCREMENTAL_DIRECTORY
        size = stored = header.size if has_content else 0
        if size < 0:
            raise LayerError(f"a member of {size} bytes")
        extents = None
        if kind is EntryType.FILE and (values or header.type == sparse.OLD_TYPE):
            file = yield from sparse.read_map(header, block, values, self._limits.extents)
            if file is not None:
                size, stored, path = file.size, file.stored, file.name or path
                extents = sparse.extents(file, self._position)
        if max(self._position + padded(stored), size) > _LARGEST:
            raise LayerError(f"a member of {size} bytes reaches past every offset that there is")
        if kind is not None:
            self._add(header, announced, path, kind, size if kind is EntryType.FILE else 0, extents)
        return stored

    def _add(
        self,
        header: Header,
        announced: _Announced,
        path: bytes,
        kind: EntryType,
        size: int,
        extents: tuple[Extent, ...] | None,
    ) -> None:
        """Make an entry, if the limits allow it. A file's content begins where the grammar has come to."""
        target = (announced.target or header.target) if kind in _LINKS else b""
        self._count += 1
        self._check(path, target, announced.xattrs)
        entry = TarEntry(
            path,
            kind,
            header.mode & 0o7777,
            header.uid & _32_BITS,
            header.gid & _32_BITS,
            size,
            max(-_LARGEST, min(header.mtime_ns, _LARGEST)),
            target,
            (header.device[0] & _32_BITS, header.device[1] & _32_BITS) if kind in _DEVICES else (0, 0),
            self._position if kind is EntryType.FILE else 0,
            extents,
            announced.xattrs,
        )
        self._entries.append(entry)

    def _check(self, path: bytes, target: bytes, xattrs: Mapping[bytes, bytes]) -> None:
        limits = self._limits
        if self._count > limits.entries:
            raise LayerLimitError(f"more than {limits.entries} entries")
        if max(len(path), len(target)) > limits.name:
            raise LayerLimitError(f"a path or target of more than {limits.name} bytes")
        if xattrs and sum(len(name) + len(value) for name, value in xattrs.items()) > limits.xattrs:
            raise LayerLimitError(f"an entry's extended attributes have more than {limits.xattrs} bytes")
