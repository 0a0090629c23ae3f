"""The directories above the images: the root, repositories, and the parts of names that lead to some."""

from __future__ import annotations

import copy
import logging
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import islice

from regfs.errors import DigestError, NoEntryError, StoreError, UnsafeError
from regfs.oci.naming import revision_name, tag_name
from regfs.storage.protocol import FileStat, FileType
from regfs.tree import inode, interop
from regfs.tree.broken import BrokenDirectory
from regfs.tree.image import RevisionDirectory
from regfs.tree.interop.names import REPOSITORY_LAYOUT, TAG_MARK, read_digest
from regfs.tree.node import Attributes, Child, Directory, Node, NodeType
from regfs.tree.scope import Scope
from regfs.tree.tag import Naming, TagDirectory, tag_inode

_log = logging.getLogger(__name__)

#: What regfs's own names begin with; no name of a repository or tag does.
_RESERVED = ("@", ":")

#: Makes a named tuple in half the time that its own constructor takes; a walk makes one for each name.
_new = tuple.__new__

_DIRECTORY = NodeType.DIRECTORY

#: Names that are looked at together for a listing with attributes.
_TOGETHER = 512


class NamesDirectory(Directory):
    """The repositories and tags at the scope's repository name; "" is the root of the tree.

    A tag with the name of a nested repository shows as `:tag`; `:tag` and `@digest` always resolve, and so do
    their forms without a colon, and a repository's `.oci`.
    """

    __slots__ = ("_scope",)

    XATTRS = ("kind",)

    def __init__(self, scope: Scope, number: int) -> None:
        super().__init__(number)
        self._scope = scope

    @property
    def repository(self) -> str:
        """The repository's name, or the beginning of one; "" is the top."""
        return self._scope.repository

    def listed(self) -> object:
        """Give what is equal to that of before only if the listing has not changed since."""
        listing = self._scope.graph.listing(self._scope.repository)
        return hash((tuple(listing.nested.items()), tuple(listing.tags.items()), str(listing.error)))

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells: the time is that of the newest tag name."""
        found = self._scope.graph.directory(self._scope.repository)
        return Attributes.of_directory(self.inode, found.mtime_ns)

    def facts(self) -> Mapping[str, str]:
        """Tell whether this is a repository."""
        listing = self._scope.graph.listing(self._scope.repository)
        return {"kind": "repository" if listing.repository else "namespace"}

    def children(self) -> Iterable[Child]:
        """List the nested repositories and the tags. Raises StoreError if there is nothing but damage."""
        listing = self._scope.graph.listing(self._scope.repository)
        if listing.error is not None:
            if not listing.nested:
                raise copy.copy(listing.error)
            _log.warning("%s: its tags cannot be listed: %s", self._scope.repository, listing.error)
        for name in listing.nested:
            if not name.startswith(_RESERVED):
                yield Child(name, NodeType.DIRECTORY, inode.of_child(self.inode, name))
        for tag in listing.tags:
            if not tag.startswith(_RESERVED):
                shown = tag_name(tag, ambiguous=tag in listing.nested)
                yield _new(Child, (shown, _DIRECTORY, tag_inode(self.inode, tag), None, 0))

    def entries(self) -> Iterator[tuple[Child, Attributes | None]]:
        """List them with what stat(2) tells of each; the times of many tags are looked at together.

        Where the storage is slow only their names: whoever lists shall not wait for a tag that is stuck, and
        whoever asks for one after the other has the next looked at ahead.
        """
        graph, repository = self._scope.graph, self._scope.repository
        listing = graph.listing(repository)
        children = iter(self.children())
        while some := list(islice(children, _TOGETHER)):
            tags = [_shown_tag(child.name, listing.tags, listing.nested) for child in some]
            links = {} if graph.slow else graph.look_at_links(repository, [tag for tag in tags if tag])
            for child, tag in zip(some, tags, strict=True):
                link = links.get(tag)
                if link is not None:
                    naming = None if link.digest is None else _new(Naming, (link.digest, link.pushed))
                    node: Node | None = TagDirectory(self._scope, child.inode, tag, naming)
                    told = Attributes.of_directory(child.inode, link.pushed, lasting=naming is not None)
                    yield _new(Child, (child.name, child.type, child.inode, node, 0)), told
                elif graph.slow:
                    yield child, None
                else:
                    node = self._sound_tag(tag, child.inode) if tag else None
                    yield from self._with_attributes([child._replace(node=node)])

    def lookup(self, name: str) -> Node:
        """Find a nested repository, else a tag; `:tag` is a tag, `@digest` a revision."""
        if name.startswith(_RESERVED):
            return self._reserved(name)
        graph, repository = self._scope.graph, self._scope.repository
        if name == REPOSITORY_LAYOUT and graph.listing(repository).repository:
            return interop.LayoutDirectory(
                self._scope, self, name, lambda: interop.tagged_images(self._scope)
            )
        found = graph.find(repository, name)
        if found == (None, None) and name.startswith(TAG_MARK):
            return self._tag(name[1:], graph.find(repository, name[1:]).tag)
        if found.nested is None:
            return self._tag(name, found.tag)
        below = f"{repository}/{name}" if repository else name
        if not found.nested:
            return self._broken(name, below, graph.nested_entry(repository, name), "repository")
        return self._nested(self._scope._replace(repository=below), inode.of_child(self.inode, name))

    def _nested(self, scope: Scope, number: int) -> NamesDirectory:
        """Make the directory of a nested name."""
        return NamesDirectory(scope, number)

    def of_tag(self, tag: str, naming: Naming | None = None) -> TagDirectory:
        """Give the directory of a tag that was found here; with a `naming`, of what that names."""
        return TagDirectory(self._scope, tag_inode(self.inode, tag), tag, naming)

    def _sound_tag(self, tag: str, number: int) -> Directory:
        """Make the directory of a tag."""
        return TagDirectory(self._scope, number, tag)

    def _tag(self, tag: str, sound: bool | None) -> Node:
        if sound is None:
            raise NoEntryError(tag)
        if sound:
            return self._sound_tag(tag, tag_inode(self.inode, tag))
        repository = self._scope.repository
        found = self._scope.graph.tag_directory(repository, tag)
        return self._broken(f":{tag}", f"{repository}/{tag}", found, "tag")

    def _broken(self, name: str, path: str, found: FileStat, what: str) -> BrokenDirectory:
        """Make the directory of what stands in a repository's or tag's place."""
        error: StoreError = StoreError(path, f"no {what} can have this name or form")
        if found.type is not FileType.DIRECTORY:
            error = UnsafeError(path, found.type.value, FileType.DIRECTORY.value)
        return BrokenDirectory(self, name, error, found.mtime_ns)

    def _reserved(self, name: str) -> Node:
        """Find a tag or a revision by a name that says which it is."""
        graph, repository = self._scope.graph, self._scope.repository
        if name.startswith(":"):
            tag = name[1:]
            return self._tag(tag, graph.find(repository, tag).tag)
        try:
            digest = read_digest(name[1:])
        except DigestError:
            raise NoEntryError(name) from None
        if not repository or not graph.holds(repository, digest):
            raise NoEntryError(name)
        return RevisionDirectory(self._scope, inode.of_child(self.inode, revision_name(digest)), digest)


def _shown_tag(shown: str, tags: Mapping[str, bool], nested: Container[str]) -> str:
    """Give the tag that is shown under a name; "" for a nested repository, and for what can be no tag."""
    tag = shown.removeprefix(TAG_MARK)
    return tag if tags.get(tag) and (tag != shown or tag not in nested) else ""
