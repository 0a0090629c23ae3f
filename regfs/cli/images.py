"""Naming images as people do: `team/app:1.0`, `team/app@sha256:…`, `team/app`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from regfs.errors import NotKnownError, RegfsError, StoreError, TreeError
from regfs.oci import ImageManifest, Schema1Manifest
from regfs.tree import Tree
from regfs.tree.broken import BrokenDirectory
from regfs.tree.image import ManifestDirectory
from regfs.tree.names import NamesDirectory
from regfs.tree.scope import Scope
from regfs.tree.tag import TagDirectory

#: The tag that is meant where none is given, as in Docker.
_DEFAULT_TAG = "latest"


class FoundImage(NamedTuple):
    """An image: its directory in the tree, the image, and what reads it."""

    path: str
    image: tuple[Scope, ImageManifest | Schema1Manifest]


def find_directory(tree: Tree, ref: str) -> tuple[str, ManifestDirectory]:
    """Find whatever a name stands for: its path in the tree, and its directory. Raises NotKnownError."""
    repository, tag, digest = _part(ref)
    path = f"{repository}/" + (f"@{digest}" if digest else f":{tag or _DEFAULT_TAG}")
    return path, _directory_at(tree, path, ref, "" if tag or digest else f"; give a tag: {repository}:TAG")


def find_image(tree: Tree, ref: str) -> FoundImage:
    """Find an image; of an index, the one for the platform. Raises NotKnownError, and what is damaged."""
    path, directory = find_directory(tree, ref)
    return FoundImage(path, directory.image())


def image_at(tree: Tree, path: str) -> FoundImage:
    """Find the image whose directory is at a path of the tree. Raises as `find_image`."""
    return FoundImage(path, _directory_at(tree, path, path, "").image())


def _directory_at(tree: Tree, path: str, named: str, hint: str) -> ManifestDirectory:
    """Find a directory that a person has named so; `hint` says what to try where there is none."""
    try:
        node = tree.walk(path)
    except TreeError as error:
        raise NotKnownError(named, f"no such image in the store{hint}") from error
    if not isinstance(node, ManifestDirectory):
        raise NotKnownError(named, "no image")
    return node


#: Who is told of what could not be looked into, and why.
Told = Callable[[str, RegfsError], object]


def images_of(tree: Tree, refs: Iterable[str], told: Told | None = None) -> Iterator[str]:
    """Name the images that are meant: a repository alone means all its tags, and nothing the whole store.

    What cannot be read is raised, or with `told` is told and passed over.
    """
    for ref in refs or ("",):
        repository, tag, digest = _part(ref)
        if tag or digest:
            yield ref
            continue
        node = tree.walk(repository)
        if not isinstance(node, NamesDirectory):
            raise NotKnownError(ref, "no repository in the store")
        yield from _tags(node, repository, told, nested=not ref)


def _tags(directory: NamesDirectory, repository: str, told: Told | None, *, nested: bool) -> Iterator[str]:
    try:
        children = list(directory.children())
    except StoreError as error:
        if told is None:
            raise
        told(repository, error)
        return
    for child in children:
        node = directory.lookup(child.name)
        if isinstance(node, TagDirectory):
            yield f"{repository}:{child.name.removeprefix(':')}"
        elif nested and isinstance(node, NamesDirectory):
            yield from _tags(node, f"{repository}/{child.name}".lstrip("/"), told, nested=True)
        elif nested and told and isinstance(node, BrokenDirectory):
            told(f"{repository}/{child.name}".lstrip("/"), node.error)


def _part(ref: str) -> tuple[str, str, str]:
    """Part a reference into repository, tag and digest, of which one at most is there."""
    repository, at, digest = ref.partition("@")
    if at:
        return repository, "", digest
    repository, _, tag = ref.partition(":")
    return repository.strip("/"), tag, ""
