"""Tars of any entries come back as they were packed; tars of any bytes are entries, or the one error."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from regfs.errors import LayerError
from regfs.layers.entry import EntryType, TarEntry
from regfs.layers.tar import TarParser
from tests.property.conftest import tried

BLOCK = 512

LETTERS = {
    EntryType.FILE: tarfile.REGTYPE,
    EntryType.DIRECTORY: tarfile.DIRTYPE,
    EntryType.SYMLINK: tarfile.SYMTYPE,
    EntryType.HARDLINK: tarfile.LNKTYPE,
    EntryType.CHARACTER: tarfile.CHRTYPE,
    EntryType.BLOCK: tarfile.BLKTYPE,
    EntryType.FIFO: tarfile.FIFOTYPE,
}


@dataclass(frozen=True)
class Outcome:
    """What became of an archive: its entries, or why it is none."""

    entries: Sequence[TarEntry] = ()
    error: str = ""


def parse(raw: bytes, cuts: Sequence[int] = ()) -> Outcome:
    """Parse an archive that is cut at some places."""
    parser = TarParser()
    entries: list[TarEntry] = []
    places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    try:
        for start, end in itertools.pairwise(places):
            entries += parser.feed(raw[start:end])
        parser.finish()
    except LayerError as error:
        return Outcome(error=str(error))
    return Outcome(entries)


cuts = st.lists(st.integers(0, 1 << 16), max_size=20)


# Entries that tarfile packs.


@dataclass(frozen=True)
class Packed:
    """An entry to pack, and its content."""

    info: tarfile.TarInfo
    content: bytes
    want: TarEntry


def as_text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def names(longest: int) -> st.SearchStrategy[bytes]:
    """Names of any bytes but NUL; no slash at either end, which tarfile would take away."""
    letters = st.sampled_from([b"a", b"b/c", b" ", b"\n", b"=", b"\xe9", "ž".encode(), b"..", b"\\"])
    found = st.lists(letters, min_size=1, max_size=longest // 4).map(b"".join)
    return found | st.integers(1, longest).map(lambda length: b"n" * length)


#: Names of extended attributes: tarfile writes keys in UTF-8 alone, and the first "=" ends a key.
keys = st.text(st.characters(exclude_characters="=\0", exclude_categories=["Cs"]), min_size=1).map(str.encode)


@st.composite
def packed(draw: st.DrawFn, form: int) -> Packed:
    """Draw an entry that a format can hold: ustar has 7 or 11 octal digits, and names of 100 bytes."""
    ustar, pax = form == tarfile.USTAR_FORMAT, form == tarfile.PAX_FORMAT
    kind = draw(st.sampled_from(EntryType))
    content = draw(st.binary(max_size=1500)) if kind is EntryType.FILE else b""
    path, target = draw(names(100 if ustar else 700)), b""
    info = tarfile.TarInfo(as_text(path))
    info.type, info.size, info.mode = LETTERS[kind], len(content), draw(st.integers(0, 0o7777))
    if kind is EntryType.DIRECTORY:
        path += b"/"
        if ustar and len(path) > 100:
            path, info.name = b"d/", "d"
    if kind in (EntryType.SYMLINK, EntryType.HARDLINK):
        target = draw(names(100 if ustar else 700))
        info.linkname = as_text(target)
    if kind in (EntryType.CHARACTER, EntryType.BLOCK):
        info.devmajor, info.devminor = draw(st.tuples(*[st.integers(0, 0o7777777)] * 2))
    owners = st.integers(0, 0o7777777 if ustar else (1 << 32) - 1)
    info.uid, info.gid = draw(owners), draw(owners)
    xattrs: dict[bytes, bytes] = {}
    if pax:
        nanoseconds = draw(st.integers(-(1 << 62), 1 << 62))
        sign, (whole, fraction) = "-" if nanoseconds < 0 else "", divmod(abs(nanoseconds), 10**9)
        xattrs = draw(st.dictionaries(keys, st.binary(max_size=40), max_size=3))
        info.pax_headers = {"mtime": f"{sign}{whole}.{fraction:09}"}
        info.pax_headers |= {"SCHILY.xattr." + as_text(key): as_text(xattrs[key]) for key in xattrs}
    else:
        info.mtime = draw(st.integers(0 if ustar else -(1 << 33), 0o77777777777 >> (1 if ustar else 0)))
        nanoseconds = int(info.mtime) * 10**9
    want = TarEntry(
        path,
        kind,
        info.mode,
        info.uid,
        info.gid,
        len(content),
        max(-(1 << 63) + 1, min(nanoseconds, (1 << 63) - 1)),
        target,
        (info.devmajor, info.devminor),
        xattrs=xattrs,
    )
    return Packed(info, content, want)


def pack(members: Sequence[Packed], form: int) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(
        fileobj=raw, mode="w", format=form, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for member in members:
            archive.addfile(member.info, io.BytesIO(member.content))
    return raw.getvalue()


def check_packed(form: int, members: Sequence[Packed], places: Sequence[int]) -> None:
    raw = pack(members, form)
    outcome = parse(raw, places)
    assert outcome.error == ""
    assert [entry._replace(offset=0) for entry in outcome.entries] == [member.want for member in members]
    for entry, member in zip(outcome.entries, members, strict=True):
        assert raw[entry.offset : entry.offset + entry.size] == member.content


@given(st.lists(packed(tarfile.USTAR_FORMAT), max_size=6), cuts)
def test_entries_in_ustar_come_back_as_they_were_packed(members: list[Packed], places: list[int]) -> None:
    check_packed(tarfile.USTAR_FORMAT, members, places)


@given(st.lists(packed(tarfile.GNU_FORMAT), max_size=6), cuts)
def test_entries_in_gnus_format_come_back_as_they_were_packed(
    members: list[Packed], places: list[int]
) -> None:
    check_packed(tarfile.GNU_FORMAT, members, places)


@given(st.lists(packed(tarfile.PAX_FORMAT), max_size=6), cuts)
def test_entries_in_pax_come_back_as_they_were_packed(members: list[Packed], places: list[int]) -> None:
    check_packed(tarfile.PAX_FORMAT, members, places)


# Archives of every form, and what becomes of them when anything in them is something else.


def checked(block: bytes) -> bytes:
    """Put the right checksum into a header block."""
    total = sum(block[:148]) + sum(block[156:]) + 8 * ord(" ")
    return block[:148] + b"%06o\0 " % total + block[156:]


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **records: str) -> bytes:
    """Build a member; records are for its pax header, `__` in their keys for a point."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, "target"
    info.pax_headers = {key.replace("__", "."): value for key, value in records.items()}
    head = info.tobuf(tarfile.PAX_FORMAT if records else tarfile.GNU_FORMAT)
    return head + content + bytes(-len(content) % BLOCK)


def old_sparse() -> bytes:
    """Build a file of GNU's old sparse form, of six runs: two are in a block of their own."""
    raw = member("sparse", b"123456", tarfile.GNUTYPE_SPARSE)
    runs = b"".join(b"%011o\0%011o\0" % (place * 100, 1) for place in range(6))
    head = checked(raw[:386] + runs[:96] + b"\1" + b"%011o\0" % 600 + raw[495:BLOCK])
    return head + runs[96:].ljust(BLOCK, b"\0") + raw[BLOCK:]


IN_DATA = b"2\n0\n3\n10\n3\n".ljust(BLOCK, b"\0") + b"onetwo"

ARCHIVES = [
    b"".join(members) + bytes(2 * BLOCK)
    for members in [
        [member("file", b"content"), member("n" * 300), member("link", kind=tarfile.SYMTYPE)],
        [
            member("file", b"x" * 700, SCHILY__xattr__user__a="b", mtime="1.5", path="long"),
            member("next", b"c"),
        ],
        [member("null", kind=tarfile.CHRTYPE), member("a/", kind=tarfile.AREGTYPE), member("V", b"c", b"V")],
        [old_sparse(), member("next", b"content")],
        [member("map", b"onetwo", GNU__sparse__map="0,3,10,3", GNU__sparse__size="13"), member("next", b"c")],
        [
            member(
                "1.0", IN_DATA, GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__realsize="13"
            ),
            member("next", b"content"),
        ],
        [member("x", b"27 LIBARCHIVE.xattr.a=YWJj\n", tarfile.XGLTYPE), member("next", b"content", uid="7")],
    ]
]

#: What is put into an archive somewhere: numbers at the edge of what is allowed, marks, types.
PARTS = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.sampled_from([b"\x80" + bytes(10) + b"\1", b"\xff" * 12, b"\x80" + b"\xff" * 11, b"77777777777\0"]),
    st.sampled_from([b"\0", b" ", b"\n", b"=", b",", b"9", b"-", b"x", b"g", b"L", b"S", b"D", b"7", b"\1"]),
    st.sampled_from([b"ustar\0", b"ustar  \0", bytes(12), bytes(BLOCK)]),
)

#: Places where a header block has something other than a name.
FIELDS = st.sampled_from([0, 100, 108, 116, 124, 125, 135, 136, 156, 157, 257, 329, 345, 386, 398, 482, 483])


@st.composite
def torn(draw: st.DrawFn) -> bytes:
    """Draw an archive with parts of it overwritten, left out, said twice; most have right checksums."""
    raw = bytearray(draw(st.sampled_from(ARCHIVES)) + draw(st.sampled_from([b"", *ARCHIVES])))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(raw) // BLOCK)) * BLOCK
        way = draw(st.sampled_from(["field", "field", "byte", "leave out", "twice", "cut"]))
        if way == "field":
            part = draw(PARTS)
            at = start + draw(FIELDS)
            raw[at : at + len(part)] = part
        elif way == "byte":
            part = draw(PARTS)
            at = draw(st.integers(0, len(raw)))
            raw[at : at + len(part)] = part
        elif way == "leave out":
            del raw[start : start + draw(st.sampled_from([1, BLOCK, 2 * BLOCK]))]
        elif way == "twice":
            raw[start:start] = raw[start : start + BLOCK]
        else:
            del raw[draw(st.integers(0, len(raw))) :]
    if draw(st.sampled_from([True, True, False])):
        for at in range(0, len(raw) - BLOCK + 1, BLOCK):
            if raw[at + 257 : at + 262] == b"ustar":
                raw[at : at + BLOCK] = checked(bytes(raw[at : at + BLOCK]))
    return bytes(raw)


def check_sound(entry: TarEntry, length: int) -> None:
    """See that an entry is what `regfs.layers.entry` says of entries, and inside of an archive."""
    assert 0 <= entry.mode <= 0o7777
    assert 0 <= entry.size < 1 << 63
    assert -(1 << 63) <= entry.mtime_ns < 1 << 63
    assert all(0 <= number < 1 << 32 for number in (entry.uid, entry.gid, *entry.device))
    if entry.type is not EntryType.FILE:
        assert (entry.size, entry.offset, entry.extents) == (0, 0, None)
    elif entry.extents is None:
        assert entry.offset + entry.size <= length
    else:
        end, at = 0, entry.offset
        for start, size, offset in entry.extents:
            assert size > 0
            assert start >= end
            assert offset == at
            end, at = start + size, offset + size
        assert end <= entry.size
        assert at <= length


@tried(4)
@given(torn(), cuts)
@example(ARCHIVES[3], [])
def test_torn_archives_are_entries_or_the_one_error_however_they_are_cut(
    raw: bytes, places: list[int]
) -> None:
    outcome = parse(raw)
    assert parse(raw, places) == outcome
    for entry in outcome.entries:
        check_sound(entry, len(raw))


@given(st.binary(max_size=2000), st.binary(max_size=1100), cuts)
def test_any_bytes_are_entries_or_the_one_error(raw: bytes, records: bytes, places: list[int]) -> None:
    for whole in (raw, member("x", records, tarfile.XHDTYPE) + member("file")):
        assert parse(whole, places) == parse(whole)


def test_the_archives_that_are_torn_are_sound() -> None:
    found = [parse(raw) for raw in ARCHIVES]
    assert [outcome.error for outcome in found] == [""] * len(ARCHIVES)
    assert [len(outcome.entries) for outcome in found] == [3, 2, 2, 2, 2, 2, 1]
    sparse = [entry.extents for outcome in found for entry in outcome.entries if entry.extents]
    assert [len(extents) for extents in sparse] == [6, 2, 2]
