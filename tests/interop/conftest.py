"""One store with every form of image, served by regfs and by docker-registry, and mounted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, cannot_run, need
from tests.interop.images import Images, build
from tests.interop.serving import Serving
from tests.registry.server import Registry


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The store. Tests only read it."""
    return build(tmp_path_factory.mktemp("images") / "registry")


@pytest.fixture(scope="session")
def serving(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = Serving(images.root, tmp_path_factory.mktemp("serving"))
    yield made
    assert made.end() == 0, made.log()


@pytest.fixture(scope="session")
def registry(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """docker-registry over the same store."""
    made = Registry(images.root, tmp_path_factory.mktemp("registry"))
    yield made
    made.end()


@pytest.fixture(scope="session")
def mounted(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The store, mounted, with the names of reg.example.com."""
    if not os.path.exists("/dev/fuse"):
        cannot_run("there is no /dev/fuse")
    need("fusermount")
    options = "ttl=inf,platform=linux/amd64,registry=reg.example.com"
    made = Mount(images.root, tmp_path_factory.mktemp("mounted") / "mnt", options)
    yield made.path
    made.end()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Give a function that serves another store: `serve(store, "--ttl", "0")`."""
    made: list[Serving] = []

    def start(store: StoreBuilder | Path, *arguments: str, who: str = "--anonymous") -> Serving:
        root = store.root if isinstance(store, StoreBuilder) else store
        made.append(Serving(root, tmp_path, *arguments, who=who))
        return made[-1]

    yield start
    for serving in made:
        serving.end()
