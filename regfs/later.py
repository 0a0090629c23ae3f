"""What is loaded, or made, when somebody first asks for it: so a mount is there in a fraction of the time.

The `__init__` of a package that not every run needs is a door: it has its names by `door`, and whoever may
run without the package imports that (`from regfs.tree import inside`) and says `inside.TopDirectory`. `Later`
is the same for a value.

A mount lives for months, and regfs may be upgraded or removed meanwhile. A part of another version must never
come to those that are loaded: so who opens a door then gets ReplacedError. What is loaded works on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from threading import Lock
from typing import Generic, TypeVar

from regfs.errors import ReplacedError

T = TypeVar("T")

#: The file that is another one wherever regfs is another one: it has the version.
_VERSION_FILE = os.path.join(os.path.dirname(__file__), "__init__.py")


def _stamp() -> tuple[int, ...]:
    """Tell which regfs lies where this one was loaded from; nothing if none does."""
    try:
        found = os.stat(_VERSION_FILE)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


_LOADED = _stamp()


def door(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Give the `__getattr__` of a package (PEP 562): `modules` tells which of its modules has which name."""

    def find(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = f"{package}.{modules[name]}"
        if module not in sys.modules and _stamp() != _LOADED:
            raise ReplacedError(module)
        found = getattr(import_module(module), name)
        setattr(sys.modules[package], name, found)  # so that nobody comes here for it again
        return found

    return find


class Later(Generic[T]):
    """A value that is made when it is first asked for, once, whoever asks."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._made: list[T] = []

    def __call__(self) -> T:
        """Give the value."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]

    def if_made(self) -> list[T]:
        """Give the value in a list, which is empty if nobody has asked for it."""
        with self._lock:
            return list(self._made)
