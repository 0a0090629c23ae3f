"""A manifest as a directory.

    <image>/manifest.json   config.json   layers/00.tar.gz …
    <index>/manifest.json   platforms/<os-arch[-variant]>/   config.json ->   layers ->
    <index of layers>/manifest.json   platforms/   layers/00.tar.gz …      a build cache
    <artifact>/manifest.json   config.json   layers/<title> …      a signature, an SBOM, a chart

and, which no listing shows, `<image>/rootfs/`, `<index>/rootfs ->`, and what `interop` has for other tools.

Three things lead to a manifest: a tag (tag.py), a digest (`@sha256:…`), an index that has it as a child.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import ClassVar

from regfs.errors import (
    DamageError,
    NestingError,
    NoEntryError,
    NoFileSystemError,
    NotKnownError,
    RegfsError,
    StoreError,
)
from regfs.graph.outline import Named, Outline, platform_of
from regfs.oci import Descriptor, Digest, ImageManifest, Index, Manifest, Schema1Manifest, naming
from regfs.oci.platform import choose
from regfs.tree import inode, inside, interop
from regfs.tree.blob import BlobFile, MadeConfig, entry_of_blob
from regfs.tree.interop.names import is_interop_name
from regfs.tree.layers import FIRST_LAYER, LayersDirectory
from regfs.tree.link import FixedLink
from regfs.tree.node import Attributes, Child, Directory, Node, NodeType, Part
from regfs.tree.scope import Scope

#: Docker builds indexes of images, OCI allows indexes of indexes; two deep is the most ever seen.
DEEPEST_INDEX = 16

#: What an index shows as its own, of its default platform; the last is in no listing.
_INHERITED = (naming.CONFIG, naming.LAYERS)
_HIDDEN = naming.ROOTFS

#: The numbers of a manifest's parts (`Node.part`), by their names; those of `layers/` follow.
_PARTS = {naming.MANIFEST: 1, naming.CONFIG: 2, naming.LAYERS: 3, naming.PLATFORMS: 4}
_NAMES = {number: name for name, number in _PARTS.items()}


class ManifestDirectory(Directory):
    """The directory of one manifest. `depth` counts the indexes that lead to it."""

    __slots__ = ("_depth", "_scope")

    XATTRS: ClassVar[tuple[str, ...]] = ("digest", "media_type", "kind", "created")

    def __init__(self, scope: Scope, number: int, depth: int = 0) -> None:
        super().__init__(number)
        self._scope = scope
        self._depth = depth

    @abc.abstractmethod
    def digest(self) -> Digest:
        """Tell which manifest this is now. Raises what is wrong with the link that names it."""

    @property
    def tag(self) -> str:
        """The tag that leads here, or empty."""
        return ""

    def named(self) -> interop.NamedImage:
        """Give the manifest with its name, for other tools. Raises what is wrong with it."""
        return self._image(self._outline(self.digest()))

    def _image(self, outline: Outline) -> interop.NamedImage:
        digest = outline.itself.digest
        return interop.NamedImage(self._scope, digest, self._manifest(digest), self.tag)

    def _outline(self, digest: Digest) -> Outline:
        """Tell what the manifest names. A question reads the digest once: the tag may move before the next.

        Raises DamageError, ManifestError, StoreError.
        """
        if self._depth > DEEPEST_INDEX:
            raise NestingError(str(digest), DEEPEST_INDEX)
        return self._scope.graph.outline(self._scope.repository, digest)

    def _manifest(self, digest: Digest) -> Manifest:
        """Read the manifest itself. Raises DamageError, ManifestError, StoreError."""
        return self._scope.graph.manifest(self._scope.repository, digest)

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells: the time is the manifest's, when it was stored."""
        try:
            mtime_ns = self._scope.graph.blob(self._scope.repository, self.digest()).mtime_ns
        except (DamageError, StoreError):
            return Attributes.of_directory(self.inode, 0)
        return Attributes.of_directory(self.inode, mtime_ns, lasting=True)

    def children(self) -> Iterable[Child]:
        """List the manifest, the config and the layers; or an index's platforms."""
        outline = self._listed()
        for name in self._names(outline):
            yield Child.of(name, self._child(outline, name))

    def entries(self) -> Iterator[tuple[Child, Attributes | None]]:
        """List them with what stat(2) tells of each."""
        outline = self._listed()
        for name in self._names(outline):
            named = self._stored_file(outline, name)
            if named is None:
                yield from self._with_attributes([Child.of(name, self._child(outline, name))])
            else:
                yield entry_of_blob(self._scope, name, named, self, _PARTS[name])

    def _listed(self) -> Outline:
        """Tell what the manifest names to whoever lists that."""
        outline = self._outline(self.digest())
        self._scope.graph.listed(self._scope.repository, outline)
        return outline

    def _names(self, outline: Outline) -> list[str]:
        names = [naming.MANIFEST]
        if outline.indexes:
            names.append(naming.PLATFORMS)
            if outline.layers:
                names.append(naming.LAYERS)
            elif self._default(outline) is not None:
                names.extend(_INHERITED)
        else:
            names.append(naming.LAYERS)
            if outline.schema1 or outline.config is not None:
                names.append(naming.CONFIG)
        return names

    @staticmethod
    def _stored_file(outline: Outline, name: str) -> Named | None:
        """Give the blob that a name stands for, if it is one of the manifest's own."""
        if name == naming.MANIFEST:
            return outline.itself
        if name == naming.CONFIG and not outline.schema1 and not outline.indexes:
            return outline.config
        return None

    def lookup(self, name: str) -> Node:
        """Find one of them."""
        return self._child(self._outline(self.digest()), name)

    def member(self, number: int) -> Node:
        """Find the node that has a number as its `part`. Raises NoEntryError."""
        outline = self._outline(self.digest())
        if number >= FIRST_LAYER:
            return LayersDirectory(self._scope, self, outline).member(number)
        return self._child(outline, _NAMES.get(number, ""))

    def name_of(self, number: int) -> str:
        """Give the name that leads to such a node, from here. Raises what is wrong with the manifest."""
        if number < FIRST_LAYER:
            return _NAMES.get(number, "?")
        layers = LayersDirectory(self._scope, self, self._outline(self.digest()))
        return f"{naming.LAYERS}/{layers.name_of(number)}"

    def lasts(self, child: Node) -> bool:
        """Tell whether a name stands for a child for ever: a manifest's parts are as fixed as itself."""
        return child.part > 0

    def indexes(self) -> bool:
        """Tell whether this is an index, as far as it can be read."""
        try:
            return self._outline(self.digest()).indexes
        except RegfsError:
            return False

    def damaged(self) -> int:
        """Count the blobs that the manifest names and that are not as it says; -1 if it cannot be read.

        Of an image, only what the index of the graph has seen: to look at one costs nothing then.
        """
        graph, repository = self._scope.graph, self._scope.repository
        try:
            outline = self._outline(self.digest())
        except RegfsError:
            return -1
        found = 0
        for named in (*([outline.config] if outline.config else []), *outline.layers, *outline.children):
            if named.seen is None and not outline.indexes:
                continue
            try:
                found += named.size not in (None, graph.look(repository, named).size)
            except RegfsError:
                found += 1
        return found

    def _child(self, outline: Outline, name: str) -> Node:
        if (named := self._stored_file(outline, name)) is not None:
            kind = outline.kind if name == naming.MANIFEST else "config"
            return BlobFile(self._scope, named, kind, self, part=_PARTS[name])
        if is_interop_name(name):
            return interop.child_of_image(self, self._image(outline), name)
        if outline.indexes:
            return self._index_child(outline, name)
        if name == naming.LAYERS:
            return LayersDirectory(self._scope, self, outline)
        if name == _HIDDEN and outline.kind == "image":
            merged = partial(self._merged, outline.itself.digest)
            return inside.TopDirectory(self, name, self._scope.opener, merged)
        if name == naming.CONFIG and outline.schema1:
            manifest = self._manifest(outline.itself.digest)
            assert isinstance(manifest, Schema1Manifest)  # noqa: S101 - its media type says so
            return MadeConfig(self, manifest.config, part=_PARTS[name])
        raise NoEntryError(name)

    def _index_child(self, index: Outline, name: str) -> Node:
        if name == naming.PLATFORMS:
            return PlatformsDirectory(self._scope, self, index, self._depth, self.tag)
        if index.layers:
            if name == naming.LAYERS:
                return LayersDirectory(self._scope, self, index)
        elif name in (*_INHERITED, _HIDDEN) and (default := self._default(index)) is not None:
            return FixedLink(self, name, f"platforms/{default}/{name}")
        raise NoEntryError(name)

    def _merged(self, digest: Digest) -> inside.MergedLayers:
        return inside.MergedLayers.of(self._scope.opener, self._scope.repository, self._manifest(digest))

    def image(self) -> tuple[Scope, ImageManifest | Schema1Manifest]:
        """Give the image, with what to read it; of an index, the one that it shows as its own.

        Raises NoFileSystemError for an artifact, NotKnownError if there is no image here either, and what is
        wrong with the manifest.
        """
        outline = self._outline(self.digest())
        manifest = self._manifest(outline.itself.digest)
        if not isinstance(manifest, Schema1Manifest) and manifest.kind not in ("image", "index"):
            raise NoFileSystemError(str(self.digest()), manifest.telling_type)
        if isinstance(manifest, Index):
            default = self._default(outline)
            child = default and self.lookup(naming.PLATFORMS)
            if not isinstance(child, PlatformsDirectory) or default is None:
                raise NotKnownError(
                    str(self.digest()), f"an index without an image for {self._scope.platform}"
                )
            return child.lookup(default).image()
        return self._scope, manifest

    def _default(self, index: Outline) -> str | None:
        """Name the child whose config and layers the index shows as its own, if it is stored."""
        position = choose([platform_of(child) for child in index.children], self._scope.platform)
        if position is None:
            return None
        child = index.children[position]
        return child.platform if self._scope.graph.stored(self._scope.repository, child) else None

    def facts(self) -> Mapping[str, str]:
        """Tell digest, media type, kind and when it was built, as far as the store tells."""
        facts: dict[str, str] = {}
        try:
            digest = self.digest()
            facts["digest"] = str(digest)
            manifest = self._manifest(digest)
            facts["media_type"] = manifest.media_type
            facts["kind"] = manifest.kind
            facts["created"] = self._created(manifest)
        except RegfsError:
            pass  # what is damaged is left out here; entering the directory says why
        return facts

    def _created(self, manifest: Manifest) -> str:
        """Tell when an image was built; for an index, when the default platform's was."""
        graph, repository = self._scope.graph, self._scope.repository
        if isinstance(manifest, Index):
            position = choose([child.platform for child in manifest.children], self._scope.platform)
            if position is None:
                return ""
            manifest = graph.manifest(repository, manifest.children[position].digest)
        config = None if isinstance(manifest, Index) else graph.config(repository, manifest)
        return config.created if config else ""


class RevisionDirectory(ManifestDirectory):
    """A manifest by its digest: `@sha256:…`, or a child of an index."""

    __slots__ = ("_digest",)

    def __init__(self, scope: Scope, number: int, digest: Digest, depth: int = 0) -> None:
        super().__init__(scope, number, depth)
        self._digest = digest

    def digest(self) -> Digest:
        """Tell which manifest this is: always the same."""
        return self._digest


class SparseDirectory(RevisionDirectory):
    """A manifest that need not be stored: it is an empty directory then, which is no damage."""

    __slots__ = ("_named",)

    def __init__(self, scope: Scope, number: int, named: Named, depth: int = 0) -> None:
        super().__init__(scope, number, named.digest, depth)
        self._named = named

    def _stored(self) -> bool:
        return self._scope.graph.stored(self._scope.repository, self._named)

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells: the time is the manifest's, when it was stored."""
        try:
            mtime_ns = self._scope.graph.look(self._scope.repository, self._named).mtime_ns
        except (DamageError, StoreError):
            mtime_ns = 0
        return Attributes.of_directory(self.inode, mtime_ns)

    def children(self) -> Iterable[Child]:
        """List as any manifest's, or nothing."""
        return super().children() if self._stored() else ()

    def entries(self) -> Iterator[tuple[Child, Attributes | None]]:
        """List as any manifest's, or nothing."""
        return super().entries() if self._stored() else iter(())

    def lookup(self, name: str) -> Node:
        """Find as in any manifest's, or nothing."""
        if not self._stored():
            raise NoEntryError(name)
        return super().lookup(name)


class ChildDirectory(SparseDirectory):
    """A child of an index, which may be sparse. `index` is the digest of that."""

    __slots__ = ("_index", "_tag")

    XATTRS = (*ManifestDirectory.XATTRS, "platform")

    def __init__(self, scope: Scope, number: int, index: Digest, named: Named, depth: int, tag: str) -> None:
        super().__init__(scope, number, named, depth)
        self._index = index
        self._tag = tag

    @property
    def tag(self) -> str:
        """The tag of the index."""
        return self._tag

    def facts(self) -> Mapping[str, str]:
        """Tell what the index says besides."""
        facts = dict(super().facts())
        with suppress(RegfsError):
            descriptor = self._descriptor()
            if descriptor.platform is not None:
                facts["platform"] = str(descriptor.platform)
            if descriptor.attestation:
                facts["kind"] = "attestation"
        return facts

    def _descriptor(self) -> Descriptor:
        index = self._manifest(self._index)
        assert isinstance(index, Index)  # noqa: S101 - nothing else has children
        return index.children[self._named.position]


class PlatformsDirectory(Part):
    """`platforms/`: a directory for each child of an index, in its order."""

    part = _PARTS[naming.PLATFORMS]

    __slots__ = ("_depth", "_index", "_scope", "_tag")

    def __init__(self, scope: Scope, parent: Directory, index: Outline, depth: int, tag: str) -> None:
        super().__init__(parent, naming.PLATFORMS)
        self._tag = tag
        self._scope = scope
        self._depth = depth
        self._index = index

    def children(self) -> Iterable[Child]:
        """List the children by their platforms."""
        for child in self._index.children:
            yield Child(child.platform, NodeType.DIRECTORY, inode.of_child(self.inode, child.platform))

    def lookup(self, name: str) -> ChildDirectory:
        """Find the child of that platform."""
        for child in self._index.children:
            if child.platform == name:
                number = inode.of_child(self.inode, name)
                index = self._index.itself.digest
                return ChildDirectory(self._scope, number, index, child, self._depth + 1, self._tag)
        raise NoEntryError(name)
