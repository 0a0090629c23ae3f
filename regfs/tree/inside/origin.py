"""Which layer a path of an image is from: which made it, which changed it, which took it away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from regfs.layers import Layer
from regfs.layers.entry import EntryType
from regfs.layers.tree import Merged, MergedTree
from regfs.tree.inside.layered import asked


class Event(NamedTuple):
    """What one layer did to a path.

    `what` is `made`, `changed` or `removed`; `size` is that of the file that stands there since, in bytes,
    and `hidden` that of the one before; None for what is no file.
    """

    position: int
    what: str
    size: int | None
    hidden: int | None


class Origin(NamedTuple):
    """What stands at a path: in which layer, and its id there. All names of a file have the same."""

    layer: Layer
    node: int
    type: EntryType


def events(layers: Sequence[Layer], path: bytes) -> Iterator[Event]:
    """Tell what each layer did to a path, from the base up. A symlink on the way is followed at the end."""
    trees = [layer.tree for layer in layers]
    way = asked(MergedTree(trees).resolve, path)
    before: tuple[MergedTree, Merged] | None = None
    for position in range(len(trees)):
        merged = MergedTree(trees[: position + 1])
        found = asked(merged.at, way)
        after = None if found is None else (merged, found)
        what = _what(before and before[1], found)
        if what:
            yield Event(position, what, _size(after), _size(before))
        before = after


def place(layers: Sequence[Layer], path: bytes) -> Origin | None:
    """Find what stands at a path of the layers merged."""
    merged = MergedTree([layer.tree for layer in layers])
    found = asked(merged.at, asked(merged.resolve, path))
    return None if found is None else Origin(layers[found.identity.layer], found.identity.id, found.type)


def _what(before: Merged | None, after: Merged | None) -> str:
    if before is None:
        return "" if after is None else "made"
    if after is None:
        return "removed"
    # A directory is the same as long as no layer gives it other attributes.
    same = before.source == after.source and before.type is after.type
    return "" if same else "changed"


def _size(found: tuple[MergedTree, Merged] | None) -> int | None:
    if found is None or found[1].type is not EntryType.FILE:
        return None
    merged, what = found
    return asked(merged.node, what).size
