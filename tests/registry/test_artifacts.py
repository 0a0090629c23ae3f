"""Signatures, charts, models and others in a real registry's store: told apart, and named as pushed."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import REGFS, need, output, run
from tests.registry.api import Api, Blob
from tests.registry.images import BASE, OCI_CONFIG, OCI_LAYER, config_of
from tests.registry.pushes import OCI_MANIFEST, UNKNOWN, push_document, push_image, push_index
from tests.registry.server import Registry

pytestmark = [pytest.mark.registry, pytest.mark.fuse]

TITLE = "org.opencontainers.image.title"
EMPTY = "application/vnd.oci.empty.v1+json"
SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
HELM = "application/vnd.cncf.helm"
ACME = "application/vnd.acme.files.v1"

#: Tag, the config's media type, the media types and titles of layers, the artifact type; what that is.
ARTIFACTS: list[tuple[str, str, list[tuple[str, str]], str, str, list[str]]] = [
    ("sha256-ab.sig", OCI_CONFIG, [(SIGNATURE, "")], "", "signature", ["00.json"]),
    (
        "sha256-ab.att",
        OCI_CONFIG,
        [("application/vnd.dsse.envelope.v1+json", "")],
        "",
        "attestation",
        ["00.json"],
    ),
    ("sha256-ab.sbom", OCI_CONFIG, [("text/spdx+json", "")], "", "sbom", ["00.json"]),
    (
        "chart",
        f"{HELM}.config.v1+json",
        [(f"{HELM}.chart.content.v1.tar+gzip", "")],
        "",
        "chart",
        ["00.tar.gz"],
    ),
    ("wasm", "application/vnd.wasm.config.v0+json", [("application/wasm", "")], "", "wasm", ["00.bin"]),
    (
        "model",
        "application/vnd.cncf.model.config.v1+json",
        [("application/vnd.cncf.model.weight.v1.raw", "model.gguf"), ("text/markdown", "README.md")],
        "application/vnd.cncf.model.manifest.v1+json",
        "model",
        ["README.md", "model.gguf"],
    ),
    (
        "files",
        EMPTY,
        [(OCI_LAYER, "hello world.txt"), (OCI_LAYER, "same"), ("text/plain", "same"), ("text/plain", "a/b")],
        ACME,
        f"artifact: {ACME}",
        ["01.tar", "02.bin", "03.bin", "hello world.txt"],
    ),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with each artifact, an image, and an image with an attestation as buildx pushes it."""
    directory = tmp_path_factory.mktemp("artifacts")
    registry = Registry(directory / "root", directory)
    try:
        _push(registry.api)
    finally:
        registry.end()
    return registry.root


def _push(api: Api) -> None:
    image = push_image(api, "app", "1.0", [BASE])
    for tag, config_type, files, artifact_type, _, _ in ARTIFACTS:
        content = config_of([]) if config_type == OCI_CONFIG else b"{}"
        config = api.push_blob("app", content, config_type)
        _push_files(api, tag, config, files, artifact_type)
    statement = api.push_blob("app", b'{"_type":"https://in-toto.io/Statement/v0.1"}', IN_TOTO)
    config = api.push_blob("app", config_of([]), OCI_CONFIG)
    attestation = push_document(api, "app", None, OCI_MANIFEST, config=config, layers=[statement])
    marks = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image.digest,
    }
    push_index(
        api,
        "app",
        "attested",
        [
            image.descriptor(platform={"os": "linux", "architecture": "amd64"}),
            attestation.descriptor(platform=UNKNOWN, annotations=marks),
        ],
    )
    cached = api.push_blob("app", b"{}", "application/vnd.buildkit.cacheconfig.v0")
    push_index(
        api, "app", "cache", [*api.manifest("app", image.digest).document["layers"], cached.descriptor()]
    )


def _push_files(
    api: Api, tag: str, config: Blob, files: Sequence[tuple[str, str]], artifact_type: str
) -> None:
    layers = []
    for number, (media_type, title) in enumerate(files):
        layer = api.push_blob("app", f"{tag} {number}".encode(), media_type)
        layers.append(layer.descriptor(annotations={TITLE: title}) if title else layer.descriptor())
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": layers,
        **({"artifactType": artifact_type} if artifact_type else {}),
    }
    api.push_manifest("app", tag, document, OCI_MANIFEST)


KINDS = {
    "1.0": "image",
    "attested": "index",
    "cache": "cache",
    **{tag: kind for tag, _, _, _, kind, _ in ARTIFACTS},
}


def test_the_tags_report_says_what_each_is(root: Path) -> None:
    said = csv.DictReader(io.StringIO(output(*REGFS, "report", "tags", "--format", "csv", root)))
    assert {row["tag"]: row["kind"] for row in said} == KINDS


def test_the_mount_says_what_each_is_and_names_files_by_title(
    root: Path, mount_once: Callable[[Path], Path]
) -> None:
    top = mount_once(root) / "app"
    for tag, kind in KINDS.items():
        asked = (need("getfattr"), "--only-values", "-n", "user.regfs.kind", top / tag)
        assert output(*asked) == kind
    child = top / "attested/platforms/unknown-unknown"
    assert os.getxattr(child, "user.regfs.kind") == b"attestation"
    assert os.getxattr(child / "manifest.json", "user.regfs.kind") == b"attestation"
    for tag, _, _, _, _, names in ARTIFACTS:
        assert output("ls", top / tag / "layers").splitlines() == names
        assert run("ls", top / tag / "rootfs").returncode == 2
    assert (top / "files/layers/hello world.txt").read_bytes() == b"files 0"
    assert (top / "model/layers/model.gguf").read_bytes() == b"model 0"
    assert "etc" in os.listdir(top / "attested/rootfs")


def test_explain_leads_to_the_same_names(root: Path, mount_once: Callable[[Path], Path]) -> None:
    top = mount_once(root)
    for tag, _, files, _, _, names in ARTIFACTS:
        shown = {(top / "app" / tag / "layers" / name).read_bytes(): name for name in names}
        assert len(shown) == len(files)
        for name in shown.values():
            path = f"app/{tag}/layers/{name}"
            digest = os.getxattr(top / path, "user.regfs.digest").decode()
            assert f"  held by  {path}\n" in output(*REGFS, "explain", root, digest)


def test_all_layers_are_indexed_but_those_of_artifacts(root: Path) -> None:
    done = run(*REGFS, "index", "--layers", root)
    assert (done.returncode, done.stderr) == (0, "")
    *passed_over, last = done.stdout.splitlines()
    assert last.startswith("1 layer, ")
    assert len(passed_over) == len(ARTIFACTS) + 1
    assert f"1 tag passed over, no file system: {SIGNATURE}" in passed_over


@pytest.mark.parametrize("tag", [tag for tag, kind in KINDS.items() if kind not in ("image", "index")])
@pytest.mark.parametrize("command", ["tree", "history"])
def test_an_artifact_that_is_named_has_no_file_system(root: Path, command: str, tag: str) -> None:
    done = run(*REGFS, command, root, f"app:{tag}")
    assert (done.returncode, done.stdout) == (1, "")
    assert ": no file system: " in done.stderr
    assert done.stderr.count("\n") == 1
