"""Writing images to standard output as one archive, for `docker load` and the like."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from regfs.cli.images import find_directory, images_of
from regfs.cli.progress import Bar, note
from regfs.errors import IncompleteError, NotKnownError, UsageError, printable
from regfs.oci import Schema1Manifest
from regfs.oci.names import read_registry
from regfs.tree import Tree
from regfs.tree.image import ManifestDirectory
from regfs.tree.interop import Archive, NamedImage
from regfs.tree.interop.documents import docker_loads

F = TypeVar("F", bound=Callable[..., Any])

_STANDARD_OUTPUT = 1


def _read_registry(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    try:
        return read_registry(value) if value else ""
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def registry_option(meaning: str) -> Callable[[F], F]:
    """Give the option `--registry`; `meaning` is its help."""
    return click.option("--registry", callback=_read_registry, metavar="HOST[:PORT]", help=meaning)


def write_images(tree: Tree, refs: Iterable[str]) -> None:
    """Write one archive of several images, layers that they share once. Raises as `write_archive` does."""
    found: list[ManifestDirectory] = [find_directory(tree, ref)[1] for ref in images_of(tree, refs)]
    images = [directory.named() for directory in found]
    for image in images:
        if isinstance(image.manifest, Schema1Manifest):
            raise NotKnownError(image.name or str(image.digest), "no archive can hold a schema 1 image")
    if not images:
        raise NotKnownError(", ".join(refs), "no image in the store")
    write_archive(
        Archive(found[0], images), ", ".join(image.name or str(image.digest) for image in images), images
    )


def write_archive(archive: Archive, name: str, images: Sequence[NamedImage]) -> None:
    """Write an archive, with progress in a terminal, if nothing of it is missing.

    Raises IncompleteError before the first byte; MismatchError where a blob has not its content, of which the
    last bytes are not written then, so that no loader takes the archive for whole. `name` is for people.
    """
    if os.isatty(_STANDARD_OUTPUT):
        raise UsageError(f"{name}: an archive of {archive.size} bytes is nothing for a terminal; use | or >")
    if lacks := archive.lacking():
        raise IncompleteError(name, lacks)
    for what in archive.left_out():
        note(printable(f"{name}: not in the archive, for another platform: {what}"))
    for image in images:
        if (loads := docker_loads(image)) != "yes":
            note(printable(f"{image.name or image.digest}: docker load: {loads}"))
    done = 0
    with Bar("the archive", bytes_of_it=True) as bar:
        for piece in archive.stream():
            write(memoryview(piece))
            done += len(piece)
            bar.show(done, archive.size)


def write(piece: memoryview) -> None:
    """Write all of it to standard output."""
    while piece:
        piece = piece[os.write(_STANDARD_OUTPUT, piece) :]
