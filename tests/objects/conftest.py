"""The server of this tier, one for each process of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
