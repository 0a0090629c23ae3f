"""What the graph knows of a manifest: its form, and each blob that it names.

The same values whether they come from the index or from a manifest that was just read: a tree needs no more
to list an image.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from regfs.oci import Digest, Manifest, Platform
from regfs.oci.media_types import SCHEMA1
from regfs.registry.manifests import EdgeRow, edges_of
from regfs.registry.terms import Role

#: As numbers: to look up a member of an enum takes as long as to call a function, and a walk has many blobs.
_LAYER, _CONFIG, _CHILD = int(Role.LAYER), int(Role.CONFIG), int(Role.CHILD)


class Seen(NamedTuple):
    """A stored blob as the index has it: bytes, blocks of 512 bytes, time in nanoseconds.

    `version` is that of the index which says so: a shard that is confirmed for another one confirms nothing.
    """

    size: int
    blocks: int
    mtime_ns: int
    version: int


class Named(NamedTuple):
    """A blob as a manifest names it. `size` is what the manifest tells, if it does.

    `platform` names a child's directory, `machine` says for which machine it is; `elsewhere`: it need not be
    stored here; `title` names a layer's file that is not numbered. `seen` is the stored blob, if the index
    has it and it has the right size.
    """

    role: int
    position: int
    digest: Digest
    size: int | None
    media_type: str = ""
    platform: str = ""
    machine: str = ""
    elsewhere: bool = False
    title: str = ""
    seen: Seen | None = None


class Outline(NamedTuple):
    """A manifest: itself as a blob, its kind, and what it names, in its order."""

    itself: Named
    kind: str
    config: Named | None
    layers: tuple[Named, ...]
    children: tuple[Named, ...]

    @property
    def indexes(self) -> bool:
        """Whether it is an index, or a cache in the form of one."""
        return self.kind in ("index", "cache")

    @property
    def schema1(self) -> bool:
        """Whether its config is made of itself."""
        return self.itself.media_type in SCHEMA1

    @classmethod
    def of_parts(cls, itself: Named, kind: str, parts: Iterable[Named]) -> Outline:
        """Put together what an index or a manifest says."""
        config, layers, children = None, [], []
        for part in parts:
            role = part.role
            if role == _LAYER:
                layers.append(part)
            elif role == _CONFIG:
                config = part
            elif role == _CHILD:
                children.append(part)
        return cls(itself, kind, config, tuple(layers), tuple(children))

    @classmethod
    def of_manifest(cls, digest: Digest, manifest: Manifest) -> Outline:
        """Give the outline of a manifest that was read."""
        itself = Named(Role.CHILD, 0, digest, len(manifest.raw), manifest.media_type)
        return cls.of_parts(itself, manifest.kind, map(_named, edges_of(manifest)))


def _named(edge: EdgeRow) -> Named:
    role, position, digest, size, media_type, platform, elsewhere, title, machine = edge
    return Named(role, position, Digest.parse(digest), size, media_type, platform, machine, elsewhere, title)


def platform_of(named: Named) -> Platform | None:
    """Give the platform of an index's child, if the index tells one."""
    return Platform.stored(named.machine) if named.machine else None
