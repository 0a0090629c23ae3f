"""The graph of one storage, its manifests: what each names, and what a config says.

What lies under a digest never changes, and is kept as long as there is room.
"""

from __future__ import annotations

from regfs.errors import BlobMissingError, ManifestError, MismatchError, MissingError
from regfs.graph.blobs import Means, StoredBlobs
from regfs.graph.cache import COST_OF_ENTRY, Cache, for_ever
from regfs.graph.outline import Outline
from regfs.oci import Digest, ImageConfig, ImageManifest, Manifest, Schema1Manifest, parse_manifest
from regfs.oci.kinds import media_type_of
from regfs.registry.contents import CONFIG_LIMIT, MANIFEST_LIMIT

#: Bytes of memory for each cache.
_ROOM_FOR_OUTLINES = 512 << 10
_ROOM_FOR_MANIFESTS = 8 << 20
_ROOM_FOR_CONFIGS = 4 << 20

#: What one byte of a manifest costs in memory; measured as COST_OF_ENTRY (4.0 to 4.4).
_COST_OF_PARSED = 5


class KnownManifests(StoredBlobs):
    """Manifests and configs by their digests."""

    def __init__(self, means: Means) -> None:
        super().__init__(means)
        self._outlines: Cache[Digest, Outline] = for_ever(_ROOM_FOR_OUTLINES, _size_of_outline)
        self._manifests: Cache[Digest, Manifest] = for_ever(_ROOM_FOR_MANIFESTS, _size_of_manifest)
        self._configs: Cache[Digest, ImageConfig] = for_ever(_ROOM_FOR_CONFIGS // COST_OF_ENTRY)

    def outline(self, name: str, digest: Digest) -> Outline:
        """Tell what a manifest names. Raises BlobMissingError, MismatchError, ManifestError, StoreError."""
        found = self._outlines.get(digest)
        if found is None and self._aside.busy:
            self._aside.join(("outline", name, digest))
            found = self._outlines.get(digest)
        if found is None or self._outdated(found):
            found = self._known.outline(digest) if self._known else None
            if found is None:
                found = Outline.of_manifest(digest, self.manifest(name, digest))
                if self._keeper is not None:
                    self._keeper.outline(found)
            self._outlines.put(digest, found)
        if self.told(name, found.itself).size != found.itself.size:
            self.manifest(name, digest)  # raises what is wrong with it
        return found

    def _outdated(self, outline: Outline) -> bool:
        """Tell whether the index may say more of the blobs that an outline names by now."""
        seen = outline.itself.seen
        return seen is not None and self._known is not None and seen.version != self._known.version

    def manifest(self, name: str, digest: Digest) -> Manifest:
        """Read a manifest; its content is checked against its digest.

        Raises BlobMissingError, MismatchError, ManifestError, StoreError.
        """
        return self._manifests.through(digest, lambda: self._read_manifest(name, digest))

    def _read_manifest(self, name: str, digest: Digest) -> Manifest:
        raw = self._read_checked(name, digest, MANIFEST_LIMIT)
        try:
            return parse_manifest(raw)
        except ManifestError as error:
            raise ManifestError(f"manifest {digest}: {error}") from error

    def config(self, name: str, image: ImageManifest | Schema1Manifest) -> ImageConfig | None:
        """Read an image's config, or None for an artifact's, which may be anything.

        Raises BlobMissingError, ConfigError, StoreError.
        """
        if isinstance(image, Schema1Manifest):
            return ImageConfig.parse(image.config)
        if image.config is None or image.kind != "image":
            return None
        digest = image.config.digest
        return self._configs.through(
            digest, lambda: ImageConfig.parse(self._read_checked(name, digest, CONFIG_LIMIT))
        )

    def media_type(self, name: str, digest: Digest) -> str:
        """Tell a blob's media type by its own content: empty for what is not JSON.

        Raises BlobMissingError, StoreError.
        """
        return media_type_of(self._read_blob(name, digest, CONFIG_LIMIT)) or ""

    def _read_checked(self, name: str, digest: Digest, limit: int) -> bytes:
        """Read a whole blob whose content must have its digest. Raises MismatchError besides."""
        raw = self._read_blob(name, digest, limit)
        if digest.computable and (found := Digest.of(raw, digest.algorithm)) != digest:
            raise MismatchError(str(digest), str(found))
        return raw

    def _read_blob(self, name: str, digest: Digest, limit: int) -> bytes:
        stored = self.blob(name, digest).digest
        try:
            return self._contents.read_blob(stored, limit)
        except MissingError as error:
            raise BlobMissingError(str(digest)) from error


def _size_of_outline(outline: Outline) -> float:
    return COST_OF_ENTRY * (1 + len(outline.layers) + len(outline.children))


def _size_of_manifest(manifest: Manifest) -> float:
    return COST_OF_ENTRY + _COST_OF_PARSED * len(manifest.raw)
