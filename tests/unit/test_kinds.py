"""What a JSON blob is. The first two key sets are the ones that users of a real store meet."""

import pytest

from regfs.oci.kinds import media_type_of
from tests.builder.media_types import (
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
)
from tests.unit.documents import packed

CONFIG_KEYS = [
    "architecture",
    "config",
    "container",
    "container_config",
    "created",
    "docker_version",
    "history",
    "os",
    "rootfs",
]
MANIFEST_KEYS = ["config", "layers", "mediaType", "schemaVersion"]


def with_keys(keys: list[str], **values: object) -> bytes:
    return packed(**{**dict.fromkeys(keys), **values})


def test_the_keys_of_dockers_config_make_an_image_config() -> None:
    assert media_type_of(with_keys(CONFIG_KEYS)) == "application/vnd.docker.container.image.v1+json"


def test_the_keys_of_schema_2_make_a_manifest() -> None:
    assert media_type_of(with_keys(MANIFEST_KEYS)) == "application/vnd.docker.distribution.manifest.v2+json"


@pytest.mark.parametrize("media_type", [DOCKER_MANIFEST, OCI_MANIFEST, DOCKER_LIST, "application/x+json"])
def test_the_documents_own_media_type_comes_first(media_type: str) -> None:
    assert media_type_of(with_keys(MANIFEST_KEYS, mediaType=media_type)) == media_type


@pytest.mark.parametrize(
    ("keys", "media_type"),
    [
        (["schemaVersion", "config", "layers"], OCI_MANIFEST),
        (["schemaVersion", "manifests"], OCI_INDEX),
        (["architecture", "os", "rootfs"], OCI_CONFIG),
        (["architecture", "os", "rootfs", "created", "history", "config", "variant"], OCI_CONFIG),
        (["architecture", "os", "rootfs", "docker_version"], DOCKER_CONFIG),
        (["architecture", "os", "rootfs", "container"], DOCKER_CONFIG),
        (
            ["schemaVersion", "name", "tag", "architecture", "fsLayers", "history"],
            "application/vnd.docker.distribution.manifest.v1+json",
        ),
        (
            ["schemaVersion", "name", "tag", "fsLayers", "history", "signatures"],
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
        ),
        (["_type", "predicateType", "subject", "predicate"], "application/vnd.in-toto+json"),
        (["spdxVersion", "SPDXID", "packages"], "application/spdx+json"),
        (["bomFormat", "specVersion"], "application/vnd.cyclonedx+json"),
        (["critical", "optional"], "application/json"),
        ([], "application/json"),
    ],
)
def test_the_keys_tell_what_a_document_is(keys: list[str], media_type: str) -> None:
    assert media_type_of(with_keys(keys)) == media_type


@pytest.mark.parametrize("value", [None, "", 5, [], {}])
def test_a_media_type_that_is_no_text_tells_nothing(value: object) -> None:
    assert media_type_of(packed(mediaType=value, spdxVersion="2.3")) == "application/spdx+json"


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"1", b'"{}"', b"{", b"\x1f\x8b\x08", b"\xff" * 9, b"{}x", b'{"a":' * 100_000],
)
def test_what_is_no_json_object_is_told_apart(raw: bytes) -> None:
    assert media_type_of(raw) is None
