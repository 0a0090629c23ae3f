"""Whatever bytes a store holds: they parse, or raise the one documented error."""

from __future__ import annotations

import json
import re
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from regfs.errors import ConfigError, DigestError, ManifestError
from regfs.oci import Digest, ImageConfig, Index, Schema1Manifest, parse_manifest
from regfs.oci.kinds import media_type_of
from tests.property import documents

anything = st.one_of(
    st.binary(max_size=300),
    documents.values.map(documents.packed),
    documents.manifests.map(documents.packed),
    documents.schema1().map(documents.packed),
    documents.torn(documents.manifests.map(documents.packed)),
    documents.torn(documents.schema1().map(documents.packed)),
)


@given(st.one_of(st.binary(max_size=200), documents.torn(documents.digests.map(str.encode))))
def test_bytes_of_a_link_are_a_digest_or_raise_its_error(content: bytes) -> None:
    with suppress(DigestError):
        assert str(Digest.parse_link(content)).encode() == content


@given(anything)
def test_bytes_of_a_manifest_are_one_or_raise_its_error(raw: bytes) -> None:
    try:
        manifest = parse_manifest(raw)
    except ManifestError:
        return
    assert manifest.raw == raw
    assert re.fullmatch("[a-z]+(: [!-~]+)?", manifest.kind)
    assert isinstance(manifest.media_type, str)
    descriptors = manifest.manifests if isinstance(manifest, Index) else manifest.layers
    for descriptor in descriptors:
        assert Digest.parse(str(descriptor.digest)) == descriptor.digest
        assert descriptor.size is None or 0 <= descriptor.size < 1 << 63
        hash(descriptor)
    hash(manifest)


@given(documents.schema1().map(documents.packed))
def test_schema_1_that_parses_has_a_config_of_as_many_steps_as_layers(raw: bytes) -> None:
    try:
        manifest = parse_manifest(raw)
    except ManifestError:
        return
    assert isinstance(manifest, Schema1Manifest)
    stored = [layer["blobSum"] for layer in json.loads(raw)["fsLayers"]]
    assert [str(layer.digest) for layer in manifest.layers] == stored[::-1]
    assert len(json.loads(manifest.config)["history"]) == len(stored)


@given(st.one_of(anything, st.dictionaries(documents.keys, documents.values).map(documents.packed)))
def test_bytes_of_a_config_are_one_or_raise_its_error(raw: bytes) -> None:
    with suppress(ConfigError):
        assert isinstance(ImageConfig.parse(raw).created, str)


@given(anything)
def test_bytes_of_any_blob_are_of_some_kind_or_none(raw: bytes) -> None:
    kind = media_type_of(raw)
    assert kind is None or kind


@given(documents.digests)
def test_a_digest_prints_itself_back(text: str) -> None:
    digest = Digest.parse(text)
    assert str(digest) == text
    assert Digest.parse(str(digest)) == digest
    assert Digest.parse_link(text.encode()) == digest


@given(st.text(max_size=150))
def test_a_text_is_a_digest_that_prints_itself_back_or_raises_its_error(text: str) -> None:
    with suppress(DigestError):
        assert str(Digest.parse(text)) == text
