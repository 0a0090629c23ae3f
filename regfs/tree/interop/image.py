"""What belongs to an image: its manifest and all blobs that the manifest leads to.

What a loader takes of an index is the image for its machine. So what that one lacks stays in, as an error to
read; what the images for other platforms lack is left out, for a sparse index is no damage.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from regfs.errors import BlobMissingError, NestingError, RegfsError, StoreAwayError
from regfs.graph.outline import Named
from regfs.oci import Descriptor, Digest, ImageManifest, Index, Manifest, Schema1Manifest
from regfs.oci.platform import choose
from regfs.tree.scope import Scope

_log = logging.getLogger(__name__)

#: As deep as the tree shows indexes in indexes.
_DEEPEST = 16


class NamedImage(NamedTuple):
    """A manifest with what reads it, and the tag that led there; empty if a digest did."""

    scope: Scope
    digest: Digest
    manifest: Manifest
    tag: str

    @property
    def name(self) -> str:
        """The name that programs give the image: `HOST/team/app:1.0`; empty without a tag."""
        if not self.tag:
            return ""
        host = f"{self.scope.registry}/" if self.scope.registry else ""
        return f"{host}{self.scope.repository}:{self.tag}"

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the manifest."""
        return describe(self.digest, self.manifest)


def tagged_images(scope: Scope) -> list[NamedImage]:
    """Read what all tags of a repository name, but schema 1.

    Without those that cannot be read: they are no reason to have none of the others. The log names them.
    """
    graph, repository = scope.graph, scope.repository
    found = []
    for tag in graph.listing(repository).tags:
        try:
            digest = graph.tag(repository, tag)
            image = NamedImage(scope, digest, graph.manifest(repository, digest), tag)
        except StoreAwayError:
            raise
        except RegfsError as error:
            _log.warning("%s: the layout of all tags is without %s: %s", repository, tag, error)
            continue
        if not isinstance(image.manifest, Schema1Manifest):
            found.append(image)
    return found


class ImageMember(NamedTuple):
    """One blob of an image: how the image names it, and whether it is a `manifest`, `config` or `layer`."""

    descriptor: Descriptor
    role: str
    kind: str

    @property
    def named(self) -> Named:
        """The blob as the graph and the tree name it."""
        return as_named(self.descriptor)


@dataclass(slots=True)
class Members:
    """All blobs of some images, each digest once; and what is left out, in words.

    In the order in which a reader wants them: manifests, configs, layers.
    """

    manifests: dict[Digest, ImageMember] = field(default_factory=dict)
    configs: dict[Digest, ImageMember] = field(default_factory=dict)
    layers: dict[Digest, ImageMember] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[ImageMember]:
        seen: set[Digest] = set()
        for part in (self.manifests, self.configs, self.layers):
            for digest, member in part.items():
                if digest not in seen:
                    seen.add(digest)
                    yield member

    def add(self, image: NamedImage) -> None:
        """Add an image. Raises what is wrong with the manifests that lead to the image of the platform."""
        ImageWalk(image.scope, self).manifest(image.digest, image.manifest, mine=True, depth=0)


class ImageWalk(NamedTuple):
    """Adds what a manifest leads to. `mine`: it is, or leads to, the image of the scope's platform."""

    scope: Scope
    members: Members

    def manifest(self, digest: Digest, manifest: Manifest, *, mine: bool, depth: int) -> None:
        """Add a manifest, and what it names."""
        self.members.manifests[digest] = ImageMember(describe(digest, manifest), "manifest", manifest.kind)
        if isinstance(manifest, Index):
            default = default_child(self.scope, manifest) if mine else None
            for child in manifest.children:
                self._child(child, mine=child is default, depth=depth + 1)
        if isinstance(manifest, ImageManifest) and manifest.config is not None:
            self._blob(manifest.config, "config", mine=mine)
        for layer in manifest.layers:
            self._blob(layer, "layer", mine=mine)

    def _child(self, child: Descriptor, *, mine: bool, depth: int) -> None:
        graph, repository = self.scope.graph, self.scope.repository
        if depth > _DEEPEST:
            raise NestingError(str(child.digest), _DEEPEST)
        try:
            manifest = graph.manifest(repository, child.digest)
        except StoreAwayError:
            raise
        except RegfsError as error:
            if mine:
                raise
            self.members.left_out.append(f"{child.platform or 'a manifest'}: {error}")
            return
        self.manifest(child.digest, manifest, mine=mine, depth=depth)

    def _blob(self, descriptor: Descriptor, role: str, *, mine: bool) -> None:
        graph, repository = self.scope.graph, self.scope.repository
        if is_foreign(self.scope, descriptor):
            return
        if not mine:
            try:
                graph.sound_blob(repository, descriptor)
            except StoreAwayError:
                raise
            except RegfsError as error:
                self.members.left_out.append(f"a {role}: {error}")
                return
        part = self.members.configs if role == "config" else self.members.layers
        part[descriptor.digest] = ImageMember(descriptor, role, role)


def describe(digest: Digest, manifest: Manifest) -> Descriptor:
    """Give the descriptor of a stored manifest: its own media type, whichever that is."""
    artifact_type = "" if not isinstance(manifest, ImageManifest | Index) else manifest.artifact_type
    return Descriptor(manifest.media_type, digest, len(manifest.raw), artifact_type=artifact_type)


def as_named(descriptor: Descriptor) -> Named:
    """Give what a descriptor says of a blob, as the graph takes it."""
    return Named(0, 0, descriptor.digest, descriptor.size, descriptor.media_type)


def is_foreign(scope: Scope, descriptor: Descriptor) -> bool:
    """Tell whether a layer is kept elsewhere: no registry stores it."""
    return bool(descriptor.urls) and not scope.graph.stored(scope.repository, as_named(descriptor))


def default_child(scope: Scope, index: Index) -> Descriptor | None:
    """Choose the child of an index that is the image of the scope's platform, if it is stored."""
    position = choose([child.platform for child in index.children], scope.platform)
    if position is None:
        return None
    child = index.children[position]
    return child if scope.graph.stored(scope.repository, as_named(child)) else None


def image_for_platform(image: NamedImage) -> ImageManifest | None:
    """Find the image of files that a machine of the scope's platform would run; None for an artifact."""
    scope, manifest = image.scope, image.manifest
    for _ in range(_DEEPEST):
        if isinstance(manifest, Index):
            child = default_child(scope, manifest)
            if child is None:
                return None
            manifest = scope.graph.manifest(scope.repository, child.digest)
        else:
            return manifest if isinstance(manifest, ImageManifest) and manifest.kind == "image" else None
    return None


def stored_size(scope: Scope, descriptor: Descriptor) -> int:
    """Tell how many bytes a blob has, or should have. Raises what is wrong if nobody tells."""
    if descriptor.size is not None:
        return descriptor.size
    return scope.graph.blob(scope.repository, descriptor.digest).size


def lacking(scope: Scope, members: Members) -> list[str]:
    """Tell in words which blobs of images are missing or have another size."""
    found = []
    for member in members:
        try:
            scope.graph.sound_blob(scope.repository, member.descriptor)
        except StoreAwayError:
            raise
        except BlobMissingError as error:
            size = "" if member.descriptor.size is None else f", {member.descriptor.size} bytes"
            found.append(f"a {member.role}{size}: {error}")
        except RegfsError as error:
            found.append(f"a {member.role}: {error}")
    return found
