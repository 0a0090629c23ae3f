"""`@broken/<repository>/<tag>`: what is wrong with an image, in words.

What is wrong with no tag's image has another name: `@sha256:…` for an untagged one, `@repository` for the
repository itself, and at the top `@store`.
"""

from __future__ import annotations

from collections.abc import Iterable

from regfs.errors import NoEntryError, printable
from regfs.graph.reports.lists import broken_in, broken_repositories
from regfs.oci.naming import revision_name, tag_name
from regfs.tree import inode
from regfs.tree.node import Child, Directory, Node, NodeType
from regfs.tree.views.by_repository import Shelf
from regfs.tree.views.source import Source
from regfs.tree.views.text import TextFile

Finding = tuple[str, ...]


class Broken(Shelf):
    """The findings, by repository and image."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def repositories(self) -> list[str]:
        """Name the repositories that have some."""
        with self._source.references.reading(thorough=True) as connection:
            return broken_repositories(connection)

    def entries(self, repository: str, parent: Directory) -> Iterable[Child]:
        """List the images with findings."""
        images = dict.fromkeys((row[3], _plain_name(row)) for row in self._findings(repository))
        names = dict.fromkeys(self._shown(repository, *image) for image in images)
        return [Child(name, NodeType.FILE, inode.of_child(parent.inode, name)) for name in names]

    def entry(self, repository: str, parent: Directory, name: str) -> Node:
        """Find the text about one of them."""
        rows = [
            row
            for row in self._findings(repository)
            if name.endswith(plain := _plain_name(row)) and self._shown(repository, row[3], plain) == name
        ]
        if not rows:
            raise NoEntryError(name)
        text = "".join(map(_words, rows))
        when = self._source.references.changed()
        return TextFile(text.encode("utf-8", "backslashreplace"), inode.of_child(parent.inode, name), when)

    def _findings(self, repository: str) -> list[Finding]:
        with self._source.references.reading(thorough=True) as connection:
            return [tuple(map(str, row)) for row in broken_in(connection, repository)]

    def _shown(self, repository: str, tag: str, plain: str) -> str:
        """Name an image's file: a tag's is marked where a nested repository has the name."""
        nested = bool(tag) and self._source.graph.find(repository, tag).nested is not None
        return tag_name(plain, ambiguous=nested)


def _plain_name(row: Finding) -> str:
    _, _, repository, tag, image, digest, *_ = row
    if tag:
        return printable(tag).replace("/", "_")
    if image or digest:
        return revision_name(image or digest)
    return "@repository" if repository else "@store"


def _words(row: Finding) -> str:
    severity, kind, _, _, *facts = row
    titled = zip(("image", "digest", "wanted", "found", "path"), facts, strict=True)
    lines = [f"{severity}: {kind}", *(f"  {title:<7} {text}" for title, text in titled if text)]
    return "".join(f"{printable(line)}\n" for line in lines)
