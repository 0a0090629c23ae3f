"""An image's directory: manifest.json, config.json, layers/, their attributes and xattrs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import pytest

from regfs.errors import NoEntryError
from regfs.graph.times import iso
from regfs.oci import Digest
from regfs.oci.naming import TITLE
from regfs.tree import Directory, Node, NodeType, Tree
from tests.builder import StoreBuilder, make_layer
from tests.builder.media_types import OCI_ARTIFACT, OCI_LAYER, OCI_MANIFEST
from tests.unit.memory_store import MemoryStore
from tests.unit.trees import names, read, tree_over

Open = Callable[..., Tree]


def facts(node: Node) -> dict[str, str]:
    """Give all extended attributes, by their short names; every listed one can be asked for."""
    return {name.removeprefix("user.regfs."): node.xattr(name).decode() for name in node.xattr_names()}


@pytest.mark.parametrize("docker", [False, True])
def test_manifest_config_and_layers_are_shown_byte_for_byte(
    store: StoreBuilder, tree: Open, docker: bool
) -> None:
    layers = [store.layer({f"file{number}": b"x" * number}, docker=docker) for number in range(3)]
    config = store.config(docker=docker)
    pushed = store.image("app", "1.0", layers, config, docker=docker)
    shown = tree()
    assert Digest.of(read(shown, "app/1.0/manifest.json")) == Digest.parse(pushed.digest)
    assert Digest.of(read(shown, "app/1.0/config.json")) == Digest.parse(config.digest)
    assert names(shown, "app/1.0/layers") == ["00.tar.gz", "01.tar.gz", "02.tar.gz"]
    for number, layer in enumerate(layers):
        content = read(shown, f"app/1.0/layers/{number:02}.tar.gz")
        assert Digest.of(content) == Digest.parse(layer.digest)


def test_a_layers_suffix_tells_what_the_media_type_says(store: StoreBuilder, tree: Open) -> None:
    layers = [store.layer({"f": b"x"}, compression) for compression in ("none", "gzip", "zstd", "xz")]
    layers += [
        store.blob(b"{}", "application/vnd.in-toto+json"),
        store.blob(b"?", "text/plain"),
        store.blob(b"!", ""),
    ]
    store.image("app", "1.0", layers)
    assert names(tree(), "app/1.0/layers") == [
        "00.tar",
        "01.tar.gz",
        "02.tar.zst",
        "03.tar.xz",
        "04.json",
        "05.bin",
        "06.bin",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "0.tar.gz",
        "000.tar.gz",
        "00.tar.zst",
        "0",
        "000",
        "01.tar.gz",
        "00.tar.gz.",
        "\u0660\u0660.tar.gz",
        "+0",
    ],
)
def test_a_layer_has_its_exact_name_only(store: StoreBuilder, tree: Open, name: str) -> None:
    store.image("app", "1.0")
    with pytest.raises(NoEntryError):
        tree().walk(f"app/1.0/layers/{name}")


def test_an_image_without_layers_has_an_empty_directory_of_them(store: StoreBuilder, tree: Open) -> None:
    store.image("app", "1.0", layers=[])
    document = {"config": store.config().descriptor(), "layers": None}
    store.manifest("app", "null", json.dumps(document).encode(), OCI_MANIFEST)
    shown = tree()
    assert names(shown, "app/1.0/layers") == names(shown, "app/null/layers") == []


def test_a_blob_has_the_inode_of_its_digest_and_two_links_everywhere(store: StoreBuilder, tree: Open) -> None:
    layer, config = store.layer({"f": b"shared"}), store.config()
    first = store.image("app", "1.0", [layer], config)
    store.image("team/other", "latest", [store.layer({"g": b""}), layer], config)
    shown = tree()
    paths = [
        "app/1.0/layers/00.tar.gz",
        "team/other/latest/layers/01.tar.gz",
        f"app/@{first.digest}/layers/00.tar.gz",
    ]
    for path in paths:
        found = shown.walk(path).attributes()
        assert (found.inode, found.links) == (int(layer.digest[7:23], 16), 2)
    stored = os.stat(store.data(layer.digest))
    assert (found.size, found.blocks, found.mtime_ns) == (
        stored.st_size,
        stored.st_blocks,
        stored.st_mtime_ns,
    )
    for name in ("config.json", "manifest.json"):
        assert shown.walk(f"app/1.0/{name}").attributes().links == 2
    assert shown.walk("app/1.0/manifest.json").inode == int(first.digest[7:23], 16)


def test_a_listing_tells_the_same_inodes_as_a_look_at_each(store: StoreBuilder, tree: Open) -> None:
    layers = [store.layer({"f": b"x"}), store.sha512_layer("app", b"pushed as sha512", OCI_LAYER)]
    store.image("app", "1.0", layers)
    store.sha512_layer("app", b"pushed as sha512", OCI_LAYER)  # the builder's image() has linked it to itself
    shown = tree()
    for path in ("app/1.0", "app/1.0/layers"):
        directory = shown.walk(path)
        assert isinstance(directory, Directory)
        for child in directory.children():
            node = directory.lookup(child.name)
            assert child.inode == node.inode == node.attributes().inode
            assert child.type is node.type is node.attributes().type


def test_a_layer_pushed_as_sha512_is_the_blob_that_its_link_names(store: StoreBuilder, tree: Open) -> None:
    pushed = store.sha512_layer("app", b"content", OCI_LAYER)
    store.image("app", "1.0", [pushed])
    store.sha512_layer("app", b"content", OCI_LAYER)  # the builder's image() has linked it to itself
    node = tree().walk("app/1.0/layers/00.tar")
    assert node.inode == int(Digest.of(b"content").hex[:16], 16)
    assert node.xattr("user.regfs.digest") == pushed.digest.encode()
    assert read(tree(), "app/1.0/layers/00.tar") == b"content"


def test_an_image_tells_its_facts_in_xattrs(store: StoreBuilder, tree: Open) -> None:
    pushed = store.image("app", "1.0", mtime=1_700_000_000)
    by_tag = facts(tree().walk("app/1.0"))
    want = {
        "digest": pushed.digest,
        "media_type": pushed.media_type,
        "kind": "image",
        "created": "2024-02-03T04:05:06Z",
    }
    assert by_tag == want | {"pushed": "2023-11-14T22:13:20Z"}
    assert facts(tree().walk(f"app/@{pushed.digest}")) == want


def test_a_file_tells_its_facts_in_xattrs(store: StoreBuilder, tree: Open) -> None:
    layer = store.layer({"f": b"x"}, "zstd")
    pushed = store.image("app", "1.0", [layer])
    os.utime(store.data(layer.digest), (1_700_000_000, 1_700_000_000))
    shown = tree()
    assert facts(shown.walk("app/1.0/layers/00.tar.zst")) == {
        "digest": layer.digest,
        "media_type": layer.media_type,
        "kind": "layer",
        "stored": "2023-11-14T22:13:20Z",
    }
    assert facts(shown.walk("app/1.0/config.json"))["kind"] == "config"
    assert facts(shown.walk("app/1.0/manifest.json"))["digest"] == pushed.digest
    assert facts(shown.walk("app/1.0/manifest.json"))["kind"] == "image"
    assert facts(shown.walk("app/1.0/layers")) == {}


def test_an_artifact_is_shown_with_its_config_and_blobs(store: StoreBuilder, tree: Open) -> None:
    chart = store.blob(b"chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    config = store.blob(b"[]", "application/vnd.cncf.helm.config.v1+json")
    store.image("charts/app", "1.0", [chart], config)
    shown = tree()
    assert names(shown, "charts/app/1.0/layers") == ["00.tar.gz"]
    assert read(shown, "charts/app/1.0/config.json") == b"[]"
    assert facts(shown.walk("charts/app/1.0"))["kind"] == "chart"
    assert facts(shown.walk("charts/app/1.0"))["created"] == ""


def test_the_withdrawn_artifact_manifest_has_no_config(store: StoreBuilder, tree: Open) -> None:
    blob = store.blob(b"sbom", "application/spdx+json")
    document = {"mediaType": OCI_ARTIFACT, "blobs": [blob.descriptor()]}
    store.manifest("app", "sbom", json.dumps(document).encode(), OCI_ARTIFACT)
    assert names(tree(), "app/sbom") == ["manifest.json", "layers"]
    assert read(tree(), "app/sbom/layers/00.json") == b"sbom"


def test_an_artifacts_layers_have_the_titles_of_their_files(store: StoreBuilder, tree: Open) -> None:
    tar = "application/vnd.cncf.flux.content.v1.tar+gzip"
    files = [
        store.blob(b"hello\n", "text/plain").descriptor(annotations={TITLE: "hello.txt"}),
        store.blob(b"{}", "application/json").descriptor(annotations={TITLE: "../up"}),
        store.blob(make_layer({"in/it": b"x"}), tar).descriptor(annotations={TITLE: "02"}),
    ]
    store.artifact("files", "1.0", files, "application/vnd.acme.files")
    shown = tree()
    assert names(shown, "files/1.0/layers") == ["hello.txt", "01.json", "02"]
    assert read(shown, "files/1.0/layers/hello.txt") == b"hello\n"
    assert read(shown, "files/1.0/layers/02") == make_layer({"in/it": b"x"})
    assert facts(shown.walk("files/1.0"))["kind"] == "artifact: application/vnd.acme.files"
    # Neither is there what an artifact has not: a root, the inside of what is no tar.
    for name in ("rootfs", "layers/00", "layers/00.tar", "layers/00.bin", "layers/01", "layers/03"):
        with pytest.raises(NoEntryError):
            shown.walk(f"files/1.0/{name}")


@pytest.mark.parametrize("signed", [False, True])
def test_schema_1_shows_layers_base_first_and_a_config_made_for_it(
    store: StoreBuilder, tree: Open, signed: bool
) -> None:
    base, empty, top = store.layer({"base": b""}), store.layer({}), store.layer({"top": b""})
    steps = [{"created": f"2015-01-0{number}T00:00:00Z", "os": "linux"} for number in range(1, 5)]
    pushed = store.schema1("old", "1.0", [base, empty, empty, top], steps, signed=signed)
    shown = tree()
    assert sorted(names(shown, "old/1.0")) == ["config.json", "layers", "manifest.json"]
    shown_layers = [read(shown, f"old/1.0/layers/{number:02}.tar.gz") for number in range(4)]
    assert [str(Digest.of(content)) for content in shown_layers] == [
        layer.digest for layer in (base, empty, empty, top)
    ]
    config = read(shown, "old/1.0/config.json")
    assert json.loads(config)["created"] == "2015-01-04T00:00:00Z"
    found = shown.walk("old/1.0/config.json").attributes()
    assert (found.type, found.links, found.size) == (NodeType.FILE, 1, len(config))
    assert found.blocks * 512 >= found.size
    assert found.mtime_ns == shown.walk("old/1.0").attributes().mtime_ns
    assert read(shown, "old/1.0/manifest.json") == store.data(pushed.digest).read_bytes()


def test_a_signed_schema_1_tells_its_media_type(store: StoreBuilder, tree: Open) -> None:
    store.schema1("old", "1.0", [store.layer({})], [{}], signed=True)
    assert facts(tree().walk("old/1.0"))["media_type"].endswith("v1+prettyjws")
    assert facts(tree().walk("old/1.0"))["kind"] == "image"


@pytest.mark.long
def test_ten_thousand_layers_have_four_digits_and_are_listed_quickly(store: StoreBuilder, tree: Open) -> None:
    layer = store.layer({"f": b"x"})
    store.image("app", "1.0", [layer] * 10_000)
    shown = tree(ttl=60.0)
    started = time.process_time()
    found = names(shown, "app/1.0/layers")
    directory = shown.walk("app/1.0/layers")
    assert isinstance(directory, Directory)
    for name in found:
        directory.lookup(name).attributes()
    assert time.process_time() - started < 2
    assert (found[0], found[-1], len(found)) == ("0000.tar.gz", "9999.tar.gz", 10_000)
    assert found == sorted(found)


@pytest.mark.parametrize(("count", "last"), [(100, "99.tar.gz"), (101, "100.tar.gz")])
def test_all_positions_have_the_same_number_of_digits(
    store: StoreBuilder, tree: Open, count: int, last: str
) -> None:
    store.image("app", "1.0", [store.layer({})] * count)
    found = names(tree(), "app/1.0/layers")
    assert found[-1] == last
    assert {len(name) for name in found} == {len(last)}


@pytest.mark.parametrize("moment", [0, -1, -(1 << 33), 1 << 33, 253_402_300_800, 1 << 60, -(1 << 60)])
def test_any_time_that_a_file_system_can_hold_is_told(moment: int) -> None:
    """XFS and tmpfs hold 64 bits of seconds, or nearly: years that no calendar has."""
    store = MemoryStore()
    digest = Digest.of(b"")
    store.write("repositories/app/_manifests/tags/1.0/current/link", str(digest).encode(), moment * 10**9)
    node = tree_over(store).walk("app/1.0")
    assert node.attributes().mtime_ns == moment * 10**9
    assert node.xattr("user.regfs.digest") == str(digest).encode()
    assert "user.regfs.pushed" in node.xattr_names()
    assert facts(node)["digest"] == str(digest)


@pytest.mark.parametrize(
    ("moment", "text"),
    [(0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"), (-30_610_224_000, "1000-01-01T00:00:00Z")],
)
def test_times_in_xattrs_are_iso_8601(moment: int, text: str) -> None:
    assert iso(moment * 10**9) == text
    assert iso(moment * 10**9 + 999_999_999) == text
