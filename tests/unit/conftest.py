"""What the unit tests of the graph and the tree share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from regfs.tree import Tree
from tests.builder import StoreBuilder
from tests.unit.ground import Ground
from tests.unit.trees import opened_tree


@pytest.fixture
def tree(store: StoreBuilder) -> Iterator[Callable[..., Tree]]:
    """Give a function that opens the tree of the built store: `tree(platform="linux/arm64")`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(opened_tree(store, **options))


@pytest.fixture
def ground(store: StoreBuilder) -> Iterator[Ground]:
    """A graph over the built store."""
    ground = Ground(store)
    yield ground
    ground.local.close()
