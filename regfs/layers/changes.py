"""What each layer of an image changes in the tree of those below it, and what that leaves of no use.

Files are added, changed and removed (image-spec, layer.md, "Change Types"). Computed from the trees alone, in
one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def changes(trees: Sequence[LayerTree]) -> Iterator[Changes]:
    """Tell what each layer changes, from the base up. Raises LayerError."""
    hidden: dict[Identity, int] = {}
    for position in range(len(trees)):
        below = MergedTree(trees[:position])
        yield _Comparison(trees, below, position, hidden).run()


class _Comparison:
    """One layer beside the merged tree below it. `hidden` counts the names of each file that are hidden."""

    def __init__(
        self, trees: Sequence[LayerTree], below: MergedTree, position: int, hidden: dict[Identity, int]
    ) -> None:
        self._trees = trees
        self._tree = trees[position]
        self._below = below
        self._hidden = hidden
        self._added = self._changed = self._removed = self._wasted = 0

    def run(self) -> Changes:
        """Walk both."""
        # A directory of the layer, that of the same name below, and whether the latter shows no more.
        waiting: list[tuple[Member, Merged | None, bool]] = [(self._tree.root(), self._below.root, False)]
        while waiting:
            member, lower, covered = waiting.pop()
            waiting.extend(self._directory(member, lower, covered))
        return Changes(self._added, self._changed, self._removed, self._wasted)

    def _directory(
        self, directory: Member, below: Merged | None, covered: bool
    ) -> Iterator[tuple[Member, Merged | None, bool]]:
        covered = covered or bool(directory.traits & OPAQUE)
        members = {member.name: member for member in self._tree.children(directory.id)}
        gone = {name[len(WHITEOUT) :] for name, member in members.items() if member.hides}
        shown = {name: member for name, member in members.items() if member.shows}
        lower = dict(self._below.children(below)) if below and (members or covered) else {}
        for name in lower if covered else gone & lower.keys():
            if name not in shown:
                self._remove(lower[name])
        for name, member in shown.items():
            yield from self._member(member, lower.get(name), covered or name in gone)

    def _member(
        self, member: Member, lower: Merged | None, covered: bool
    ) -> Iterator[tuple[Member, Merged | None, bool]]:
        if member.type is EntryType.DIRECTORY:
            if lower and lower.type is not EntryType.DIRECTORY:
                self._remove(lower)
                lower = None
            yield member, lower, covered
        elif lower is None:
            self._added += 1
        elif lower.type is EntryType.DIRECTORY:
            self._remove(lower)
            self._added += 1
        else:
            self._changed += 1
            self._hide(lower)

    def _remove(self, what: Merged) -> None:
        waiting = [what]
        while waiting:
            found = waiting.pop()
            if found.type is EntryType.DIRECTORY:
                waiting.extend(child for _, child in self._below.children(found))
            else:
                self._removed += 1
                self._hide(found)

    def _hide(self, what: Merged) -> None:
        node = self._trees[what.identity.layer].node(what.identity.id)
        names = self._hidden.get(what.identity, 0) + 1
        self._hidden[what.identity] = names
        if node.type is EntryType.FILE and names == node.links:
            self._wasted += node.size
