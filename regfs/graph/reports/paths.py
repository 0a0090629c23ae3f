"""From the index's numbers to paths of the mounted tree: where an image shows, and what is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from regfs.graph.index import Role
from regfs.oci import naming

#: No image is deeper than this in indexes; the tree ends there as well.
_DEEPEST = 16


class Holder(NamedTuple):
    """A manifest that names a blob: where it shows, the blob's role in it, and the blob's own path."""

    image: str
    role: Role
    path: str


class Paths:
    """Paths of one state of the index."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def images(self, manifest: int) -> Iterator[str]:
        """Give every path at which a manifest shows as a directory: tags, untagged revisions, in indexes."""
        return self._images(manifest, _DEEPEST)

    def _images(self, manifest: int, depth: int) -> Iterator[str]:
        for repository, tag in self._db.execute(
            "SELECT repository.name, tag.name FROM tag JOIN repository ON repository.id = tag.repository "
            "WHERE blob = ? ORDER BY 1, 2",
            (manifest,),
        ).fetchall():
            yield self.tag(repository, tag)
        if depth:
            for parent, platform in self._db.execute(
                "SELECT source, platform FROM edge JOIN blob ON blob.id = source "
                "WHERE target = ? AND role = ? ORDER BY digest, position",
                (manifest, Role.CHILD),
            ).fetchall():
                for path in self._images(parent, depth - 1):
                    yield f"{path}/{naming.PLATFORMS}/{platform}"
        for repository, digest in self._db.execute(
            "SELECT repository.name, digest FROM untagged "
            "JOIN repository ON repository.id = untagged.repository JOIN blob ON blob.id = untagged.blob "
            "WHERE untagged.blob = ? ORDER BY 1",
            (manifest,),
        ).fetchall():
            yield f"{repository}/{naming.revision_name(digest)}"

    def tag(self, repository: str, tag: str) -> str:
        """Give the path of a tag."""
        nested = self._db.execute("SELECT 1 FROM repository WHERE name = ?", (f"{repository}/{tag}",))
        return f"{repository}/{naming.tag_name(tag, ambiguous=nested.fetchone() is not None)}"

    def holders(self, blob: int) -> Iterator[Holder]:
        """Give every image that holds a blob, and as what; first those where the blob is itself the image."""
        return self._holders(blob, {blob})

    def _holders(self, blob: int, names: set[int]) -> Iterator[Holder]:
        """As above; `names` are known to be the blob's: in a damaged store they may lead in a circle."""
        for image in self.images(blob):
            yield Holder(image, Role.CHILD, f"{image}/{naming.MANIFEST}")
        for source, role, position, media_type, title in self._db.execute(
            "SELECT source, role, position, media_type, title FROM edge JOIN blob ON blob.id = source "
            "LEFT JOIN held ON held.blob = source WHERE target = ? AND role != ? "
            "ORDER BY state, digest, role, position",
            (blob, Role.CHILD),
        ).fetchall():
            if role == Role.ALIAS:
                if source not in names:
                    names.add(source)
                    yield from self._holders(source, names)
            elif role == Role.REFERRER:
                for image in self.images(source):
                    yield Holder(image, Role.REFERRER, image)
            else:
                name = self._name(source, Role(role), position, media_type, title)
                for image in self.images(source):
                    yield Holder(image, Role(role), f"{image}/{name}")

    def _name(self, source: int, role: Role, position: int, media_type: str, title: str) -> str:
        if role is Role.CONFIG:
            return naming.CONFIG
        (count,) = self._db.execute(
            "SELECT count(*) FROM edge WHERE source = ? AND role = ?", (source, Role.LAYER)
        ).fetchone()
        return f"{naming.LAYERS}/{naming.layer_name(position, count, media_type, title)}"

    def example(self, blob: int) -> str:
        """Give one path of a blob, the same as long as the index says the same; empty for an orphan."""
        found = next(self.holders(blob), None)
        return found.path if found else ""
