"""The directories above the images: the root, repositories, and the parts of names that lead to some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from regfs.errors import DigestError, NoEntryError, StoreError
from regfs.oci import Digest
from regfs.tree import inode
from regfs.tree.broken import BrokenDirectory
from regfs.tree.image import RevisionDirectory
from regfs.tree.node import Attributes, Child, Directory, Node, NodeType
from regfs.tree.scope import Scope
from regfs.tree.tag import TagDirectory, tag_inode


class NamesDirectory(Directory):
    """The repositories and tags at the scope's repository name; "" is the root of the tree.

    A tag with the name of a nested repository shows as `:tag`; `:tag` and `@digest` always resolve.
    """

    __slots__ = ("_inode", "_scope")

    XATTRS = ("kind",)

    def __init__(self, scope: Scope, number: int) -> None:
        self._scope = scope
        self._inode = number

    @property
    def inode(self) -> int:
        """The node's identity."""
        return self._inode

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells: the time is that of the newest tag name."""
        found = self._scope.graph.directory(self._scope.repository)
        return Attributes.of_directory(self._inode, found.mtime_ns)

    def facts(self) -> Mapping[str, str]:
        """Tell whether this is a repository."""
        listing = self._scope.graph.listing(self._scope.repository)
        return {"kind": "repository" if listing.repository else "namespace"}

    def children(self) -> Iterable[Child]:
        """List the nested repositories and the tags."""
        listing = self._scope.graph.listing(self._scope.repository)
        for name in listing.nested:
            yield Child(name, NodeType.DIRECTORY, inode.of_child(self._inode, name))
        for tag in listing.tags:
            shown = f":{tag}" if tag in listing.nested else tag
            yield Child(shown, NodeType.DIRECTORY, tag_inode(self._inode, tag))

    def lookup(self, name: str) -> Node:
        """Find a nested repository, else a tag; `:tag` is a tag, `@digest` a revision."""
        graph, repository, platform = self._scope
        found = graph.find(repository, name)
        if found.nested is None:
            return self._tag(name, found.tag) if found.tag is not None else self._unshown(name)
        below = f"{repository}/{name}" if repository else name
        if not found.nested:
            return BrokenDirectory(self, name, StoreError(below, "no repository can have this name or form"))
        return NamesDirectory(Scope(graph, below, platform), inode.of_child(self._inode, name))

    def _tag(self, tag: str, sound: bool) -> Node:
        if sound:
            return TagDirectory(self._scope, tag_inode(self._inode, tag), tag)
        path = f"{self._scope.repository}/{tag}"
        return BrokenDirectory(self, f":{tag}", StoreError(path, "no tag can have this name or form"))

    def _unshown(self, name: str) -> Node:
        """Find what resolves although the store has no such name. None of these can be a name there."""
        graph, repository, _ = self._scope
        if name.startswith(":"):
            tag = name[1:]
            sound = graph.find(repository, tag).tag
            if sound is not None:
                return self._tag(tag, sound)
        if name.startswith("@") and repository:
            with suppress(DigestError):
                digest = Digest.parse(name[1:])
                if graph.holds(repository, digest):
                    return RevisionDirectory(self._scope, inode.of_child(self._inode, name), digest)
        raise NoEntryError(name)
