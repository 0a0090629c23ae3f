"""Registries for this tier: one that everything is pushed to once and nobody changes, and fresh ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Mount, cannot_run, need
from tests.registry.pushes import Pushed, push_everything
from tests.registry.server import Registry


class Filled(NamedTuple):
    """A running registry, and what was pushed to it."""

    registry: Registry
    pushed: Pushed


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """The registry that holds every case. Tests only read it."""
    directory = tmp_path_factory.mktemp("filled")
    registry = Registry(directory / "root", directory)
    try:
        yield Filled(registry, push_everything(registry, directory / "layouts"))
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
