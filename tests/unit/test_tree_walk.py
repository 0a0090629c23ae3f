"""Ways through the tree by path, as the kernel would go."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from regfs.errors import NoEntryError, NotDirectoryError
from regfs.tree import Symlink, Tree
from tests.builder import StoreBuilder

Open = Callable[..., Tree]


@pytest.fixture
def shown(store: StoreBuilder, tree: Open) -> Tree:
    image = store.image("team/app", "1.0")
    platform = {"os": "linux", "architecture": "amd64"}
    store.index("team/app", "multi", [image.descriptor(platform=platform)])
    return tree()


@pytest.mark.parametrize("path", ["", "/", "//", ".", "/.", "..", "/../..", "team/..", "/team/./../team/.."])
def test_these_all_lead_to_the_root(shown: Tree, path: str) -> None:
    assert shown.walk(path).inode == 1


@pytest.mark.parametrize(
    "path",
    [
        "team/app/1.0",
        "/team/app/1.0/",
        "//team//app//1.0//",
        "team/app/1.0/layers/..",
        "team/./app/:1.0/.",
        "team/app/multi/../1.0",
        "team/app/multi/platforms/linux-amd64/../../../1.0",
    ],
)
def test_these_all_lead_to_the_tag(shown: Tree, path: str) -> None:
    assert shown.walk(path).inode == shown.walk("team/app").lookup("1.0").inode  # type: ignore[attr-defined]


def test_a_link_is_followed_on_the_way_and_at_the_end_unless_asked_not_to(shown: Tree) -> None:
    own = "team/app/multi/platforms/linux-amd64"
    assert shown.walk("team/app/multi/layers/00.tar.gz").inode == shown.walk(f"{own}/layers/00.tar.gz").inode
    assert shown.walk("team/app/multi/layers").inode == shown.walk(f"{own}/layers").inode
    assert isinstance(shown.walk("team/app/multi/layers", follow=False), Symlink)
    assert shown.walk("team/app/multi/layers/00.tar.gz", follow=False).inode


def test_the_parent_of_what_a_link_leads_to_is_where_it_really_is(shown: Tree) -> None:
    own = "team/app/multi/platforms/linux-amd64"
    assert shown.walk("team/app/multi/layers/..").inode == shown.walk(own).inode


@pytest.mark.parametrize(
    "path", ["nothing", "team/nothing", "team/app/1.0/nothing", "team/app/1.0/layers/99.tar"]
)
def test_what_is_not_there_is_told_with_the_whole_path(shown: Tree, path: str) -> None:
    with pytest.raises(NoEntryError) as caught:
        shown.walk(path)
    assert str(caught.value) == f"{path}: no such file or directory"


@pytest.mark.parametrize("path", ["team/app/1.0/config.json/x", "team/app/multi/config.json/x"])
def test_a_file_is_no_directory(shown: Tree, path: str) -> None:
    with pytest.raises(NotDirectoryError) as caught:
        shown.walk(path)
    assert str(caught.value) == f"{path}: not a directory"


def test_a_name_too_long_or_with_a_nul_byte_is_not_there(shown: Tree) -> None:
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(NoEntryError):
            shown.walk(f"team/{name}")


def test_the_tree_tells_of_the_file_system_that_holds_the_store(shown: Tree, store: StoreBuilder) -> None:

    assert shown.space().blocks == os.statvfs(store.v2).f_blocks
