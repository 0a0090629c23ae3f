"""The two forms of a view: one layer, and the layers of an image merged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TypeVar

from regfs.errors import LayerError
from regfs.layers.entry import EntryType
from regfs.layers.layer import Layer
from regfs.layers.tree import LayerNode, Member, Merged, MergedTree
from regfs.layers.tree.paths import can_show
from regfs.oci import Manifest
from regfs.storage import Content
from regfs.tree.inside.opener import Opener
from regfs.tree.inside.view import View

T = TypeVar("T")


class OneLayer(View[Member]):
    """What one layer holds, whiteouts as they are stored."""

    def __init__(self, opener: Opener, layer: Layer) -> None:
        self._opener = opener
        self._layer = layer

    def root(self) -> Member:
        """Give the root directory."""
        return asked(self._layer.tree.root)

    def find(self, directory: Member, name: bytes) -> Member | None:
        """Find a name in a directory."""
        return asked(self._layer.tree.find, directory.id, name)

    def children(self, directory: Member) -> Sequence[tuple[bytes, Member]]:
        """List a directory."""
        found = asked(self._layer.tree.children, directory.id)
        return [(member.name, member) for member in found if can_show(member.name)]

    def listing(self, directory: Member) -> Sequence[tuple[bytes, Member, LayerNode | None]]:
        """List a directory with what stands there."""
        return [
            (member.name, member, None if node.type is EntryType.HARDLINK else node)
            for member, node in asked(self._layer.tree.listing, directory.id)
            if can_show(member.name)
        ]

    def node(self, key: Member) -> LayerNode:
        """Read what stands there. A hard link into another layer has nothing here."""
        node = asked(self._layer.tree.node, key.id)
        if node.type is EntryType.HARDLINK:
            target = node.target.decode(errors="replace")
            raise LayerError(f"a hard link to {target!r}, which this layer does not have: see rootfs/")
        return node

    def xattrs(self, key: Member) -> dict[bytes, bytes]:
        """Read its extended attributes."""
        return asked(self._layer.tree.xattrs, key.id)

    def place(self, key: Member) -> tuple[Layer, int]:
        """Tell which layer has it, and its id there."""
        return self._layer, key.id

    def open(self, key: Member) -> Content:
        """Open a file."""
        return self._opener.file(self._layer, key.id)


class MergedLayers(View[Merged]):
    """The layers of an image merged, as a container sees them."""

    def __init__(
        self,
        opener: Opener,
        layers: Sequence[Layer],
        positions: Sequence[int] = (),
        missing: bytes = b"",
        created_by: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Take the layers, base first, and which of the image's each is, if some are missing.

        `missing` says in a file at the top which are, and why; `created_by` which command made each layer.
        """
        self._created_by = created_by
        self._opener = opener
        self._layers = layers
        self._positions = positions or range(len(layers))
        self._missing = missing
        self._tree = MergedTree([layer.tree for layer in layers])

    @classmethod
    def of(cls, opener: Opener, repository: str, manifest: Manifest) -> MergedLayers:
        """Open the layers of an image: all, or with `Opener.partial` those that can be read."""
        created_by = partial(opener.created_by, repository, manifest)
        if not opener.partial:
            return cls(opener, opener.layers_of(repository, manifest), created_by=created_by)
        readable: list[Layer] = []
        positions: list[int] = []
        missing: list[str] = []
        for position, layer in enumerate(opener.attempts(repository, manifest)):
            if isinstance(layer, Layer):
                readable.append(layer)
                positions.append(position)
            else:
                missing.append(f"layer {position:02}: {layer}\n")
        text = "".join(missing).encode("utf-8", "backslashreplace")
        return cls(opener, readable, positions, text, created_by)

    @property
    def missing(self) -> bytes:
        """What is missing and why, a line for each layer; empty if nothing is."""
        return self._missing

    @cached_property
    def _root(self) -> Merged:
        return self._tree.root

    def root(self) -> Merged:
        """Give the root directory."""
        return asked(lambda: self._root)

    def find(self, directory: Merged, name: bytes) -> Merged | None:
        """Find a name in a directory."""
        return asked(self._tree.lookup, directory, name)

    def children(self, directory: Merged) -> Sequence[tuple[bytes, Merged]]:
        """List a directory."""
        return asked(self._tree.children, directory)

    def listing(self, directory: Merged) -> Sequence[tuple[bytes, Merged, LayerNode | None]]:
        """List a directory with what stands there."""
        return asked(self._tree.listing, directory)

    def node(self, key: Merged) -> LayerNode:
        """Read what stands there."""
        return asked(self._tree.node, key)

    def xattrs(self, key: Merged) -> dict[bytes, bytes]:
        """Read its extended attributes."""
        return asked(self._tree.xattrs, key)

    def origin(self, key: Merged) -> Mapping[str, str]:
        """Tell the layer that has its attributes: its number and digest, and the command that made it."""
        if not self._layers:
            return {}
        layer = key.source.layer
        position = self._positions[layer]
        commands = self._created_by()
        return {
            "layer": f"{position:02} {self._layers[layer].digest}",
            "created_by": commands[position] if position < len(commands) else "",
        }

    def place(self, key: Merged) -> tuple[Layer, int]:
        """Tell which layer has it, and its id there."""
        return self._layers[key.identity.layer], key.identity.id

    def open(self, key: Merged) -> Content:
        """Open a file."""
        return self._opener.file(*self.place(key))


def asked(ask: Callable[..., T], *arguments: object) -> T:
    """Ask an index; its damage is a LayerError. It is found out and the index made anew when next opened."""
    try:
        return ask(*arguments)
    except sqlite3.DatabaseError as error:
        raise LayerError(f"the index of the layer is damaged ({error})") from error
