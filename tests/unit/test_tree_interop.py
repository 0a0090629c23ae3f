"""Images for other tools: `oci/`, `.oci/`, `image.tar`, the names of `dir:`, and names without a colon."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from regfs.errors import BlobMissingError, NoEntryError, SizeError
from regfs.oci.names import read_registry
from regfs.tree import File, NodeType, Tree
from tests.builder import Blob, StoreBuilder
from tests.builder.media_types import OCI_INDEX, OCI_MANIFEST
from tests.unit.trees import names, read

Open = Callable[..., Tree]

AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def unpacked(archive: bytes) -> dict[str, bytes]:
    """Give what a tar holds; its entries are plain files that say the same whenever they are made."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for entry in opened:
            assert (entry.isreg(), entry.mode, entry.uid, entry.gid, entry.mtime) == (True, 0o444, 0, 0, 0)
            content = opened.extractfile(entry)
            assert content is not None
            found[entry.name] = content.read()
    return found


def two_platforms(store: StoreBuilder, repository: str = "app") -> tuple[Blob, Blob, Blob]:
    """Push an index of two platforms; gives it and its children."""
    children = [
        store.image(
            repository,
            None,
            [store.layer({"arch": platform["architecture"].encode()})],
            store.config(architecture=platform["architecture"]),
        )
        for platform in (AMD64, ARM64)
    ]
    platforms = zip(children, (AMD64, ARM64), strict=True)
    index = store.index(repository, "multi", [child.descriptor(platform=which) for child, which in platforms])
    return index, *children


def parts_of(store: StoreBuilder, manifest: Blob) -> tuple[str, list[str]]:
    """Give the digests of an image's config and layers."""
    document = json.loads(store.data(manifest.digest).read_bytes())
    return document["config"]["digest"], [layer["digest"] for layer in document["layers"]]


def in_layout(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


# --- the layout ------------------------------------------------------------------------------------


def test_a_layout_says_to_the_byte_what_the_manifest_says(store: StoreBuilder, tree: Open) -> None:
    pushed = store.image("team/app", "1.0")
    shown = tree(registry="reg.example.com:5000")
    assert read(shown, "team/app/1.0/oci/oci-layout") == b'{"imageLayoutVersion":"1.0.0"}'
    assert read(shown, "team/app/1.0/oci/index.json") == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":'
        b'"application/vnd.oci.image.manifest.v1+json","digest":"%b","size":%d,"annotations":{'
        b'"io.containerd.image.name":"reg.example.com:5000/team/app:1.0",'
        b'"org.opencontainers.image.ref.name":"1.0"}}]}' % (pushed.digest.encode(), pushed.size)
    )


def test_a_layouts_blobs_are_the_images_own_files(store: StoreBuilder, tree: Open) -> None:
    pushed = store.image("app", "1.0")
    config, layers = parts_of(store, pushed)
    shown = tree()
    assert names(shown, "app/1.0/oci") == ["oci-layout", "index.json", "blobs"]
    assert names(shown, "app/1.0/oci/blobs") == ["sha256"]
    listed = names(shown, "app/1.0/oci/blobs/sha256")
    assert listed == [digest.partition(":")[2] for digest in (pushed.digest, config, *layers)]
    for digest, path in (
        (pushed.digest, "manifest.json"),
        (config, "config.json"),
        (layers[0], "layers/00.tar.gz"),
    ):
        blob, own = shown.walk(f"app/1.0/oci/{in_layout(digest)}"), shown.walk(f"app/1.0/{path}")
        assert blob.attributes() == own.attributes()
        assert (blob.type, blob.attributes().links) == (NodeType.FILE, 2)
        assert digest_of(read(shown, f"app/1.0/oci/{in_layout(digest)}")) == digest


def test_no_listing_shows_the_new_names(store: StoreBuilder, tree: Open) -> None:
    store.image("app", "1.0")
    shown = tree()
    assert names(shown, "app/1.0") == ["manifest.json", "layers", "config.json"]
    assert names(shown, "app") == ["1.0"]
    assert names(shown, "/") == ["app"]


def test_a_platforms_layout_has_the_tag_of_its_index(store: StoreBuilder, tree: Open) -> None:
    _, _, arm = two_platforms(store)
    shown = tree()
    (entry,) = json.loads(read(shown, "app/multi/platforms/linux-arm64/oci/index.json"))["manifests"]
    assert entry["digest"] == arm.digest
    assert entry["annotations"] == {
        "io.containerd.image.name": "app:multi",
        "org.opencontainers.image.ref.name": "multi",
    }


@pytest.mark.parametrize("path", ["app/@{}", "@history/app/1.0/20231114T221320Z-{:.12}"])
def test_what_no_tag_names_now_has_no_name(store: StoreBuilder, tree: Open, path: str) -> None:
    pushed = store.image("app", "1.0", mtime=1_700_000_000)
    path = path.format(pushed.digest if "@{" in path else pushed.digest.partition(":")[2])
    shown = tree(registry="reg.example.com")
    (entry,) = json.loads(read(shown, f"{path}/oci/index.json"))["manifests"]
    assert entry["digest"] == pushed.digest
    assert "annotations" not in entry
    (docker,) = json.loads(unpacked(read(shown, f"{path}/image.tar"))["manifest.json"])
    assert docker["RepoTags"] is None


def test_a_repositorys_layout_has_all_tags_that_can_be_read(store: StoreBuilder, tree: Open) -> None:
    first, second = store.image("app", "1.0"), store.image("app", "2.0", [store.layer({"b": b"2"})])
    store.image("app/nested", "9")
    store.image("app", "torn", [store.layer({"c": b"3"})])
    store.tag_link("app", "torn").write_bytes(b"")
    os.utime(store.tag_link("app", "torn"), (0, 0))
    shown = tree()
    entries = json.loads(read(shown, "app/.oci/index.json"))["manifests"]
    told = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in entries}
    assert told == {"1.0": first.digest, "2.0": second.digest}
    wanted = {first.digest, second.digest}
    for manifest in (first, second):
        config, layers = parts_of(store, manifest)
        wanted |= {config, *layers}
    assert {f"sha256:{name}" for name in names(shown, "app/.oci/blobs/sha256")} == wanted
    for place in ("team", ""):
        with pytest.raises(NoEntryError):
            shown.walk(f"{place}/.oci")


# --- the archive -----------------------------------------------------------------------------------


def test_an_archive_is_a_layout_and_what_docker_saves(store: StoreBuilder, tree: Open) -> None:
    layers = [store.layer({f"file{number}": b"x" * number * 1000}) for number in range(3)]
    pushed = store.image("team/app", "1.0", layers)
    config, _ = parts_of(store, pushed)
    shown = tree(registry="reg.example.com")
    archive = read(shown, "team/app/1.0/image.tar")
    found = unpacked(archive)
    wanted = [pushed.digest, config, *(layer.digest for layer in layers)]
    assert list(found) == ["oci-layout", "index.json", "manifest.json", *map(in_layout, wanted)]
    assert found["index.json"] == read(shown, "team/app/1.0/oci/index.json")
    assert json.loads(found["manifest.json"]) == [
        {
            "Config": in_layout(config),
            "RepoTags": ["reg.example.com/team/app:1.0"],
            "Layers": [in_layout(layer.digest) for layer in layers],
        }
    ]
    for digest in wanted:
        assert found[in_layout(digest)] == store.data(digest).read_bytes()
    attributes = shown.walk("team/app/1.0/image.tar").attributes()
    assert (attributes.size, attributes.blocks) == (len(archive), -(-len(archive) // 512))
    assert archive[-1024:] == bytes(1024)


def test_an_archive_is_the_same_whenever_the_image_was_pushed(store: StoreBuilder, tree: Open) -> None:
    store.image("app", "1.0", mtime=1_600_000_000)
    first, identity = read(tree(), "app/1.0/image.tar"), tree().walk("app/1.0/image.tar").identity
    store.image("app", "1.0", mtime=1_700_000_000)
    assert read(tree(), "app/1.0/image.tar") == first
    assert tree().walk("app/1.0/image.tar").identity == identity
    other = tree(registry="reg.example.com").walk("app/1.0/image.tar")
    assert isinstance(other, File)
    assert other.identity != identity


@pytest.mark.parametrize("size", [1, 511, 512, 513, 4096, 100_000])
def test_any_part_of_an_archive_can_be_read(store: StoreBuilder, tree: Open, size: int) -> None:
    store.image(
        "app", "1.0", [store.blob(os.urandom(n), "application/octet-stream") for n in (1, 512, 70_000)]
    )
    node = tree().walk("app/1.0/image.tar")
    assert isinstance(node, File)
    whole = read(tree(), "app/1.0/image.tar")
    content = node.open()
    try:
        for offset in [*range(0, len(whole), max(size * 3 // 2, 997)), len(whole) - 1, len(whole), 10**12]:
            buffer = bytearray(size)
            got = content.read_into(memoryview(buffer), offset)
            assert buffer[:got] == whole[offset : offset + size]
    finally:
        content.close()


def test_an_archive_of_an_index_holds_all_platforms_and_docker_gets_one(
    store: StoreBuilder, tree: Open
) -> None:
    index, amd, arm = two_platforms(store)
    for platform, child in (("linux/amd64", amd), ("linux/arm64", arm)):
        found = unpacked(read(tree(platform=platform), "app/multi/image.tar"))
        for manifest in (index, amd, arm):
            assert in_layout(manifest.digest) in found
        config, layers = parts_of(store, child)
        (docker,) = json.loads(found["manifest.json"])
        assert (docker["Config"], docker["Layers"]) == (in_layout(config), [in_layout(layers[0])])


def test_what_a_sparse_index_lacks_is_left_out(store: StoreBuilder, tree: Open) -> None:
    _, amd, arm = two_platforms(store)
    whole = set(unpacked(read(tree(), "app/multi/image.tar")))
    config, layers = parts_of(store, arm)
    store.data(arm.digest).unlink()
    found = set(unpacked(read(tree(), "app/multi/image.tar")))
    assert whole - found == {in_layout(digest) for digest in (arm.digest, config, *layers)}
    listed = names(tree(), "app/multi/oci/blobs/sha256")
    assert arm.digest.partition(":")[2] not in listed
    assert amd.digest.partition(":")[2] in listed


def test_a_layer_that_another_platform_lacks_is_left_out_and_ones_own_is_not(
    store: StoreBuilder, tree: Open
) -> None:
    _, amd, arm = two_platforms(store)
    (layer,) = parts_of(store, arm)[1]
    store.data(layer).write_bytes(b"short")
    node = tree().walk("app/multi/image.tar")
    assert in_layout(layer) not in unpacked(read(tree(), "app/multi/image.tar"))
    assert node.archive().lacking() == []
    (left_out,) = node.archive().left_out()
    assert layer in left_out
    (layer,) = parts_of(store, amd)[1]
    store.data(layer).unlink()
    with pytest.raises(BlobMissingError):
        read(tree(), "app/multi/image.tar")
    (lacks,) = tree().walk("app/multi/image.tar").archive().lacking()
    assert layer in lacks


def test_a_missing_or_short_layer_is_an_error_and_the_size_is_told(store: StoreBuilder, tree: Open) -> None:
    layers = [store.layer({"a": b"1"}), store.layer({"b": os.urandom(5000)})]
    store.image("app", "1.0", layers)
    whole = read(tree(), "app/1.0/image.tar")
    path = store.data(layers[1].digest)
    kept = path.read_bytes()
    for damage, error in (
        (lambda: path.write_bytes(kept[:-1]), SizeError),
        (lambda: path.unlink(), BlobMissingError),
    ):
        damage()
        shown = tree()
        assert shown.walk("app/1.0/image.tar").attributes().size == len(whole)
        assert layers[1].digest.partition(":")[2] in names(shown, "app/1.0/oci/blobs/sha256")
        for place in ("image.tar", f"oci/{in_layout(layers[1].digest)}"):
            with pytest.raises(error):
                read(shown, f"app/1.0/{place}")
        content = shown.walk("app/1.0/image.tar").open()
        buffer = bytearray(1000)
        assert content.read_into(memoryview(buffer), 0) == 1000
        assert buffer == whole[:1000]
        content.close()


def test_a_layer_cut_while_it_is_read_is_an_error(store: StoreBuilder, tree: Open) -> None:
    layer = store.blob(os.urandom(50_000), "application/vnd.oci.image.layer.v1.tar")
    store.image("app", "1.0", [layer])
    node = tree().walk("app/1.0/image.tar")
    content = node.open()
    buffer = memoryview(bytearray(4096))
    offset = node.archive().size - 1024 - 512 - 40_000
    assert content.read_into(buffer, offset) == 4096
    os.truncate(store.data(layer.digest), 10_000)
    with pytest.raises(SizeError):
        content.read_into(buffer, offset)
    content.close()


def test_a_layer_of_two_images_is_once_in_an_archive_of_both(store: StoreBuilder, tree: Open) -> None:
    from regfs.tree.interop import Archive

    shared = store.layer({"shared": b"s"})
    store.image("app", "1.0", [shared])
    store.image("app", "2.0", [shared, store.layer({"own": b"o"})])
    shown = tree()
    directories = [shown.walk(f"app/{tag}") for tag in ("1.0", "2.0")]
    archive = Archive(directories[0], [directory.named() for directory in directories])
    found = unpacked(b"".join(bytes(piece) for piece in archive.stream()))
    assert [entry["RepoTags"] for entry in json.loads(found["manifest.json"])] == [["app:1.0"], ["app:2.0"]]
    assert len(json.loads(found["index.json"])["manifests"]) == 2
    assert archive.size == sum(len(bytes(piece)) for piece in archive.stream())


def test_what_docker_cannot_load_says_so(store: StoreBuilder, tree: Open) -> None:
    store.image("app", "gzip")
    store.image("app", "zstd", [store.layer({"a": b"1"}, "zstd")])
    shown = tree(registry="r.example.com")
    facts = {
        tag: shown.walk(f"app/{tag}/image.tar").xattr("user.regfs.docker_load").decode()
        for tag in ("gzip", "zstd")
    }
    assert facts["gzip"] == "yes"
    assert facts["zstd"].startswith("no: its layers are zstd")
    assert shown.walk("app/zstd/image.tar").xattr("user.regfs.name") == b"r.example.com/app:zstd"


def test_an_artifact_has_the_oci_half_alone(store: StoreBuilder, tree: Open) -> None:
    file = store.blob(b'{"spdxVersion": "SPDX-2.3"}', "application/spdx+json")
    pushed = store.artifact("app", "sbom", [file.descriptor()], "application/spdx+json")
    found = unpacked(read(tree(), "app/sbom/image.tar"))
    assert "manifest.json" not in found
    assert found[in_layout(pushed.digest)] == store.data(pushed.digest).read_bytes()
    (entry,) = json.loads(found["index.json"])["manifests"]
    assert entry["artifactType"] == "application/spdx+json"


def test_schema_1_has_neither_and_the_log_says_why(
    store: StoreBuilder, tree: Open, caplog: pytest.LogCaptureFixture
) -> None:
    layer = store.layer({"a": b"1"}, docker=True)
    store.schema1("old", "1.0", [layer], [{"id": "a"}], signed=True)
    shown = tree()
    for name in ("image.tar", "oci"):
        with pytest.raises(NoEntryError):
            shown.walk(f"old/1.0/{name}")
        assert f"old:1.0: a schema 1 image has no {name}" in caplog.text
    assert digest_of(read(shown, f"old/1.0/{layer.digest.partition(':')[2]}")) == layer.digest
    assert json.loads(read(shown, "old/.oci/index.json"))["manifests"] == []


def test_a_foreign_layer_is_not_in_a_layout_and_docker_gets_no_image_without_it(
    store: StoreBuilder, tree: Open
) -> None:
    foreign: dict[str, Any] = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": f"sha256:{'ab' * 32}",
        "size": 1234,
        "urls": ["https://example.com/layer"],
    }
    own = store.layer({"a": b"1"}, docker=True)
    config = store.config(docker=True)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": [foreign, own.descriptor()],
    }
    store.manifest("app", "1.0", json.dumps(document).encode(), OCI_MANIFEST)
    found = unpacked(read(tree(), "app/1.0/image.tar"))
    assert in_layout(own.digest) in found
    assert in_layout(foreign["digest"]) not in found
    assert "manifest.json" not in found


def test_a_blob_by_sha512_has_its_path_whatever_it_is_stored_as(store: StoreBuilder, tree: Open) -> None:
    content = os.urandom(3000)
    layer = store.sha512_layer("app", content, "application/vnd.oci.image.layer.v1.tar")
    store.image("app", "1.0", [layer])
    shown = tree()
    archive = read(shown, "app/1.0/image.tar")
    assert unpacked(archive)[in_layout(layer.digest)] == content
    assert shown.walk("app/1.0/image.tar").attributes().size == len(archive)
    assert sorted(names(shown, "app/1.0/oci/blobs")) == ["sha256", "sha512"]
    assert read(shown, f"app/1.0/{layer.digest.partition(':')[2]}") == content


def test_an_index_of_nothing_here_is_an_archive_of_itself(store: StoreBuilder, tree: Open) -> None:
    missing = Blob(f"sha256:{'cd' * 32}", 99, OCI_MANIFEST)
    pushed = store.index("app", "sparse", [missing.descriptor(platform=ARM64)])
    found = unpacked(read(tree(), "app/sparse/image.tar"))
    assert list(found) == ["oci-layout", "index.json", in_layout(pushed.digest)]
    assert json.loads(found["index.json"])["manifests"][0]["mediaType"] == OCI_INDEX


# --- skopeo's dir:, and names without a colon ---------------------------------------------------------


def test_an_images_directory_is_one_of_skopeos(store: StoreBuilder, tree: Open) -> None:
    index, amd, arm = two_platforms(store)
    shown = tree()
    for manifest in (amd, arm):
        encoded = manifest.digest.partition(":")[2]
        path = f"app/multi/{encoded}.manifest.json"
        assert read(shown, path) == store.data(manifest.digest).read_bytes()
        config, layers = parts_of(store, manifest)
        for digest in (config, *layers):
            assert digest_of(read(shown, f"app/multi/{digest.partition(':')[2]}")) == digest
        with pytest.raises(NoEntryError):
            shown.walk(f"app/multi/{encoded}")
    encoded = index.digest.partition(":")[2]
    for name in (encoded, f"{encoded}.manifest.json", "ab" * 32, f"{'ab' * 32}.manifest.json"):
        with pytest.raises(NoEntryError):
            shown.walk(f"app/multi/{name}")


def test_every_name_with_a_colon_has_one_without(store: StoreBuilder, tree: Open) -> None:
    tagged = store.image("app", "1.0", mtime=1_700_000_000)
    old = store.image("app", None, [store.layer({"old": b"1"})])
    shown = tree()
    hexadecimal = tagged.digest.partition(":")[2]
    history = "@history/app/1.0/20231114T221320Z-"
    for with_colon, without in (
        ("app/:1.0", "app/+1.0"),
        (f"app/@{tagged.digest}", f"app/@sha256-{hexadecimal}"),
        (f"@history/app/1.0/2023-11-14T22:13:20Z-{hexadecimal[:12]}", f"{history}{hexadecimal[:12]}"),
        (f"@untagged/app/{old.digest}", f"@untagged/app/{old.digest.replace(':', '-')}"),
    ):
        first, second = shown.walk(with_colon), shown.walk(without)
        assert ":" not in without
        assert first.attributes() == second.attributes()
        assert read(shown, f"{with_colon}/manifest.json") == read(shown, f"{without}/manifest.json")
    assert names(shown, "app") == ["1.0"]


@pytest.mark.parametrize(
    "name", ["+", "+nothing", "+1.0/", "@sha256-", "@sha256-zz", f"@sha256-{'0' * 64}", ".oci.", "oci"]
)
def test_other_names_lead_nowhere(store: StoreBuilder, tree: Open, name: str) -> None:
    store.image("app", "1.0")
    with pytest.raises(NoEntryError):
        tree().walk(f"app/{name}" if not name.endswith("/") else f"app/{name}nothing")


@pytest.mark.parametrize("name", ["reg.example.com", "10.0.0.1:5000", "localhost", "host:5000", "[::1]:5000"])
def test_a_registry_is_a_host_with_a_dot_or_a_port(name: str) -> None:
    assert read_registry(name) == name


@pytest.mark.parametrize(
    "name", ["", "reg", "reg.example.com/x", "https://reg.example.com", "a b.c", "reg:", ".x"]
)
def test_what_is_no_registry_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no HOST"):
        read_registry(name)
