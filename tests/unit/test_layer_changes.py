"""What each layer changes, on small images of which every number can be counted by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from regfs.layers.changes import Change, Changes, changes
from regfs.layers.entry import EntryType, TarEntry
from tests.layer_trees import tree_of


def file(path: str, size: int = 1) -> TarEntry:
    return TarEntry(path.encode(), EntryType.FILE, 0o644, 0, 0, size, 0)


def directory(path: str) -> TarEntry:
    return TarEntry(path.encode(), EntryType.DIRECTORY, 0o755, 0, 0, 0, 0)


def symlink(path: str) -> TarEntry:
    return TarEntry(path.encode(), EntryType.SYMLINK, 0o777, 0, 0, 0, 0, b"anywhere")


def hard_link(path: str, target: str) -> TarEntry:
    return TarEntry(path.encode(), EntryType.HARDLINK, 0o644, 0, 0, 0, 0, target.encode())


def found(*layers: Sequence[TarEntry]) -> list[Changes]:
    return list(changes([tree_of(layer) for layer in layers]))


BASE = [directory("etc"), file("etc/a", 10), file("etc/b", 20), symlink("etc/c"), file("top", 5)]


def test_all_of_the_base_is_added() -> None:
    assert found(BASE) == [Changes(added=4, changed=0, removed=0, wasted=0)]
    assert found() == []
    assert found([]) == [Changes(0, 0, 0, 0)]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        pytest.param([file("etc/new")], Changes(1, 0, 0, 0), id="a new file"),
        pytest.param([file("etc/a", 11)], Changes(0, 1, 0, 10), id="a file given again"),
        pytest.param([directory("etc")], Changes(0, 0, 0, 0), id="a directory given again"),
        pytest.param([file("etc/.wh.a")], Changes(0, 0, 1, 10), id="a whiteout"),
        pytest.param([file(".wh.etc")], Changes(0, 0, 3, 30), id="a whiteout of a directory"),
        pytest.param(
            [file("etc/.wh.none"), file(".wh.none")], Changes(0, 0, 0, 0), id="a whiteout of nothing"
        ),
        pytest.param([file("etc/.wh.c")], Changes(0, 0, 1, 0), id="a whiteout of a symlink"),
        pytest.param([file(".wh.etc/x", 7)], Changes(1, 0, 0, 0), id="a whiteout's name on the way"),
        pytest.param(
            [file(".wh.etc"), file("etc/.wh.a"), file("etc/.wh.b")],
            Changes(0, 0, 3, 30),
            id="whiteouts below a whiteout",
        ),
        pytest.param([file("etc/.wh.a"), file("etc/a", 3)], Changes(0, 1, 0, 10), id="whiteout, and anew"),
        pytest.param([file("etc/.wh..wh..opq")], Changes(0, 0, 3, 30), id="opaque"),
        pytest.param(
            [file("etc/.wh..wh..opq"), file("etc/b", 1)], Changes(0, 1, 2, 30), id="opaque, and anew"
        ),
        pytest.param([file(".wh..wh..opq")], Changes(0, 0, 4, 35), id="an opaque root"),
        pytest.param([file("etc", 1)], Changes(1, 0, 3, 30), id="a file over a directory"),
        pytest.param([directory("top")], Changes(0, 0, 1, 5), id="a directory over a file"),
        pytest.param([file("top/x", 1)], Changes(1, 0, 1, 5), id="a file below what was one"),
        pytest.param([symlink("etc/a")], Changes(0, 1, 0, 10), id="a symlink in place of a file"),
        pytest.param(
            [file(".wh.etc"), directory("etc"), file("etc/b", 1)],
            Changes(0, 1, 2, 30),
            id="a directory made anew",
        ),
    ],
)
def test_a_layer_over_the_base(layer: list[TarEntry], expected: Changes) -> None:
    assert found(BASE, layer)[1] == expected


def test_a_whiteout_whose_own_name_is_too_long_is_counted() -> None:
    long = "b" * 252
    assert found([file(f"d/{long}", 3)], [file(f"d/.wh.{long}")])[1] == Changes(0, 0, 1, 3)


def test_the_names_behind_the_counts_are_told() -> None:
    told: list[Change] = []
    upper = [file("etc/a", 11), file("etc/.wh.b"), file("new/file", 7), hard_link("new/link", "top")]
    counts = list(changes([tree_of(BASE), tree_of(upper)], told.append))
    of_upper = [change for change in told if change.position == 1]
    assert sorted(of_upper) == [
        Change(1, "added", b"new/file", 7),
        Change(1, "added", b"new/link", 0),
        Change(1, "changed", b"etc/a", 11),
        Change(1, "removed", b"etc/b", 20),
        Change(1, "wasted", b"etc/a", 10),
        Change(1, "wasted", b"etc/b", 20),
    ]
    assert counts == list(changes([tree_of(BASE), tree_of(upper)]))


def test_what_is_hidden_once_is_not_hidden_again() -> None:
    hidden = [file("etc/.wh.a")]
    assert found(BASE, hidden, hidden)[2] == Changes(0, 0, 0, 0)
    assert found(BASE, hidden, [file("etc/a", 7)], hidden)[2:] == [Changes(1, 0, 0, 0), Changes(0, 0, 1, 7)]


def test_a_file_of_two_names_is_wasted_with_the_last() -> None:
    base = [file("one", 100), hard_link("two", "one")]
    first, second = [file(".wh.one")], [file("two", 1)]
    assert found(base, first, second) == [
        Changes(2, 0, 0, 0),
        Changes(0, 0, 1, 0),
        Changes(0, 1, 0, 100),
    ]
