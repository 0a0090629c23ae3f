"""A store seen from afar: built on disk, served by `overlay`, and mounted by regfs from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, run
from tests.mount.conftest import as_root

__all__ = ["as_root"]  # a fixture for these tests, too


class Told(NamedTuple):
    """What the overlay saw since it last told: calls by kind, the most at once, rounds; what is stuck now."""

    calls: dict[str, int]
    most: int
    rounds: int
    stuck: int

    @property
    def all(self) -> int:
        return sum(self.calls.values())


class Afar:
    """One running overlay over a directory."""

    def __init__(self, source: Path, mountpoint: Path, latency: float, cached: float) -> None:
        mountpoint.mkdir(exist_ok=True)
        self.path = mountpoint
        self.log = mountpoint.with_name(f"{mountpoint.name}.log")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.slow.overlay", source, mountpoint, str(latency), str(cached)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        deadline = time.monotonic() + 20
        while not os.path.ismount(mountpoint):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise AssertionError(f"not mounted: {self.log.read_text()}")
            time.sleep(0.01)

    def tell(self, **orders: object) -> Told:
        """Set `latency`, `quiet` or `stick`, and hear what was called since the last time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(orders) + "\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return Told(**told)

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            run("umount", "-l", self.path)
        self._process.stdout.close()


@pytest.fixture
def afar(tmp_path: Path, fuse: None, request: pytest.FixtureRequest) -> Iterator[Callable[..., Afar]]:
    """Give a function that serves a directory with a latency: `afar(store.root, 0.005)`."""
    request.getfixturevalue("as_root")
    made: list[Afar] = []

    def make(source: Path, latency: float, *, cached: float = 3.0) -> Afar:
        made.append(Afar(source, tmp_path / f"afar{len(made)}", latency, cached))
        return made[-1]

    yield make
    for one in made:
        one.end()


def push(store: StoreBuilder, repository: str, tags: int) -> None:
    """Push images `v0000` and on: a config and two layers of their own, and three that all share."""
    shared = [store.layer({f"base{number}": b"base"}) for number in range(3)]
    for number in range(tags):
        own = [store.layer({f"{repository}/{part}": b"%d" % number}, "none") for part in range(2)]
        store.image(repository, f"v{number:04}", [*shared, *own], store.config(note=f"{repository} {number}"))


class Far:
    """A store that only the overlay reads, and a mount of it."""

    def __init__(self, overlay: Afar, made: Mount) -> None:
        self.overlay = overlay
        self.mount = made
        self.top = made.path
