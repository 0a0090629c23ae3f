"""Whether a stored blob is what its digest says, before its first byte is sent.

The size says so, where a manifest that this process has served tells it. What no manifest told, or has
another size, is hashed once.
"""

from __future__ import annotations

import hashlib

from regfs.errors import MismatchError
from regfs.graph import Graph
from regfs.graph.blobs import Blob
from regfs.graph.cache import Cache, for_ever
from regfs.oci import Descriptor, Digest, ImageManifest, Manifest

#: Blobs that are remembered; each takes some 400 bytes.
_MOST = 20_000

_PIECE = 1 << 20


class Soundness:
    """What is known of the blobs of one store. Safe for many threads."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._told: Cache[tuple[Digest, int], bool] = for_ever(_MOST)
        self._hashed: Cache[tuple[Digest, Blob], str] = for_ever(_MOST)

    def note(self, manifest: Manifest) -> None:
        """Remember the sizes that a manifest tells."""
        config = manifest.config if isinstance(manifest, ImageManifest) else None
        entries: tuple[Descriptor, ...] = (*([config] if config else []), *manifest.layers)
        for entry in entries:
            if entry.size is not None:
                self._told.put((entry.digest, entry.size), True)

    def check(self, digest: Digest, blob: Blob) -> None:
        """See that a blob has its content, as far as that can be known. Raises MismatchError, StoreError."""
        if self._told.get((digest, blob.size)) or not digest.computable:
            return
        found = self._hashed.through((digest, blob), lambda: self._hash(digest, blob))
        if found != digest.hex:
            raise MismatchError(str(digest), f"{digest.algorithm}:{found}")

    def _hash(self, digest: Digest, blob: Blob) -> str:
        found = hashlib.new(digest.algorithm)
        buffer = memoryview(bytearray(_PIECE))
        content = self._graph.open_blob(blob.digest)
        try:
            offset = 0
            while got := content.read_into(buffer, offset):
                found.update(buffer[:got])
                offset += got
        finally:
            content.close()
        return found.hexdigest()
