"""The directories of a layer's tree while it is made: found by their paths, made where there are none.

One thread. What is known here is bounded: the tables can be asked instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from regfs.layers.entry import EntryType
from regfs.layers.tree.batch import Batch, Key, KnownNode
from regfs.layers.tree.paths import FOLLOWED, LONGEST_PATH, WHITEOUT, can_show, split
from regfs.layers.tree.schema import ROOT, ROOT_KEY

#: How many directories are known without asking the tables: some 250 bytes each.
_KNOWN: Final = 1 << 16


class PathStep(NamedTuple):
    """One name on the way to a directory, and that directory's id; None where there is none."""

    name: bytes
    id: int | None


class Directories:
    """All directories of one layer, implied ones too. The root is there from the beginning."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._known: dict[Key, int] = {}
        #: The path that was asked for last, unless it took a walk: the next is mostly the same. To replace a
        #: directory is to ask for the one above it, so what is kept here never stands for a replaced one.
        self._last_path: bytes | None = None
        self._last = ROOT
        #: The nodes made until now, of directories and others; their ids count from ROOT.
        self.nodes = 0
        self.imply(ROOT_KEY)

    def new_node(self) -> int:
        """Give an id that no node has."""
        self.nodes += 1
        return self.nodes

    def find(self, key: Key) -> KnownNode | None:
        """Tell what a name stands for now."""
        known = self._known.get(key)
        if known is not None:
            return KnownNode(known, EntryType.DIRECTORY)
        found = self._batch.find(key)
        if found is not None and found.type is EntryType.DIRECTORY:
            self._know(key, found.id)
        return found

    def forget(self, key: Key) -> None:
        """Let a name stand for no directory any more."""
        self._known.pop(key, None)

    def make(self, key: Key) -> int:
        """Make a directory; the caller sets its attributes."""
        node = self.new_node()
        self._batch.put_name(key, node, EntryType.DIRECTORY)
        self._know(key, node)
        return node

    def imply(self, key: Key) -> int:
        """Make a directory that no entry names. In the place of a whiteout it still is that one."""
        whiteout = key[1].startswith(WHITEOUT) and self._batch.find(key) is not None
        node = self.make(key)
        self._batch.put_implied(node, named=whiteout)
        self._batch.note_whiteout(key, implied=True)
        return node

    def reach(self, path: bytes) -> int | None:
        """Find a directory, made with all above it where there is none. None if there can be none.

        The path is as a tar writes it.
        """
        if path == self._last_path:
            return self._last
        names = split(path)
        here = ROOT
        for name in names:
            known = self._known.get((here, name))
            if known is None:
                self._last_path = None
                return self._make_way(names)
            here = known
        self._last_path, self._last = path, here
        return here

    def _make_way(self, names: list[bytes]) -> int | None:
        steps = self.walk(names)
        if steps is None or not all(can_show(step.name) for step in steps):
            return None
        here = ROOT
        for step in steps:
            here = self.imply((here, step.name)) if step.id is None else step.id
        return here

    def walk(self, names: Sequence[bytes]) -> list[PathStep] | None:
        """Follow a path of directories over the symlinks of this layer. None: in a circle, or too long."""
        waiting = list(reversed(names))
        steps: list[PathStep] = []
        followed = 0
        while waiting:
            name = waiting.pop()
            if name == b"..":
                del steps[-1:]
            elif name not in {b"", b"."}:
                above = steps[-1].id if steps else ROOT
                found = self.find((above, name)) if above is not None else None
                if found is None or found.type is not EntryType.SYMLINK:
                    directory = found is not None and found.type is EntryType.DIRECTORY
                    steps.append(PathStep(name, found.id if found and directory else None))
                    continue
                target = self._batch.target(found.id)
                followed += 1
                if followed > FOLLOWED or len(waiting) > LONGEST_PATH:
                    return None
                if target.startswith(b"/"):
                    steps.clear()
                waiting += reversed(target.split(b"/"))
        return steps

    def _know(self, key: Key, node: int) -> None:
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[key] = node
