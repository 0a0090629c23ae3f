"""A tag as a directory: the manifest that it names now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from regfs.errors import RegfsError, StoreError
from regfs.graph.times import iso
from regfs.oci import Digest
from regfs.tree import inode
from regfs.tree.image import ManifestDirectory
from regfs.tree.node import Attributes, Child
from regfs.tree.scope import Scope


class TagDirectory(ManifestDirectory):
    """The tag `tag` of the scope's repository. Its time is that of the last push."""

    __slots__ = ("_tag",)

    XATTRS = (*ManifestDirectory.XATTRS, "pushed")

    def __init__(self, scope: Scope, number: int, tag: str) -> None:
        super().__init__(scope, number)
        self._tag = tag

    def digest(self) -> Digest:
        """Tell which manifest the tag names now. Raises LinkError, StoreError."""
        return self._scope.graph.tag(self._scope.repository, self._tag)

    @property
    def tag(self) -> str:
        """The tag."""
        return self._tag

    def children(self) -> Iterable[Child]:
        """List as any manifest's."""
        self._scope.graph.tag_entered(self._scope.repository, self._tag)
        return super().children()

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells, without reading the tag's link; a tag without one has its own time."""
        graph, repository = self._scope.graph, self._scope.repository
        try:
            pushed = graph.tag_pushed(repository, self._tag)
        except StoreError:
            pushed = graph.tag_directory(repository, self._tag).mtime_ns
        return Attributes.of_directory(self.inode, pushed)

    def facts(self) -> Mapping[str, str]:
        """Tell when it was pushed besides."""
        facts = dict(super().facts())
        with suppress(RegfsError):
            facts["pushed"] = iso(self._scope.graph.tag_pushed(self._scope.repository, self._tag))
        return facts


def tag_inode(repository: int, tag: str) -> int:
    """Give the inode of a tag, which differs from that of a nested repository of the same name."""
    return inode.of_child(repository, f":{tag}")
