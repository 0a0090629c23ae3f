"""A part of the store stops answering, as an NFS server does: the rest of the mount goes on.

One shard of the blobs lies on a bindfs, whose process is stopped while files on it are read.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from regfs.machine import on_network
from tests.builder import StoreBuilder
from tests.builder.media_types import OCI_LAYER
from tests.conftest import Mount, need, output
from tests.mount.conftest import clear, processes_with

pytestmark = [pytest.mark.fuse, pytest.mark.alone]

SHARD = "ff"
SIZE = 2_000_000


def in_shard(seed: int, *, inside: bool) -> bytes:
    """Make content whose digest puts it into the shard, or not."""
    content = random.Random(seed).randbytes(SIZE)
    hashed = hashlib.sha256(content)
    for number in range(1 << 20):
        tried = hashed.copy()
        tried.update(number.to_bytes(4, "big"))
        if tried.hexdigest().startswith(SHARD) == inside:
            return content + number.to_bytes(4, "big")
    raise AssertionError("no such digest")


class Slow:
    """A mounted store: images `slow/00` and on, whose layers can be made to hang, and a sound `fast/1.0`."""

    def __init__(self, top: Path, server: int, contents: list[bytes], fast: bytes, shard: Path) -> None:
        self.top = top
        self.shard = shard
        self.contents = contents
        self.fast = fast
        self._server = server

    def layer(self, number: int) -> Path:
        return self.top / "slow" / f"{number:02}" / "layers" / "00.tar"

    @contextmanager
    def stopped(self) -> Iterator[None]:
        os.kill(self._server, signal.SIGSTOP)
        try:
            yield
        finally:
            self.go_on()

    def go_on(self) -> None:
        os.kill(self._server, signal.SIGCONT)


@pytest.fixture
def slow(store: StoreBuilder, mount: Callable[..., Mount], tmp_path: Path, as_root: None) -> Iterator[Slow]:
    contents = [in_shard(seed, inside=True) for seed in range(16)]
    fast = in_shard(99, inside=False)
    config = store.config()
    for number, content in enumerate(contents):
        note = {"n": str(number)}
        while True:  # the manifest must not hang
            image = store.image(
                "slow", f"{number:02}", [store.blob(content, OCI_LAYER)], config, annotations=note
            )
            if not image.digest.startswith(f"sha256:{SHARD}"):
                break
            note["n"] += "+"
    store.image("fast", "1.0", [store.blob(fast, OCI_LAYER)], config)
    shard = store.v2 / "blobs" / "sha256" / SHARD
    behind = shard.rename(tmp_path / "behind")
    shard.mkdir()
    output(need("bindfs"), behind, shard)
    (server,) = processes_with(shard)
    try:
        made = mount(store, "ttl=60")
        yield Slow(made.path, server, contents, fast, shard)
        made.end()
    finally:
        os.kill(server, signal.SIGCONT)
        clear(shard)


def test_what_a_program_serves_is_taken_for_a_network(slow: Slow) -> None:
    assert on_network(str(slow.shard))
    assert not on_network("/proc")
    assert on_network(str(slow.shard / "missing")), "it will be where the directory above is"


@pytest.mark.parametrize("readers", [1, 4, 16])
def test_reads_that_hang_do_not_hold_up_other_requests(slow: Slow, readers: int) -> None:
    descriptors = [os.open(slow.layer(number), os.O_RDONLY) for number in range(readers)]
    try:
        with ThreadPoolExecutor(readers) as threads:
            with slow.stopped():
                hanging = [
                    threads.submit(os.pread, descriptor, 1000, SIZE - 1000) for descriptor in descriptors
                ]
                assert output("timeout", "10", "ls", "-l", slow.top / "fast/1.0/layers")
                assert len(output("timeout", "10", "ls", "-l", slow.top / "slow").splitlines()) == 1 + 16
                command = ("timeout", "10", "cmp", "-n", str(SIZE), slow.top / "fast/1.0/layers/00.tar", "-")
                assert feed(slow.fast, *command) == 0
                assert not any(one.done() for one in hanging)
            for one, content in zip(hanging, slow.contents, strict=False):
                assert one.result(60) == content[SIZE - 1000 : SIZE]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def feed(content: bytes, *command: str | Path) -> int:
    return subprocess.run(command, input=content, check=False).returncode


def test_an_open_that_hangs_does_not_hold_up_other_requests(slow: Slow) -> None:
    assert slow.layer(0).stat().st_size == SIZE + 4
    with ThreadPoolExecutor(4) as threads, slow.stopped():
        hanging = [threads.submit(slow.layer(number).read_bytes) for number in range(1, 5)]
        assert output("timeout", "10", "ls", "-l", slow.top / "fast/1.0/layers")
        assert feed(slow.fast, "timeout", "10", "cmp", slow.top / "fast/1.0/layers/00.tar", "-") == 0
        assert not any(one.done() for one in hanging)
        slow.go_on()
        assert [one.result(60) for one in hanging] == slow.contents[1:5]
