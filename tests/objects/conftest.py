"""The server of this tier, one for each process of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.objects.pair import Pair, push_to_both
from tests.objects.server import Seaweed


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A server with one bucket. Each test has a prefix of its own in it."""
    server = Seaweed(tmp_path_factory.mktemp("seaweed"))
    try:
        server.make_bucket()
        yield server
    finally:
        server.end()


@pytest.fixture
def keys(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Seaweed:
    """The server, with the environment telling of it and of who has all rights."""
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return seaweed


@pytest.fixture(scope="session")
def pair(seaweed: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The same pushes in a bucket and in a directory. Tests only read both."""
    return push_to_both(seaweed, "team/reg", tmp_path_factory.mktemp("pair"))
