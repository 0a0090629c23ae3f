"""Registries for this tier: one that everything is pushed to once and nobody changes, and fresh ones."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Mount, cannot_run, need
from tests.registry.collector import stored
from tests.registry.pushes import Pushed, push_everything
from tests.registry.random_pushes import RandomPushes
from tests.registry.server import Registry
from tests.registry.told import Pushed as PushedAtRandom
from tests.registry.told import Tell, Told
from tests.registry.truth import PACKED
from tests.sides import made_once


class Filled(NamedTuple):
    """A running registry, and what was pushed to it."""

    registry: Registry
    pushed: Pushed


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """The registry that holds every case. Tests only read it."""

    def fill(directory: Path) -> tuple[Path, Pushed]:
        registry = Registry(directory / "root", directory)
        try:
            return registry.root, push_everything(registry, directory / "layouts")
        finally:
            registry.end()

    root, pushed = made_once(tmp_path_factory, "filled", fill)
    registry = Registry(root, tmp_path_factory.mktemp("filled"))
    try:
        yield Filled(registry, pushed)
    finally:
        registry.end()


@pytest.fixture
def start_registry(tmp_path: Path) -> Iterator[Callable[[], Registry]]:
    """Give a function that starts an empty registry; it ends with the test."""
    started: list[Registry] = []

    def start() -> Registry:
        directory = tmp_path / f"registry{len(started)}"
        directory.mkdir()
        started.append(Registry(directory / "root", directory))
        return started[-1]

    yield start
    for registry in started:
        registry.end()


@pytest.fixture(scope="module")
def mount_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Path]]:
    """Give a function that mounts a store that does not change, once for all tests of a module."""
    if not os.path.exists("/dev/fuse"):
        cannot_run("there is no /dev/fuse")
    need("fusermount")
    directory = tmp_path_factory.mktemp("mounts")
    mounts: dict[Path, Mount] = {}

    def mount(store: Path) -> Path:
        if store not in mounts:
            # The same child shows as an index's own on every machine.
            options = "ttl=inf,platform=linux/amd64"
            mounts[store] = Mount(store, directory / f"mnt{len(mounts)}", options)
        return mounts[store].path

    yield mount
    for made in mounts.values():
        made.end()


@pytest.fixture
def tell(tmp_path: Path) -> Iterator[Tell]:
    """Give a function that has regfs tell of a store, with a new index each time: `tell(root)`."""
    made: list[Told] = []

    def make(root: Path, *, once: bool = False) -> Told:
        made.append(Told(root, tmp_path / f"cache{len(made)}", once=once))
        return made[-1]

    yield make
    for told in made:
        told.index.close()


@pytest.fixture(scope="session")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> PushedAtRandom:
    """A store of several hundred pushes; its registry has ended. Tests only read it."""
    return made_once(tmp_path_factory, "random", push_at_random)


def push_at_random(directory: Path) -> PushedAtRandom:
    registry = Registry(directory / "root", directory)
    try:
        pushes = RandomPushes(registry.api, 20240203)
        pushes.run(420)
    finally:
        registry.end()
    assert pushes.pushes > 300
    assert pushes.deletions > 30
    assert pushes.uploads > 5
    assert all(len(state) > 30 for state in pushes.states()[:3])
    assert stored(registry.root) == pushes.stored
    return PushedAtRandom(registry.root, pushes)


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("stores")
    with tarfile.open(PACKED / "stores.tar.xz") as archive:
        # The safe filter is the default only from Python 3.14 on, and to name none is a warning before.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(directory)
    return directory
