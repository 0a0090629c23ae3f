"""64 processes that read at once, each another file."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable

import pytest

from tests.builder import StoreBuilder
from tests.builder.media_types import OCI_LAYER
from tests.conftest import Mount
from tests.inside import Item, image, push_quickly, tar_of
from tests.registry.collector import digest_of

pytestmark = pytest.mark.fuse

READERS = 64
LAYERS = 16
SIZE = 1_500_000

Make = Callable[..., Mount]


def hashed(paths: list[str]) -> dict[str, str]:
    """Have every path read by a process of its own, all at once; gives what each found."""
    running = {
        path: subprocess.Popen(["sha256sum", path], stdout=subprocess.PIPE, text=True) for path in paths
    }
    return {path: process.communicate(timeout=60)[0].partition(" ")[0] for path, process in running.items()}


def test_64_readers_at_once_get_every_byte_of_their_layers(store: StoreBuilder, mount: Make) -> None:
    noise = random.Random(6)
    layers = [store.blob(noise.randbytes(SIZE), OCI_LAYER) for _ in range(READERS)]
    for number, layer in enumerate(layers):
        store.image("app", f"v{number}", [layer])
    top = mount(store).path
    found = hashed([f"{top}/app/v{number}/layers/00.tar" for number in range(READERS)])
    assert [f"sha256:{digest}" for digest in found.values()] == [layer.digest for layer in layers]


def test_64_readers_at_once_get_files_of_layers_that_nobody_read_before(
    store: StoreBuilder, mount: Make
) -> None:
    noise = random.Random(7)
    each = range(READERS // LAYERS)
    files = {f"v{number}": [noise.randbytes(50_000) for _ in each] for number in range(LAYERS)}
    for tag, contents in files.items():
        items = [Item(f"file{place}", content) for place, content in enumerate(contents)]
        image(store, "app", tag, [push_quickly(store, tar_of(items))])
    top = mount(store).path
    found = hashed([f"{top}/app/{tag}/rootfs/file{place}" for tag in files for place in each])
    wanted = [digest_of(content) for contents in files.values() for content in contents]
    assert [f"sha256:{digest}" for digest in found.values()] == wanted
    assert len(set(wanted)) == READERS
