"""Naming images as people do: `team/app:1.0`, `team/app@sha256:…`, `team/app`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from regfs.errors import NotKnownError, TreeError
from regfs.oci import ImageManifest, Schema1Manifest
from regfs.tree import Tree
from regfs.tree.image import ManifestDirectory
from regfs.tree.names import NamesDirectory
from regfs.tree.scope import Scope
from regfs.tree.tag import TagDirectory

#: The tag that is meant where none is given, as in Docker.
_DEFAULT_TAG = "latest"


class Found(NamedTuple):
    """An image: its directory in the tree, the image, and what reads it."""

    path: str
    image: tuple[Scope, ImageManifest | Schema1Manifest]


def find_directory(tree: Tree, ref: str) -> tuple[str, ManifestDirectory]:
    """Find whatever a name stands for: its path in the tree, and its directory. Raises NotKnownError."""
    repository, tag, digest = _part(ref)
    path = f"{repository}/" + (f"@{digest}" if digest else f":{tag or _DEFAULT_TAG}")
    return path, _directory_at(tree, path, ref, "" if tag or digest else f"; give a tag: {repository}:TAG")


def find_image(tree: Tree, ref: str) -> Found:
    """Find an image; of an index, the one for the platform. Raises NotKnownError, and what is damaged."""
    path, directory = find_directory(tree, ref)
    return Found(path, directory.image())


def image_at(tree: Tree, path: str) -> Found:
    """Find the image whose directory is at a path of the tree. Raises as `find_image`."""
    return Found(path, _directory_at(tree, path, path, "").image())


def _directory_at(tree: Tree, path: str, named: str, hint: str) -> ManifestDirectory:
    """Find a directory that a person has named so; `hint` says what to try where there is none."""
    try:
        node = tree.walk(path)
    except TreeError as error:
        raise NotKnownError(named, f"no such image in the store{hint}") from error
    if not isinstance(node, ManifestDirectory):
        raise NotKnownError(named, "no image")
    return node


def images_of(tree: Tree, refs: Iterable[str]) -> Iterator[str]:
    """Name the images that are meant: a repository alone means all its tags, and nothing the whole store."""
    for ref in refs or ("",):
        repository, tag, digest = _part(ref)
        if tag or digest:
            yield ref
            continue
        node = tree.walk(repository)
        if not isinstance(node, NamesDirectory):
            raise NotKnownError(ref, "no repository in the store")
        yield from _tags(node, repository, nested=not ref)


def _tags(directory: NamesDirectory, repository: str, *, nested: bool) -> Iterator[str]:
    for child in directory.children():
        node = directory.lookup(child.name)
        if isinstance(node, TagDirectory):
            yield f"{repository}:{child.name.removeprefix(':')}"
        elif nested and isinstance(node, NamesDirectory):
            yield from _tags(node, f"{repository}/{child.name}".lstrip("/"), nested=True)


def _part(ref: str) -> tuple[str, str, str]:
    """Part a reference into repository, tag and digest, of which one at most is there."""
    repository, at, digest = ref.partition("@")
    if at:
        return repository, "", digest
    repository, _, tag = ref.partition(":")
    return repository.strip("/"), tag, ""
