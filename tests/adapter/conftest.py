"""The operations without a mount: over a built store, called as libfuse calls them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from regfs.mount.requirements import LIBRARIES
from regfs.registry import open_local
from tests.builder import StoreBuilder
from tests.conftest import cannot_run

if TYPE_CHECKING:
    from tests.adapter.calls import Calls


def find_library() -> str | None:
    for name in LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return name
    return None


@pytest.fixture(scope="session")
def libfuse() -> None:
    """Let fusepy find libfuse without running compilers, as `session.serve` does."""
    library = find_library()
    if library is None:
        cannot_run("libfuse 2 is not installed")
    os.environ.setdefault("FUSE_LIBRARY_PATH", library)


@pytest.fixture
def serve(store: StoreBuilder, libfuse: None) -> Iterator[Callable[..., Calls]]:
    """Give a function that serves the built store: `serve(ttl=1.0)`."""
    from tests.adapter.calls import Calls

    with ExitStack() as stack:

        def serve(**options: object) -> Calls:
            local = open_local(str(store.v2))
            stack.callback(local.close)
            return Calls(local, **options)  # type: ignore[arg-type]

        yield serve


@pytest.fixture
def calls(serve: Callable[..., Calls]) -> Calls:
    """The built store, served so that every change shows at once."""
    return serve()
