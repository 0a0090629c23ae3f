"""Everything that is pushed to the registry that the mount is compared with."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.builder import make_layer
from tests.conftest import need, output
from tests.registry.api import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Api, Blob
from tests.registry.images import BASE, OCI_CONFIG, OCI_LAYER, Files, config_of, make_layout
from tests.registry.server import Registry

DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
IN_TOTO = "application/vnd.in-toto+json"
SBOM = "application/vnd.example.sbom+json"

AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64", "variant": "v8"}
UNKNOWN = {"os": "unknown", "architecture": "unknown"}

FOREIGN_URL = "https://example.invalid/layer.tar.gz"


def skopeo(layout: Path, registry: Registry, repository: str, tag: str, *options: str) -> None:
    """Push the image of an OCI layout."""
    target = registry.reference(repository, tag)
    copy = (need("skopeo"), "copy", "--insecure-policy", "--quiet", "--dest-tls-verify=false")
    output(*copy, *options, f"oci:{layout}", target)


def push_image(
    api: Api,
    repository: str,
    tag: str | None,
    files: Sequence[Files] = ({"file": b"content\n"},),
    *,
    docker: bool = False,
    **keys: object,
) -> Blob:
    """Push an image through the API. `keys` are the manifest's own; one given as None is left out."""
    tars = [make_layer(layer, "none") for layer in files]
    media_type = DOCKER_LAYER if docker else f"{OCI_LAYER}+gzip"
    layers = [api.push_blob(repository, gzip.compress(tar, mtime=0), media_type) for tar in tars]
    config = api.push_blob(repository, config_of(tars), DOCKER_CONFIG if docker else OCI_CONFIG)
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    return push_document(api, repository, tag, media_type, config=config, layers=layers, **keys)


def push_document(
    api: Api,
    repository: str,
    tag: str | None,
    media_type: str,
    *,
    config: Blob,
    layers: Sequence[Blob],
    **keys: Any,
) -> Blob:
    """Push a manifest of blobs that are there."""
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in layers],
        **keys,
    }
    kept = {key: value for key, value in document.items() if value is not None}
    return api.push_manifest(repository, tag, kept, media_type)


def push_index(
    api: Api,
    repository: str,
    tag: str | None,
    children: Sequence[Mapping[str, Any]],
    media_type: str = OCI_INDEX,
    *,
    named: bool = True,
) -> Blob:
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": list(children)}
    if not named:
        del document["mediaType"]
    return api.push_manifest(repository, tag, document, media_type)


@dataclass
class Pushed:
    """What was pushed: the tags of each repository, manifests without a tag, and what was deleted."""

    tags: dict[str, set[str]] = field(default_factory=dict)
    untagged: list[tuple[str, str]] = field(default_factory=list)
    deleted: list[tuple[str, str]] = field(default_factory=list)
    deleted_tags: list[tuple[str, str]] = field(default_factory=list)

    def note(self, repository: str, *tags: str) -> None:
        self.tags.setdefault(repository, set()).update(tags)


def push_everything(registry: Registry, scratch: Path) -> Pushed:
    """Push each case to a fresh registry. `scratch` is for layouts."""
    pushed = Pushed()
    _push_with_skopeo(registry, scratch, pushed)
    for push in (_push_forms, _push_indexes, _push_artifacts, _push_oddities, _push_and_delete):
        push(registry.api, pushed)
    return pushed


def _push_with_skopeo(registry: Registry, scratch: Path, pushed: Pushed) -> None:
    app = make_layout(scratch / "app", [BASE, {"app/main": b"main\n"}, {"app/.wh.main": b""}])
    tool = make_layout(scratch / "tool", [BASE, {"bin/tool": b"\x7fELF tool"}])
    plain = make_layout(scratch / "plain", [BASE, {"a": b"a\n"}], compress=False)
    cases = [
        (app, "team/app", "1.0", "--format=v2s2"),
        (app, "team/app", "latest", "--format=v2s2"),
        (tool, "team/app/tool", "1.0", "--format=v2s2"),
        (tool, "team", "only", "--format=oci"),
        (app, "clash", "sub", "--format=oci"),
        (tool, "clash/sub", "sub", "--format=oci"),
        (app, "legacy/v2s1", "v1", "--format=v2s1"),
        (app, "compat/oci", "Tag_With.UPPER-1", "--format=oci"),
        (plain, "compress/zstd", "v1", "--format=oci", "--dest-compress-format=zstd"),
        (plain, "compress/none", "v1", "--preserve-digests"),
    ]
    for layout, repository, tag, *options in cases:
        skopeo(layout, registry, repository, tag, *options)
        pushed.note(repository, tag)
    for number in range(10):
        layout = make_layout(scratch / f"nightly{number}", [BASE, {"build": b"%d\n" % number}])
        skopeo(layout, registry, "churn/app", "nightly", "--format=v2s2")
        digest = registry.api.manifest("churn/app", "nightly").digest
        pushed.untagged.append(("churn/app", digest))
    pushed.note("churn/app", "nightly")


def _push_forms(api: Api, pushed: Pushed) -> None:
    push_image(api, "forms/unnamed", "oci", mediaType=None)
    push_image(api, "forms/no-layers", "oci", ())
    push_image(api, "forms/no-layers", "docker", (), docker=True)
    push_image(api, "forms/annotated", "v1", annotations={"org.example.note": "\u00e4 \u2603"})
    push_image(api, "forms/same-twice", "v1", [BASE, {"x": b"x"}, BASE])
    push_image(api, "forms/many", "v1", [{"n": b"%d" % number} for number in range(101)])
    pushed.note("forms/unnamed", "oci")
    pushed.note("forms/no-layers", "oci", "docker")
    pushed.note("forms/annotated", "v1")
    pushed.note("forms/same-twice", "v1")
    pushed.note("forms/many", "v1")


def _push_indexes(api: Api, pushed: Pushed) -> None:
    name = "multi/index"
    amd64 = push_image(api, name, None, [BASE, {"bin/app": b"amd64"}]).descriptor(platform=AMD64)
    arm64 = push_image(api, name, None, [BASE, {"bin/app": b"arm64"}]).descriptor(platform=ARM64)
    attestations = []
    for child in (amd64, arm64):
        attestation = push_document(
            api,
            name,
            None,
            OCI_MANIFEST,
            config=api.push_blob(name, config_of([]), OCI_CONFIG),
            layers=[api.push_blob(name, json.dumps({"_type": child["digest"]}).encode(), IN_TOTO)],
        )
        notes = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": child["digest"],
        }
        attestations.append(attestation.descriptor(platform=UNKNOWN, annotations=notes))
    push_index(api, name, "plain", [amd64, arm64])
    inner = push_index(api, name, "attested", [amd64, arm64, *attestations])
    push_index(api, name, "unnamed", [arm64, amd64], named=False)
    push_index(api, name, "nested", [inner.descriptor(), arm64])
    push_index(api, name, "foreign-only", [arm64, *attestations[1:]])
    push_index(api, name, "empty", [])
    pushed.note(name, "plain", "attested", "unnamed", "nested", "foreign-only", "empty")

    name = "multi/list"
    children = [
        push_image(api, name, None, [BASE, {"bin/app": architecture}], docker=True).descriptor(
            platform=platform
        )
        for architecture, platform in ((b"arm64", ARM64), (b"amd64", AMD64))
    ]
    push_index(api, name, "latest", children, DOCKER_LIST)
    pushed.note(name, "latest")


def _push_artifacts(api: Api, pushed: Pushed) -> None:
    name = "artifacts/sbom"
    sbom = api.push_blob(name, b'{"spdxVersion":"SPDX-2.3"}', SBOM)
    key = api.push_blob(name, b"\x00\x01\x02", "application/octet-stream")
    own = api.push_blob(name, b'{"own":1}', "application/vnd.example.config.v1+json")
    empty = api.push_blob(name, b"{}", "application/vnd.oci.empty.v1+json")
    push_document(api, name, "own-config", OCI_MANIFEST, config=own, layers=[sbom, key])
    push_document(
        api,
        name,
        "typed",
        OCI_MANIFEST,
        config=empty,
        layers=[sbom],
        artifactType="application/vnd.example.sbom",
    )
    subject = push_image(api, name, "image")
    referrer = push_document(
        api,
        name,
        None,
        OCI_MANIFEST,
        config=empty,
        layers=[sbom],
        artifactType="application/vnd.example.signature",
        subject=subject.descriptor(),
    )
    pushed.untagged.append((name, referrer.digest))
    # How clients refer to it where the registry has no referrers API (distribution-spec, "Referrers Tag
    # Schema"), and how cosign names a signature.
    push_index(api, name, subject.digest.replace(":", "-"), [referrer.descriptor()])
    push_image(api, name, f"{subject.digest.replace(':', '-')}.sig")
    pushed.note(name, "own-config", "typed", "image")
    pushed.note(name, subject.digest.replace(":", "-"), f"{subject.digest.replace(':', '-')}.sig")


def _push_oddities(api: Api, pushed: Pushed) -> None:
    name = "odd/sha512"
    tar = make_layer({"only/here": b"no other image has this layer\n"}, "none")
    config = api.push_blob(name, config_of([tar]), OCI_CONFIG)
    layer = api.push_blob(name, tar, OCI_LAYER, algorithm="sha512")
    push_document(api, name, "v1", OCI_MANIFEST, config=config, layers=[layer])
    pushed.note(name, "v1")

    name = "odd/foreign"
    tar = make_layer(BASE, "none")
    base = api.push_blob(name, gzip.compress(tar, mtime=0), DOCKER_LAYER)
    config = api.push_blob(name, config_of([tar, tar]), DOCKER_CONFIG)
    foreign = Blob(f"sha256:{'ab' * 32}", 1234, FOREIGN_LAYER)
    layers = [foreign.descriptor(urls=[FOREIGN_URL]), base.descriptor()]
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": config.descriptor(),
        "layers": layers,
    }
    api.push_manifest(name, "v1", document, DOCKER_MANIFEST)
    pushed.note(name, "v1")

    # No manifest refers to it; the registry counts the repository all the same.
    api.push_blob("odd/only-a-blob", b"x" * 5000, "application/octet-stream")
    pushed.note("odd/only-a-blob")
    # Not in the catalog: no blob was ever completed there.
    api.cut_upload("odd/cut", b"y" * 100_000, 1_000_000)
    api.start_upload("odd/started")
    api.cut_upload("team/app", b"z" * 100_000, 1_000_000)


def _push_and_delete(api: Api, pushed: Pushed) -> None:
    name = "gone/some"
    push_image(api, name, "kept", [BASE, {"kept": b"1"}])
    gone = push_image(api, name, "gone", [BASE, {"gone": b"1"}])
    push_image(api, name, "gone-too", [BASE, {"gone": b"1"}])
    old = push_image(api, name, "moved", [{"old": b"1"}])
    push_image(api, name, "moved", [BASE, {"new": b"1"}])
    api.delete_manifest(name, gone.digest)
    api.delete_manifest(name, old.digest)
    pushed.note(name, "kept", "moved")
    pushed.deleted += [(name, gone.digest), (name, old.digest)]
    pushed.deleted_tags += [(name, "gone"), (name, "gone-too")]

    name = "gone/all"
    gone = push_image(api, name, "last", [{"gone": b"2"}])
    api.delete_manifest(name, gone.digest)
    pushed.note(name)
    pushed.deleted.append((name, gone.digest))
    pushed.deleted_tags.append((name, "last"))
