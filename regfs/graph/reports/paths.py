"""From the index's numbers to paths of the mounted tree: where an image shows, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from regfs.graph.index import Role, Snapshot
from regfs.graph.index import holders as index_of_holders
from regfs.graph.index.repositories import has_repository
from regfs.oci import naming

#: No image is deeper than this in indexes; the tree ends there as well.
_DEEPEST = 16


class Holder(NamedTuple):
    """A manifest that names a blob: where it shows, the blob's role in it, and the blob's own path."""

    image: str
    role: Role
    path: str


class Paths:
    """Paths of one state of the index."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def images(self, manifest: int) -> Iterator[str]:
        """Give every path at which a manifest shows as a directory: tags, untagged revisions, in indexes."""
        return self._images(manifest, _DEEPEST)

    def _images(self, manifest: int, depth: int) -> Iterator[str]:
        for repository, tag in index_of_holders.tags_of(self._snapshot, manifest):
            yield self.tag(repository, tag)
        if depth:
            for parent, platform in index_of_holders.parents_of(self._snapshot, manifest):
                for path in self._images(parent, depth - 1):
                    yield f"{path}/{naming.PLATFORMS}/{platform}"
        for repository, digest in index_of_holders.untagged_names_of(self._snapshot, manifest):
            yield f"{repository}/{naming.revision_name(digest)}"

    def tag(self, repository: str, tag: str) -> str:
        """Give the path of a tag."""
        nested = has_repository(self._snapshot, f"{repository}/{tag}")
        return f"{repository}/{naming.tag_name(tag, ambiguous=nested)}"

    def holders(self, blob: int) -> Iterator[Holder]:
        """Give every image that holds a blob, and as what; first those where the blob is itself the image."""
        return self._holders(blob, {blob})

    def _holders(self, blob: int, names: set[int]) -> Iterator[Holder]:
        """As above; `names` are known to be the blob's: in a damaged store they may lead in a circle."""
        for image in self.images(blob):
            yield Holder(image, Role.CHILD, f"{image}/{naming.MANIFEST}")
        for held in index_of_holders.manifests_that_name(self._snapshot, blob):
            if held.role is Role.ALIAS:
                if held.manifest not in names:
                    names.add(held.manifest)
                    yield from self._holders(held.manifest, names)
            else:
                below = "" if held.role is Role.REFERRER else f"/{self._name(held)}"
                for image in self.images(held.manifest):
                    yield Holder(image, held.role, f"{image}{below}")

    def _name(self, held: index_of_holders.HeldIn) -> str:
        if held.role is Role.CONFIG:
            return naming.CONFIG
        count = index_of_holders.count_layers(self._snapshot, held.manifest)
        return f"{naming.LAYERS}/{naming.layer_name(held.position, count, held.media_type, held.title)}"

    def example(self, blob: int) -> str:
        """Give one path of a blob, the same as long as the index says the same; empty for an orphan."""
        found = next(self.holders(blob), None)
        return found.path if found else ""
