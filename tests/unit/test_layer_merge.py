"""The layers of an image over one another, case by case: whiteouts, opaque directories, hard links."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from regfs.errors import LayerError
from regfs.layers.entry import EntryType, Extent, TarEntry
from regfs.layers.tree import ROOT, Merged, MergedTree
from tests.layer_trees import tree_of

#: A layer in short: paths and what they are, in the order of the tar. A number is the owner of a file, or of
#: a directory if the path ends with "/"; `-> target` is a symlink, `= target` a hard link.
Layer = Mapping[str, str | int]


def entry(path: str, what: str | int) -> TarEntry:
    kind, target, uid = EntryType.FILE, "", 0
    if isinstance(what, int):
        uid = what
        kind = EntryType.DIRECTORY if path.endswith("/") else EntryType.FILE
    elif what.startswith("-> "):
        kind, target = EntryType.SYMLINK, what[3:]
    else:
        kind, target = EntryType.HARDLINK, what[2:]
    return TarEntry(path.encode(), kind, 0o750, uid, 0, uid, uid, target.encode(), offset=512)


def merged(*layers: Layer) -> MergedTree:
    return MergedTree([tree_of(entry(*item) for item in layer.items()) for layer in layers])


def at(tree: MergedTree, path: str) -> Merged | None:
    here: Merged | None = tree.root
    for name in filter(None, path.split("/")):
        here = tree.lookup(here, name.encode()) if here else None
    return here


def shown(tree: MergedTree) -> dict[str, int | str]:
    """Give each path with its owner; a symlink with its target, a dead hard link with "dead"."""

    def walk(directory: Merged, above: str) -> None:
        for name, child in tree.children(directory):
            path = above + name.decode()
            assert at(tree, path) == child
            if child.type is EntryType.HARDLINK:
                found[path] = "dead"
            elif child.type is EntryType.SYMLINK:
                found[path] = "-> " + tree.node(child).target.decode()
            elif child.type is EntryType.DIRECTORY:
                found[path + "/"] = tree.node(child).uid
                walk(child, path + "/")
            else:
                found[path] = tree.node(child).uid

    found: dict[str, int | str] = {}
    walk(tree.root, "")
    return found


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param([], {}, id="an image without layers is an empty directory"),
        pytest.param([{}, {}], {}, id="layers without entries are an empty directory"),
        pytest.param([{"f": 1}, {"f": 2}], {"f": 2}, id="the upper file wins"),
        pytest.param(
            [{"d/": 1, "d/a": 1, "d/b": 1}, {"d/": 2, "d/b": 2, "d/c": 2}],
            {"d/": 2, "d/a": 1, "d/b": 2, "d/c": 2},
            id="directories merge, with the upper attributes",
        ),
        pytest.param(
            [{"d/": 1}, {"d/f": 2}], {"d/": 1, "d/f": 2}, id="an implied directory changes no attributes"
        ),
        pytest.param([{"d/f": 2}], {"d/": 0, "d/f": 2}, id="an implied directory alone has its own"),
        pytest.param(
            [{"d/": 1, "d/f": 1}, {"d": 2}], {"d": 2}, id="a file hides a directory with all below it"
        ),
        pytest.param([{"d": 1}, {"d/f": 2}], {"d/": 0, "d/f": 2}, id="an implied directory hides a file"),
        pytest.param(
            [{"d/": 1, "d/a": 1}, {"d": 2}, {"d/": 3, "d/b": 3}],
            {"d/": 3, "d/b": 3},
            id="what a file between hides stays hidden",
        ),
        pytest.param(
            [{"d/": 1, "d/a": 1}, {"d": 2}, {"d/b": 3}],
            {"d/": 0, "d/b": 3},
            id="what a file between hides gives no attributes",
        ),
        pytest.param(
            [{"b/": 1, "a": "-> b"}, {"a/f": 2}],
            {"b/": 1, "a/": 0, "a/f": 2},
            id="a directory hides a lower symlink, and is not reached over it",
        ),
        # Whiteouts
        pytest.param([{"f": 1, "g": 1}, {".wh.f": 0}], {"g": 1}, id="a whiteout hides a lower name"),
        pytest.param(
            [{"f": 1}, {"f": 2, ".wh.f": 0}], {"f": 2}, id="a whiteout hides no name of its layer before it"
        ),
        pytest.param(
            [{"f": 1}, {".wh.f": 0, "f": 2}], {"f": 2}, id="a whiteout hides no name of its layer behind it"
        ),
        pytest.param([{".wh.f": 0, "f": 1}], {"f": 1}, id="a whiteout in the base hides nothing"),
        pytest.param([{"f": 1}, {".wh.f": 0}, {"f": 3}], {"f": 3}, id="a hidden name can come back"),
        pytest.param(
            [{"d/": 1, "d/a": 1}, {".wh.d": 0, "d/": 2, "d/b": 2}],
            {"d/": 2, "d/b": 2},
            id="a directory made anew has nothing of the old one",
        ),
        pytest.param(
            [{"d/": 1, "d/a": 1}, {".wh.d": 0, "d/b": 2}],
            {"d/": 0, "d/b": 2},
            id="a directory made anew has no attributes of the old one",
        ),
        pytest.param(
            [{"d/": 1, "d/a": 1}, {".wh.d": 0}, {"d/b": 3}],
            {"d/": 0, "d/b": 3},
            id="a whiteout below an upper directory ends it",
        ),
        pytest.param([{"f": 1}, {"d/": 2, "d/.wh.f": 0}], {"f": 1, "d/": 2}, id="a whiteout of nothing"),
        pytest.param([{"d": 1}, {"d/.wh.x": 0}], {"d/": 0}, id="a whiteout implies its directory"),
        pytest.param([{"f": 1}, {".wh.f/": 0}], {}, id="a whiteout can be a directory"),
        pytest.param(
            [{"f": 1}, {".wh.f/x": 2}],
            {"f": 1, ".wh.f/": 0, ".wh.f/x": 2},
            id="only the last name of a path is a whiteout",
        ),
        pytest.param([{"f": 1}, {".wh.f": 0, ".wh.f/x": 2}], {}, id="a whiteout stays one whatever is in it"),
        pytest.param([{"f": 1}, {".wh.f/x": 2, ".wh.f/": 3}], {}, id="and then it is named itself"),
        pytest.param(
            [{"d/": 1, "d/f": 1}, {"d/.wh..wh..opq/x": 2}],
            {"d/": 1, "d/f": 1},
            id="aufs' names never show, and hide nothing on the way",
        ),
        pytest.param(
            [{"d/f": 1}, {".wh.d": 0, "d/.wh.f": 0}], {}, id="a directory that went, whiteouts and all"
        ),
        pytest.param([{"d/f": 1}, {"d/.wh.f": 0, ".wh.d": 0}], {}, id="in either order"),
        pytest.param(
            [{"d/e/f": 1}, {"d/e/.wh.f": 0, "d/.wh.e": 0, ".wh.d": 0}], {}, id="however deep it was"
        ),
        pytest.param(
            [{"d/f": 1}, {"d/.wh.f": 0, ".wh.d": 0, "d/": 2}], {"d/": 2}, id="but not if an entry names it"
        ),
        pytest.param(
            [{"d/f": 1}, {"d/.wh.f": 0, ".wh.d": 0, "d/e/g": 2}],
            {"d/": 0, "d/e/": 0, "d/e/g": 2},
            id="nor if anything is in it",
        ),
        pytest.param(
            [{"f" * 252: 1, "d/" + "g" * 255: 1}, {".wh." + "f" * 252: 0, "d/.wh." + "g" * 255: 0}],
            {"d/": 0},
            id="a whiteout's own name never has to exist",
        ),
        pytest.param(
            [{"f": 1}, {".wh.": 0, ".wh..": 0, ".wh...": 0}], {"f": 1}, id="whiteouts of no name do nothing"
        ),
        # Opaque directories
        pytest.param(
            [{"d/": 1, "d/a": 1, "d/e/b": 1}, {"d/": 2, "d/.wh..wh..opq": 0, "d/c": 2}],
            {"d/": 2, "d/c": 2},
            id="an opaque directory hides all lower children",
        ),
        pytest.param(
            [{"d/": 1, "d/a": 1}, {"d/b": 2, "d/.wh..wh..opq": 0}],
            {"d/": 1, "d/b": 2},
            id="an opaque directory that is implied has the lower attributes",
        ),
        pytest.param(
            [{"d/": 1, "d/a": 1}, {"d/b": 2}, {"d/.wh..wh..opq": 0}, {"d/c": 4}],
            {"d/": 1, "d/c": 4},
            id="an opaque directory between",
        ),
        pytest.param([{"a": 1, "d/": 1}, {".wh..wh..opq": 0, "b": 2}], {"b": 2}, id="the root can be opaque"),
        pytest.param(
            [
                {"a/": 1, "a/b/": 1, "a/b/c/": 1, "a/b/c/bar": 1},
                {"a/": 2, "a/b/c/foo": 2, "a/.wh..wh..opq": 0},
            ],
            {"a/": 2, "a/b/": 0, "a/b/c/": 0, "a/b/c/foo": 2},
            id="the example of layer.md",
        ),
        pytest.param(
            [
                {"f": 1},
                {".wh..wh.aufs": 0, ".wh..wh.plnk/": 0, ".wh..wh.plnk/1.2": 5, "g": "= .wh..wh.plnk/1.2"},
            ],
            {"f": 1, "g": 5},
            id="aufs' own names do not show, but can be linked to",
        ),
        # Hard links
        pytest.param(
            [{"d/f": 1}, {"l": "= d/f"}], {"d/": 0, "d/f": 1, "l": 1}, id="a hard link into the layer below"
        ),
        pytest.param([{"f": 1}, {"f": 2, "l": "= f"}], {"f": 2, "l": 2}, id="its own layer comes first"),
        pytest.param(
            [{"f": 1}, {"l": "= f", "f": 2}],
            {"f": 2, "l": 1},
            id="what comes later in its layer does not count",
        ),
        pytest.param(
            [{"f": 1}, {"l": "= f"}, {"f": 3}], {"f": 3, "l": 1}, id="nor does what is in layers above"
        ),
        pytest.param([{"f": 1}, {"l": "= f"}, {"m": "= l"}], {"f": 1, "l": 1, "m": 1}, id="a link to a link"),
        pytest.param([{"f": 1}, {"f": "= f"}], {"f": 1}, id="a link to the same path below"),
        pytest.param(
            [{"f": 1}, {".wh.f": 0, "l": "= f"}], {"l": 1}, id="a link to what its layer takes away"
        ),
        pytest.param(
            [{"s": "-> t"}, {"l": "= s"}], {"s": "-> t", "l": "-> t"}, id="a link to a lower symlink"
        ),
        pytest.param(
            [{"usr/lib/x": 1, "lib": "-> usr/lib"}, {"usr/lib/y": "= lib/x"}],
            {"usr/": 0, "usr/lib/": 0, "usr/lib/x": 1, "usr/lib/y": 1, "lib": "-> usr/lib"},
            id="a link over a lower symlink",
        ),
        pytest.param(
            [{"a/b/x": 1, "c": "-> /a/b", "a/d": "-> ../c/./", "up": "-> ../../a"}, {"y": "= up/d/x"}],
            {"a/": 0, "a/b/": 0, "a/b/x": 1, "c": "-> /a/b", "a/d": "-> ../c/./", "up": "-> ../../a", "y": 1},
            id="a link over symlinks to symlinks, up to the root and no further",
        ),
        pytest.param(
            [{"usr/": 1, "lib": "-> usr"}, {"usr/x": 2, "y": "= lib/x"}],
            {"usr/": 1, "lib": "-> usr", "usr/x": 2, "y": 2},
            id="a link over a lower symlink to its own layer",
        ),
        pytest.param([{"s": "-> s"}, {"y": "= s/x"}], {"s": "-> s", "y": "dead"}, id="a link over a circle"),
        pytest.param([{"l": "= f", "g": 1}], {"l": "dead", "g": 1}, id="a link to nothing"),
        pytest.param([{"f": 1}, {".wh.f": 0}, {"l": "= f"}], {"l": "dead"}, id="a link to what was hidden"),
        pytest.param([{"d/": 1}, {"l": "= d"}], {"d/": 1, "l": "dead"}, id="a link to a directory"),
        pytest.param([{"d/": 1}, {"l": "= /"}], {"d/": 1, "l": "dead"}, id="a link to the root"),
        pytest.param([{"l": "= l"}, {"l": "= l"}], {"l": "dead"}, id="a link to itself in each layer"),
        pytest.param(
            [{"a": "= b", "b": "= a"}, {"b": "= a", "a": "= b"}],
            {"a": "dead", "b": "dead"},
            id="links in a circle",
        ),
        pytest.param([{"f": 1}, {"l": "= f/x"}], {"f": 1, "l": "dead"}, id="a link below a file"),
    ],
)
def test_layers_merge(layers: list[Layer], expected: Layer) -> None:
    assert shown(merged(*layers)) == expected


def test_names_of_one_file_have_one_identity_across_layers() -> None:
    tree = merged({"f": 1, "g": "= f"}, {"l": "= f"}, {"m": "= l", "other": 1})
    identities = {name: child.identity for name, child in tree.children(tree.root)}
    assert len({identities[name] for name in (b"f", b"g", b"l", b"m")}) == 1
    assert identities[b"other"] != identities[b"f"]


def test_links_are_the_names_in_the_layer_that_has_the_file() -> None:
    tree = merged({"f": 1, "g": "= f"}, {"l": "= f"})
    found = at(tree, "l")
    assert found is not None
    assert tree.node(found).links == 2


def test_a_hard_link_to_nothing_tells_where_it_leads() -> None:
    tree = merged({"l": "= no/where"})
    found = at(tree, "l")
    assert found is not None
    with pytest.raises(LayerError, match="no/where"):
        tree.node(found)


def test_whiteouts_are_not_found_by_name() -> None:
    tree = merged({"f": 1}, {".wh.f": 0, ".wh..wh..opq": 0, ".wh..wh.plnk/": 0})
    assert [at(tree, name) for name in (".wh.f", ".wh..wh..opq", ".wh..wh.plnk", ".wh.")] == [None] * 4


def test_nothing_is_found_below_a_file() -> None:
    tree = merged({"f": 1})
    assert at(tree, "f/x") is None
    found = at(tree, "f")
    assert found is not None
    assert tree.children(found) == []


def test_the_root_has_the_uppermost_attributes_that_an_entry_gives() -> None:
    tree = merged({"./": 1, "a": 1}, {"/": 2}, {"b": 3})
    assert tree.node(tree.root).uid == 2
    assert merged().node(merged().root).mode == 0o755


def test_content_and_attributes_come_from_the_layer_that_has_the_file() -> None:
    tree = merged({"f": 7}, {"l": "= f"}, {"other": 9})
    found = at(tree, "l")
    assert found is not None
    assert found.source == found.identity == (0, ROOT + 1)
    assert tree.extents(found) == [Extent(0, 7, 512)]
    assert tree.xattrs(found) == tree.xattrs(tree.root) == merged().xattrs(merged().root) == {}


@pytest.mark.long
def test_a_hundred_layers_with_a_chain_of_links() -> None:
    links: list[Layer] = [{f"l{number}": f"= l{number - 1}"} for number in range(1, 100)]
    tree = merged({"l0": 5}, *links)
    assert shown(tree) == {f"l{number}": 5 for number in range(100)}
    assert len({child.identity for _, child in tree.children(tree.root)}) == 1
