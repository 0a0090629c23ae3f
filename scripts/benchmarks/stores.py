"""The stores that are measured, from scripts/generate; and trees of hard links equal to what regfs shows."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmarks.processes import prepare
from tests.builder import StoreBuilder

_HERE = Path(__file__).parents[2]
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Stores:
    """Makes each store once, for all parts that want it: below `disk`, or below `memory`."""

    def __init__(self, disk: Path, memory: Path) -> None:
        self._disk = disk
        self._memory = memory
        self._made: dict[tuple[str, ...], Path] = {}

    def generated(self, tags: int, *options: str) -> Path:
        """Give a generated store with so many tags."""
        return self._once(self._disk, str(tags), *options)

    def wide(self, tags: int) -> Path:
        """Give a store of one repository."""
        return self.generated(tags, "--repositories", "1", "--layers", "2", "--indexes", "0")

    def growing(self, tags: int) -> Path:
        """Give one of the stores that differ in their number of tags alone."""
        return self._once(self._memory, str(tags), "--layers", "3")

    def _once(self, below: Path, *options: str) -> Path:
        key = (str(below), *options)
        if key not in self._made:
            path = below / f"store{len(self._made)}"
            prepare([sys.executable, "-m", "scripts.generator", str(path), "--tags", *options], {}, _HERE)
            self._made[key] = path
        return self._made[key]


def one_layer(root: Path, size: int) -> tuple[Path, str]:
    """Make a store of one image with one layer of noise; gives its file and where regfs shows it."""
    store = StoreBuilder(root)
    layer = store.blob(os.urandom(size), _LAYER)
    store.image("team/app", "big", [layer])
    return store.data(layer.digest), "team/app/big/layers/00.tar.gz"


def push(store: Path, tag: str) -> None:
    """Add one image, as a registry would."""
    with tempfile.TemporaryDirectory() as scratch:
        builder = StoreBuilder(Path(scratch) / "pushed")
        builder.image("bench/app", tag, [builder.blob(os.urandom(40), _LAYER)])
        shutil.copytree(builder.root, store, dirs_exist_ok=True)


def directories(store: Path, tree: Path) -> str:
    """Make an empty directory for each tag, with its time; gives the repository with the most tags."""
    counts: dict[str, int] = {}
    for repository, tag, link in _tags(store):
        counts[repository] = counts.get(repository, 0) + 1
        path = tree / repository / tag
        path.mkdir(parents=True)
        known = link.stat()
        os.utime(path, ns=(known.st_mtime_ns, known.st_mtime_ns))
    return max(counts, key=counts.__getitem__)


def images(store: Path, tree: Path) -> str:
    """Make a tree of hard links to the blobs of all images; gives the repository with the most tags.

    repository/tag/{manifest.json,config.json,layers/NN.tar.gz}. The store must hold no index.
    """
    counts: dict[str, int] = {}
    for repository, tag, link in _tags(store):
        counts[repository] = counts.get(repository, 0) + 1
        path = tree / repository / tag
        (path / "layers").mkdir(parents=True)
        manifest = _data(store, link.read_text())
        document = json.loads(manifest.read_bytes())
        os.link(manifest, path / "manifest.json")
        os.link(_data(store, document["config"]["digest"]), path / "config.json")
        for number, layer in enumerate(document["layers"]):
            os.link(_data(store, layer["digest"]), path / "layers" / f"{number:02}.tar.gz")
    return max(counts, key=counts.__getitem__)


def _tags(store: Path) -> Iterator[tuple[str, str, Path]]:
    """Give repository, tag and the link that says what it names."""
    top = store / "docker/registry/v2/repositories"
    for link in sorted(top.glob("**/_manifests/tags/*/current/link")):
        repository = link.parents[4]
        yield str(repository.relative_to(top)), link.parents[1].name, link


def _data(store: Path, digest: str) -> Path:
    algorithm, encoded = digest.split(":")
    return store / "docker/registry/v2/blobs" / algorithm / encoded[:2] / encoded / "data"
