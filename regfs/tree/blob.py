"""Files of the tree: a stored blob, and the config that is made for schema 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from regfs.errors import BlobMissingError, DamageError, NoEntryError, RegfsError, StoreError
from regfs.graph import Graph
from regfs.graph.outline import Named
from regfs.graph.times import iso
from regfs.oci import Digest
from regfs.oci.media_types import DOCKER_CONFIG
from regfs.storage import Content
from regfs.tree import inode
from regfs.tree.node import Attributes, Child, Directory, File, NodeType
from regfs.tree.scope import Scope

#: Makes a named tuple in half the time that its own constructor takes; a walk makes one for each name.
_new = tuple.__new__

_FILE = NodeType.FILE


class BlobFile(File):
    """One stored blob, as a manifest of the scope's repository names it.

    The inode is the digest's wherever the blob shows, and the link count is always 2, so that `du` counts
    it once and `tar` and `rsync -H` copy it once. `fallback` is the directory whose time a blob has that
    is not stored.
    """

    __slots__ = ("_fallback", "_graph", "_kind", "_named", "_repository", "part")

    XATTRS = ("digest", "media_type", "kind", "stored")

    def __init__(self, scope: Scope, named: Named, kind: str, fallback: Directory, *, part: int = 0) -> None:
        self.part = part
        self._graph = scope.graph
        self._repository = scope.repository
        self._named = named
        self._kind = kind
        self._fallback = fallback
        super().__init__(_inode_of(scope, named.digest))

    @property
    def identity(self) -> str:
        """The digest."""
        return str(self._named.digest)

    def attributes(self) -> Attributes:
        """Tell the stored file's own size and time; of a damaged blob, the size that it should have.

        Where nobody knows that, raises what is wrong: a copy of a file without bytes would not fail.
        """
        return _attributes_of(self._graph, self._repository, self._named, self.inode, self._fallback)

    def facts(self) -> Mapping[str, str]:
        """Tell digest, media type, kind and the time of storing."""
        facts = {"digest": str(self._named.digest), "kind": self._kind}
        try:
            facts["stored"] = iso(self._graph.look(self._repository, self._named).mtime_ns)
            told = self._named.media_type
            facts["media_type"] = told or self._graph.media_type(self._repository, self._named.digest)
        except (DamageError, StoreError):
            facts.setdefault("stored", "no")
            facts["media_type"] = self._named.media_type
        return facts

    def open(self) -> Content:
        """Open the stored file. Raises BlobMissingError, SizeError, StoreError."""
        return self._graph.open_sound(self._repository, self._named)


def entry_of_blob(
    scope: Scope, name: str, named: Named, fallback: Directory, part: int
) -> tuple[Child, Attributes | None]:
    """Give a blob's file as a listing has it, without making it; None for what is wrong with it."""
    number = _inode_of(scope, named.digest)
    child = _new(Child, (name, _FILE, number, None, part))
    try:
        return child, _attributes_of(scope.graph, scope.repository, named, number, fallback)
    except RegfsError:
        return child, None


def _inode_of(scope: Scope, digest: Digest) -> int:
    """Give a blob's inode; looks only for one under a digest that no registry stores blobs under."""
    if digest.algorithm != "sha256":
        with suppress(DamageError, StoreError):
            digest = scope.graph.blob(scope.repository, digest).digest
    return inode.of_blob(digest)


def _attributes_of(
    graph: Graph, repository: str, want: Named, number: int, fallback: Directory
) -> Attributes:
    try:
        blob = graph.told(repository, want)
    except (DamageError, StoreError):
        if want.size is None:
            raise
        return Attributes.of_file(number, want.size, 0, fallback.attributes().mtime_ns)
    size = blob.size if want.size is None else want.size
    return Attributes.of_file(number, size, blob.blocks, blob.mtime_ns, lasting=blob.size == want.size)


class StoredFile(BlobFile):
    """A blob that is shown because it is stored, and for no other reason: if it was collected, it is gone."""

    __slots__ = ()

    def __init__(self, scope: Scope, digest: Digest, media_type: str, kind: str, fallback: Directory) -> None:
        super().__init__(scope, Named(0, 0, digest, None, media_type), kind, fallback)

    def attributes(self) -> Attributes:
        """Tell the stored file's own size and time. Raises NoEntryError."""
        with self._until_collected():
            return super().attributes()

    def open(self) -> Content:
        """Open the stored file. Raises NoEntryError, StoreError."""
        with self._until_collected():
            return super().open()

    @contextmanager
    def _until_collected(self) -> Iterator[None]:
        try:
            yield
        except BlobMissingError as error:
            raise NoEntryError(self.identity) from error


class BytesContent:
    """Content that was computed."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on."""
        piece = self._content[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Do nothing: memory frees itself."""


class MadeConfig(File):
    """The config of a schema 1 image: made from its manifest, and stored nowhere."""

    __slots__ = ("_config", "_image", "part")

    XATTRS = ("media_type", "kind")

    def __init__(self, image: Directory, config: bytes, *, part: int = 0) -> None:
        self.part = part
        super().__init__(inode.of_child(image.inode, "config.json"))
        self._image = image
        self._config = config

    @property
    def identity(self) -> str:
        """The digest of the computed bytes."""
        return str(Digest.of(self._config))

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes.of_computed(self.inode, len(self._config), self._image.attributes().mtime_ns)

    def facts(self) -> Mapping[str, str]:
        """Tell what it is."""
        return {"media_type": DOCKER_CONFIG, "kind": "config"}

    def open(self) -> Content:
        """Give the bytes."""
        return BytesContent(self._config)
