"""Files, directories and all else that stand inside layers, with the modes, owners and times of the image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic

from regfs.errors import NoAttributeError, NoEntryError, RegfsError
from regfs.layers.entry import EntryType
from regfs.storage import Content
from regfs.tree import inode
from regfs.tree.inside.opener import Opener
from regfs.tree.inside.view import Key, View, ViewHandle
from regfs.tree.node import (
    XATTR_PREFIX,
    Attributes,
    Child,
    Directory,
    File,
    Node,
    NodeType,
    Part,
    Special,
    Symlink,
    blocks_of,
)

if TYPE_CHECKING:
    from regfs.layers.tree import LayerNode

#: The file at the top of an image that is shown without some layers: no image has one of that name.
MISSING = "REGFS-LAYERS-ARE-MISSING"

_TYPES = {
    EntryType.FILE: NodeType.FILE,
    EntryType.DIRECTORY: NodeType.DIRECTORY,
    EntryType.SYMLINK: NodeType.SYMLINK,
    # One that leads nowhere: listed, and an error when it is looked at.
    EntryType.HARDLINK: NodeType.FILE,
    EntryType.CHARACTER: NodeType.CHARACTER,
    EntryType.BLOCK: NodeType.BLOCK,
    EntryType.FIFO: NodeType.FIFO,
}

#: Makes a named tuple in half the time that its own constructor takes.
_new = tuple.__new__

#: The fewest links of a file, as of a blob: it has other names wherever else its layer shows, and a higher
#: layer may give it one more, so tools shall look whether they met the inode before.
_LINKS = 2


class Inside(Node, Generic[Key]):
    """What all nodes inside a layer have in common: the image's attributes in place of regfs's own."""

    __slots__ = ("_handle", "_key")

    def __init__(self, handle: ViewHandle[Key], key: Key, number: int) -> None:
        super().__init__(number)
        self._handle = handle
        self._key = key

    @property
    def _view(self) -> View[Key]:
        return self._handle.view()

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells, as the image has it."""
        return self.told(self._view.node(self._key))

    def told(self, node: LayerNode) -> Attributes:
        """Tell what stat(2) tells of what stands there."""
        _, kind, mode, uid, gid, size, mtime_ns, _, device, links, _ = node
        blocks = 0
        if kind is EntryType.FILE:
            links, blocks = max(links, _LINKS), blocks_of(size)
        told = (self.type, self.inode, links, size, blocks, mtime_ns, mode, (uid, gid), device, True)
        return _new(Attributes, told)

    def xattr(self, name: str) -> bytes:
        """Give one of the image's attributes, or which layer this is from. Raises NoAttributeError."""
        value = self._view.xattrs(self._key).get(os.fsencode(name))
        if value is None and name.startswith(XATTR_PREFIX):
            told = self._view.origin(self._key).get(name.removeprefix(XATTR_PREFIX))
            value = None if told is None else told.encode("utf-8", "surrogateescape")
        if value is None:
            raise NoAttributeError("", name)
        return value

    def xattr_names(self) -> list[str]:
        """List the image's attributes, and no others: who copies a file copies those that it lists."""
        return [os.fsdecode(name) for name in self._view.xattrs(self._key)]


class InsideDirectory(Inside[Key], Directory):
    """A directory. Its inode follows from its place: what it holds differs from image to image."""

    __slots__ = ()

    def children(self) -> Iterable[Child]:
        """List the names."""
        view = self._view
        for name, key in view.children(self._key):
            text = os.fsdecode(name)
            yield Child(text, _TYPES[key.type], self._number(view, key, text))

    def entries(self) -> Iterator[tuple[Child, Attributes | None]]:
        """List them with what stat(2) tells of each: what stands there is read together."""
        view = self._view
        for name, key, found in view.listing(self._key):
            text = os.fsdecode(name)
            node = _NODES[key.type](self._handle, key, self._number(view, key, text))
            child = Child(text, node.type, node.inode, node)
            try:
                yield child, node.told(found or view.node(key))
            except RegfsError:
                yield child, None

    def lookup(self, name: str) -> Node:
        """Find a name."""
        view = self._view
        key = view.find(self._key, os.fsencode(name))
        if key is None:
            raise NoEntryError(name)
        return _NODES[key.type](self._handle, key, self._number(view, key, name))

    def lasts(self, child: Node) -> bool:
        """Tell whether a name stands for a child for ever: as long as no layer is missing."""
        return not self._handle.missing

    def _number(self, view: View[Key], key: Key, name: str) -> int:
        if key.type is EntryType.DIRECTORY:
            return inode.of_child(self.inode, name)
        return view.number(key)


class InsideFile(Inside[Key], File):
    """A file."""

    __slots__ = ()

    @property
    def identity(self) -> str:
        """The layer's digest, and which of its files it is."""
        layer, node = self._view.place(self._key)
        return f"{layer.digest} {node}"

    def open(self) -> Content:
        """Open the bytes."""
        return self._view.open(self._key)


class InsideSymlink(Inside[Key], Symlink):
    """A symlink. The kernel follows an absolute one on the host, as in any unpacked image."""

    __slots__ = ()

    def target(self) -> str:
        """Give what it points to."""
        return os.fsdecode(self._view.node(self._key).target)


class CharacterDevice(Inside[Key], Special):
    """A character device; the mount is `nodev`."""

    __slots__ = ()
    type = NodeType.CHARACTER


class BlockDevice(Inside[Key], Special):
    """A block device; the mount is `nodev`."""

    __slots__ = ()
    type = NodeType.BLOCK


class Fifo(Inside[Key], Special):
    """A named pipe."""

    __slots__ = ()
    type = NodeType.FIFO


_NODES: dict[EntryType, Callable[..., Inside[Any]]] = {
    EntryType.FILE: InsideFile,
    EntryType.DIRECTORY: InsideDirectory,
    EntryType.SYMLINK: InsideSymlink,
    EntryType.HARDLINK: InsideFile,
    EntryType.CHARACTER: CharacterDevice,
    EntryType.BLOCK: BlockDevice,
    EntryType.FIFO: Fifo,
}


class TopDirectory(Part, Generic[Key]):
    """`rootfs/` or `layers/NN/`: opens its layers when it is looked into, not when it is looked at.

    The kernel looks at one name of a directory at a time: if that waited for the layers to be read, `ls` of
    the image would wait with it.
    """

    __slots__ = ("_handle",)
    holds_image = True

    def __init__(
        self, parent: Directory, name: str, opener: Opener, open_view: Callable[[], View[Key]]
    ) -> None:
        super().__init__(parent, name)
        self._handle = ViewHandle(opener, open_view)

    def _top(self) -> InsideDirectory[Key]:
        return InsideDirectory(self._handle, self._handle.view().root(), self.inode)

    def children(self) -> Iterable[Child]:
        """List the names, first what tells of layers that are missing, if some are."""
        children = self._top().children()
        if not self._handle.missing:
            return children
        others = (child for child in children if child.name != MISSING)
        return [Child.of(MISSING, self.lookup(MISSING)), *others]

    def entries(self) -> Iterator[tuple[Child, Attributes | None]]:
        """List them with what stat(2) tells of each."""
        top = self._top()
        return super().entries() if self._handle.missing else top.entries()

    def lasts(self, child: Node) -> bool:
        """Tell whether a name stands for a child for ever: as long as no layer is missing."""
        return not self._handle.missing

    def lookup(self, name: str) -> Node:
        """Find a name."""
        top = self._top()
        if name == MISSING and self._handle.missing:
            return MissingLayers(self, self._handle.missing)
        return top.lookup(name)


class MissingLayers(File):
    """What says at the top of an image which of its layers are missing, and why."""

    __slots__ = ("_parent", "_text")

    def __init__(self, parent: Directory, text: bytes) -> None:
        super().__init__(inode.of_child(parent.inode, MISSING))
        self._parent = parent
        self._text = text

    @property
    def identity(self) -> str:
        """The text itself."""
        return self._text.decode()

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes.of_computed(self.inode, len(self._text), self._parent.attributes().mtime_ns)

    def open(self) -> Content:
        """Open the text."""
        from regfs.tree.blob import BytesContent  # which knows a Scope, and that knows this package

        return BytesContent(self._text)
