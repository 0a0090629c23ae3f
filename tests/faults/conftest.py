"""What the tests of faults share: small disks, and what a mount says beside what is true."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import cannot_run, run
from tests.mount.conftest import as_root, clear, mountpoint, mounts_below

__all__ = ["as_root", "mountpoint"]

#: What a question gives: a listing, bytes, or the error's number.
Answer = object


@pytest.fixture
def small_disk(as_root: None, tmp_path: Path) -> Iterator[Callable[[str, str], Path]]:
    """Give a function that mounts a file system in memory: `small_disk("cache", "64k")`."""

    def make(name: str, size: str) -> Path:
        path = tmp_path / name
        path.mkdir(parents=True, exist_ok=True)
        done = run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path)
        if done.returncode != 0:
            cannot_run(f"no tmpfs can be mounted: {done.stderr}")
        return path

    yield make
    for path in mounts_below(tmp_path):
        clear(path)


def answer(ask: Callable[[], Answer]) -> Answer:
    """Ask, and give the answer or the error's number."""
    try:
        return ask()
    except OSError as error:
        return error.errno


def is_error(given: Answer) -> bool:
    return isinstance(given, int) and given in errno.errorcode


def images(store: StoreBuilder, count: int) -> list[str]:
    """Push some small images, `app:v0` and on; gives the digests of all blobs that are stored then."""
    for number in range(count):
        store.image("app", f"v{number}", [store.layer({"number": b"%d" % number})])
    return stored(store)


def stored(store: StoreBuilder) -> list[str]:
    """List the digests of all stored blobs."""
    return sorted(f"sha256:{path.parent.name}" for path in store.v2.glob("blobs/sha256/*/*/data"))


def blobs_told(top: Path) -> list[str]:
    """List the digests that the report of a mount has."""
    lines = (top / "@reports/blobs.csv").read_text().splitlines()
    return sorted(line.partition(",")[0] for line in lines[1:])


def listed(path: Path) -> list[str]:
    return sorted(os.listdir(path))
