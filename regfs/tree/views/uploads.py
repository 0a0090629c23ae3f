"""`@uploads/<repository>/<id>/`: unfinished pushes, with all their files as they lie in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from regfs.errors import MissingError, NoEntryError, StoreError
from regfs.graph.index.uploads import repositories_with_uploads
from regfs.registry.uploads import STARTED, Upload
from regfs.storage import Content, FileType
from regfs.tree import inode
from regfs.tree.node import Attributes, Child, Directory, File, Node, NodeType
from regfs.tree.views.by_repository import Shelf
from regfs.tree.views.source import Source


class UploadShelf(Shelf):
    """The unfinished pushes."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def repositories(self) -> list[str]:
        """Name the repositories that have some."""
        with self._source.references().snapshot() as snapshot:
            return repositories_with_uploads(snapshot)

    def entries(self, repository: str, parent: Directory) -> Iterable[Child]:
        """List their ids."""
        return [
            Child(name, NodeType.DIRECTORY, inode.of_child(parent.inode, name))
            for name in self._source.graph.uploads(repository)
        ]

    def entry(self, repository: str, parent: Directory, name: str) -> Node:
        """Find one by its id."""
        if name not in self._source.graph.uploads(repository):
            raise NoEntryError(name)
        upload = self._source.graph.upload(repository, name)
        return UploadDirectory(upload, "", inode.of_child(parent.inode, name))


class UploadDirectory(Directory):
    """An unfinished push, or a directory of it (`hashstates/…`): `below` the push's own, as its path there.

    Its time is that of its beginning.
    """

    __slots__ = ("_below", "_upload")

    XATTRS = ("kind", "started")

    def __init__(self, upload: Upload, below: str, number: int) -> None:
        super().__init__(number)
        self._upload = upload
        self._below = below

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        try:
            found = self._upload.entry(self._below or STARTED)
        except StoreError:
            found = self._upload.entry()
        return Attributes.of_directory(self.inode, found.mtime_ns)

    def facts(self) -> Mapping[str, str]:
        """Tell when the push began, as the registry wrote it."""
        facts = {"kind": "upload"}
        with suppress(StoreError):
            facts["started"] = self._upload.started()
        return facts

    def children(self) -> Iterable[Child]:
        """List its files and directories."""
        for entry in sorted(self._upload.entries(self._below)):
            kind = NodeType.DIRECTORY if entry.type is FileType.DIRECTORY else NodeType.FILE
            yield Child(entry.name, kind, inode.of_child(self.inode, entry.name))

    def lookup(self, name: str) -> Node:
        """Find one of them."""
        below = f"{self._below}/{name}" if self._below else name
        try:
            found = self._upload.entry(below)
        except MissingError:
            raise NoEntryError(name) from None
        number = inode.of_child(self.inode, name)
        if found.type is FileType.DIRECTORY:
            return UploadDirectory(self._upload, below, number)
        if found.type is FileType.FILE:
            return UploadFile(self._upload, below, number)
        raise NoEntryError(name)


class UploadFile(File):
    """A file of an unfinished push. It may grow while it is read."""

    __slots__ = ("_below", "_upload")

    def __init__(self, upload: Upload, below: str, number: int) -> None:
        super().__init__(number)
        self._upload = upload
        self._below = below

    @property
    def identity(self) -> str:
        """The path, the size and the time: a push only appends."""
        found = self._upload.entry(self._below)
        return f"{self._upload.name}/{self._below} {found.size} {found.mtime_ns}"

    def attributes(self) -> Attributes:
        """Tell the stored file's own."""
        found = self._upload.entry(self._below)
        return Attributes(NodeType.FILE, self.inode, 1, found.size, found.blocks, found.mtime_ns)

    def open(self) -> Content:
        """Open the stored file."""
        return self._upload.open(self._below)
