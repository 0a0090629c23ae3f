"""What a layer's tree says of a node and of a name. Values, without the tables they come from."""

from __future__ import annotations

from typing import NamedTuple

from regfs.layers.entry import EntryType
from regfs.layers.tree.paths import AUFS, WHITEOUT
from regfs.layers.tree.schema import EMPTIED, IMPLIED, ROOT


class Member(NamedTuple):
    """One name in a directory of one layer. `traits` are those of a directory (schema.py), else 0."""

    name: bytes
    id: int
    type: EntryType
    traits: int

    @property
    def hides(self) -> bool:
        """Whether it is a whiteout, or aufs' own, and never shows itself.

        Only the last name of an entry's path is one: what is implied by a path through `.wh.f` is a directory
        of that name.
        """
        return self.name.startswith(WHITEOUT) and (self.name.startswith(AUFS) or not self.traits & IMPLIED)

    @property
    def shows(self) -> bool:
        """Whether it is there when its layer is laid over others."""
        return not (self.traits & EMPTIED or self.hides)


class LayerNode(NamedTuple):
    """What stands in one layer, under one name or more. The fields are those of `Entry`.

    `links` is the number of names in this layer; a directory's is 1, which tells programs that it counts
    nothing. A symlink's `size` is its target's length. The type is HARDLINK where the target stands in a
    lower layer; it is then the path of `target`, without "." and "..".
    """

    id: int
    type: EntryType
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    target: bytes
    device: tuple[int, int]
    links: int
    offset: int


#: The attributes of a directory that no entry names: what container runtimes give it, but for the time.
IMPLIED_NODE = LayerNode(ROOT, EntryType.DIRECTORY, 0o755, 0, 0, 0, 0, b"", (0, 0), 1, 0)
