"""Damage never hides: what lacks is listed with the size that it should have, and opening it fails."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from regfs.errors import (
    BlobMissingError,
    LinkError,
    ManifestError,
    MismatchError,
    NoEntryError,
    RegfsError,
    SizeError,
    UnsafeError,
)
from regfs.oci import Digest
from regfs.registry import open_local
from regfs.tree import Directory, File, NodeType, Symlink, Tree
from tests.builder import Blob, StoreBuilder
from tests.builder.media_types import DOCKER_LAYER, DOCKER_MANIFEST
from tests.unit.fakes import CountingStore, FakeClock
from tests.unit.trees import content_bytes, names, read, tree_over

Open = Callable[..., Tree]
LAYER = "app/1.0/layers/00.tar.gz"


def file_at(tree: Tree, path: str) -> File:
    node = tree.walk(path)
    assert isinstance(node, File)
    return node


@pytest.mark.parametrize(("lost", "path"), [(0, LAYER), (1, "app/1.0/config.json")])
def test_a_missing_blob_is_listed_with_the_manifests_size_and_cannot_be_opened(
    store: StoreBuilder, tree: Open, lost: int, path: str
) -> None:
    blobs = [store.layer({"f": b"x"}), store.config()]
    store.image("app", "1.0", blobs[:1], blobs[1])
    store.data(blobs[lost].digest).unlink()
    shown = tree()
    directory, _, name = path.rpartition("/")
    assert name in names(shown, directory)
    node = file_at(shown, path)
    found = node.attributes()
    assert (found.type, found.size, found.blocks, found.links) == (NodeType.FILE, blobs[lost].size, 0, 2)
    assert found.inode == node.inode == int(blobs[lost].digest[7:23], 16)
    assert found.mtime_ns == shown.walk("app/1.0").attributes().mtime_ns
    assert node.xattr("user.regfs.stored") == b"no"
    with pytest.raises(BlobMissingError, match=blobs[lost].digest):
        node.open()


@pytest.mark.parametrize("size", [0, 5, 5000])
def test_a_layer_of_another_size_is_listed_with_the_manifests_and_cannot_be_opened(
    store: StoreBuilder, tree: Open, size: int
) -> None:
    layer = store.layer({"f": b"x"})
    store.image("app", "1.0", [layer])
    store.data(layer.digest).write_bytes(b"x" * size)
    node = file_at(tree(), LAYER)
    assert node.attributes().size == layer.size
    with pytest.raises(SizeError) as caught:
        node.open()
    assert (caught.value.got, caught.value.want) == (size, layer.size)


def test_the_rest_of_a_damaged_image_stays_readable(store: StoreBuilder, tree: Open) -> None:
    layers = [store.layer({"f": name}) for name in (b"a", b"b", b"c")]
    store.image("app", "1.0", layers)
    store.data(layers[1].digest).unlink()
    shown = tree()
    assert len(names(shown, "app/1.0/layers")) == 3
    for number in (0, 2):
        assert (
            read(shown, f"app/1.0/layers/{number:02}.tar.gz")
            == store.data(layers[number].digest).read_bytes()
        )
    assert read(shown, "app/1.0/config.json")


@pytest.mark.parametrize("what", ["symlink", "directory", "fifo"])
def test_data_that_is_no_plain_file_is_not_followed(store: StoreBuilder, tree: Open, what: str) -> None:
    layer = store.layer({"f": b"x"})
    store.image("app", "1.0", [layer])
    data = store.data(layer.digest)
    data.unlink()
    if what == "symlink":
        data.symlink_to("/etc/passwd")
    elif what == "directory":
        data.mkdir()
    else:
        os.mkfifo(data)
    node = file_at(tree(), LAYER)
    assert node.attributes().size == layer.size
    with pytest.raises(UnsafeError):
        node.open()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"sha256:../../../../etc/passwd"])
def test_a_tag_with_a_broken_link_is_listed_and_cannot_be_entered(
    store: StoreBuilder, tree: Open, content: bytes
) -> None:
    store.image("app", "1.0")
    store.image("app", "2.0", layers=[])
    link = store.tag_link("app", "1.0")
    link.write_bytes(content)
    os.utime(link, (1_600_000_000, 1_600_000_000))
    shown = tree()
    assert names(shown, "app") == ["1.0", "2.0"]
    node = shown.walk("app/1.0")
    assert node.attributes().mtime_ns == 1_600_000_000 * 10**9
    with pytest.raises(LinkError):
        names(shown, "app/1.0")
    with pytest.raises(LinkError):
        shown.walk("app/1.0/manifest.json")
    assert node.xattr("user.regfs.digest") == b""
    assert node.xattr("user.regfs.pushed") == b"2020-09-13T12:26:40Z"
    assert "layers" in names(shown, "app/2.0")


def test_a_tag_without_a_link_is_listed_and_cannot_be_entered(store: StoreBuilder, tree: Open) -> None:
    store.image("app", "1.0")
    link = store.tag_link("app", "1.0")
    link.unlink()
    shown = tree()
    assert names(shown, "app") == ["1.0"]
    found = shown.walk("app/1.0").attributes()
    assert found.mtime_ns == link.parents[1].stat().st_mtime_ns
    with pytest.raises(LinkError):
        names(shown, "app/1.0")


@pytest.mark.parametrize(
    ("content", "error"),
    [(None, BlobMissingError), (b"", MismatchError), (b"{}", MismatchError), (b"x" * 9_000_000, RegfsError)],
)
def test_a_tag_whose_manifest_is_damaged_is_listed_and_cannot_be_entered(
    store: StoreBuilder, tree: Open, content: bytes | None, error: type[RegfsError]
) -> None:
    pushed = store.image("app", "1.0", mtime=1_600_000_000)
    data = store.data(pushed.digest)
    data.unlink() if content is None else data.write_bytes(content)
    shown = tree()
    assert names(shown, "app") == ["1.0"]
    node = shown.walk("app/1.0")
    assert node.attributes().mtime_ns == 1_600_000_000 * 10**9
    assert node.xattr("user.regfs.digest") == pushed.digest.encode()
    for path in ("app/1.0", f"app/@{pushed.digest}"):
        with pytest.raises(error):
            names(shown, path)


def test_a_manifest_that_is_none_is_told(store: StoreBuilder, tree: Open) -> None:
    store.manifest("app", "1.0", b'{"schemaVersion": 2}', "application/json")
    with pytest.raises(ManifestError):
        names(tree(), "app/1.0")


def test_a_config_that_is_no_json_is_still_a_file(store: StoreBuilder, tree: Open) -> None:
    config = store.blob(b"\x00nonsense", "application/vnd.oci.image.config.v1+json")
    store.image("app", "1.0", config=config)
    shown = tree()
    assert read(shown, "app/1.0/config.json") == b"\x00nonsense"
    assert shown.walk("app/1.0").xattr("user.regfs.created") == b""
    assert shown.walk("app/1.0").xattr("user.regfs.kind") == b"image"


def test_a_link_that_names_another_blob_does_not_make_that_blob_the_layer(
    store: StoreBuilder, tree: Open
) -> None:
    """A sha256 digest is the name that its bytes are stored under, whatever a link says."""
    layer, other = store.blob(b"layer", "x/y"), store.blob(b"other", "x/y")
    store.image("app", "1.0", [layer])
    store.data(layer.digest).unlink()
    store.write(store.layer_link("app", layer.digest), other.digest)
    node = file_at(tree(), "app/1.0/layers/00.bin")
    assert node.attributes().inode == node.inode == int(layer.digest[7:23], 16)
    with pytest.raises(BlobMissingError):
        node.open()


# --- foreign layers ----------------------------------------------------------------------------------


def foreign(store: StoreBuilder, *urls: str, content: bytes | None = None) -> Blob:
    """Push an image of one layer that has URLs, stored only if its content is given."""
    blob = Blob(str(Digest.of(content or b"kept elsewhere")), 1000, DOCKER_LAYER)
    if content is not None:
        blob = store.blob(content, DOCKER_LAYER)
    document = {
        "schemaVersion": 2,
        "config": store.config().descriptor(),
        "layers": [blob.descriptor(urls=list(urls))],
    }
    store.manifest("app", "1.0", json.dumps(document).encode(), DOCKER_MANIFEST)
    return blob


def test_a_foreign_layer_that_is_not_stored_is_a_symlink_to_its_url(store: StoreBuilder, tree: Open) -> None:
    url = "https://go.microsoft.com/fwlink/?linkid=837858"
    foreign(store, url, "https://example.com/second")
    shown = tree()
    assert names(shown, "app/1.0/layers") == ["00.tar.gz"]
    link = shown.walk(LAYER, follow=False)
    assert isinstance(link, Symlink)
    assert link.target() == url
    assert (link.attributes().type, link.attributes().size) == (NodeType.SYMLINK, 0)
    with pytest.raises(NoEntryError, match=r"go\.microsoft\.com"):
        shown.walk(LAYER)


def test_a_foreign_layer_that_is_stored_is_a_file(store: StoreBuilder, tree: Open) -> None:
    foreign(store, "https://example.com/", content=b"here after all")
    assert read(tree(), LAYER) == b"here after all"


@pytest.mark.parametrize(
    "url",
    ["/etc/passwd", "../../../../../../etc/passwd", "../config.json", "etc", "", ".", "a/../..", "x\0://y"],
)
def test_an_url_that_is_none_makes_no_symlink_into_the_host(
    store: StoreBuilder, tree: Open, url: str
) -> None:
    """The kernel would follow it, out of the mount: `cp -rL` as root would copy the host's files."""
    blob = foreign(store, url)
    node = tree().walk(LAYER, follow=False)
    assert isinstance(node, File)
    assert node.attributes().size == blob.size
    with pytest.raises(BlobMissingError):
        node.open()


def test_a_torn_link_of_a_foreign_layer_does_not_spoil_the_listing(store: StoreBuilder, tree: Open) -> None:
    blob = foreign(store, "https://example.com/")
    store.write(store.layer_link("app", blob.digest), b"")
    assert names(tree(), "app/1.0/layers") == ["00.tar.gz"]


# --- a store that changes ----------------------------------------------------------------------------


def test_a_blob_that_is_deleted_while_open_stays_readable(store: StoreBuilder, tree: Open) -> None:
    layer = store.layer({"f": b"x"})
    store.image("app", "1.0", [layer])
    raw = store.data(layer.digest).read_bytes()
    content = file_at(tree(), LAYER).open()
    store.data(layer.digest).unlink()
    assert content_bytes(content) == raw


def test_a_tag_that_moves_during_a_look_is_the_old_or_the_new_image_never_a_mixture(
    store: StoreBuilder,
) -> None:
    """The push happens just after the tag's link was read, and the ttl ends with it."""
    old = store.image("app", "1.0", layers=[])
    new = store.image("app", None, annotations={"longer": "x" * 100})
    clock = FakeClock()
    local = open_local(str(store.v2))
    counting = CountingStore(local)
    tree = tree_over(counting, ttl=1.0, clock=clock)
    image = tree.walk("app/1.0")
    assert isinstance(image, Directory)

    def push(path: str) -> None:
        if path.endswith(old.digest[7:] + "/data"):
            store.tag("app", "1.0", new)
            clock.now += 1.0

    counting.before_read = push
    node = image.lookup("manifest.json")
    assert isinstance(node, File)
    by_digest = {blob.digest: store.data(blob.digest).read_bytes() for blob in (old, new)}
    raw = by_digest[node.identity]
    assert node.attributes().size == len(raw)
    assert content_bytes(node.open()) == raw
    local.close()
