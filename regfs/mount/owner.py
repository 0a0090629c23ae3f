"""Whose the files are, and which permissions they have: what every session tells of each node."""

from __future__ import annotations

import os
from typing import NamedTuple

from regfs.tree import Attributes, NodeType
from regfs.tree.node import MODES

#: The permission to execute, of everybody.
_EXECUTE = 0o111

#: What read(2) prefers, in bytes; as for most file systems.
BLOCK_SIZE = 4096


class Rights(NamedTuple):
    """What stat(2) tells beside a node's own attributes: mode with type, owner, device number."""

    mode: int
    uid: int
    gid: int
    device: int


class Owner(NamedTuple):
    """Whose the files are, and which permission bits they lack.

    `images`: what stands inside an image has the image's owners and modes; else it is the same user's.
    """

    uid: int
    gid: int
    umask: int
    images: bool = True

    def mode(self, kind: NodeType) -> int:
        """Give the mode of a node that is no image's, with its type."""
        mode = MODES[kind]
        return mode if kind is NodeType.SYMLINK else mode & ~self.umask

    def rights(self, attributes: Attributes) -> Rights:
        """Tell what a node is, to whom."""
        mode = self.mode(attributes.type)
        if attributes.permissions is None:
            return Rights(mode, self.uid, self.gid, 0)
        uid, gid = self.uid, self.gid
        if self.images:
            mode = attributes.mode & ~self.umask
            uid, gid = attributes.owner or (uid, gid)
        elif attributes.type is NodeType.FILE:
            mode |= attributes.permissions & _EXECUTE & ~self.umask
        return Rights(mode, uid, gid, os.makedev(*attributes.device))
