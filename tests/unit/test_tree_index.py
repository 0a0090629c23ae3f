"""An index's directory: platforms/, and the links to the default platform's config and layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from regfs.errors import NestingError, NoEntryError
from regfs.oci import Digest
from regfs.tree import Directory, NodeType, Symlink, Tree
from tests.builder import Blob, StoreBuilder
from tests.unit.trees import names, read

Open = Callable[..., Tree]
ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}


def platform(architecture: str, variant: str = "", system: str = "linux") -> dict[str, Any]:
    found = {"os": system, "architecture": architecture, "variant": variant}
    return {"platform": {key: value for key, value in found.items() if value}}


def image_for(store: StoreBuilder, architecture: str) -> Blob:
    return store.image("app", None, [store.layer({"arch": architecture.encode()})])


@pytest.fixture
def multi(store: StoreBuilder) -> dict[str, Blob]:
    """An index of amd64, arm64 and an attestation under the tag `multi`."""
    images = {name: image_for(store, name) for name in ("amd64", "arm64")}
    children = [images[name].descriptor(**platform(name)) for name in images]
    statement = store.blob(b'{"_type": "x"}', "application/vnd.in-toto+json")
    attestation = store.image("app", None, [statement])
    children.append(attestation.descriptor(annotations=ATTESTATION, **platform("unknown", "", "unknown")))
    store.index("app", "multi", children)
    return images | {"attestation": attestation}


@pytest.mark.parametrize("docker", [False, True])
def test_each_child_is_an_image_under_its_platforms_name(
    store: StoreBuilder, tree: Open, docker: bool
) -> None:
    images = [image_for(store, name) for name in ("amd64", "v6", "v7")]
    kinds = [platform("amd64"), platform("arm", "v6"), platform("arm", "v7")]
    children = [image.descriptor(**kind) for image, kind in zip(images, kinds, strict=True)]
    pushed = store.index("app", "multi", children, docker=docker)
    shown = tree()
    assert names(shown, "app/multi/platforms") == ["linux-amd64", "linux-arm-v6", "linux-arm-v7"]
    assert read(shown, "app/multi/manifest.json") == store.data(pushed.digest).read_bytes()
    for image, name in zip(images, names(shown, "app/multi/platforms"), strict=True):
        assert (
            read(shown, f"app/multi/platforms/{name}/manifest.json") == store.data(image.digest).read_bytes()
        )
        assert shown.walk(f"app/multi/platforms/{name}").xattr("user.regfs.platform").startswith(b"linux/")


@pytest.mark.parametrize("wanted", ["amd64", "arm64"])
def test_config_and_layers_are_links_to_the_default_platforms(
    store: StoreBuilder, tree: Open, multi: dict[str, Blob], wanted: str
) -> None:
    shown = tree(platform=f"linux/{wanted}")
    assert names(shown, "app/multi") == ["manifest.json", "platforms", "config.json", "layers"]
    for name in ("config.json", "layers"):
        link = shown.walk(f"app/multi/{name}", follow=False)
        assert isinstance(link, Symlink)
        assert link.target() == f"platforms/linux-{wanted}/{name}"
        found = link.attributes()
        assert (found.type, found.size, found.links) == (NodeType.SYMLINK, 0, 1)
    assert (
        shown.walk("app/multi/layers").inode == shown.walk(f"app/multi/platforms/linux-{wanted}/layers").inode
    )
    through = read(shown, "app/multi/layers/00.tar.gz")
    assert through == read(shown, f"app/multi/platforms/linux-{wanted}/layers/00.tar.gz")


def test_where_no_platform_suits_there_are_no_links(
    store: StoreBuilder, tree: Open, multi: dict[str, Blob]
) -> None:
    shown = tree(platform="linux/s390x")
    assert names(shown, "app/multi") == ["manifest.json", "platforms"]
    for name in ("config.json", "layers"):
        with pytest.raises(NoEntryError):
            shown.walk(f"app/multi/{name}")


def test_an_attestation_is_a_child_with_layers_of_json(
    store: StoreBuilder, tree: Open, multi: dict[str, Blob]
) -> None:
    shown = tree()
    assert names(shown, "app/multi/platforms") == ["linux-amd64", "linux-arm64", "unknown-unknown"]
    assert names(shown, "app/multi/platforms/unknown-unknown/layers") == ["00.json"]
    assert shown.walk("app/multi/platforms/unknown-unknown").xattr("user.regfs.kind") == b"attestation"
    assert shown.walk("app/multi/platforms/linux-amd64").xattr("user.regfs.kind") == b"image"
    assert shown.walk("app/multi").xattr("user.regfs.kind") == b"index"


def test_children_of_one_platform_get_numbers(store: StoreBuilder, tree: Open) -> None:
    children = [image_for(store, name).descriptor(**platform("amd64")) for name in ("a", "b")]
    store.index("app", "multi", [*children, image_for(store, "c").descriptor()])
    shown = tree()
    found = names(shown, "app/multi/platforms")
    assert found == ["linux-amd64", "linux-amd64-2", "unknown-unknown"]
    digests = [
        shown.walk(f"app/multi/platforms/{name}").xattr("user.regfs.digest").decode() for name in found
    ]
    assert digests[:2] == [child["digest"] for child in children]


def test_a_child_that_a_sparse_index_lacks_is_an_empty_directory(store: StoreBuilder, tree: Open) -> None:
    here = image_for(store, "amd64")
    lacking = Blob(str(Digest.of(b"elsewhere")), 500, here.media_type)
    store.index(
        "app", "multi", [lacking.descriptor(**platform("arm64")), here.descriptor(**platform("amd64"))]
    )
    shown = tree()
    assert names(shown, "app/multi/platforms") == ["linux-arm64", "linux-amd64"]
    assert names(shown, "app/multi/platforms/linux-arm64") == []
    with pytest.raises(NoEntryError):
        shown.walk("app/multi/platforms/linux-arm64/manifest.json")
    node = shown.walk("app/multi/platforms/linux-arm64")
    assert node.xattr("user.regfs.digest") == lacking.digest.encode()
    assert node.xattr("user.regfs.platform") == b"linux/arm64"
    assert node.attributes().type is NodeType.DIRECTORY


def test_an_index_that_lacks_the_default_platform_has_no_links(store: StoreBuilder, tree: Open) -> None:
    lacking = Blob(str(Digest.of(b"elsewhere")), 500, "application/vnd.oci.image.manifest.v1+json")
    store.index("app", "multi", [lacking.descriptor(**platform("amd64"))])
    assert names(tree(), "app/multi") == ["manifest.json", "platforms"]


def test_a_torn_link_of_a_child_that_is_lacking_does_not_spoil_the_index(
    store: StoreBuilder, tree: Open
) -> None:
    here = image_for(store, "arm64")
    lacking = Blob(str(Digest.of(b"elsewhere")), 500, here.media_type)
    store.index(
        "app", "multi", [lacking.descriptor(**platform("amd64")), here.descriptor(**platform("arm64"))]
    )
    store.write(store.revision_link("app", lacking.digest), b"")
    shown = tree()
    assert {"manifest.json", "platforms"} <= set(names(shown, "app/multi"))
    assert "config.json" in names(shown, "app/multi/platforms/linux-arm64")


def test_an_index_may_hold_indexes(store: StoreBuilder, tree: Open) -> None:
    image = image_for(store, "amd64")
    inner = store.index("app", None, [image.descriptor(**platform("amd64"))])
    store.index("app", "outer", [inner.descriptor(**platform("amd64"))])
    shown = tree()
    below = "app/outer/platforms/linux-amd64"
    assert names(shown, below) == ["manifest.json", "platforms", "config.json", "layers"]
    assert read(shown, f"{below}/platforms/linux-amd64/layers/00.tar.gz") == read(
        shown, "app/outer/layers/00.tar.gz"
    )


def test_an_empty_index_has_no_platforms(store: StoreBuilder, tree: Open) -> None:
    store.index("app", "empty", [])
    shown = tree()
    assert names(shown, "app/empty") == ["manifest.json", "platforms"]
    assert names(shown, "app/empty/platforms") == []


def test_nesting_without_end_ends(store: StoreBuilder, tree: Open) -> None:
    inner = image_for(store, "amd64")
    for _ in range(40):
        inner = store.index("app", None, [inner.descriptor(**platform("amd64"))])
    store.tag("app", "deep", inner)
    shown = tree()
    path = "app/deep" + "/platforms/linux-amd64" * 10
    assert "platforms" in names(shown, path)
    with pytest.raises(NestingError):
        names(shown, "app/deep" + "/platforms/linux-amd64" * 30)


def test_an_index_that_names_an_image_twice_shows_it_twice(store: StoreBuilder, tree: Open) -> None:
    image = image_for(store, "amd64")
    store.index("app", "multi", [image.descriptor(**platform(name)) for name in ("amd64", "arm64")])
    shown = tree()
    first, second = (shown.walk(f"app/multi/platforms/linux-{name}") for name in ("amd64", "arm64"))
    assert isinstance(first, Directory)
    assert isinstance(second, Directory)
    assert first.inode != second.inode
    assert first.lookup("config.json").inode == second.lookup("config.json").inode


def test_a_platform_from_a_hostile_index_stays_one_name(store: StoreBuilder, tree: Open) -> None:
    image = image_for(store, "amd64")
    hostile = {"platform": {"os": "../../..", "architecture": "etc/\npasswd\0"}}
    store.index("app", "multi", [image.descriptor(**hostile)])
    (name,) = names(tree(), "app/multi/platforms")
    assert name.isprintable()
    assert "/" not in name
