"""The merged tree of random layers is what a plain dict says that has each layer unpacked over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regfs.errors import LayerError
from regfs.layers.entry import EntryType, TarEntry
from regfs.layers.tree import Merged, MergedTree, batch, directories
from tests.layer_trees import tree_of

#: A path from the root, as names.
Path = tuple[bytes, ...]

LINKS = (EntryType.SYMLINK, EntryType.HARDLINK)


# --- the model: no ids, no tables, no batches ------------------------------------------------------


@dataclass(eq=False)
class Node:
    """What was unpacked. The same object under two paths is a hard link. No entry: an implied directory."""

    type: EntryType
    entry: TarEntry | None
    target: Path | bytes = b""
    opaque: bool = False


def unpacked(entries: Sequence[TarEntry]) -> dict[Path, Node]:
    """Unpack one layer into an empty directory."""
    tree: dict[Path, Node] = {(): Node(EntryType.DIRECTORY, None)}
    for entry in entries:
        names = cleaned(entry.path)
        if not names:
            if entry.type is EntryType.DIRECTORY:
                tree[()] = Node(EntryType.DIRECTORY, entry, opaque=tree[()].opaque)
            continue
        parent = followed(tree, names[:-1])
        if parent is None:
            continue
        for count in range(1, len(parent) + 1):
            if not is_directory(tree, parent[:count]):
                # What takes a whiteout's place still is one.
                was = tree.get(parent[:count]) if parent[count - 1].startswith(b".wh.") else None
                replace(tree, parent[:count], Node(EntryType.DIRECTORY, was and was.entry))
        path = (*parent, names[-1])
        node = Node(entry.type, entry, entry.target)
        if entry.type is EntryType.HARDLINK:
            node = linked(tree, entry)
        tree[parent].opaque |= names[-1] == b".wh..wh..opq"
        if entry.type is EntryType.DIRECTORY and is_directory(tree, path):
            node.opaque = tree[path].opaque
            tree[path] = node
        else:
            replace(tree, path, node)
    return tree


def linked(tree: dict[Path, Node], entry: TarEntry) -> Node:
    names = cleaned(entry.target)
    parent = followed(tree, names[:-1])
    if not names or parent is None:
        return Node(EntryType.HARDLINK, entry, names)
    target = (*parent, names[-1])
    if target in tree and not is_directory(tree, target):
        return tree[target]
    return Node(EntryType.HARDLINK, entry, target)


def cleaned(path: bytes) -> Path:
    names: Path = ()
    for name in path.split(b"/"):
        if name == b"..":
            names = names[:-1]
        elif name not in (b"", b"."):
            names = (*names, name)
    return names


def followed(tree: dict[Path, Node], names: Path, here: Path = (), links: int = 0) -> Path | None:
    """Give where a path of directories leads; None after forty symlinks."""
    if not names:
        return here
    name, *rest = names
    if name in (b"", b"."):
        return followed(tree, tuple(rest), here, links)
    if name == b"..":
        return followed(tree, tuple(rest), here[:-1], links)
    found = tree.get((*here, name))
    if found is None or found.type is not EntryType.SYMLINK or not is_directory(tree, here):
        return followed(tree, tuple(rest), (*here, name), links)
    if links == 40:
        return None
    assert isinstance(found.target, bytes)
    start = () if found.target.startswith(b"/") else here
    return followed(tree, (*found.target.split(b"/"), *rest), start, links + 1)


def is_directory(tree: dict[Path, Node], path: Path) -> bool:
    return path in tree and tree[path].type is EntryType.DIRECTORY


def remove_below(tree: dict[Path, Node], path: Path) -> None:
    for other in [other for other in tree if len(other) > len(path) and other[: len(path)] == path]:
        del tree[other]


def replace(tree: dict[Path, Node], path: Path, node: Node) -> None:
    remove_below(tree, path)
    tree[path] = node


def applied(layers: Sequence[Sequence[TarEntry]]) -> dict[Path, Node]:
    """Unpack all layers over one another, whiteouts first."""
    root: dict[Path, Node] = {(): Node(EntryType.DIRECTORY, None)}
    for entries in layers:
        before = dict(root)
        upper = unpacked(entries)
        shown = {path for path in upper if shows(upper, path)}
        for path in upper:
            if path in shown and upper[path].opaque:
                remove_below(root, path)
        for path in upper:
            if path[:-1] in shown and hides(upper, path):
                hidden = (*path[:-1], path[-1].removeprefix(b".wh."))
                remove_below(root, hidden)
                root.pop(hidden, None)
        for path in sorted(shown):
            node = upper[path]
            if node.type is not EntryType.DIRECTORY or not is_directory(root, path):
                replace(root, path, node)
            elif node.entry is not None:
                root[path] = node
        after = dict(root)
        for path, node in after.items():
            if node.type is EntryType.HARDLINK and before.get(path) is not node:
                root[path] = resolved(before, after, node)
    return root


def hides(tree: dict[Path, Node], path: Path) -> bool:
    """Tell whether a path of a layer is a whiteout: not if it is only on the way to another."""
    name, node = path[-1] if path else b"", tree[path]
    return name.startswith(b".wh..wh.") or (name.startswith(b".wh.") and node.entry is not None)


def shows(tree: dict[Path, Node], path: Path) -> bool:
    above = [path[:count] for count in range(1, len(path) + 1)]
    return not any(hides(tree, part) or emptied(tree, part) for part in above)


def emptied(tree: dict[Path, Node], path: Path) -> bool:
    """Tell whether a directory is there for whiteouts alone, and is itself hidden by one of its layer."""
    whiteout = (*path[:-1], b".wh." + path[-1])
    if tree[path].entry is not None or whiteout not in tree or tree[whiteout].entry is None:
        return False
    below = [other for other in tree if len(other) > len(path) and other[: len(path)] == path]
    return all(tree[other].entry is None or hides(tree, other) for other in below)


def resolved(before: dict[Path, Node], after: dict[Path, Node], link: Node) -> Node:
    """Find what a hard link is to: in the layers below, or in its own as it lies over them."""
    found = link
    for _ in range(41):
        assert isinstance(found.target, tuple)
        target = reached(before, found.target)
        if target is not None:
            return link if target.type is EntryType.HARDLINK else target
        target = reached(after, found.target)
        if target is None:
            return link
        if target.type is not EntryType.HARDLINK:
            return target
        if target in before.values():
            return link
        found = target
    return link


def reached(tree: dict[Path, Node], path: Path) -> Node | None:
    above = followed(tree, path[:-1]) if path else None
    if above is None or not all(is_directory(tree, above[:count]) for count in range(len(above) + 1)):
        return None
    found = tree.get((*above, path[-1]))
    return None if found is None or found.type is EntryType.DIRECTORY else found


# --- random layers ---------------------------------------------------------------------------------

names = st.sampled_from([b"a", b"b", b"c", b"\xff"])
odd_names = st.sampled_from(
    [b".wh.a", b".wh.b", b".wh..wh..opq", b".wh..wh.plnk", b".wh.", b".wh..", b".wh...", b".", b"..", b""]
)
paths = st.tuples(
    st.sampled_from([b"", b"", b"./", b"/", b"../"]),
    st.lists(st.one_of(names, names, names, odd_names), max_size=4).map(b"/".join),
    st.sampled_from([b"", b"", b"/"]),
).map(b"".join)
targets = st.one_of(paths, st.lists(st.one_of(names, st.just(b"..")), min_size=1, max_size=3).map(b"/".join))


@st.composite
def entries(draw: st.DrawFn) -> TarEntry:
    kind = draw(st.sampled_from([*EntryType, EntryType.FILE, EntryType.DIRECTORY, EntryType.HARDLINK]))
    target = draw(targets.filter(len)) if kind in LINKS else b""
    mark = draw(st.integers(0, 1 << 30))
    xattrs = draw(st.sampled_from([{}, {}, {b"user.mark": b"%d" % mark}]))
    return TarEntry(draw(paths), kind, mark & 0o7777, mark, 0, 0, mark - (1 << 29), target, xattrs=xattrs)


layers_of_entries = st.lists(st.lists(entries(), max_size=12), max_size=5)


@pytest.fixture(params=[1, 3, 2000], ids=lambda rows: f"rows={rows}")
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is kept in memory, the tree is the same."""
    monkeypatch.setattr(batch, "_ROWS", request.param)
    monkeypatch.setattr(directories, "_KNOWN", request.param)


def walked(tree: MergedTree, path: Path, here: Merged) -> Iterator[tuple[Path, Merged]]:
    yield path, here
    listed = tree.children(here)
    assert len(dict(listed)) == len(listed)
    for name, child in listed:
        assert tree.lookup(here, name) == child
        yield from walked(tree, (*path, name), child)
    for name in (b"a", b"b", b"c", b"\xff", b"none", b".wh.a", b".wh..wh..opq", b"", b".", b".."):
        assert name in dict(listed) or tree.lookup(here, name) is None


def compare(tree: MergedTree, model: dict[Path, Node]) -> None:
    found = dict(walked(tree, (), tree.root))
    assert found.keys() == model.keys()
    identities: dict[object, Node] = {}
    for path, merged in found.items():
        node = model[path]
        assert merged.type is node.type
        if node.type is EntryType.HARDLINK:
            with pytest.raises(LayerError, match="hard link"):
                tree.node(merged)
            continue
        is_same = identities.setdefault(merged.identity, node) is node
        assert is_same
        read = tree.node(merged)
        if node.entry is None:
            assert (read.mode, read.uid, read.mtime_ns) == (0o755, 0, 0)
            assert tree.xattrs(merged) == {}
        else:
            assert (read.type, read.mode, read.uid) == (node.type, node.entry.mode, node.entry.uid)
            assert (read.mtime_ns, read.target) == (max(node.entry.mtime_ns, 0), node.entry.target)
            assert tree.xattrs(merged) == node.entry.xattrs
    files = {id(node) for node in model.values() if node.type is not EntryType.HARDLINK}
    assert len(identities) == len(files)


@given(layers_of_entries)
@pytest.mark.usefixtures("rows")
def test_the_merged_tree_is_what_unpacking_one_layer_after_the_other_gives(
    layers: list[list[TarEntry]],
) -> None:
    compare(MergedTree([tree_of(layer) for layer in layers]), applied(layers))


@given(st.lists(entries(), max_size=40))
@pytest.mark.usefixtures("rows")
def test_one_layer_is_what_unpacking_it_gives(layer: list[TarEntry]) -> None:
    compare(MergedTree([tree_of(layer)]), applied([layer]))


numbers = st.one_of(
    st.integers(), st.sampled_from([-1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, -(1 << 63), 1 << 80])
)
strange_names = st.one_of(
    st.binary(max_size=5), st.sampled_from([b"x" * 255, b"x" * 256, b"a/" * 2100, b"/"])
)


@given(
    st.lists(
        st.builds(
            TarEntry,
            strange_names,
            st.sampled_from(EntryType),
            numbers,
            numbers,
            numbers,
            numbers,
            numbers,
            strange_names,
            st.tuples(numbers, numbers),
            numbers,
        ),
        max_size=6,
    )
)
def test_no_entry_makes_a_tree_fail(layer: list[TarEntry]) -> None:
    tree = MergedTree([tree_of(layer)])
    for path, merged in walked(tree, (), tree.root):
        assert all(0 < len(name) <= 255 and b"\0" not in name and b"/" not in name for name in path)
        if merged.type is not EntryType.HARDLINK:
            node = tree.node(merged)
            assert node.type is merged.type
            assert 0 <= node.mode <= 0o7777
            assert 0 <= node.uid < 1 << 32
