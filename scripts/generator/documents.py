"""Configs, manifests and indexes as builders write them. Sources: OCI image-spec, Docker's v2.2."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import NamedTuple

from scripts.generator.layers import Layer
from scripts.generator.plan import SECOND


class Form(NamedTuple):
    """The media types of one of the two forms."""

    manifest: str
    config: str
    layer: str
    several: str


_OCI = "application/vnd.oci.image."
_DOCKER = "application/vnd.docker."
FORMS = (
    Form(
        f"{_OCI}manifest.v1+json", f"{_OCI}config.v1+json", f"{_OCI}layer.v1.tar+gzip", f"{_OCI}index.v1+json"
    ),
    Form(
        f"{_DOCKER}distribution.manifest.v2+json",
        f"{_DOCKER}container.image.v1+json",
        f"{_DOCKER}image.rootfs.diff.tar.gzip",
        f"{_DOCKER}distribution.manifest.list.v2+json",
    ),
)


class Document(NamedTuple):
    """A JSON document and the hex digits of its digest."""

    digest: str
    content: bytes
    media_type: str

    @classmethod
    def of(cls, value: object, media_type: str) -> Document:
        """Write a value down."""
        content = json.dumps(value, separators=(",", ":")).encode()
        return cls(hashlib.sha256(content).hexdigest(), content, media_type)

    def descriptor(self) -> dict[str, object]:
        """Name it, as another document does."""
        return {"mediaType": self.media_type, "size": len(self.content), "digest": f"sha256:{self.digest}"}


def config(
    form: Form,
    architecture: str,
    time: int,
    layers: Sequence[Layer],
    environment: Sequence[str],
    labels: object,
) -> Document:
    """Write the config of an image that was built at `time`."""
    steps: list[dict[str, object]] = [
        {"created": _date(layer.time), "created_by": layer.made} for layer in layers
    ]
    for command in ("WORKDIR /srv", "USER 1000", 'ENTRYPOINT ["/srv/start"]', 'CMD ["--serve"]'):
        steps.append({"created": _date(time), "created_by": command, "empty_layer": True})
    value = {
        "architecture": architecture,
        "config": {
            "User": "1000",
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", *environment],
            "Entrypoint": ["/srv/start"],
            "Cmd": ["--serve"],
            "WorkingDir": "/srv",
            "Labels": labels,
        },
        "created": _date(time),
        "history": steps,
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in layers]},
    }
    return Document.of(value, form.config)


def manifest(form: Form, config: Document, layers: Sequence[Layer]) -> Document:
    """Write the manifest of an image."""
    value = {
        "schemaVersion": 2,
        "mediaType": form.manifest,
        "config": config.descriptor(),
        "layers": [
            {"mediaType": form.layer, "size": layer.size, "digest": f"sha256:{layer.digest}"}
            for layer in layers
        ],
    }
    return Document.of(value, form.manifest)


def index(form: Form, children: Sequence[tuple[str, Document]]) -> Document:
    """Write an index of images, each with its architecture."""
    manifests = [
        {**document.descriptor(), "platform": {"architecture": architecture, "os": "linux"}}
        for architecture, document in children
    ]
    return Document.of({"schemaVersion": 2, "mediaType": form.several, "manifests": manifests}, form.several)


def _date(time: int) -> str:
    return datetime.fromtimestamp(time // SECOND, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
