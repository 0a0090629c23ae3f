"""What each layer of an image changes in the tree of those below it, and what that leaves of no use.

Files are added, changed and removed (image-spec, layer.md, "Change Types"). Computed from the trees alone, in
one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from regfs.layers.entry import EntryType
from regfs.layers.tree import Identity, LayerTree, Member, Merged, MergedTree
from regfs.layers.tree.paths import WHITEOUT
from regfs.layers.tree.schema import OPAQUE


class Changes(NamedTuple):
    """Names of files, and all else but directories: new, given again, and gone.

    `wasted` are the bytes of lower layers' files of which this layer hides the last name: they are stored,
    and no container sees them.
    """

    added: int
    changed: int
    removed: int
    wasted: int


class Change(NamedTuple):
    """A name behind the counts: `kind` is a field of Changes, `size` the file's in bytes.

    That of a changed file is the new one's, that of what is wasted the old one's.
    """

    position: int
    kind: str
    path: bytes
    size: int


#: Who is told of each name.
Told = Callable[[Change], object]


def changes(trees: Sequence[LayerTree], told: Told | None = None) -> Iterator[Changes]:
    """Tell what each layer changes, from the base up, and `told` of each name. Raises LayerError."""
    hidden: dict[Identity, int] = {}
    for position in range(len(trees)):
        below = MergedTree(trees[:position])
        yield _Comparison(trees, below, position, hidden, told).run()


class _Pair(NamedTuple):
    """A directory of the layer, and that of the same name below. `covered`: the latter shows no more."""

    path: bytes
    member: Member
    lower: Merged | None
    covered: bool


class _Comparison:
    """One layer beside the merged tree below it. `hidden` counts the names of each file that are hidden."""

    def __init__(
        self,
        trees: Sequence[LayerTree],
        below: MergedTree,
        position: int,
        hidden: dict[Identity, int],
        told: Told | None,
    ) -> None:
        self._trees = trees
        self._tree = trees[position]
        self._below = below
        self._hidden = hidden
        self._told = told
        self._position = position
        self._added = self._changed = self._removed = self._wasted = 0

    def run(self) -> Changes:
        """Walk both."""
        waiting = [_Pair(b"", self._tree.root(), self._below.root, covered=False)]
        while waiting:
            waiting.extend(self._directory(waiting.pop()))
        return Changes(self._added, self._changed, self._removed, self._wasted)

    def _directory(self, pair: _Pair) -> Iterator[_Pair]:
        path, directory, below, covered = pair
        covered = covered or bool(directory.traits & OPAQUE)
        members = {member.name: member for member in self._tree.children(directory.id)}
        gone = {name[len(WHITEOUT) :] for name, member in members.items() if member.hides}
        shown = {name: member for name, member in members.items() if member.shows}
        lower = dict(self._below.children(below)) if below and (members or covered) else {}
        for name in lower if covered else gone & lower.keys():
            if name not in shown:
                self._remove(_join(path, name), lower[name])
        for name, member in shown.items():
            yield from self._member(_join(path, name), member, lower.get(name), covered or name in gone)

    def _member(self, path: bytes, member: Member, lower: Merged | None, covered: bool) -> Iterator[_Pair]:
        if member.type is EntryType.DIRECTORY:
            if lower and lower.type is not EntryType.DIRECTORY:
                self._remove(path, lower)
                lower = None
            yield _Pair(path, member, lower, covered)
        elif lower is None:
            self._added += 1
            self._tell("added", path, member.id)
        elif lower.type is EntryType.DIRECTORY:
            self._remove(path, lower)
            self._added += 1
            self._tell("added", path, member.id)
        else:
            self._changed += 1
            self._tell("changed", path, member.id)
            self._hide(path, lower)

    def _remove(self, path: bytes, what: Merged) -> None:
        waiting = [(path, what)]
        while waiting:
            path, found = waiting.pop()
            if found.type is EntryType.DIRECTORY:
                waiting.extend((_join(path, name), child) for name, child in self._below.children(found))
            else:
                self._removed += 1
                if self._told is not None:
                    size = self._trees[found.identity.layer].node(found.identity.id).size
                    self._told(Change(self._position, "removed", path, size))
                self._hide(path, found)

    def _hide(self, path: bytes, what: Merged) -> None:
        node = self._trees[what.identity.layer].node(what.identity.id)
        names = self._hidden.get(what.identity, 0) + 1
        self._hidden[what.identity] = names
        if node.type is EntryType.FILE and names == node.links:
            self._wasted += node.size
            if self._told is not None and node.size:
                self._told(Change(self._position, "wasted", path, node.size))

    def _tell(self, kind: str, path: bytes, node: int) -> None:
        if self._told is not None:
            self._told(Change(self._position, kind, path, self._tree.node(node).size))


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
