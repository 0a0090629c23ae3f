"""The registry's own garbage collector, `docker-registry garbage-collect`, run on a store.

Knows nothing of regfs: what stands here is what regfs is compared with.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.conftest import need, run
from tests.registry.server import write_config

#: What it prints: the name of each repository, which manifests go from there, the sum, and which blobs go.
_LINE = re.compile(
    r"(?P<repository>\S+)|manifest eligible for deletion: (?P<manifest>\S+)|"
    r"blob eligible for deletion: (?P<blob>\S+)|"
    r"\d+ blobs marked, (?P<blobs>\d+) blobs and (?P<manifests>\d+) manifests eligible for deletion"
)


class Collection(NamedTuple):
    """What a collection would delete, or has deleted: blobs, and manifests of repositories."""

    blobs: set[str]
    manifests: set[tuple[str, str]]


class AbortedError(Exception):
    """The collector gave up. The message is what it said last."""


def collect(root: Path, *, untagged: bool = False, really: bool = False) -> Collection:
    """Run the collector on the registry whose rootdirectory is `root`; a dry run, unless `really`.

    With `untagged`, it takes manifests without a tag as well (`-m`). Raises AbortedError.
    """
    config = write_config(root.with_name(f"{root.name}-collector.yml"), root, "127.0.0.1:0")
    options = ["--delete-untagged"] * untagged + ["--dry-run"] * (not really)
    done = run(need("docker-registry"), "garbage-collect", *options, config)
    if done.returncode != 0:
        raise AbortedError(done.stderr.strip())
    return _parse(done.stdout)


def _parse(printed: str) -> Collection:
    found, totals, repository = Collection(set(), set()), (), ""
    for line in printed.splitlines():
        match = _LINE.fullmatch(line)
        if not match:
            continue
        repository = match["repository"] or repository
        if match["manifest"]:
            found.manifests.add((repository, match["manifest"]))
        elif match["blob"]:
            found.blobs.add(match["blob"])
        elif match["blobs"]:
            totals = int(match["blobs"]), int(match["manifests"])
    assert (len(found.blobs), len(found.manifests)) == totals
    return found


def stored(root: Path) -> dict[str, int]:
    """Walk over a store: the digest and size of each blob in it."""
    blobs = root / "docker/registry/v2/blobs"
    found = {}
    for directory, _, files in os.walk(blobs):
        if "data" in files:
            algorithm, _, encoded = Path(directory).relative_to(blobs).parts
            found[f"{algorithm}:{encoded}"] = (Path(directory) / "data").stat().st_size
    return found


def count_and_size(root: Path, blobs: Iterable[str]) -> tuple[int, int]:
    """Give the number of some blobs of a store, and their bytes in sum."""
    sizes = stored(root)
    chosen = [sizes[digest] for digest in blobs]
    return len(chosen), sum(chosen)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
