"""Random pushes that tell a chronicle what changes when, some of them of images with real layers."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

from tests.builder import Blob
from tests.builder.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.registry.collector import Collection, digest_of
from tests.registry.random_pushes import TAGS, Manifest, RandomPushes
from tests.registry.server import Registry
from tests.soak.chronicle import Chronicle, Span, revision
from tests.soak.images import Inside, Layers, inside
from tests.soak.tally import WRITE, Tally

#: All that is done, by weight.
ALL: Mapping[str, int] = {
    "push_real_image": 30,
    "push_new_image": 14,
    "push_index": 10,
    "push_referrer": 5,
    "tag_again": 10,
    "copy_image": 8,
    "push_deleted_again": 5,
    "delete": 8,
    "delete_tag": 6,
    "leave_upload": 2,
    "push_blob_alone": 2,
}

#: What no collection at the same time can do harm to: whatever else is pushed meanwhile it may take.
HARMLESS: Mapping[str, int] = {"delete": 5, "delete_tag": 3, "leave_upload": 2}


class ChronicledPushes(RandomPushes):
    """Random pushes, some of them of images with real layers, that tell a chronicle what changes when."""

    def __init__(self, registry: Registry, seed: int, chronicle: Chronicle) -> None:
        super().__init__(registry.api, seed)
        self._chronicle = chronicle
        self._layers = Layers(random.Random(seed + 1))
        #: What is inside the images that have real layers, by the manifest's digest.
        self.insides: dict[str, Inside] = {}

    # --- what is told ------------------------------------------------------------------------------

    def _serve(self, repository: str, digest: str) -> None:
        before = digest in self.stored
        with self._chronicle.spanned(
            lambda span: None if before else self._chronicle.changed([digest], span)
        ):
            super()._serve(repository, digest)

    def _push(self, repository: str, tag: str | None, manifest: Manifest) -> None:
        digest = manifest.blob.digest
        self._chronicle.learnt(manifest)
        before = {digest: self.stored, revision(repository, digest): self._held(repository)}
        came = [key for key, there in before.items() if key not in there]

        def note(span: Span) -> None:
            self._chronicle.changed(came, span)
            if tag:
                self._chronicle.tagged(repository, tag, digest, span)

        with self._chronicle.spanned(note):
            super()._push(repository, tag, manifest)

    def _held(self, repository: str) -> set[str]:
        return {revision(repository, digest) for digest in self.revisions[repository]}

    def delete(self, repository: str, digest: str) -> None:
        with self._chronicle.spanned(lambda span: self._gone(repository, digest, span)):
            super().delete(repository, digest)

    def _gone(self, repository: str, digest: str, span: Span) -> None:
        self._chronicle.changed([revision(repository, digest)], span)
        for tag in TAGS:
            if digest in self._chronicle.named(repository, tag, Span(span.end, span.end)):
                self._chronicle.tagged(repository, tag, None, span)

    def collected_in(self, collection: Collection, span: Span) -> None:
        """Note what a collection has deleted at some time of a span."""
        self._chronicle.changed(collection.blobs, span)
        for repository, digest in collection.manifests:
            self._gone(repository, digest, span)
        super().collected(collection)

    def harmed(self) -> set[tuple[str, str]]:
        """Name the manifests that lack something, by repository: a blob, or a child."""
        return {
            (repository, digest)
            for repository, there in self.revisions.items()
            for digest in there
            if not self._whole(repository, digest)
        }

    def _whole(self, repository: str, digest: str) -> bool:
        manifest = self.revisions[repository].get(digest)
        if manifest is None or not self.stored.keys() >= {*manifest.holds}:
            return False
        return all(self._whole(repository, child) for child in manifest.children)

    # --- what is done besides ----------------------------------------------------------------------

    def do_one(self, kinds: Mapping[str, int], tally: Tally) -> None:
        """Do one thing, of a kind chosen by weight."""
        (name,) = self._random.choices(list(kinds), list(kinds.values()))
        tally.did(f"{WRITE}{name}")
        getattr(self, f"_{name}")()

    def _push_real_image(self) -> None:
        repository, layers = self._repository(), self._layers.choose()
        config = self._layers.config(layers)
        contents = {layer.digest: layer.stored for layer in layers} | {digest_of(config): config}
        for digest, content in contents.items():
            self._contents[digest] = content
            self._serve(repository, digest)
        described = [Blob(layer.digest, len(layer.stored), layer.media_type).descriptor() for layer in layers]
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": Blob(digest_of(config), len(config), OCI_CONFIG).descriptor(),
            "layers": described,
        }
        body = json.dumps(document).encode()
        blob = Blob(digest_of(body), len(body), OCI_MANIFEST)
        self.insides[blob.digest] = inside(layers)
        holds = (digest_of(config), *(layer.digest for layer in layers))
        self._push(repository, self._tag(), Manifest(blob, body, holds=holds))

    def _delete_tag(self) -> None:
        """Delete what a tag names: registries before 3 know no other way to delete a tag."""
        repository = self._repository()
        tags = [tag for name, tag in self.tags if name == repository]
        if tags:
            digest = self._api.manifest(repository, self._random.choice(tags)).digest
            named = {child for manifest in self.revisions[repository].values() for child in manifest.children}
            if digest not in named:
                self.delete(repository, digest)
