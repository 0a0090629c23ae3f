"""Images of which one layer cannot be read, in a mount: with and without `-o partial`."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, output
from tests.inside import Item, push, tar_of

EROFS = bytes(1024) + b"\xe2\xe1\xf5\xe0" + bytes(7000)
NOTE = "REGFS-LAYERS-ARE-MISSING"


@pytest.fixture
def damaged(store: StoreBuilder) -> StoreBuilder:
    layers = [push(store, tar_of([Item(f"f{number}", b"%d" % number)])).blob for number in range(4)]
    layers.insert(2, store.blob(EROFS, "application/vnd.erofs.layer.v1"))
    store.image("app", "1", layers, store.config(rootfs={"type": "layers"}))
    store.image("app", "whole", layers[:2], store.config(rootfs={"type": "layers"}))
    return store


def test_rootfs_is_an_error_and_the_other_layers_are_as_always(
    damaged: StoreBuilder, mount: Callable[..., Mount]
) -> None:
    mounted = mount(damaged)
    top = mounted.path / "app/1"
    with pytest.raises(OSError, match="rootfs") as failed:
        os.listdir(top / "rootfs")
    assert failed.value.errno == errno.EIO
    with pytest.raises(OSError, match="02"):
        os.listdir(top / "layers/02")
    assert {number: os.listdir(top / f"layers/0{number}") for number in (0, 1, 3, 4)} == {
        0: ["f0"],
        1: ["f1"],
        3: ["f2"],
        4: ["f3"],
    }


def test_partial_shows_what_can_be_read_and_says_what_is_missing(
    damaged: StoreBuilder, mount: Callable[..., Mount]
) -> None:
    top = mount(damaged, "partial").path / "app/1/rootfs"
    assert sorted(os.listdir(top)) == [NOTE, "f0", "f1", "f2", "f3"]
    text = Path(top / NOTE).read_text()
    assert text.startswith("layer 02: layer sha256:")
    assert "an EROFS file system (application/vnd.erofs.layer.v1), no tar\n" in text
    assert (top / NOTE).stat().st_size == len(text)
    assert (top / "f3").read_bytes() == b"3"
    assert NOTE not in os.listdir(top.parent.parent / "whole/rootfs")
    assert not (top.parent.parent / "whole/rootfs" / NOTE).exists()


def test_a_path_in_a_mount_tells_which_layer_it_is_from(
    damaged: StoreBuilder, mount: Callable[..., Mount]
) -> None:
    top = mount(damaged).path / "app/whole/rootfs"
    layer = os.getxattr(top / "f1", "user.regfs.layer").decode()
    assert layer.startswith("01 sha256:")
    assert os.listxattr(top / "f1") == []
    told = output(*REGFS, "explain", damaged.root, top / "f1")
    assert f"layer 01 made 1: {layer.split()[1]}" in told
    assert told.splitlines()[1] == "  is       file of 1 bytes (1), of layer 01"
