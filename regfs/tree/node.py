"""The kinds of node, and what can be asked of each.

A node is a small immutable value that knows how to read what it stands for. What it says may change
with the store; what it is does not.
"""

from __future__ import annotations

import abc
import enum
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, NamedTuple

from regfs.errors import NoAttributeError, NoNamespaceError, RegfsError
from regfs.storage import Content
from regfs.tree.inode import of_child

#: Extended attributes of regfs are all in this namespace (xattr(7), "Extended user attributes").
XATTR_PREFIX = "user.regfs."


#: Makes a named tuple in half the time that its own constructor takes; a walk makes one for each name.
_new = tuple.__new__

#: What stat(2) counts blocks in, in bytes.
_BLOCK = 512


class NodeType(enum.Enum):
    """What a node is to the kernel."""

    DIRECTORY = "directory"
    FILE = "file"
    SYMLINK = "symlink"
    CHARACTER = "character device"
    BLOCK = "block device"
    FIFO = "named pipe"

    #: Each is one object. Enum's own hash is a function in Python, called for each name of each listing.
    __hash__ = object.__hash__


#: By names of their own: to look up a member of an enum takes as long as to call a function.
_FILE, _DIRECTORY = NodeType.FILE, NodeType.DIRECTORY

#: What stat(2) tells as mode: everything is read-only.
MODES = {
    NodeType.DIRECTORY: stat.S_IFDIR | 0o555,
    NodeType.FILE: stat.S_IFREG | 0o444,
    NodeType.SYMLINK: stat.S_IFLNK | 0o777,
    NodeType.CHARACTER: stat.S_IFCHR | 0o444,
    NodeType.BLOCK: stat.S_IFBLK | 0o444,
    NodeType.FIFO: stat.S_IFIFO | 0o444,
}


def blocks_of(size: int) -> int:
    """Give the blocks of a file of `size` bytes that the store does not hold.

    It takes no space there, but a file with bytes and no blocks is all holes to `tar -S`.
    """
    return -(-size // _BLOCK)


class Attributes(NamedTuple):
    """What stat(2) tells: size in bytes, blocks of 512 bytes, time in nanoseconds since 1970.

    A directory has size 0, so that sums are of stored bytes alone, and one link, which means "subdirectories
    are not counted". What stands in an image has `permissions` (07777), an owner (uid and gid), and as a
    device its major and minor number; all else is the mounting user's, and not written. `lasting`: this node
    will never tell anything else.
    """

    type: NodeType
    inode: int
    links: int
    size: int
    blocks: int
    mtime_ns: int
    permissions: int | None = None
    owner: tuple[int, int] | None = None
    device: tuple[int, int] = (0, 0)
    lasting: bool = False

    @property
    def mode(self) -> int:
        """The type and the permission bits."""
        mode = MODES[self.type]
        return mode if self.permissions is None else stat.S_IFMT(mode) | self.permissions

    @classmethod
    def of_directory(cls, inode: int, mtime_ns: int, *, lasting: bool = False) -> Attributes:
        """Give the attributes of a directory."""
        return _new(cls, (_DIRECTORY, inode, 1, 0, 0, mtime_ns, None, None, (0, 0), lasting))

    @classmethod
    def of_file(
        cls, inode: int, size: int, blocks: int, mtime_ns: int, *, lasting: bool = False
    ) -> Attributes:
        """Give the attributes of a stored file: two links, so that who copies it looks at the inode."""
        return _new(cls, (_FILE, inode, 2, size, blocks, mtime_ns, None, None, (0, 0), lasting))

    @classmethod
    def of_computed(cls, inode: int, size: int, mtime_ns: int) -> Attributes:
        """Give the attributes of a file that the store does not hold."""
        return cls(NodeType.FILE, inode, 1, size, blocks_of(size), mtime_ns)


class Child(NamedTuple):
    """One name in a directory, with what readdir(3) tells of it; and the node, where that had to be made.

    `part` is the node's, where it has one.
    """

    name: str
    type: NodeType
    inode: int
    node: Node | None = None
    part: int = 0

    @classmethod
    def of(cls, name: str, node: Node) -> Child:
        """Give the child that a node is."""
        return _new(cls, (name, node.type, node.inode, node, node.part))


class Node:
    """One file, directory or symlink of the tree. `inode` is its identity, from 2 up (1 for the root).

    What is abstract mypy sees. An ABC at run time it is not: isinstance takes ten times as long for one.
    """

    __slots__ = ("inode",)

    #: What the node is to the kernel.
    type: ClassVar[NodeType]

    #: The names of the extended attributes, without their prefix. Listing them reads nothing: `ls -l` of
    #: newer coreutils asks for the list of every file.
    XATTRS: ClassVar[tuple[str, ...]] = ()

    #: The number by which `member` of the manifest's directory above finds this node again; 0: by none.
    part: int = 0

    def __init__(self, inode: int) -> None:
        self.inode = inode

    @abc.abstractmethod
    def attributes(self) -> Attributes:
        """Tell what stat(2) tells. Opens no file."""

    def facts(self) -> Mapping[str, str]:
        """Give the values of the extended attributes, by names in XATTRS; without those that damage hides."""
        return {}

    def xattr(self, name: str) -> bytes:
        """Give the value of one extended attribute, by its full name; empty if damage hides it.

        Raises NoAttributeError for a name that is not listed, NoNamespaceError for one that none can have.
        """
        short = name.removeprefix(XATTR_PREFIX)
        if not name.startswith("user."):
            raise NoNamespaceError("", name)
        if short == name or short not in self.XATTRS:
            raise NoAttributeError("", name)
        return self.facts().get(short, "").encode("utf-8", "surrogateescape")

    def xattr_names(self) -> list[str]:
        """List the full names of the extended attributes."""
        return [XATTR_PREFIX + name for name in self.XATTRS]


class Directory(Node):
    """A node with children."""

    __slots__ = ()
    type = NodeType.DIRECTORY

    #: Whether it is the root of what an image or a layer holds.
    holds_image: ClassVar[bool] = False

    #: Whether to tell attributes of what it lists takes more than to list it: `ls` alone must not wait.
    dear: ClassVar[bool] = False

    @abc.abstractmethod
    def children(self) -> Iterable[Child]:
        """List the children that a listing shows, without opening any. Raises what spoils the whole."""

    @abc.abstractmethod
    def lookup(self, name: str) -> Node:
        """Find a child, shown or not. Raises NoEntryError."""

    def lasts(self, child: Node) -> bool:
        """Tell whether the name under which a child was found stands for it for ever."""
        return False

    def entries(self) -> Iterator[tuple[Child, Attributes | None]]:
        """List the children with what stat(2) tells of each, None where that is an error of its own.

        Where it is none, the child has its node, or is a part.
        """
        return self._with_attributes(self.children())

    def _with_attributes(self, children: Iterable[Child]) -> Iterator[tuple[Child, Attributes | None]]:
        for child in children:
            try:
                node = child.node or self.lookup(child.name)
                found = node.attributes()
            except RegfsError:
                yield child, None
            else:
                yield child if child.node else child._replace(node=node), found


class Part(Directory):
    """A directory that a manifest's own has under a fixed name, with the time of that one."""

    __slots__ = ("_parent",)

    def __init__(self, parent: Directory, name: str) -> None:
        super().__init__(of_child(parent.inode, name))
        self._parent = parent

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        above = self._parent.attributes()
        return Attributes.of_directory(self.inode, above.mtime_ns, lasting=above.lasting)


class File(Node):
    """A node with bytes."""

    __slots__ = ()
    type = NodeType.FILE

    @property
    @abc.abstractmethod
    def identity(self) -> str:
        """Text that is equal for two nodes only if their bytes are: what caches of content go by."""

    @abc.abstractmethod
    def open(self) -> Content:
        """Open the bytes. Raises what is wrong with them."""


class Special(Node):
    """A device or a named pipe, in an image. It has no bytes here."""

    __slots__ = ()


class Symlink(Node):
    """A node that names another."""

    __slots__ = ()
    type = NodeType.SYMLINK

    @abc.abstractmethod
    def target(self) -> str:
        """Give what the link points to, as readlink(2) does."""
