"""What the API of other versions said of the stores that they wrote, and how a mount differs from it.

`stores/truth.json` was cut by pack.py from what the running registries answered:

    manifests   what each manifest is: type, size, config, layers, children
    dropped     digests and sizes of the blobs that are left out of the packed stores
    stores      of each store: repositories (whether the catalog had them), tags with status and digest,
                revisions with the status of asking for them, blobs that a repository did not serve;
                and the children of its sparse indexes that it lacks
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.registry.served import default_platform, layer_name, platform_names
from tests.registry.shown import UNKNOWN, Failure, File, Image, Link, digest_of

PACKED = Path(__file__).parent / "stores"

#: The artifact whose only layer has a title, and that: truth.json has none.
TITLES = {"sha256:8714a78c1f7abc90cbc65d236fb8d298803e5867b78523f7443866ea3cdb00c9": "sbom.json"}

Document = Mapping[str, Any]


class Truth:
    """`absent` are the blobs that the stores at hand lack on purpose."""

    def __init__(self, document: Document, *, absent: Mapping[str, int]) -> None:
        self.manifests: Mapping[str, Document] = document["manifests"]
        self.stores: Mapping[str, Document] = document["stores"]
        self.absent = absent

    @classmethod
    def packed(cls) -> Truth:
        document = json.loads((PACKED / "truth.json").read_text())
        return cls(document, absent=document["dropped"])

    def tags(self, store: str, *, served: bool) -> list[tuple[str, str, str]]:
        """List repository, tag and digest of the tags that the API served, or of those it failed on."""
        return [
            (repository, tag, digest)
            for repository, found in self.stores[store]["repositories"].items()
            for tag, (status, digest) in found["tags"].items()
            if (status == 200) == served
        ]

    def differences(self, store: str, shown: Image, digest: str) -> Iterator[str]:
        """Say in which points an image that a mount of a store shows is not the manifest of this digest."""
        truth = self.manifests[digest]
        if shown.manifest.digest != digest:
            yield f"manifest.json is {shown.manifest.digest}, not {digest}"
        if shown.manifest.size != truth.get("size", len(shown.manifest.body)):
            yield f"manifest.json has {shown.manifest.size} bytes, not {truth['size']}"
        if truth["type"].endswith(".v1+prettyjws"):
            yield from self._schema1(shown, truth)
        elif "children" in truth:
            yield from self._children(store, shown, truth["children"])
        else:
            yield from self._image(shown, truth)

    def _image(self, shown: Image, truth: Document) -> Iterator[str]:
        assert shown.config is not None
        yield from self._file(shown.config, "config.json", truth["config"])
        if len(shown.layers) != len(truth["layers"]):
            yield f"{len(shown.layers)} layers, not {len(truth['layers'])}"
        for position, (layer, want) in enumerate(zip(shown.layers, truth["layers"], strict=False)):
            numbered = layer_name(position, len(truth["layers"]), want["mediaType"])
            yield from self._file(layer, TITLES.get(shown.manifest.digest, numbered), want)

    def _schema1(self, shown: Image, truth: Document) -> Iterator[str]:
        base_first = truth["fsLayers"][::-1]
        if len(shown.layers) != len(base_first):
            yield f"{len(shown.layers)} layers, not {len(base_first)}"
        for position, (layer, digest) in enumerate(zip(shown.layers, base_first, strict=False)):
            # Schema 1 tells no sizes: of one that is not stored nobody knows it.
            size = UNKNOWN if digest in self.absent else layer.size
            want = {"digest": digest, "size": size}
            yield from self._file(layer, f"{position:02}.tar.gz", want)

    def _children(self, store: str, shown: Image, children: list[Document]) -> Iterator[str]:
        names = platform_names(children)
        if set(shown.platforms) != set(names):
            yield f"platforms {sorted(shown.platforms)}, not {names}"
        if shown.default != default_platform(children):
            yield f"shows {shown.default} as its own, not {default_platform(children)}"
        for name, child in zip(names, children, strict=True):
            below = shown.platforms.get(name)
            if (below is None) != (child["digest"] in self.stores[store]["lacking"]):
                yield f"{name} is {'empty' if below is None else 'there'}"
            elif below is not None:
                points = self.differences(store, below, child["digest"])
                yield from (f"{name}: {point}" for point in points)

    def _file(self, file: File, name: str, want: Document) -> Iterator[str]:
        if file.name != name:
            yield f"{file.name} should be {name}"
        if "urls" in want:
            if file.content != Link(want["urls"][0]):
                yield f"{name} is {file.content!r}, not a link to {want['urls'][0]}"
            return
        if file.size != want["size"]:
            yield f"{name} has {file.size} bytes, not {want['size']}"
        if want["digest"] in self.absent:
            if file.content != Failure(errno.EIO):
                yield f"{name} is not stored, and reading it is no EIO"
        elif not isinstance(file.content, bytes):
            yield f"{name} cannot be read: {file.content!r}"
        elif len(file.content) != want["size"]:
            yield f"{name} gives {len(file.content)} bytes, not {want['size']}"
        elif digest_of(file.content, want["digest"].partition(":")[0]) != want["digest"]:
            yield f"{name} has the bytes of another digest than {want['digest']}"
