"""A store on disk, written piece by piece."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.builder.layers import make_layer
from tests.builder.media_types import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
)

_OCI_LAYERS = {"gzip": "+gzip", "zstd": "+zstd", "xz": "+xz", "none": ""}


class Blob(NamedTuple):
    """A stored blob, as a descriptor would name it."""

    digest: str
    size: int
    media_type: str

    def descriptor(self, **more: object) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}


class StoreBuilder:
    """Writes `<root>/docker/registry/v2`, or another `below` the root."""

    def __init__(self, root: Path, below: str = "docker/registry/v2") -> None:
        self.root = root
        #: The time that files get which are written from now on; None is the real one.
        self.now: float | None = None
        self.v2 = root / below if below else root
        (self.v2 / "repositories").mkdir(parents=True)
        (self.v2 / "blobs" / "sha256").mkdir(parents=True)

    # --- paths -------------------------------------------------------------------------------------

    def data(self, digest: str) -> Path:
        algorithm, encoded = digest.split(":")
        return self.v2 / "blobs" / algorithm / encoded[:2] / encoded / "data"

    def repository(self, name: str) -> Path:
        return self.v2 / "repositories" / name

    def tag_link(self, repository: str, tag: str) -> Path:
        return self.repository(repository) / "_manifests" / "tags" / tag / "current" / "link"

    def revision_link(self, repository: str, digest: str) -> Path:
        return self.repository(repository) / "_manifests" / "revisions" / digest.replace(":", "/") / "link"

    def layer_link(self, repository: str, digest: str) -> Path:
        return self.repository(repository) / "_layers" / digest.replace(":", "/") / "link"

    # --- writing -----------------------------------------------------------------------------------

    def write(self, path: Path, content: bytes | str, mtime: float | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        mtime = self.now if mtime is None else mtime
        if mtime is not None:
            os.utime(path, (mtime, mtime))
        return path

    def blob(self, content: bytes, media_type: str = "application/octet-stream") -> Blob:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        path = self.data(digest)
        if not path.exists():
            self.write(path, content)
        return Blob(digest, len(content), media_type)

    def layer(self, files: Mapping[str, bytes], compression: str = "gzip", *, docker: bool = False) -> Blob:
        media_type = DOCKER_LAYER if docker else OCI_LAYER + _OCI_LAYERS[compression]
        return self.blob(make_layer(files, compression), media_type)

    def config(self, *, docker: bool = False, **keys: object) -> Blob:
        content = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-02-03T04:05:06Z",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": []},
            "history": [],
            **keys,
        }
        return self.blob(json.dumps(content).encode(), DOCKER_CONFIG if docker else OCI_CONFIG)

    def link(self, repository: str, blob: Blob) -> None:
        """Let a repository serve a blob."""
        self.write(self.layer_link(repository, blob.digest), blob.digest)

    def revision(self, repository: str, manifest: Blob) -> None:
        (self.repository(repository) / "_layers").mkdir(parents=True, exist_ok=True)
        self.write(self.revision_link(repository, manifest.digest), manifest.digest)

    def tag(self, repository: str, tag: str, manifest: Blob, mtime: float | None = None) -> None:
        """Move a tag, as a push does: first the index, then the current link."""
        directory = self.repository(repository) / "_manifests" / "tags" / tag
        index = directory / "index" / manifest.digest.replace(":", "/") / "link"
        self.write(index, manifest.digest, mtime)
        self.write(directory / "current" / "link", manifest.digest, mtime)

    def manifest(
        self,
        repository: str,
        tag: str | None,
        content: bytes,
        media_type: str,
        mtime: float | None = None,
    ) -> Blob:
        manifest = self.blob(content, media_type)
        self.revision(repository, manifest)
        if tag is not None:
            self.tag(repository, tag, manifest, mtime)
        return manifest

    def image(
        self,
        repository: str,
        tag: str | None = None,
        layers: Sequence[Blob] | None = None,
        config: Blob | None = None,
        *,
        docker: bool = False,
        mtime: float | None = None,
        **keys: object,
    ) -> Blob:
        """Push an image. `keys` are added to the manifest; a key given as None is left out."""
        if layers is None:
            layers = [self.layer({"etc/os-release": b"ID=demo\n"}, docker=docker)]
        config = config or self.config(docker=docker)
        media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
        document = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.descriptor(),
            "layers": [layer.descriptor() for layer in layers],
            **keys,
        }
        for blob in (config, *layers):
            if blob.digest.startswith("sha256:"):  # sha512_layer has made its links
                self.link(repository, blob)
        document = {key: value for key, value in document.items() if value is not None}
        return self.manifest(repository, tag, json.dumps(document).encode(), media_type, mtime)

    def artifact(
        self, repository: str, tag: str, files: Sequence[dict[str, Any]], artifact_type: str
    ) -> Blob:
        """Push files as ORAS does; `files` are descriptors, with the titles as annotations."""
        empty = self.blob(b"{}", "application/vnd.oci.empty.v1+json")
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": empty.descriptor(),
            "layers": list(files),
        }
        return self.manifest(repository, tag, json.dumps(document).encode(), OCI_MANIFEST)

    def index(
        self,
        repository: str,
        tag: str | None,
        children: Sequence[dict[str, Any]],
        *,
        docker: bool = False,
        **keys: object,
    ) -> Blob:
        """Push an index; `children` are descriptors, as `Blob.descriptor(platform={…})` makes them."""
        media_type = DOCKER_LIST if docker else OCI_INDEX
        document = {"schemaVersion": 2, "mediaType": media_type, "manifests": list(children), **keys}
        document = {key: value for key, value in document.items() if value is not None}
        return self.manifest(repository, tag, json.dumps(document).encode(), media_type)

    def sha512_layer(self, repository: str, content: bytes, media_type: str) -> Blob:
        """Push a blob as sha512: distribution stores it under sha256, and both links say so."""
        stored = self.blob(content, media_type)
        pushed = Blob(f"sha512:{hashlib.sha512(content).hexdigest()}", len(content), media_type)
        for digest in (stored.digest, pushed.digest):
            self.write(self.layer_link(repository, digest), stored.digest)
        return pushed

    def schema1(
        self, repository: str, tag: str, layers: Sequence[Blob], v1: Sequence[dict[str, Any]], *, signed: bool
    ) -> Blob:
        """Push a schema 1 manifest; `layers` and `v1` are base first, and stored top first."""
        document: dict[str, Any] = {
            "schemaVersion": 1,
            "name": repository,
            "tag": tag,
            "architecture": "amd64",
            "fsLayers": [{"blobSum": layer.digest} for layer in reversed(layers)],
            "history": [{"v1Compatibility": json.dumps(entry)} for entry in reversed(v1)],
        }
        if signed:
            document["signatures"] = [{"header": {"alg": "ES256"}, "signature": "x", "protected": "y"}]
        for layer in layers:
            self.link(repository, layer)
        kind = "prettyjws" if signed else "json"
        media_type = f"application/vnd.docker.distribution.manifest.v1+{kind}"
        return self.manifest(repository, tag, json.dumps(document).encode(), media_type)

    def upload(self, repository: str, content: bytes, started: str | None = "2024-01-02T03:04:05Z") -> str:
        """Leave an unfinished push; gives its id."""
        name = str(uuid.uuid4())
        directory = self.repository(repository) / "_uploads" / name
        self.write(directory / "data", content)
        if started is not None:
            self.write(directory / "startedat", started)
        return name
