"""One layer's tree: what its tar's entries make, and that a tar of real files shows what GNU tar extracts."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import tarfile
import threading
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from regfs.errors import LayerError
from regfs.layers.entry import EntryType, Extent, TarEntry
from regfs.layers.tree import ROOT, SCHEMA, LayerNode, LayerTree, Member, TreeWriter, Written
from regfs.layers.tree.schema import IMPLIED, OPAQUE, WHITEOUTS
from tests.layer_trees import written

TYPES = {
    tarfile.REGTYPE: EntryType.FILE,
    tarfile.DIRTYPE: EntryType.DIRECTORY,
    tarfile.SYMTYPE: EntryType.SYMLINK,
    tarfile.LNKTYPE: EntryType.HARDLINK,
    tarfile.FIFOTYPE: EntryType.FIFO,
}


def entry(path: bytes, kind: EntryType = EntryType.FILE, target: bytes = b"", uid: int = 0) -> TarEntry:
    return TarEntry(path, kind, 0o640, uid, 0, 0, 0, target)


def directory(path: bytes, uid: int = 0) -> TarEntry:
    return entry(path, EntryType.DIRECTORY, uid=uid)


def symlink(path: bytes, target: bytes) -> TarEntry:
    return entry(path, EntryType.SYMLINK, target)


def link(path: bytes, target: bytes) -> TarEntry:
    return entry(path, EntryType.HARDLINK, target)


def tree_of(*entries: TarEntry) -> LayerTree:
    return written(entries)[0]


def at(tree: LayerTree, path: bytes) -> Member | None:
    member: Member | None = tree.root()
    for name in path.split(b"/") if path else ():
        member = tree.find(member.id, name) if member else None
    return member


def node(tree: LayerTree, path: bytes) -> LayerNode:
    member = at(tree, path)
    assert member is not None
    return tree.node(member.id)


def paths(tree: LayerTree, parent: int = ROOT, above: bytes = b"") -> list[bytes]:
    found = []
    for member in tree.children(parent):
        found.append(above + member.name)
        if member.type is EntryType.DIRECTORY:
            found += paths(tree, member.id, above + member.name + b"/")
    return found


# --- paths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [b"a/b", b"/a/b", b"./a/b", b"a//b/", b"../../a/b", b"a/./b/.", b"x/../a/b", b"a/c/../b", b"//./a/b//"],
)
def test_a_path_is_taken_below_the_root_however_it_is_written(path: bytes) -> None:
    assert paths(tree_of(entry(path))) == [b"a", b"a/b"]


@pytest.mark.parametrize("path", [b"/", b"./", b".", b"", b"..", b"a/.."])
def test_an_entry_for_the_root_sets_its_attributes(path: bytes) -> None:
    tree = tree_of(entry(b"f"), directory(path, uid=7))
    assert tree.node(ROOT).uid == 7
    assert tree.root().traits == 0
    assert paths(tree) == [b"f"]


def test_a_directory_that_no_entry_names_is_implied() -> None:
    found = node(tree_of(entry(b"a/b/f")), b"a/b")
    assert (found.type, found.mode, found.uid, found.gid, found.mtime_ns) == (
        EntryType.DIRECTORY,
        0o755,
        0,
        0,
        0,
    )


def test_a_directory_named_behind_its_children_keeps_them() -> None:
    tree = tree_of(entry(b"a/f"), directory(b"a", uid=5))
    assert paths(tree) == [b"a", b"a/f"]
    assert node(tree, b"a").uid == 5


def test_an_empty_layer_has_an_empty_root() -> None:
    tree, told = written([])
    assert tree.children(ROOT) == []
    assert told == Written(nodes=1, skipped=0)


@pytest.mark.parametrize(
    "hopeless",
    [
        entry(b"x" * 256),
        entry(b"x" * 256 + b"/f"),
        entry(b"nul\0"),
        entry(b"a/nul\0/f"),
        entry(b"a/" * 2048 + b"f"),
        entry(b"/"),
        symlink(b"s", b""),
        symlink(b"s", b"x" * 4096),
        symlink(b"s", b"x\0y"),
        symlink(b"/", b"s"),
        entry(b"f")._replace(size=-1),
        entry(b"f")._replace(size=1 << 63),
        entry(b"f")._replace(offset=1 << 63),
        entry(b"f")._replace(extents=(Extent(0, 1, 1 << 63),)),
    ],
)
def test_what_no_file_system_can_show_is_left_out_and_counted(hopeless: TarEntry) -> None:
    tree, told = written([entry(b"good"), hopeless])
    assert told.skipped == 1
    assert paths(tree) == [b"good"]


def test_names_may_be_255_bytes_of_any_kind() -> None:
    name = bytes(range(1, 47)) + bytes(range(48, 256)) + b"x"
    assert len(name) == 255
    assert paths(tree_of(entry(name))) == [name]


def test_owners_and_times_are_cut_to_what_the_kernel_holds() -> None:
    strange = TarEntry(b"f", EntryType.FILE, 0o170644, -2, 1 << 33, 0, -(1 << 70), device=(-1, 1 << 40))
    found = node(tree_of(strange), b"f")
    assert (found.mode, found.uid, found.gid) == (0o644, (1 << 32) - 2, 0)
    assert found.mtime_ns == -(1 << 63) + 1


# --- a name given twice ----------------------------------------------------------------------------


def test_the_last_entry_of_a_name_wins() -> None:
    tree, told = written([entry(b"f", uid=1), entry(b"f", uid=2), entry(b"./f", uid=3)])
    assert node(tree, b"f").uid == 3
    assert told == Written(nodes=2, skipped=0)


def test_a_directory_given_again_keeps_its_children_and_takes_the_attributes() -> None:
    first = directory(b"d")._replace(xattrs={b"user.a": b"1"})
    second = directory(b"d", uid=4)._replace(xattrs={b"user.b": b"2"})
    tree = tree_of(first, entry(b"d/f"), second)
    assert paths(tree) == [b"d", b"d/f"]
    assert node(tree, b"d").uid == 4
    assert tree.xattrs(node(tree, b"d").id) == {b"user.b": b"2"}


def test_a_file_takes_the_place_of_a_directory_and_all_below_it() -> None:
    tree, told = written([entry(b"d/e/f"), entry(b"d/g"), entry(b"d")])
    assert paths(tree) == [b"d"]
    assert told.nodes == 2


def test_a_directory_takes_the_place_of_a_file() -> None:
    assert paths(tree_of(entry(b"d"), directory(b"d"), entry(b"d/f"))) == [b"d", b"d/f"]
    assert paths(tree_of(entry(b"d"), entry(b"d/f"))) == [b"d", b"d/f"]


def test_a_directory_that_comes_back_is_empty() -> None:
    assert paths(tree_of(entry(b"d/old"), entry(b"d"), entry(b"d/new"))) == [b"d", b"d/new"]


def test_a_directory_is_forgotten_when_many_paths_led_over_it() -> None:
    over = [entry(b"d/%d" % number) for number in range(5)]
    assert paths(tree_of(*over, entry(b"d"), entry(b"d/new"))) == [b"d", b"d/new"]
    assert paths(tree_of(symlink(b"s", b"/"), *over, entry(b"s/d"), entry(b"d/new"))) == [
        b"d",
        b"d/new",
        b"s",
    ]


#: More than wait to be written at a time.
MANY = [entry(b"many/%d" % number) for number in range(5000)]


def test_what_was_replaced_long_ago_is_gone_too() -> None:
    tree, told = written([entry(b"d/f", uid=1), entry(b"g", uid=1), *MANY, entry(b"d"), entry(b"g", uid=2)])
    assert told.nodes == 5000 + 4
    assert node(tree, b"g").uid == 2
    assert node(tree, b"d").type is EntryType.FILE


def test_a_directory_given_again_long_after_has_nothing_of_the_first_attributes() -> None:
    first = directory(b"d")._replace(xattrs={b"user.a": b"1"})
    tree = tree_of(first, entry(b"e/f"), *MANY, directory(b"d", uid=1), directory(b"e", uid=2))
    d, e = at(tree, b"d"), at(tree, b"e")
    assert d is not None
    assert e is not None
    assert tree.xattrs(d.id) == {}
    assert (tree.node(e.id).uid, e.traits) == (2, 0)


def test_a_directory_keeps_the_traits_that_entries_far_apart_gave_it() -> None:
    tree = tree_of(entry(b"d/.wh.a"), *MANY, entry(b"d/.wh..wh..opq"), *MANY, entry(b"d/.wh.b"))
    d = at(tree, b"d")
    assert d is not None
    assert d.traits == IMPLIED | OPAQUE | WHITEOUTS


# --- symlinks on the way ---------------------------------------------------------------------------


@pytest.mark.parametrize("target", [b"b", b"/b", b"./b/", b"../../b", b"/x/../b", b"b/x/.."])
def test_a_path_over_a_symlink_of_the_layer_leads_where_the_symlink_does(target: bytes) -> None:
    tree = tree_of(symlink(b"a", target), directory(b"b"), entry(b"a/f"))
    assert paths(tree) == [b"a", b"b", b"b/f"]


def test_a_symlink_leads_to_what_is_not_there_yet() -> None:
    assert paths(tree_of(symlink(b"a", b"b/c"), entry(b"a/f"))) == [b"a", b"b", b"b/c", b"b/c/f"]


def test_no_symlink_leads_out_of_the_root() -> None:
    tree = tree_of(symlink(b"d/a", b"../../../../etc"), entry(b"d/a/f"))
    assert paths(tree) == [b"d", b"d/a", b"etc", b"etc/f"]


def test_an_absolute_symlink_leads_from_the_root_of_the_layer() -> None:
    assert paths(tree_of(symlink(b"d/a", b"/b"), entry(b"d/a/f"))) == [b"b", b"b/f", b"d", b"d/a"]


def test_symlinks_lead_over_symlinks() -> None:
    tree = tree_of(directory(b"c"), symlink(b"b", b"c"), symlink(b"a", b"/b/../b"), entry(b"a/f"))
    assert paths(tree) == [b"a", b"b", b"c", b"c/f"]


@pytest.mark.parametrize("circle", [[symlink(b"a", b"a")], [symlink(b"a", b"b/x"), symlink(b"b", b"a")]])
def test_what_is_behind_a_circle_of_symlinks_is_left_out(circle: list[TarEntry]) -> None:
    tree, told = written([*circle, entry(b"a/f"), entry(b"g")])
    assert told.skipped == 1
    assert at(tree, b"g")


def test_an_entry_over_a_symlink_replaces_it() -> None:
    tree = tree_of(directory(b"b"), symlink(b"a", b"b"), directory(b"a"), entry(b"a/f"))
    assert paths(tree) == [b"a", b"a/f", b"b"]


# --- hard links ------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [b"d/f", b"/d/f", b"./d/x/../f", b"s/f"])
def test_a_hard_link_is_a_second_name_of_the_same_node(target: bytes) -> None:
    tree = tree_of(symlink(b"s", b"d"), entry(b"d/f", uid=3), link(b"l", target), link(b"m", b"l"))
    assert node(tree, b"l") == node(tree, b"d/f") == node(tree, b"m")
    assert node(tree, b"l").links == 3


def test_a_hard_link_to_a_symlink_names_the_symlink() -> None:
    tree = tree_of(symlink(b"s", b"nowhere"), link(b"l", b"s"))
    assert node(tree, b"l").target == b"nowhere"
    assert node(tree, b"l").links == 2


def test_a_hard_link_keeps_the_file_that_a_later_entry_replaces() -> None:
    tree = tree_of(entry(b"f", uid=1), link(b"l", b"f"), entry(b"f", uid=2))
    assert (node(tree, b"l").uid, node(tree, b"l").links) == (1, 1)
    assert (node(tree, b"f").uid, node(tree, b"f").links) == (2, 1)


def test_a_hard_link_keeps_the_file_whose_directory_is_replaced() -> None:
    tree = tree_of(entry(b"d/f", uid=1), link(b"l", b"d/f"), entry(b"d"))
    assert (node(tree, b"l").uid, node(tree, b"l").links) == (1, 1)


@pytest.mark.parametrize("target", [b"f", b"d/../f", b"f/"])
def test_a_hard_link_to_what_the_layer_has_not_keeps_the_path(target: bytes) -> None:
    found = node(tree_of(link(b"l", target), entry(b"f")), b"l")
    assert (found.type, found.target) == (EntryType.HARDLINK, b"f")


def test_the_path_that_is_kept_is_the_one_behind_symlinks() -> None:
    assert node(tree_of(symlink(b"s", b"d"), link(b"l", b"s/f")), b"l").target == b"d/f"


def test_a_hard_link_to_a_directory_or_the_root_stays_a_link() -> None:
    tree = tree_of(directory(b"d"), link(b"l", b"d"), link(b"r", b"/"))
    assert node(tree, b"l").type is node(tree, b"r").type is EntryType.HARDLINK


def test_hard_links_to_themselves_and_in_circles_end() -> None:
    tree = tree_of(link(b"self", b"self"), link(b"a", b"b"), link(b"b", b"a"), entry(b"f"), link(b"f", b"f"))
    assert node(tree, b"self").target == b"self"
    assert node(tree, b"a") == node(tree, b"b")
    assert (node(tree, b"f").type, node(tree, b"f").links) == (EntryType.FILE, 1)


# --- reading ---------------------------------------------------------------------------------------


def test_whiteouts_are_names_like_others() -> None:
    tree = tree_of(entry(b"d/.wh.f"), entry(b"d/.wh..wh..opq"))
    assert paths(tree) == [b"d", b"d/.wh..wh..opq", b"d/.wh.f"]
    d = at(tree, b"d")
    assert d is not None
    assert tree.hides(d.id, b"f")
    assert not tree.hides(d.id, b"g")


def test_a_node_tells_all_that_the_entry_told() -> None:
    tree = tree_of(
        TarEntry(
            b"f", EntryType.FILE, 0o4755, 1, 2, 10, 1700000000123456789, offset=512, xattrs={b"user.a": b"\0"}
        ),
        TarEntry(b"s", EntryType.SYMLINK, 0o777, 0, 0, 0, -5, b"t\xff"),
        TarEntry(b"c", EntryType.CHARACTER, 0o600, 0, 0, 0, 0, device=(5, 1 << 20)),
    )
    f, s, c = (node(tree, name) for name in (b"f", b"s", b"c"))
    assert f == (f.id, EntryType.FILE, 0o4755, 1, 2, 10, 1700000000123456789, b"", (0, 0), 1, 512)
    assert (s.size, s.target, s.mtime_ns) == (2, b"t\xff", -5)
    assert (c.type, c.device) == (EntryType.CHARACTER, (5, 1 << 20))
    assert tree.xattrs(f.id) == {b"user.a": b"\0"}
    assert tree.xattrs(s.id) == {}


def test_extents_tell_where_content_lies() -> None:
    runs = (Extent(0, 5, 1024), Extent(1 << 40, 0, 1029))
    tree = tree_of(
        entry(b"plain")._replace(size=7, offset=512),
        entry(b"empty")._replace(offset=512),
        entry(b"sparse")._replace(size=1 << 40, offset=1024, extents=runs),
        entry(b"hole")._replace(size=1 << 30, offset=2048, extents=()),
    )
    assert tree.extents(node(tree, b"plain").id) == [Extent(0, 7, 512)]
    assert tree.extents(node(tree, b"empty").id) == []
    assert tree.extents(node(tree, b"sparse").id) == list(runs)
    assert tree.extents(node(tree, b"hole").id) == []


def test_many_large_attributes_are_all_kept() -> None:
    count, value = 200, bytes(60_000)
    tree = tree_of(*(entry(b"%d" % number)._replace(xattrs={b"user.a": value}) for number in range(count)))
    assert all(tree.xattrs(member.id) == {b"user.a": value} for member in tree.children(ROOT))
    assert len(tree.children(ROOT)) == count


def test_a_node_that_is_not_there_is_an_error() -> None:
    tree = tree_of()
    with pytest.raises(LayerError, match="no node 99"):
        tree.node(99)
    assert tree.find(99, b"a") is None
    assert tree.children(99) == []


def test_a_file_opened_as_immutable_is_read_by_many_threads(tmp_path: Path) -> None:
    path = tmp_path / "layer.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    writer = TreeWriter(connection)
    for number in range(3000):
        writer.add(entry(b"d%d/f%d" % (number % 7, number), uid=number))
    writer.finish()
    connection.commit()
    connection.close()
    path.chmod(0o444)
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    tree = LayerTree(connection)
    wrong: list[object] = []

    def read(begin: int) -> None:
        for number in range(begin, 3000, 5):
            if node(tree, b"d%d/f%d" % (number % 7, number)).uid != number:
                wrong.append(number)
            if number % 100 == begin and len(tree.children(ROOT)) != 7:
                wrong.append("root")

    threads = [threading.Thread(target=read, args=(begin,)) for begin in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    tree.close()
    tree.close()


# --- a real tar ------------------------------------------------------------------------------------


def entries_of(archive: bytes) -> list[TarEntry]:
    """Read a GNU tar with Python's tarfile."""
    return [
        TarEntry(
            os.fsencode(member.name),
            TYPES[member.type],
            member.mode & 0o7777,
            member.uid,
            member.gid,
            member.size if member.isreg() else 0,
            int(member.mtime) * 10**9,
            os.fsencode(member.linkname),
            offset=member.offset_data,
        )
        for member in tarfile.open(fileobj=io.BytesIO(archive), mode="r:")
    ]


def test_the_tree_of_a_real_tar_is_what_tar_extracts(tmp_path: Path) -> None:
    source, extracted = tmp_path / "source", tmp_path / "extracted"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "file").write_bytes(b"content")
    (source / "deep" / "caf\udce9 \n").write_bytes(b"x")
    (source / "hard").hardlink_to(source / "deep" / "er" / "file")
    (source / "soft").symlink_to("deep/../../up")
    (source / ("n" * 255)).write_bytes(b"")
    os.mkfifo(source / "fifo")
    (source / "deep").chmod(0o2711)
    (source / "later").write_bytes(b"1")
    archive = tmp_path / "layer.tar"
    subprocess.run(["tar", "-cf", archive, "--format=gnu", "-C", source, "."], check=True)
    (source / "later").write_bytes(b"22")
    subprocess.run(["tar", "-rf", archive, "--format=gnu", "-C", source, "./later"], check=True)
    extracted.mkdir()
    subprocess.run(["tar", "-xpf", archive, "-C", extracted], check=True)

    content = archive.read_bytes()
    tree = tree_of(*entries_of(content))
    found = sorted([b"", *paths(tree)])
    assert found == sorted(
        os.fsencode(path.relative_to(extracted)).removeprefix(b".")
        for path in [extracted, *extracted.rglob("*")]
    )
    same: dict[int, int] = {}
    for path in found:
        shown, real = node(tree, path), (extracted / os.fsdecode(path)).lstat()
        assert (shown.mode, shown.uid, shown.gid) == (real.st_mode & 0o7777, real.st_uid, real.st_gid)
        assert same.setdefault(shown.id, real.st_ino) == real.st_ino
        if shown.type is EntryType.FILE:
            assert (shown.links, shown.size) == (real.st_nlink, real.st_size)
            assert content[shown.offset :][: shown.size] == (extracted / os.fsdecode(path)).read_bytes()
        elif shown.type is EntryType.SYMLINK:
            assert shown.target == os.fsencode((extracted / os.fsdecode(path)).readlink())
            assert shown.size == real.st_size


# --- looking for names -----------------------------------------------------------------------------

NAMES = [b"a.jar", b"B.jar", b"caf\xe9", "café".encode(), b"[x]", b"a\nb", b"*", b"\\", b"x?y", b"-", b"jar"]

PATTERNS = [
    "*",
    "*.jar",
    "a*",
    "[a-c]*",
    "[!a]*",
    "caf?",
    "caf\udce9",
    "[[]x]",
    "?",
    "*\n*",
    "\\",
    "x[?]y",
    "none",
]


@pytest.mark.parametrize("pattern", [*PATTERNS, "d/*", "/d/e/*.jar", "*/e/?", "d*"])
def test_a_search_finds_what_fnmatch_matches(pattern: str) -> None:
    paths = [above + name for above in (b"", b"d/", b"d/e/") for name in NAMES]
    tree = tree_of(*map(entry, [*paths, b"d/.wh.gone.jar"]))
    found = sorted(hit.path for hit in tree.search(os.fsencode(pattern)))
    whole = pattern.lstrip("/") if "/" in pattern else ""
    assert found == sorted(
        path
        for path in (*paths, b"d", b"d/e")
        if fnmatchcase(os.fsdecode(path), whole)
        or (not whole and fnmatchcase(os.fsdecode(path.rpartition(b"/")[2]), pattern))
    )
