"""Strategies: digests, and JSON that looks more or less like what a registry stores."""

from __future__ import annotations

import json
import string

from hypothesis import strategies as st

from regfs.oci.digest import LENGTHS

digests = st.sampled_from(sorted(LENGTHS)).flatmap(
    lambda algorithm: st.text(
        "0123456789abcdef", min_size=LENGTHS[algorithm], max_size=LENGTHS[algorithm]
    ).map(lambda encoded: f"{algorithm}:{encoded}")
)

media_types = st.sampled_from(
    [
        "",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.artifact.manifest.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "text/plain",
    ]
)

keys = st.sampled_from(
    [
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "blobs",
        "manifests",
        "fsLayers",
        "history",
        "blobSum",
        "v1Compatibility",
        "subject",
        "annotations",
        "digest",
        "size",
        "urls",
        "platform",
        "os",
        "architecture",
        "variant",
        "os.version",
        "signatures",
        "name",
        "tag",
        "created",
        "author",
        "comment",
        "throwaway",
        "container_config",
        "Cmd",
        "id",
        "parent",
        "rootfs",
        "diff_ids",
    ]
)

texts = st.one_of(
    digests, media_types, st.text(max_size=20), st.sampled_from(["../../etc/passwd", "/", "\0", "\x1b"])
)

numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([1 << 31, 1 << 63, (1 << 63) - 1, -(1 << 63), 1 << 64, 1 << 80]),
    st.floats(),
)

scalars = st.one_of(st.none(), st.booleans(), numbers, texts)

#: Any JSON, with the keys that manifests have at any place.
values = st.recursive(
    scalars,
    lambda below: st.one_of(
        st.lists(below, max_size=4),
        st.dictionaries(st.one_of(keys, st.text(string.printable, max_size=5)), below, max_size=6),
    ),
    max_leaves=25,
)

descriptors = st.fixed_dictionaries(
    {"digest": st.one_of(digests, scalars)},
    optional={
        "mediaType": st.one_of(media_types, values),
        "size": st.one_of(numbers, values),
        "urls": st.one_of(st.lists(texts, max_size=2), values),
        "platform": st.one_of(st.dictionaries(keys, texts, max_size=4), values),
        "annotations": st.one_of(st.dictionaries(texts, texts, max_size=2), values),
    },
)
many = st.one_of(st.lists(descriptors, max_size=4), values)

#: Manifests with most things in their places, and some not.
manifests = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.one_of(st.sampled_from([1, 2]), values),
        "mediaType": st.one_of(media_types, values),
        "artifactType": st.one_of(media_types, values),
        "config": st.one_of(descriptors, values),
        "layers": many,
        "blobs": many,
        "manifests": many,
        "subject": st.one_of(descriptors, values),
        "annotations": st.one_of(st.dictionaries(texts, texts, max_size=2), values),
    },
)

v1 = st.fixed_dictionaries(
    {},
    optional={
        "created": st.one_of(st.just("2015-01-01T00:00:00Z"), scalars),
        "author": st.one_of(st.text(max_size=5), scalars),
        "comment": st.one_of(st.text(max_size=5), scalars),
        "throwaway": st.one_of(st.booleans(), scalars),
        "container_config": st.one_of(
            st.fixed_dictionaries(
                {"Cmd": st.one_of(st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3), values)}
            ),
            values,
        ),
        "config": values,
        "Size": numbers,
    },
)


@st.composite
def schema1(draw: st.DrawFn) -> dict[str, object]:
    """Schema 1 with as many layers as steps, mostly."""
    count = draw(st.integers(0, 4))
    more = draw(st.sampled_from([0, 0, 0, 1]))
    steps = [draw(st.one_of(v1.map(json.dumps), v1.map(json.dumps), texts)) for _ in range(count + more)]
    layers = [draw(st.one_of(digests, digests, digests, scalars)) for _ in range(count)]
    document: dict[str, object] = {
        "schemaVersion": 1,
        "fsLayers": [{"blobSum": layer} for layer in layers],
        "history": [{"v1Compatibility": step} for step in steps],
    }
    return document | draw(
        st.dictionaries(st.sampled_from(["signatures", "name", "tag"]), scalars, max_size=2)
    )


def packed(document: object) -> bytes:
    """Give JSON, with what it must not hold (NaN, lone surrogates) as Python writes it."""
    return json.dumps(document).encode()


@st.composite
def torn(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Cut a document short or change one byte of it, as a crash or a disk does."""
    raw = draw(whole)
    at = draw(st.integers(0, len(raw)))
    return raw[:at] + draw(st.sampled_from([b"", b"\0", b"\xff", raw[at + 1 :], b"\0" + raw[at + 1 :]]))
