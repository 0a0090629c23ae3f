"""The tar parser: against GNU tar and the file system, and against blocks built by hand."""

from __future__ import annotations

import base64
import io
import os
import stat
import struct
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from regfs.errors import LayerError, LayerLimitError
from regfs.layers.entry import EntryType, Extent, TarEntry
from regfs.layers.tar import TarLimits, TarParser
from tests.conftest import cannot_run, need

BLOCK = 512
END = bytes(2 * BLOCK)
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \0", bytes(8)

TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.DIRECTORY,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFCHR: EntryType.CHARACTER,
    stat.S_IFBLK: EntryType.BLOCK,
    stat.S_IFIFO: EntryType.FIFO,
}


def parse(raw: bytes, piece: int = 0, limits: TarLimits | None = None) -> list[TarEntry]:
    """Parse an archive, given in pieces of so many bytes, or whole."""
    parser = TarParser(limits or TarLimits())
    step = piece or max(len(raw), 1)
    found = [entry for at in range(0, len(raw), step) for entry in parser.feed(raw[at : at + step])]
    parser.finish()
    return found


def content(raw: bytes, entry: TarEntry) -> bytes:
    """Read a file of an archive by its offset or extents."""
    if entry.extents is None:
        return raw[entry.offset : entry.offset + entry.size]
    read = bytearray(entry.size)
    for start, size, offset in entry.extents:
        read[start : start + size] = raw[offset : offset + size]
    return bytes(read)


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def base_256(value: int, width: int) -> bytes:
    return ((1 << 8 * width - 1) | (value & (1 << 8 * width - 1) - 1)).to_bytes(width, "big")


def checked(block: bytes, signed: bool = False) -> bytes:
    """Put the right checksum into a header block."""
    spaced = block[:148] + b" " * 8 + block[156:]
    total = sum(struct.unpack("512b", spaced)) if signed else sum(spaced)
    return block[:148] + b"%06o\0 " % (total & 0o777777) + block[156:]


def header(
    name: bytes = b"file",
    size: int | bytes = 0,
    kind: bytes = b"0",
    *,
    mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0",
    gid: bytes = b"0000000\0",
    mtime: bytes = b"00000000000\0",
    link: bytes = b"",
    magic: bytes = USTAR,
    devices: bytes = b"0000000\x000000000\0",
    tail: bytes = b"",
) -> bytes:
    """Build a header block; `tail` begins where ustar has its prefix."""
    field = octal(size, 12) if isinstance(size, int) else size
    fields = name.ljust(100, b"\0") + mode + uid + gid + field + mtime + bytes(8) + kind
    block = fields + link.ljust(100, b"\0") + magic + bytes(64) + devices + tail.ljust(167, b"\0")
    assert len(block) == BLOCK
    return checked(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def member(name: bytes, data: bytes = b"", kind: bytes = b"0", **fields: bytes) -> bytes:
    return header(name, len(data), kind, **fields) + padded(data)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    return member(b"pax", b"".join(record(key, value) for key, value in records), kind)


def only(raw: bytes) -> TarEntry:
    (entry,) = parse(raw)
    return entry


# What GNU tar writes, compared with the file system it read.


def make_tar(root: Path, *options: str) -> bytes:
    """Pack a directory's entries with GNU tar, which must have nothing to complain about."""
    tar = need("tar")
    if "GNU tar" not in subprocess.run([tar, "--version"], capture_output=True, text=True, check=True).stdout:
        cannot_run("tar is not GNU tar")
    names = sorted(os.listdir(bytes(root)))
    done = subprocess.run(
        [tar, "--create", "--file=-", *options, "-C", root, "--", *names], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def xattrs(path: bytes) -> dict[bytes, bytes]:
    return {
        name.encode(): os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if name.startswith("user.")
    }


def walked(root: bytes) -> Iterable[bytes]:
    for above, directories, files in os.walk(root):
        for name in directories + files:
            yield os.path.relpath(os.path.join(above, name), root)


def check_against(root: Path, raw: bytes, *, fractions: bool = False, attributes: bool = False) -> None:
    """See that an archive's entries say what the file system says of the tree that was packed."""
    entries = parse(raw)
    top = bytes(root)
    assert sorted(entry.path.rstrip(b"/") for entry in entries) == sorted(walked(top))
    for entry in entries:
        path = os.path.join(top, entry.path.rstrip(b"/"))
        told = os.lstat(path)
        assert entry.mode == stat.S_IMODE(told.st_mode), entry
        assert (entry.uid, entry.gid) == (told.st_uid, told.st_gid), entry
        mtime = told.st_mtime_ns if fractions else told.st_mtime_ns // 10**9 * 10**9
        assert entry.mtime_ns == mtime, entry
        if entry.type is EntryType.HARDLINK:
            assert os.path.samefile(path, os.path.join(top, entry.target))
            assert entry.size == 0
            continue
        assert entry.type is TYPES[stat.S_IFMT(told.st_mode)], entry
        assert entry.target == (os.readlink(path) if entry.type is EntryType.SYMLINK else b"")
        device = (os.major(told.st_rdev), os.minor(told.st_rdev))
        assert entry.device == device, entry
        if entry.type is EntryType.FILE:
            assert content(raw, entry) == Path(os.fsdecode(path)).read_bytes(), entry
        else:
            assert entry.size == 0
        if attributes:
            assert entry.xattrs == xattrs(path), entry


def make_plain_tree(root: Path) -> None:
    """Make what every format can hold."""
    (root / "directory/empty").mkdir(parents=True)
    (root / "directory/file").write_bytes(b"content\n")
    for size in (0, 511, 512, 513, 70_000):
        (root / f"of {size}").write_bytes(os.urandom(size))
    (root / ("n" * 95)).write_bytes(b"95")
    (root / "symlink").symlink_to("directory/file")
    (root / "dangling").symlink_to("../../nowhere")
    (root / "very-hard").hardlink_to(root / "directory/file")
    (root / "žluťoučký 日本").write_bytes(b"UTF-8")
    Path(os.fsdecode(bytes(root) + b"/caf\xe9")).write_bytes(b"Latin-1")
    (root / 'new\nline \\ "quoted"').write_bytes(b"odd")
    for name, mode in (("setuid", 0o4755), ("setgid", 0o2711), ("private", 0o600), ("nothing", 0)):
        (root / name).write_bytes(name.encode())
        (root / name).chmod(mode)
    (root / "directory/empty").chmod(0o1777)
    os.utime(root / "of 511", (1, 1_700_000_000))


def make_ustar_tree(root: Path) -> None:
    """Make what ustar holds besides: FIFOs, devices, and names of up to 256 bytes."""
    make_plain_tree(root)
    os.mkfifo(root / "fifo")
    split = "a" * 77 + "/" + "a" * 77, "b" * 100  # 155 and 100 bytes
    for above, name in (split, ("c" * 99, "d"), ("e" * 50, "f" * 49), ("g" * 50, "h" * 50)):
        (root / above).mkdir(parents=True)
        (root / above / name).write_bytes(above.encode())
    (root / ("w" * 100)).write_bytes(b"100")
    (root / "link of 100").symlink_to("t" * 100)
    if os.geteuid() == 0:
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(root / "loop", stat.S_IFBLK | 0o600, os.makedev(7, 300))
        os.chown(root / "private", 2_000_000, 65_534)


def make_wide_tree(root: Path) -> None:
    """Make what only the formats of GNU and pax hold."""
    make_ustar_tree(root)
    for length in (101, 255):
        (root / ("w" * length)).write_bytes(b"%d" % length)
        (root / f"link of {length + 1}").symlink_to("u" * (length + 1))
    deep = root / ("x" * 200) / ("y" * 98)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"deep")  # 304 bytes
    (root / "x to deep").hardlink_to(deep / "file")
    (root / "z").symlink_to("v" * 4000)
    for name, nanoseconds in (
        ("old", -1_500_000_000),
        ("older", -(10**9)),
        ("later", 5_000_000_000_123456789),
    ):
        (root / name).write_bytes(b"")
        os.utime(root / name, ns=(0, nanoseconds))
    if os.geteuid() == 0:
        os.chown(root / "old", 123_456_789, 4_000_000_000)


@pytest.mark.parametrize("form", ["v7", "ustar", "oldgnu", "gnu", "posix"])
def test_what_gnu_tar_packs_in_every_format_is_as_the_file_system_says(tmp_path: Path, form: str) -> None:
    make_plain_tree(tmp_path)
    check_against(tmp_path, make_tar(tmp_path, f"--format={form}"), fractions=form == "posix")


@pytest.mark.parametrize("form", ["ustar", "oldgnu", "gnu", "posix"])
def test_devices_and_names_with_a_prefix_are_as_the_file_system_says(tmp_path: Path, form: str) -> None:
    make_ustar_tree(tmp_path)
    check_against(tmp_path, make_tar(tmp_path, f"--format={form}"), fractions=form == "posix")


@pytest.mark.parametrize("form", ["oldgnu", "gnu", "posix"])
def test_long_names_early_times_and_high_owners_are_as_the_file_system_says(
    tmp_path: Path, form: str
) -> None:
    make_wide_tree(tmp_path)
    check_against(tmp_path, make_tar(tmp_path, f"--format={form}"), fractions=form == "posix")


def test_names_in_pax_headers_that_are_no_utf_8_stay_as_they_are(tmp_path: Path) -> None:
    name = b"\xe9" * 180
    Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(b"long, in Latin-1")
    entry = only(make_tar(tmp_path, "--format=posix"))
    assert entry.path == name


def test_extended_attributes_are_as_the_file_system_says(tmp_path: Path) -> None:
    make_plain_tree(tmp_path)
    given = {
        "user.plain": b"text",
        "user.binary": b"\0\n 12 path=elsewhere\n\xff=",
        "user.empty": b"",
        "user.long": b"x" * 2000,
    }
    try:
        for name, value in given.items():
            os.setxattr(tmp_path / "of 512", name, value)
            os.setxattr(tmp_path / "directory", name, value[:1])
    except OSError as error:
        cannot_run(f"the file system keeps no attributes: {error}")
    raw = make_tar(tmp_path, "--format=posix", "--xattrs", "--xattrs-include=user.*")
    check_against(tmp_path, raw, fractions=True, attributes=True)


#: A capability as the kernel keeps it: version 2, effective, CAP_NET_BIND_SERVICE.
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


def test_a_files_capabilities_are_an_attribute(tmp_path: Path) -> None:
    (tmp_path / "ping").write_bytes(b"")
    try:
        os.setxattr(tmp_path / "ping", "security.capability", CAPABILITY)
    except OSError as error:
        cannot_run(f"capabilities cannot be set: {error}")
    raw = make_tar(tmp_path, "--format=posix", "--xattrs", "--xattrs-include=security.capability")
    assert only(raw).xattrs == {b"security.capability": CAPABILITY}


def make_sparse_tree(root: Path) -> dict[bytes, int]:
    """Make files with holes; gives how many data runs each has."""
    chunk = 1 << 16
    patterns = {b"begins": [0], b"ends": [3], b"both": [0, 6], b"many": list(range(0, 120, 2))}
    for name, places in patterns.items():
        with (root / name.decode()).open("wb") as file:
            for place in places:
                os.pwrite(file.fileno(), os.urandom(chunk - 1) + b"\1", place * chunk)
            if name != b"ends":
                file.truncate((places[-1] + 3) * chunk + 5)
    with (root / "nothing").open("wb") as file:
        file.truncate(1_000_003)
    return {name: len(places) for name, places in patterns.items()} | {b"nothing": 0}


SPARSE_FORMS = [
    ("--format=oldgnu",),
    ("--format=gnu",),
    ("--format=posix", "--sparse-version=0.0"),
    ("--format=posix", "--sparse-version=0.1"),
    ("--format=posix", "--sparse-version=1.0"),
]


@pytest.mark.parametrize("form", SPARSE_FORMS, ids=lambda form: form[-1][2:])
def test_sparse_files_are_read_back_in_every_form(tmp_path: Path, form: tuple[str, ...]) -> None:
    runs = make_sparse_tree(tmp_path)
    raw = make_tar(tmp_path, "--sparse", *form)
    check_against(tmp_path, raw, fractions="posix" in form[0])
    assert {entry.path: len(entry.extents or ()) for entry in parse(raw)} == runs
    assert parse(raw, 1000) == parse(raw)


@pytest.mark.parametrize("form", SPARSE_FORMS, ids=lambda form: form[-1][2:])
def test_a_sparse_file_of_more_than_8_gib_is_read_by_its_extents(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    size = 9 << 30
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
        os.pwrite(file.fileno(), b"the end" * 1000, size - 7000)
    raw = make_tar(tmp_path, "--sparse", *form)
    entry = only(raw)
    assert (entry.path, entry.size) == (b"large", size)
    (extent,) = entry.extents or ()
    assert extent.start + extent.size == size
    assert raw[extent.offset : extent.offset + extent.size].endswith(b"the end" * 1000)


def test_an_incremental_archive_has_times_where_others_have_a_prefix(tmp_path: Path) -> None:
    make_plain_tree(tmp_path)
    raw = make_tar(tmp_path, "--format=gnu", "--incremental")
    assert b"D" in {raw[at + 156 : at + 157] for at in range(0, len(raw), BLOCK)}
    check_against(tmp_path, raw)


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_a_volumes_label_is_no_entry(tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_bytes(b"content")
    raw = make_tar(tmp_path, f"--format={form}", "--label=backup")
    assert b"backup" in raw
    assert [entry.path for entry in parse(raw)] == [b"file"]


@pytest.mark.parametrize("piece", [1, 2, 511, 512, 513, 4096])
def test_the_pieces_make_no_difference(tmp_path: Path, piece: int) -> None:
    make_wide_tree(tmp_path)
    for form in ("gnu", "posix"):
        raw = make_tar(tmp_path, f"--format={form}")
        assert parse(raw, piece) == parse(raw)


# What Python's tarfile writes, in each of its formats; it reads it as well.


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tarfile_packs_is_as_tarfile_reads_it(tmp_path: Path, form: int) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (make_ustar_tree if form == tarfile.USTAR_FORMAT else make_wide_tree)(tree)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for name in sorted(os.listdir(tree)):
            archive.add(tree / name, name)
    raw = packed.getvalue()
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        wanted = archive.getmembers()
    entries = parse(raw)
    assert len(entries) == len(wanted) > 20
    for entry, want in zip(entries, wanted, strict=True):
        assert entry.path.rstrip(b"/") == want.name.encode("utf-8", "surrogateescape")
        assert (entry.mode, entry.uid, entry.gid) == (want.mode, want.uid, want.gid)
        assert entry.mtime_ns / 1e9 == pytest.approx(want.mtime, abs=1e-6)
        if entry.type is EntryType.FILE:
            assert (entry.size, entry.offset) == (want.size, want.offset_data)
        if want.islnk() or want.issym():
            assert entry.target == want.linkname.encode("utf-8", "surrogateescape")


def test_a_tar_that_tar_appended_to_is_one_archive(tmp_path: Path) -> None:
    tar = need("tar")
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(name.encode())
        subprocess.run([tar, "-rf", "all.tar", name], cwd=tmp_path, check=True)
    raw = (tmp_path / "all.tar").read_bytes()
    assert [content(raw, entry) for entry in parse(raw)] == [b"first", b"second"]


# What is where in a header.


def test_numbers_are_octal_or_base_256() -> None:
    for field, value in [
        (b"0000017\0", 15),
        (b"     17 ", 15),
        (b" 17\0\0\0\0\0", 15),
        (b"17 \0    ", 15),
        (bytes(5) + b"17\0", 15),
        (b"77777777", 0o77777777),
        (b"17\0rests", 15),
        (bytes(8), 0),
        (b" " * 8, 0),
        (base_256(4_000_000_000, 8), 4_000_000_000),
    ]:
        assert only(header(uid=field)).uid == value, field


def test_an_owner_of_more_than_32_bits_is_cut_as_chown_cuts_it() -> None:
    entry = only(header(uid=base_256(-2, 8), gid=base_256((1 << 32) + 5, 8)))
    assert (entry.uid, entry.gid) == (4294967294, 5)


@pytest.mark.parametrize("seconds", [-1, -(2**31), 2**33, 0])
def test_times_before_1970_and_beyond_octal_are_base_256(seconds: int) -> None:
    assert only(header(mtime=base_256(seconds, 12))).mtime_ns == seconds * 10**9


def test_a_time_beyond_64_bits_of_nanoseconds_is_the_last_one() -> None:
    assert only(header(mtime=base_256(1 << 62, 12))).mtime_ns == (1 << 63) - 1
    assert only(header(mtime=base_256(-(1 << 62), 12))).mtime_ns == -(1 << 63) + 1


def test_the_mode_has_no_file_type() -> None:
    assert only(header(mode=b"0104755\0")).mode == 0o4755


def test_a_signed_checksum_is_accepted() -> None:
    assert only(checked(header(b"caf\xe9\xff"), signed=True)).path == b"caf\xe9\xff"


@pytest.mark.parametrize("checksum", [b"%06o\0 ", b"%07o\0", b"%6o \0", b"%o\0\0\0"])
def test_a_checksum_is_written_in_several_ways(checksum: bytes) -> None:
    block = header()
    field = (checksum % int(block[148:154], 8)).ljust(8, b"\0")
    assert only(block[:148] + field + block[156:]).path == b"file"


@pytest.mark.parametrize(
    "devices", [b"0000001\x000000003\0", base_256(1, 8) + base_256(3, 8), b"1 \0" * 5 + b"\0"]
)
def test_devices_have_numbers_and_files_have_none(devices: bytes) -> None:
    if devices.startswith(b"1 "):
        devices = b"1      \x003      \0"
    for kind, want in ((b"3", EntryType.CHARACTER), (b"4", EntryType.BLOCK)):
        for magic in (USTAR, GNU):
            entry = only(header(kind=kind, devices=devices, magic=magic))
            assert (entry.type, entry.device) == (want, (1, 3))
    assert only(header(devices=devices)).device == (0, 0)
    assert only(header(devices=b"rubbish" + bytes(9))).device == (0, 0)
    assert only(header(kind=b"3", devices=devices, magic=V7)).device == (0, 0)


def test_a_prefix_is_ustars() -> None:
    for magic, want in ((USTAR, b"a/b/file"), (V7, b"file"), (b"ustar\0\0\0", b"a/b/file")):
        assert only(header(magic=magic, tail=b"a/b")).path == want
    assert only(header(b"n" * 100, tail=b"p" * 155)).path == b"p" * 155 + b"/" + b"n" * 100


def test_stars_prefix_ends_early() -> None:
    tail = b"p" * 131 + b"00000000000 " * 2 + bytes(8) + b"tar\0"
    assert only(header(tail=tail)).path == b"p" * 131 + b"/file"


def test_a_prefix_under_gnus_magic_is_what_old_go_wrote_unless_it_is_times() -> None:
    times = b"14524770400\x0014524770400\0"
    for tail, want in (
        (times, b"file"),
        (b"usr/lib", b"usr/lib/file"),
        (b"p" * 155, b"p" * 155 + b"/file"),
        (b"caf\xe9 and more", b"file"),
        (base_256(-1, 12) + base_256(1, 12), b"file"),
    ):
        assert only(header(magic=GNU, tail=tail)).path == want, tail


# Types.


def test_an_old_file_whose_name_ends_in_a_slash_is_a_directory_without_content() -> None:
    entries = parse(header(b"old/", 700, b"\0", magic=V7) + header(b"file", kind=b"\0") + END)
    assert [(entry.path, entry.type, entry.size) for entry in entries] == [
        (b"old/", EntryType.DIRECTORY, 0),
        (b"file", EntryType.FILE, 0),
    ]
    long = b"d" * 150 + b"/"
    assert only(member(b"L", long + b"\0", b"L") + header(kind=b"\0")).type is EntryType.DIRECTORY
    assert only(header(b"new/")).type is EntryType.FILE


def test_a_contiguous_file_is_a_file() -> None:
    raw = member(b"file", b"content", b"7") + END
    assert content(raw, only(raw)) == b"content"


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_what_is_no_file_has_no_content_whatever_its_size_says(kind: bytes) -> None:
    raw = header(b"first", 700, kind, link=b"target") + member(b"second", b"content") + END
    first, second = parse(raw)
    assert (first.size, first.path) == (0, b"first")
    assert first.target == (b"target" if kind in b"12" else b"")
    assert content(raw, second) == b"content"
    assert parse(pax((b"size", b"700")) + raw) == [first, second._replace(offset=second.offset + 2 * BLOCK)]


@pytest.mark.parametrize("kind", [b"V", b"M", b"N", b"A", b"I", b"E", b"Z", b"8", b"\xff", b" "])
def test_members_of_other_types_are_passed_over_with_their_content(kind: bytes) -> None:
    said = pax((b"path", b"not the next one's"), (b"uid", b"7"))
    raw = said + member(b"odd", b"x" * 700, kind) + member(b"file", b"content") + END
    entry = only(raw)
    assert (entry.path, entry.uid, content(raw, entry)) == (b"file", 0, b"content")


def test_an_incremental_directory_has_a_list_of_names_for_content() -> None:
    raw = member(b"directory/", b"Yfile\0\0", b"D", magic=GNU) + member(b"file", b"content") + END
    directory, file = parse(raw)
    assert (directory.type, directory.size) == (EntryType.DIRECTORY, 0)
    assert content(raw, file) == b"content"


# Long names and pax headers.


def test_long_names_are_gnus_and_win_over_pax() -> None:
    raw = (
        member(b"././@LongLink", b"n" * 300 + b"\0", b"L")
        + member(b"././@LongLink", b"t" * 300 + b"\0rest", b"K")
        + pax((b"path", b"other"), (b"linkpath", b"other"))
        + header(b"short", kind=b"2", link=b"short")
        + header(b"next", kind=b"2", link=b"own")
    )
    first, second = parse(raw + END)
    assert (first.path, first.target) == (b"n" * 300, b"t" * 300)
    assert (second.path, second.target) == (b"next", b"own")


def test_pax_says_what_the_header_cannot() -> None:
    raw = (
        pax(
            (b"path", b"a/caf\xe9/\n=12 path=x"),
            (b"hdrcharset", b"BINARY"),
            (b"uid", b"3000000"),
            (b"gid", b"4000000000"),
            (b"size", b"7"),
            (b"mtime", b"1700000000.123456789123"),
            (b"atime", b"nonsense"),
            (b"comment", b"\0\n"),
            (b"SCHILY.xattr.user.a", b"\0\n=\xff"),
            (b"SCHILY.xattr.user.empty", b""),
        )
        + header(b"short")
        + padded(b"content")
        + END
    )
    entry = only(raw)
    assert entry == TarEntry(
        b"a/caf\xe9/\n=12 path=x",
        EntryType.FILE,
        0o644,
        3_000_000,
        4_000_000_000,
        7,
        1_700_000_000_123456789,
        offset=raw.index(b"content"),
        xattrs={b"user.a": b"\0\n=\xff", b"user.empty": b""},
    )


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"0", 0),
        (b"1.5", 1_500_000_000),
        (b"1.", 1_000_000_000),
        (b"-1.5", -1_500_000_000),
        (b"-0.000000001", -1),
        (b"1.0000000019", 1_000_000_001),
        (b"+2", 2_000_000_000),
    ],
)
def test_a_pax_time_has_a_sign_and_a_fraction(text: bytes, nanoseconds: int) -> None:
    assert only(pax((b"mtime", text)) + header()).mtime_ns == nanoseconds


def test_the_last_record_and_the_last_header_count_and_an_empty_value_says_nothing() -> None:
    assert only(pax((b"uid", b"1"), (b"uid", b"2")) + header()).uid == 2
    assert only(pax((b"uid", b"1"), (b"path", b"x")) + pax((b"uid", b"2")) + header()).path == b"file"
    assert only(pax((b"path", b""), (b"mtime", b"")) + header(mtime=b"00000000001\0")).mtime_ns == 10**9
    assert only(header(b"pax", kind=b"x") + header()).path == b"file"


def test_a_pax_header_of_solaris_is_one() -> None:
    assert only(pax((b"path", b"long"), kind=b"X") + header()).path == b"long"


def test_a_global_header_says_nothing_of_any_entry() -> None:
    """As with container runtimes. To Go it is a member, so what stood before it is said of that."""
    raw = (
        header(b"before")
        + pax((b"uid", b"7"), (b"path", b"evil"), (b"SCHILY.xattr.user.a", b"b"), kind=b"g")
        + header(b"one")
        + pax((b"uid", b"8"))
        + header(b"two")
        + pax((b"uid", b"9"))
        + pax((b"mtime", b"2"), kind=b"g")
        + header(b"three")
    )
    found = [(entry.path, entry.uid, entry.mtime_ns, dict(entry.xattrs)) for entry in parse(raw + END)]
    assert found == [(b"before", 0, 0, {}), (b"one", 0, 0, {}), (b"two", 8, 0, {}), (b"three", 0, 0, {})]


def test_libarchives_attributes_are_encoded_and_need_not_be_there_twice() -> None:
    value = b"\0\xff\x01 any"
    encoded = base64.b64encode(value).rstrip(b"=")
    raw = pax((b"LIBARCHIVE.xattr.user.a%3Db%25", encoded), (b"LIBARCHIVE.xattr.user.none", b"")) + header()
    assert only(raw).xattrs == {b"user.a=b%": value, b"user.none": b""}
    both = [(b"SCHILY.xattr.user.a", value), (b"LIBARCHIVE.xattr.user.a", base64.b64encode(b"other"))]
    for records in (both, both[::-1]):
        assert only(pax(*records) + header()).xattrs == {b"user.a": value}


def damaged_records() -> Iterable[bytes]:
    yield b"rubbish"
    yield b"5 a\n"
    yield b"7 a=b\n"  # one more than there is
    yield b"5 a=b\n"  # one less
    yield b"4 a=b\n"
    yield b"6 a=bb"
    yield b"2 a=b\n"
    yield b"-6 a=b\n"
    yield b"999999999999999999999 a=b\n"
    yield b"6 a=b\n\0"
    yield b"6  a=b\n"
    yield b"6 a\0=\n"
    yield record(b"path", b"a\0b")
    yield record(b"linkpath", b"a\0b")
    yield record(b"uid", b"1_0")
    yield record(b"uid", b"1" * 5000)
    yield record(b"gid", b"0x10")
    yield record(b"size", b"-1")
    yield record(b"size", b"9" * 19)
    yield record(b"size", b"%d" % (1 << 63))
    yield record(b"size", b"%d" % ((1 << 63) - 1))  # the offset behind it
    yield record(b"mtime", b".5")
    yield record(b"mtime", b"1,5")
    yield record(b"mtime", b"1.5.5")
    yield record(b"mtime", b"")[:-1]
    yield record(b"LIBARCHIVE.xattr.user.a", b"A")
    yield record(b"GNU.sparse.numbytes", b"1")
    yield record(b"GNU.sparse.offset", b"1,2")
    yield record(b"GNU.sparse.offset", b"1")
    yield record(b"GNU.sparse.offset", b"0,0,0") + record(b"GNU.sparse.numbytes", b"0")
    yield record(b"GNU.sparse.map", b"0,3,5,-3") + record(b"GNU.sparse.size", b"9")
    yield record(b"GNU.sparse.map", b"0,1,2")
    yield record(b"GNU.sparse.map", b"0,x")
    yield record(b"GNU.sparse.map", b"0,1")  # of a file without any data
    yield record(b"GNU.sparse.map", b"5,0")  # outside of it
    yield record(b"GNU.sparse.map", b"0,0") + record(b"GNU.sparse.size", b"-1")
    yield record(b"GNU.sparse.map", b"0,0") + record(b"GNU.sparse.size", b"%d" % (1 << 63))
    yield record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0")


@pytest.mark.parametrize("data", list(damaged_records()))
def test_a_damaged_pax_header_is_an_error(data: bytes) -> None:
    with pytest.raises(LayerError):
        parse(member(b"pax", data, b"x") + header() + END)


# Sparse files.


def sparse_pax(*records: tuple[bytes, bytes], data: bytes) -> bytes:
    return pax(*records) + member(b"GNUSparseFile.0/file", data) + member(b"next", b"content") + END


def check_sparse(raw: bytes, extents: list[tuple[int, int, bytes]], size: int) -> None:
    first, second = parse(raw)
    assert (first.path, first.size) == (b"real", size)
    assert [(start, length, raw[at : at + length]) for start, length, at in first.extents or ()] == extents
    assert content(raw, second) == b"content"


def test_a_map_in_records_may_be_pairs_or_one_list() -> None:
    data, runs = b"onethree", [(2, 3, b"one"), (9, 5, b"three")]
    name, size = (b"GNU.sparse.name", b"real"), (b"GNU.sparse.size", b"20")
    pairs = [b"2", b"3", b"9", b"5", b"20", b"0"]
    keys = [b"GNU.sparse.offset", b"GNU.sparse.numbytes"] * 3
    check_sparse(sparse_pax(name, size, *zip(keys, pairs, strict=True), data=data), runs, 20)
    check_sparse(sparse_pax(name, size, (b"GNU.sparse.map", b",".join(pairs)), data=data), runs, 20)


def test_a_map_at_the_head_of_the_data_may_take_several_blocks() -> None:
    count = 200
    lines = [b"%d" % count] + [b"%d\n%d" % (100_000 * place, 3) for place in range(count)]
    head = padded(b"\n".join(lines) + b"\n")
    assert len(head) > 3 * BLOCK
    records = [
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", b"real"),
        (b"GNU.sparse.realsize", b"20000000"),
    ]
    raw = sparse_pax(*records, data=head + b"abc" * count)
    check_sparse(raw, [(100_000 * place, 3, b"abc") for place in range(count)], 20_000_000)
    assert parse(raw, 7) == parse(raw)


def test_a_sparse_file_of_a_form_nobody_knows_is_taken_as_it_is_stored() -> None:
    raw = sparse_pax((b"GNU.sparse.major", b"2"), (b"GNU.sparse.minor", b"0"), data=b"whatever")
    first, _ = parse(raw)
    assert (first.path, content(raw, first), first.extents) == (b"GNUSparseFile.0/file", b"whatever", None)


def old_sparse(runs: list[tuple[int, int]], size: int, data: bytes, magic: bytes = GNU) -> bytes:
    """Build a member of GNU's old form; a block for each 21 runs that do not fit the header."""
    table = [octal(start, 12) + octal(length, 12) for start, length in runs]
    inside, rest = table[:4], table[4:]
    tail = bytes(41) + b"".join(inside).ljust(96, b"\0") + (b"\1" if rest else b"\0") + octal(size, 12)
    blocks = []
    while rest:
        blocks.append(b"".join(rest[:21]).ljust(504, b"\0") + (b"\1" if rest[21:] else b"\0") + bytes(7))
        rest = rest[21:]
    head = header(b"real", len(data), b"S", magic=magic, tail=tail)
    return head + b"".join(blocks) + padded(data) + member(b"next", b"content") + END


@pytest.mark.parametrize("count", [0, 1, 4, 5, 25, 26, 60])
def test_a_map_of_the_old_form_goes_on_in_further_blocks(count: int) -> None:
    runs = [(place * 1000, 3) for place in range(count)]
    raw = old_sparse(runs, 100_000, b"abc" * count)
    check_sparse(raw, [(start, size, b"abc") for start, size in runs], 100_000)
    assert parse(raw, 100) == parse(raw)


@pytest.mark.parametrize(
    ("runs", "size", "data"),
    [
        ([(0, 3)], 2, b"abc"),  # past the end
        ([(5, 3), (0, 3)], 10, b"abcdef"),  # not in order
        ([(0, 3), (2, 3)], 10, b"abcdef"),  # one over the other
        ([(0, 3)], 10, b"abcd"),  # more stored
        ([(0, 3)], 10, b"ab"),  # less stored
        ([], 10, b"ab"),
    ],
)
def test_a_map_that_does_not_fit_its_file_is_an_error(
    runs: list[tuple[int, int]], size: int, data: bytes
) -> None:
    with pytest.raises(LayerError):
        parse(old_sparse(runs, size, data))


def test_stars_sparse_files_are_an_error() -> None:
    with pytest.raises(LayerError, match="GNU"):
        parse(old_sparse([(0, 3)], 10, b"abc", magic=USTAR))


@pytest.mark.parametrize(
    "head",
    [b"", b"1\n0\n", b"x\n", b"-1\n", b"1\n0\n3\n"[:5], b"1" * BLOCK, b"2\n0\n3\n9\n" + b"1" * 600 + b"\n"],
)
def test_a_damaged_map_at_the_head_of_the_data_is_an_error(head: bytes) -> None:
    version = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"10")]
    with pytest.raises(LayerError):
        parse(sparse_pax(*version, data=padded(head) + b"abc"))


def test_a_map_at_the_head_of_the_data_is_no_longer_than_the_data_and_has_no_negative_length() -> None:
    version = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")]
    with pytest.raises(LayerError, match="longer than what is stored"):
        parse(sparse_pax(*version, data=b"1\n0\n"))
    with pytest.raises(LayerError, match="negative"):
        parse(sparse_pax(*version, data=padded(b"-1\n")))


def test_a_map_without_an_end_is_refused_at_its_first_long_line() -> None:
    raw = pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")) + header(size=1 << 30)
    with pytest.raises(LayerError):
        TarParser().feed(raw + b"1" * BLOCK)


# The end, and what is no archive.


def test_nothing_is_an_archive_of_nothing() -> None:
    assert parse(b"") == parse(END) == parse(bytes(BLOCK)) == []


def test_the_blocks_of_zeros_may_be_missing_and_anything_may_follow_two() -> None:
    raw = member(b"file", b"content")
    for end in (b"", bytes(BLOCK), END, END + b"rubbish", END + member(b"later"), END + bytes(9000)):
        for piece in (0, 1, 700):
            assert [entry.path for entry in parse(raw + end, piece)] == [b"file"]


@pytest.mark.parametrize("behind", [b"\1", b"x" * BLOCK, header(b"later"), bytes(511)])
def test_a_single_block_of_zeros_with_something_behind_it_is_an_error(behind: bytes) -> None:
    with pytest.raises(LayerError):
        parse(member(b"file") + bytes(BLOCK) + behind)


def test_an_archive_cut_anywhere_but_between_members_or_in_padding_is_an_error() -> None:
    sparse = old_sparse([(place * 1000, 3) for place in range(9)], 9000, b"abc" * 9)
    members = [
        member(b"file", b"c" * 700),
        pax((b"path", b"long")) + header(),
        member(b"L", b"n" * 600, b"L") + header(),
        sparse.removesuffix(member(b"next", b"content") + END),
    ]
    raw = b"".join(members)
    ends = {0} | {sum(map(len, members[:count])) for count in range(1, len(members) + 1)}
    ends |= set(range(BLOCK + 700, 3 * BLOCK)) | set(range(len(raw) - BLOCK + 27, len(raw)))  # padding
    assert parse(raw)
    for at in range(len(raw)):
        if at in ends:
            parse(raw[:at])
        else:
            with pytest.raises(LayerError):
                parse(raw[:at])


def broken_headers() -> Iterable[bytes]:
    good = header()
    yield b"x" * BLOCK
    yield good[:50] + b"X" + good[51:]
    yield good[:148] + bytes(8) + good[156:]
    yield good[:148] + b"rubbish\0" + good[156:]
    for field in (b"0000009\0", b"000 007\0", b"-000001\0", b"+000001\0", b"0o00001\0", b"1_00000\0"):
        yield header(uid=field)
    yield header(mtime=b"\x80" + b"\xff" * 11)
    yield header(size=base_256(-1, 12))
    yield header(size=base_256(1 << 62, 12)[:1] + b"\xff" * 11)
    yield header(size=base_256((1 << 63) - 1, 12))
    yield header(kind=b"x", size=base_256(-1, 12))
    yield header(kind=b"V", size=base_256(-1, 12))


@pytest.mark.parametrize("block", list(broken_headers()))
def test_a_broken_header_is_an_error_wherever_it_stands(block: bytes) -> None:
    for before in (b"", member(b"file", b"content")):
        for piece in (0, 100):
            with pytest.raises(LayerError, match=f"before byte {len(before) + BLOCK}:"):
                parse(before + block + member(b"later") + END, piece)


def test_after_an_error_there_is_nothing_but_that_error() -> None:
    parser = TarParser(TarLimits())
    assert [entry.path for entry in parser.feed(header(b"good"))] == [b"good"]
    with pytest.raises(LayerError) as first:
        parser.feed(b"x" * BLOCK)
    for more in (header(), END, b""):
        with pytest.raises(LayerError) as again:
            parser.feed(more)
        assert str(again.value) == str(first.value)
    with pytest.raises(LayerError):
        parser.finish()


def test_any_buffer_is_a_piece() -> None:
    raw = member(b"file", b"content") + END
    for piece in (raw, bytearray(raw), memoryview(raw)):
        parser = TarParser()
        assert parser.feed(piece) == parse(raw)
        parser.finish()


@pytest.mark.parametrize(
    "head", [header(size=base_256(9 << 30, 12)), pax((b"size", b"%d" % (9 << 30))) + header()]
)
def test_a_content_of_more_than_8_gib_is_passed_over(head: bytes) -> None:
    parser = TarParser()
    (entry,) = parser.feed(head)
    assert (entry.size, entry.offset) == (9 << 30, len(head))
    piece = memoryview(bytes(1 << 24))
    for _ in range(9 * 64):
        assert parser.feed(piece) == []
    (later,) = parser.feed(member(b"later", b"content"))
    parser.finish()
    assert (later.path, later.offset) == (b"later", len(head) + (9 << 30) + BLOCK)


# Limits.


def test_what_passes_a_limit_is_refused_and_what_reaches_it_is_not() -> None:
    attribute = pax((b"SCHILY.xattr.user.a", b"x" * 94)) + header()
    three_runs = old_sparse([(0, 1), (2, 1), (4, 1)], 9, b"abc")
    in_data = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9")]
    for raw, limits, over in [
        (header() * 3, TarLimits(entries=3), TarLimits(entries=2)),
        (header(b"n" * 100), TarLimits(name=100), TarLimits(name=99)),
        (pax((b"path", b"n" * 300)) + header(), TarLimits(name=300), TarLimits(name=299)),
        (member(b"L", b"n" * 300, b"L") + header(), TarLimits(name=300), TarLimits(name=299)),
        (header(kind=b"2", link=b"t" * 100), TarLimits(name=100), TarLimits(name=99)),
        (pax((b"comment", b"x" * 88)) + header(), TarLimits(extension=101), TarLimits(extension=100)),
        (attribute, TarLimits(xattrs=100), TarLimits(xattrs=99)),
        (three_runs, TarLimits(extents=3), TarLimits(extents=2)),
        (
            sparse_pax((b"GNU.sparse.map", b"0,1,1,1,2,1"), data=b"abc"),
            TarLimits(extents=3),
            TarLimits(extents=2),
        ),
        (
            sparse_pax(*in_data, data=padded(b"3\n0\n1\n2\n1\n4\n1\n") + b"abc"),
            TarLimits(extents=3),
            TarLimits(extents=2),
        ),
    ]:
        assert parse(raw, limits=limits)
        with pytest.raises(LayerLimitError):
            parse(raw, limits=over)


def test_a_header_of_an_absurd_size_is_refused_before_it_is_read() -> None:
    for kind in (b"x", b"g", b"L", b"K"):
        with pytest.raises(LayerLimitError):
            TarParser().feed(header(kind=kind, size=base_256(1 << 60, 12)))
    map_of_many = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")]
    with pytest.raises(LayerLimitError):
        parse(sparse_pax(*map_of_many, data=padded(b"1000001\n")))


def test_extents_are_of_the_tar_not_of_the_piece() -> None:
    first = member(b"first", b"x" * 5000)
    raw = first + old_sparse([(10, 3)], 20, b"abc")
    assert parse(raw, 512)[1].extents == (Extent(10, 3, len(first) + BLOCK),)
