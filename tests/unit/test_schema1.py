import json
from typing import Any

import pytest

from regfs.errors import ManifestError
from regfs.oci import Schema1Manifest, parse_manifest
from tests.unit.documents import A, B, C, packed

EMPTY = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"
SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
UNSIGNED = "application/vnd.docker.distribution.manifest.v1+json"

#: Newest first, as stored.
HISTORY: list[dict[str, Any]] = [
    {
        "id": "3" * 64,
        "parent": "2" * 64,
        "created": "2015-03-03T00:00:00Z",
        "author": "someone",
        "config": {"Cmd": ["/bin/app"]},
        "architecture": "amd64",
        "os": "linux",
        "throwaway": True,
        "Size": 0,
        "container_config": {"Cmd": ["/bin/sh", "-c", '#(nop) CMD ["/bin/app"]']},
    },
    {
        "id": "2" * 64,
        "parent": "1" * 64,
        "created": "2015-02-02T00:00:00Z",
        "container_config": {"Cmd": "make"},
    },
    {"id": "1" * 64, "created": "2015-01-01T00:00:00Z", "comment": "base"},
]


def schema1(layers: list[Any], history: list[Any] | None = None, **more: Any) -> bytes:
    """Pack a manifest of schema 1; layers and history top first."""
    history = history if history is not None else [{}] * len(layers)
    return packed(
        schemaVersion=1,
        name="team/app",
        tag="1.0",
        architecture="amd64",
        fsLayers=[{"blobSum": digest} for digest in layers],
        history=[{"v1Compatibility": json.dumps(entry)} for entry in history],
        **more,
    )


def parsed(raw: bytes) -> Schema1Manifest:
    manifest = parse_manifest(raw)
    assert isinstance(manifest, Schema1Manifest)
    return manifest


def test_layers_are_turned_to_base_first() -> None:
    manifest = parsed(schema1([C, B, A]))
    assert [str(layer.digest) for layer in manifest.layers] == [A, B, C]
    assert manifest.kind == "image"


def test_repeated_empty_layers_are_kept_since_position_tells_the_step() -> None:
    manifest = parsed(schema1([EMPTY, EMPTY, A, EMPTY]))
    assert [str(layer.digest) for layer in manifest.layers] == [EMPTY, A, EMPTY, EMPTY]


def test_layers_are_gzipped_tars_of_unknown_size() -> None:
    layer = parsed(schema1([A])).layers[0]
    assert (layer.media_type, layer.size) == ("application/vnd.docker.image.rootfs.diff.tar.gzip", None)


@pytest.mark.parametrize(
    ("more", "signed", "media_type"),
    [
        ({}, False, UNSIGNED),
        ({"signatures": None}, False, UNSIGNED),
        ({"signatures": [{"header": {"alg": "ES256"}, "signature": "x", "protected": "y"}]}, True, SIGNED),
        ({"mediaType": UNSIGNED}, False, UNSIGNED),
    ],
)
def test_signed_or_not_it_is_read_the_same(more: dict[str, object], signed: bool, media_type: str) -> None:
    raw = schema1([B, A], HISTORY[:2], **more)
    manifest = parsed(raw)
    assert (manifest.raw, manifest.signed, manifest.media_type) == (raw, signed, media_type)
    assert [str(layer.digest) for layer in manifest.layers] == [A, B]


def test_the_config_is_made_from_the_newest_step_without_the_keys_of_the_chain() -> None:
    config = json.loads(parsed(schema1([C, B, A], HISTORY)).config)
    newest = HISTORY[0]
    for key in ("created", "author", "config", "architecture", "os", "container_config"):
        assert config[key] == newest[key]
    assert not {"id", "parent", "throwaway", "Size"} & config.keys()


def test_the_history_tells_every_step_base_first() -> None:
    config = json.loads(parsed(schema1([C, B, A], HISTORY)).config)
    assert config["history"] == [
        {"created": "2015-01-01T00:00:00Z", "comment": "base"},
        {"created": "2015-02-02T00:00:00Z", "created_by": "make"},
        {
            "created": "2015-03-03T00:00:00Z",
            "created_by": '/bin/sh -c #(nop) CMD ["/bin/app"]',
            "author": "someone",
            "empty_layer": True,
        },
    ]


def test_the_made_config_is_the_same_each_time() -> None:
    raw = schema1([C, B, A], HISTORY)
    assert parsed(raw).config == parsed(raw).config


def test_numbers_too_large_for_a_machine_pass_through_the_made_config() -> None:
    raw = packed(
        schemaVersion=1,
        fsLayers=[{"blobSum": A}],
        history=[{"v1Compatibility": '{"config": {"Memory": 123456789012345678901234567890}}'}],
    )
    assert json.loads(parsed(raw).config)["config"]["Memory"] == 123456789012345678901234567890


def test_nulls_are_as_good_as_absent_keys() -> None:
    """As Go's decoder has it: `name`, `tag`, `architecture` may be null."""
    document = json.loads(schema1([A], [{"created": None, "container_config": {"Cmd": None}}]))
    document |= {"name": None, "tag": None, "architecture": None, "signatures": None}
    assert json.loads(parsed(packed(**document)).config)["history"] == [{}]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (schema1([]), "0 fsLayers"),
        (schema1([A, B], [{}]), "2 fsLayers and 1 history"),
        (schema1([A], [{}, {}]), "1 fsLayers and 2 history"),
        (schema1(["sha256:../x"]), "fsLayers: not a digest"),
        (schema1([""]), "fsLayers: not a digest"),
        (packed(schemaVersion=1, fsLayers=[{}], history=[{"v1Compatibility": "{}"}]), "blobSum"),
        (packed(schemaVersion=1, fsLayers=[{"blobSum": A}], history=[{}]), "v1Compatibility"),
        (packed(schemaVersion=1, fsLayers=[{"blobSum": A}]), "history"),
        (packed(schemaVersion=1, fsLayers=[{"blobSum": A}], history=[{"v1Compatibility": "x"}]), "."),
        (packed(schemaVersion=1, fsLayers=[{"blobSum": A}], history=[{"v1Compatibility": "[]"}]), "object"),
        (
            packed(
                schemaVersion=1, fsLayers=[{"blobSum": A}], history=[{"v1Compatibility": '{"a":' * 99_999}]
            ),
            ".",
        ),
        (schema1([A], [{"created": 5}]), "created"),
        (packed(mediaType=SIGNED), "fsLayers"),
    ],
)
def test_what_is_no_schema_1_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        parse_manifest(raw)
