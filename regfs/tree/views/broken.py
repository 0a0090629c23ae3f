"""`@broken/<repository>/<tag>`: what is wrong with an image, in words.

What is wrong with no tag's image has another name: `@sha256:…` for an untagged one, `@repository` for the
repository itself, and at the top `@store`.
"""

from __future__ import annotations

from collections.abc import Iterable

from regfs.errors import NoEntryError, printable
from regfs.graph.index import Need
from regfs.graph.index.findings import KeptFinding, findings, repositories_with_findings
from regfs.graph.reports.lists import loudest_first
from regfs.oci.naming import revision_name, tag_name
from regfs.tree import inode
from regfs.tree.node import Child, Directory, Node, NodeType
from regfs.tree.views.by_repository import Shelf
from regfs.tree.views.source import Source
from regfs.tree.views.text import TextFile

_NEEDS = (Need.LINKS, Need.CONTENTS)


class Broken(Shelf):
    """The findings, by repository and image."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def repositories(self) -> list[str]:
        """Name the repositories that have some."""
        with self._source.references().snapshot(*_NEEDS, thorough=True) as snapshot:
            return repositories_with_findings(snapshot)

    def entries(self, repository: str, parent: Directory) -> Iterable[Child]:
        """List the images with findings."""
        found, _ = self._findings(repository)
        images = dict.fromkeys((one.tag, _plain_name(one)) for one in found)
        names = dict.fromkeys(self._shown(repository, *image) for image in images)
        return [Child(name, NodeType.FILE, inode.of_child(parent.inode, name)) for name in names]

    def entry(self, repository: str, parent: Directory, name: str) -> Node:
        """Find the text about one of them."""
        found, when = self._findings(repository)
        of_it = [
            one
            for one in found
            if name.endswith(plain := _plain_name(one)) and self._shown(repository, one.tag, plain) == name
        ]
        if not of_it:
            raise NoEntryError(name)
        text = "".join(map(_words, of_it))
        return TextFile(text.encode("utf-8", "backslashreplace"), inode.of_child(parent.inode, name), when)

    def _findings(self, repository: str) -> tuple[list[KeptFinding], int]:
        """Give what is wrong in a repository, and the time of the index that says so."""
        with self._source.references().snapshot(*_NEEDS, thorough=True) as snapshot:
            return loudest_first(findings(snapshot, repository=repository)), snapshot.changed

    def _shown(self, repository: str, tag: str, plain: str) -> str:
        """Name an image's file: a tag's is marked where a nested repository has the name."""
        nested = bool(tag) and self._source.graph.find(repository, tag).nested is not None
        return tag_name(plain, ambiguous=nested)


def _plain_name(found: KeptFinding) -> str:
    if found.tag:
        return printable(found.tag).replace("/", "_")
    if found.image or found.digest:
        return revision_name(found.image or found.digest)
    return "@repository" if found.repository else "@store"


def _words(found: KeptFinding) -> str:
    facts = found.image, found.digest, found.wanted, found.found, found.path
    titled = zip(("image", "digest", "wanted", "found", "path"), facts, strict=True)
    lines = [f"{found.kind.severity}: {found.kind.value}"]
    lines += [f"  {title:<7} {text}" for title, text in titled if text]
    return "".join(f"{printable(line)}\n" for line in lines)
