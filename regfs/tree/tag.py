"""A tag as a directory: the manifest that it names now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from regfs.errors import RegfsError, StoreError
from regfs.graph.outline import Outline
from regfs.graph.times import iso
from regfs.oci import Digest
from regfs.tree import inode
from regfs.tree.image import ManifestDirectory
from regfs.tree.node import Attributes
from regfs.tree.scope import Scope


class Naming(NamedTuple):
    """What a tag named at one time: a manifest (None: the link was not read), pushed when (ns)."""

    digest: Digest | None
    pushed: int


class TagDirectory(ManifestDirectory):
    """The tag `tag` of the scope's repository. Its time is that of the last push.

    With a `naming` it stands for what that names, wherever the tag moves.
    """

    __slots__ = ("_known", "_naming", "_tag")

    XATTRS = (*ManifestDirectory.XATTRS, "pushed")

    def __init__(self, scope: Scope, number: int, tag: str, naming: Naming | None = None) -> None:
        super().__init__(scope, number)
        self._tag = tag
        self._naming = naming
        self._known: Outline | None = None

    def naming(self) -> Naming:
        """Tell what the tag names, as far as that is known without reading its link.

        Raises StoreError if the tag is gone.
        """
        if self._naming is not None:
            return self._naming
        graph, repository = self._scope.graph, self._scope.repository
        try:
            link = graph.link(repository, self._tag)
        except StoreError:  # there may be none
            return Naming(None, graph.tag_directory(repository, self._tag).mtime_ns)
        return Naming(link.digest, link.pushed)

    def pinned(self, naming: Naming) -> TagDirectory:
        """Give the directory of what the tag names, or named."""
        if naming is self._naming:
            return self
        return TagDirectory(self._scope, self.inode, self._tag, naming)

    def digest(self) -> Digest:
        """Tell which manifest the tag names now. Raises LinkError, StoreError."""
        if self._naming is not None and self._naming.digest is not None:
            return self._naming.digest
        return self._scope.graph.tag(self._scope.repository, self._tag)

    @property
    def tag(self) -> str:
        """The tag."""
        return self._tag

    def _outline(self, digest: Digest) -> Outline:
        if self._naming is None:
            return super()._outline(digest)
        if self._known is None:
            self._known = super()._outline(digest)
        return self._known

    def _listed(self) -> Outline:
        self._scope.graph.tag_entered(self._scope.repository, self._tag)
        return super()._listed()

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells, without reading the tag's link; a tag without one has its own time."""
        pinned = self._naming is not None
        return Attributes.of_directory(self.inode, self.naming().pushed, lasting=pinned)

    def facts(self) -> Mapping[str, str]:
        """Tell when it was pushed besides."""
        facts = dict(super().facts())
        with suppress(RegfsError):
            pinned, graph = self._naming, self._scope.graph
            facts["pushed"] = iso(
                pinned.pushed if pinned else graph.tag_pushed(self._scope.repository, self._tag)
            )
        return facts


def tag_inode(repository: int, tag: str) -> int:
    """Give the inode of a tag, which differs from that of a nested repository of the same name."""
    return inode.of_child(repository, f":{tag}")
