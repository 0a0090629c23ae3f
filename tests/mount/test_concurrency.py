"""Many readers at once, and a tag that moves under them."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.builder.media_types import OCI_LAYER
from tests.conftest import Mount, run

pytestmark = pytest.mark.fuse


def test_16_readers_of_200_mb_at_once_get_every_byte(
    store: StoreBuilder, mount: Callable[..., Mount], tmp_path: Path
) -> None:
    piece = random.Random(1).randbytes(8 << 20)
    content = b"".join(number.to_bytes(8, "big") + piece for number in range(25))  # no two places are equal
    layer = store.blob(content, OCI_LAYER)
    store.image("app", "1.0", [layer])
    path = mount(store).path / "app/1.0/layers/00.tar"
    readers = [
        subprocess.Popen(["cmp", str(path), str(store.data(layer.digest))], stdout=subprocess.PIPE, text=True)
        for _ in range(16)
    ]
    results = [(reader.communicate(timeout=100)[0], reader.returncode) for reader in readers]
    assert results == [("", 0)] * 16
    other = tmp_path / "other"
    other.write_bytes(content[: 150 << 20] + b"?" + content[(150 << 20) + 1 :])
    assert run("cmp", path, other).returncode == 1, "cmp would not have noticed"


def test_random_reads_from_many_threads_equal_the_stored_bytes(
    store: StoreBuilder, mount: Callable[..., Mount]
) -> None:
    content = random.Random(2).randbytes(5_000_001)
    store.image("app", "1.0", [store.blob(content, OCI_LAYER)])
    descriptor = os.open(mount(store).path / "app/1.0/layers/00.tar", os.O_RDONLY)

    def read(seed: int) -> int:
        chooser = random.Random(seed)
        wrong = 0
        for _ in range(100):
            offset, size = (
                chooser.randrange(len(content) + 10),
                chooser.choice([1, 511, 4096, 70_000, 400_000]),
            )
            wrong += os.pread(descriptor, size, offset) != content[offset : offset + size]
        return wrong

    try:
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(read, range(8))) == [0] * 8
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("ttl", ["0", "0.02"])
def test_every_read_under_a_moving_tag_is_of_one_image(
    store: StoreBuilder, mount: Callable[..., Mount], ttl: str
) -> None:
    sizes = (300_000, 40_000, 300_000, 1_100_000)
    layers = [store.blob(random.Random(seed).randbytes(size), OCI_LAYER) for seed, size in enumerate(sizes)]
    images = [store.image("app", "1.0", [layer]) for layer in layers]
    whole = {store.data(layer.digest).read_bytes() for layer in layers}
    path = mount(store, f"ttl={ttl}").path / "app/1.0/layers/00.tar"
    stop = threading.Event()
    seen: set[bytes] = set()
    wrong: list[int] = []

    def read() -> None:
        while not stop.is_set():
            with path.open("rb", buffering=0) as file:
                content = b"".join(iter(lambda: file.read(65_536), b""))
            seen.add(content) if content in whole else wrong.append(len(content))

    def move() -> None:
        link = store.tag_link("app", "1.0")
        for number in range(150):
            new = link.with_name("link.tmp")
            new.write_text(images[number % len(images)].digest)
            new.rename(link)
            time.sleep(0.01)
        stop.set()

    with ThreadPoolExecutor(5) as threads:
        running = [threads.submit(read) for _ in range(4)]
        move()
        for one in running:
            one.result(60)
    assert wrong == []
    assert seen == whole
