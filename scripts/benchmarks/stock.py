"""regfs's tree behind fusepy's stock dispatch, as most file systems on fusepy are written: for comparison."""

from __future__ import annotations

import os
import sys
from typing import Any

import fuse

from regfs.cli.opening import Choices, cache_directory, opened_tree
from regfs.errors import RegfsError
from regfs.mount.errnos import errno_of
from regfs.mount.options import this_machine
from regfs.mount.portable.operations import PathLifetimes
from regfs.registry import locate, open_local
from regfs.tree import Directory, File, Node, Tree
from regfs.tree.node import MODES


class StockOperations(fuse.Operations):
    """The operations, path by path, with dicts and bytes objects."""

    use_ns = True

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._open: dict[int, Any] = {}

    def _node(self, path: str) -> Node:
        try:
            return self._tree.walk(path, follow=False)
        except RegfsError as error:
            raise OSError(errno_of(error), str(error)) from error

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = self._node(path).attributes()
        return {
            "st_ino": found.inode,
            "st_mode": MODES[found.type],
            "st_nlink": found.links,
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            "st_size": found.size,
            "st_blocks": found.blocks,
            "st_mtime": found.mtime_ns,
        }

    def readdir(self, path: str, fh: int) -> list[str]:
        node = self._node(path)
        assert isinstance(node, Directory)
        return [".", "..", *[child.name for child in node.children()]]

    def open(self, path: str, flags: int) -> int:
        node = self._node(path)
        assert isinstance(node, File)
        number = len(self._open) + 1
        self._open[number] = node.open()
        return number

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[: self._open[fh].read_into(memoryview(buffer), offset)])


if __name__ == "__main__":
    lifetimes = PathLifetimes.of(10)
    path = locate(sys.argv[1])
    with opened_tree(open_local(path), cache_directory(), this_machine(), Choices(lifetimes.graph)) as tree:
        fuse.FUSE(
            StockOperations(tree),
            sys.argv[2],
            foreground=True,
            ro=True,
            use_ino=True,
            attr_timeout=lifetimes.kernel,
            entry_timeout=lifetimes.kernel,
        )
