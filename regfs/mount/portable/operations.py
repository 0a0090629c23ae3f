"""What the kernel asks, answered from the tree. Paths are bytes, as the kernel gives them.

No ctypes here: `dispatch` turns the answers into C. Raises RegfsError; `dispatch` turns that into errno.
Called from many threads at once; no lock is held while the store is read.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from regfs.errors import (
    IsDirectoryError,
    NameTooLongError,
    NoEntryError,
    NotDirectoryError,
    NotSymlinkError,
)
from regfs.graph.cache import Cache, for_a_while
from regfs.storage.protocol import Content, Space
from regfs.tree import Attributes, Child, Directory, File, Node, Symlink, Tree

#: Directories that are kept by path, with the nodes that their listing made.
_MOST_DIRECTORIES = 128

#: Bytes: NAME_MAX (limits.h). The kernel's limit for FUSE is 1024, so longer names are asked for.
_LONGEST_NAME = 255

_ENCODING = sys.getfilesystemencoding()


class PathLifetimes(NamedTuple):
    """How the seconds of `ttl` are shared out.

    Each cache may be filled from the one below it just before that expires, so their sum is what a change
    can take to show. Attributes the kernel asks for anew: it keeps one size for each path.
    """

    graph: float
    paths: float
    kernel: float

    @classmethod
    def of(cls, ttl: float) -> PathLifetimes:
        """Share out `ttl`: a quarter for the kernel's names, a tenth for paths, the rest for the graph."""
        if math.isinf(ttl):
            return cls(ttl, ttl, ttl)
        return cls(ttl * 0.65, ttl * 0.1, ttl * 0.25)


class KnownDirectory:
    """A directory that was found at a path, and the nodes in it that are known."""

    __slots__ = ("directory", "nodes")

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.nodes: Mapping[str, Node] = {}

    def lookup(self, name: str) -> Node:
        """Find a child."""
        return self.nodes.get(name) or self.directory.lookup(name)


class Operations:
    """The file system's operations over one tree."""

    def __init__(
        self, tree: Tree, lifetimes: PathLifetimes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tree = tree
        self._directories: Cache[bytes, KnownDirectory] = for_a_while(
            lifetimes.paths, _MOST_DIRECTORIES, clock
        )
        #: The one that was found last, and until when: most calls are about what is in that.
        self._last: tuple[bytes, KnownDirectory, float] = (b"", KnownDirectory(tree.root), float("-inf"))
        self._clock = clock
        self._believed = lifetimes.paths
        self._handles: dict[int, Content] = {}
        self._numbers = itertools.count(1)

    def attributes(self, path: bytes) -> Attributes:
        """Answer getattr."""
        return self._node(path).attributes()

    def children(self, path: bytes) -> list[Child]:
        """Answer readdir, without the dot entries. What it made of nodes serves the lookups that follow."""
        known = self._directory(path)
        children = list(known.directory.children())
        known.nodes = {child.name: child.node for child in children if child.node is not None}
        return children

    def target(self, path: bytes) -> bytes:
        """Answer readlink."""
        node = self._node(path)
        if not isinstance(node, Symlink):
            raise NotSymlinkError(_text(path))
        return _bytes(node.target())

    def open(self, path: bytes) -> int:
        """Answer open: a handle."""
        node = self._node(path)
        if not isinstance(node, File):
            raise IsDirectoryError(_text(path))
        content = node.open()
        handle = next(self._numbers)
        self._handles[handle] = content
        return handle

    def read(self, handle: int, buffer: memoryview, offset: int) -> int:
        """Answer read: fill the buffer, give the number of bytes."""
        return self._handles[handle].read_into(buffer, offset)

    def release(self, handle: int) -> None:
        """Answer release."""
        self._handles.pop(handle).close()

    def xattr(self, path: bytes, name: bytes) -> bytes:
        """Answer getxattr."""
        return self._node(path).xattr(_text(name))

    def xattr_names(self, path: bytes) -> bytes:
        """Answer listxattr: the names, a NUL byte behind each."""
        return b"".join(_bytes(name) + b"\0" for name in self._node(path).xattr_names())

    @staticmethod
    def name(text: str) -> bytes:
        """Give a child's name as the kernel wants it."""
        return _bytes(text)

    def space(self) -> Space:
        """Answer statfs."""
        return self._tree.space()

    def _node(self, path: bytes) -> Node:
        if path == b"/":
            return self._tree.root
        parent, _, name = path.rpartition(b"/")
        try:
            return self._directory(parent or b"/").lookup(_text(name))
        except NoEntryError as error:
            if len(name) > _LONGEST_NAME:
                raise NameTooLongError(_text(path)) from error
            raise

    def _directory(self, path: bytes) -> KnownDirectory:
        last, known, until = self._last
        if last == path and self._clock() < until:
            return known
        found = self._directories.get(path)
        if found is None:
            began = self._clock()
            node = self._node(path)
            if not isinstance(node, Directory):
                raise NotDirectoryError(_text(path))
            found = KnownDirectory(node)
            self._directories.put(path, found)
            self._last = (path, found, began + self._believed)
        return found


def _text(raw: bytes) -> str:
    return raw.decode(_ENCODING, "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode(_ENCODING, "surrogateescape")
