"""Runs of names that were read together: who looks at one name of a directory looks at the next ones too.

`ls -l` and `find` ask for each name that they were told, one by one, in the order of the listing. So a run of
names is read with the first: four times as many as last time, if half of those were asked for. A name asked
for at random is read alone. A run answers as well that a name between two of its own is not there, which is
what most layers say of most names.

One thread at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from regfs.layers.tree.node import LayerNode, Member

#: The most names in a run, and the directories that have one: some 600 bytes for a name.
_LONGEST = 128
_DIRECTORIES = 4


class Row(NamedTuple):
    """A name, and what stands there."""

    member: Member
    node: LayerNode


#: Reads at most so many rows of a directory, in the order of their names, from a name on.
Read = Callable[[int, bytes, int], Sequence[Row]]


class _Run:
    """The rows from the name `first` to the name `last`, None for the end of the directory."""

    __slots__ = ("first", "last", "rows", "size", "used")

    def __init__(self, first: bytes, rows: Sequence[Row], size: int) -> None:
        self.first = first
        self.last = rows[-1].member.name if len(rows) == size else None
        self.rows = {row.member.name: row for row in rows}
        self.size = size
        self.used = 0

    def covers(self, name: bytes) -> bool:
        """Tell whether it knows what a name stands for, if for anything."""
        return self.first <= name and (self.last is None or name <= self.last)

    def size_of_next(self) -> int:
        """Tell how many rows are worth reading, as far as this run was worth it."""
        return min(4 * self.size, _LONGEST) if 2 * self.used >= len(self.rows) else 1


class NodeRuns:
    """The last runs of the directories that were asked last."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._runs: OrderedDict[int, _Run] = OrderedDict()
        #: The row that was found last: its attributes are asked for next.
        self.found: Row | None = None

    def find(self, parent: int, name: bytes) -> Row | None:
        """Find a name in a directory."""
        run = self._runs.get(parent)
        if run is None or not run.covers(name):
            size = run.size_of_next() if run is not None else 1
            run = self._runs[parent] = _Run(name, self._read(parent, name, size), size)
            if len(self._runs) > _DIRECTORIES:
                self._runs.popitem(last=False)
        run.used += 1
        self._runs.move_to_end(parent)
        row = run.rows.get(name)
        self.found = row or self.found
        return row
