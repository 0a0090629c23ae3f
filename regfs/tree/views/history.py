"""`@history/<repository>/<tag>/<time>-<short digest>/`: what a tag has named, in the order of the pushes.

The last is what it names now. Read from the links that the store keeps; no index is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from regfs.errors import NoEntryError
from regfs.graph.outline import Named
from regfs.graph.times import iso
from regfs.oci import Digest
from regfs.registry.terms import Role
from regfs.tree import inode
from regfs.tree.image import SparseDirectory
from regfs.tree.interop.names import without_colon
from regfs.tree.names import NamesDirectory
from regfs.tree.node import Attributes, Child, Directory, Node, NodeType
from regfs.tree.scope import Scope


class HistoryDirectory(NamesDirectory):
    """The repositories and tags, as the tree itself lists them."""

    __slots__ = ()
    dear = True

    def _nested(self, scope: Scope, number: int) -> HistoryDirectory:
        """Make the directory of a nested name."""
        return HistoryDirectory(scope, number)

    def _sound_tag(self, tag: str, number: int) -> TagHistory:
        """Make the directory of a tag."""
        return TagHistory(self._scope, number, tag)

    def entries(self) -> Iterator[tuple[Child, Attributes | None]]:
        """List them with what stat(2) tells of each, one after the other."""
        return self._with_attributes(self.children())


class TagHistory(Directory):
    """All that one tag has named. Its time is that of the last push."""

    __slots__ = ("_scope", "_tag")
    dear = True

    def __init__(self, scope: Scope, number: int, tag: str) -> None:
        super().__init__(number)
        self._scope = scope
        self._tag = tag

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        graph, repository = self._scope.graph, self._scope.repository
        return Attributes.of_directory(self.inode, graph.tag_directory(repository, self._tag).mtime_ns)

    def children(self) -> Iterable[Child]:
        """List the pushes, the oldest first."""
        return [Child(name, NodeType.DIRECTORY, inode.of_child(self.inode, name)) for name in self._pushes()]

    def lookup(self, name: str) -> Node:
        """Find one of them."""
        pushes = self._pushes()
        if name not in pushes:
            name = next((listed for listed in pushes if without_colon(listed) == name), name)
        if name not in pushes:
            raise NoEntryError(name)
        return PushDirectory(self._scope, inode.of_child(self.inode, name), *pushes[name])

    def _pushes(self) -> Mapping[str, tuple[Digest, int]]:
        graph, repository = self._scope.graph, self._scope.repository
        found = sorted(graph.tag_history(repository, self._tag), key=lambda push: (push[1], push[0]))
        names = Counter(f"{iso(pushed)}-{digest.short}" for digest, pushed in found)
        pushes = {}
        for digest, pushed in found:
            name = f"{iso(pushed)}-{digest.short}"
            pushes[name if names[name] == 1 else f"{iso(pushed)}-{digest.hex}"] = (digest, pushed)
        return pushes


class PushDirectory(SparseDirectory):
    """What a tag named after one push; empty if that manifest was deleted since, which is no damage."""

    __slots__ = ("_pushed",)

    XATTRS = (*SparseDirectory.XATTRS, "pushed")

    def __init__(self, scope: Scope, number: int, digest: Digest, pushed: int) -> None:
        super().__init__(scope, number, Named(Role.CHILD, 0, digest, None))
        self._pushed = pushed

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells: the time is that of the push."""
        return Attributes.of_directory(self.inode, self._pushed)

    def facts(self) -> Mapping[str, str]:
        """Tell when it was pushed besides."""
        return {**super().facts(), "pushed": iso(self._pushed)}
