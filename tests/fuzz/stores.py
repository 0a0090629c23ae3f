"""Real stores to damage: what registries of two versions wrote, and two that are built, all of them whole."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.builder.sample import build_sample
from tests.inside import Library
from tests.registry.inside_truth import put_together
from tests.registry.truth import PACKED

#: Of the packed stores, those of which a registry served everything but what is left out of them.
_SERVED = ("2.7.1/store-before", "3.0.0/store-before")


def unpack(directory: Path) -> Iterator[Path]:
    """Unpack the stores that registries of two versions wrote."""
    directory.mkdir(parents=True, exist_ok=True)
    with tarfile.open(PACKED / "stores.tar.xz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(directory, (entry for entry in archive if entry.name.startswith(_SERVED)))
    return (directory / name for name in _SERVED)


def prepare(name: str, directory: Path) -> Path:
    """Make one of the stores that are damaged, all whole or nearly; give its root."""
    root = directory / name
    if root.exists():
        return root
    if name == "registry":
        put_together(directory / "unpacked")
        shutil.move(directory / "unpacked" / "2.7.1" / "store-before", root)
    elif name == "sample":
        build_sample(root)
    else:
        Library.build(root)
    return root


def copy(root: Path, to: Path) -> Path:
    """Copy a store, to be damaged; give the copy's `v2` directory."""
    shutil.copytree(root, to, symlinks=True)
    return to / "docker" / "registry" / "v2"
