"""`@blobs/sha256/<hex>/`: one blob by its digest.

data          its bytes
info.json     what it is, its size and date, who needs it
referrers/    a symlink to each image that holds it; the name is the image's path, with + for /
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from regfs.errors import DigestError, MissingError, NoEntryError
from regfs.graph.index.blobs import number_of
from regfs.graph.reports.explain import describe
from regfs.graph.reports.paths import Paths
from regfs.oci import Digest
from regfs.tree import inode
from regfs.tree.blob import StoredFile
from regfs.tree.link import FixedLink
from regfs.tree.node import Attributes, Child, Directory, Node, NodeType, Part
from regfs.tree.views.algorithms import OfAlgorithm
from regfs.tree.views.source import Source
from regfs.tree.views.text import TextFile

#: From `@blobs/<algorithm>/<hex>/referrers/` up to the root.
_TO_ROOT = "../../../../"

#: Occurs in no name of a repository, tag or platform, nor in a digest.
_FOR_SLASH = "+"


class BlobsOfAlgorithm(OfAlgorithm):
    """The blobs whose digests are of one algorithm."""

    __slots__ = ()
    dear = True

    def children(self) -> Iterable[Child]:
        """List every blob that is stored."""
        for digest in self._source.graph.blobs_of(self._algorithm):
            yield Child(digest.hex, NodeType.DIRECTORY, inode.of_child(self.inode, digest.hex))

    def lookup(self, name: str) -> Node:
        """Find one of them."""
        try:
            digest = Digest.parse(f"{self._algorithm}:{name}")
            self._source.graph.stored_file(digest)
        except (DigestError, MissingError):
            raise NoEntryError(name) from None
        return BlobDirectory(self._source, inode.of_child(self.inode, name), digest)


class BlobDirectory(Directory):
    """One blob. Its time is when it was stored."""

    __slots__ = ("_digest", "_source")
    dear = True

    XATTRS = ("digest",)

    def __init__(self, source: Source, number: int, digest: Digest) -> None:
        super().__init__(number)
        self._source = source
        self._digest = digest

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes.of_directory(self.inode, self._source.graph.stored_file(self._digest).mtime_ns)

    def facts(self) -> dict[str, str]:
        """Tell the digest."""
        return {"digest": str(self._digest)}

    def children(self) -> Iterable[Child]:
        """List the three."""
        yield Child("data", NodeType.FILE, inode.of_blob(self._digest))
        yield Child("info.json", NodeType.FILE, inode.of_child(self.inode, "info.json"))
        yield Child("referrers", NodeType.DIRECTORY, inode.of_child(self.inode, "referrers"))

    def lookup(self, name: str) -> Node:
        """Find one of them."""
        if name == "data":
            return StoredFile(self._source.scope(""), self._digest, "", "blob", self)
        if name == "info.json":
            return self._info()
        if name == "referrers":
            return ReferrersDirectory(self._source, self, self._digest)
        raise NoEntryError(name)

    def _info(self) -> TextFile:
        digest = str(self._digest)
        with self._source.reports().explaining(digest) as snapshot:
            found, when = describe(snapshot, digest), snapshot.changed
        text = msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
        return TextFile(text, inode.of_child(self.inode, "info.json"), when)


class ReferrersDirectory(Part):
    """`referrers/`: a symlink to each image that holds the blob."""

    __slots__ = ("_digest", "_source")
    dear = True

    def __init__(self, source: Source, parent: Directory, digest: Digest) -> None:
        super().__init__(parent, "referrers")
        self._source = source
        self._digest = digest

    def children(self) -> Iterable[Child]:
        """List the links."""
        return [
            Child(name, NodeType.SYMLINK, inode.of_child(self.inode, name)) for name in sorted(self._links())
        ]

    def lookup(self, name: str) -> Node:
        """Find one of them."""
        image = self._links().get(name)
        if image is None:
            raise NoEntryError(name)
        return FixedLink(self, name, _TO_ROOT + image)

    def _links(self) -> dict[str, str]:
        with self._source.references().snapshot() as snapshot:
            blob = number_of(snapshot, str(self._digest))
            holders = () if blob is None else Paths(snapshot).holders(blob)
            return {holder.image.replace("/", _FOR_SLASH): holder.image for holder in holders}
