"""`layers/`: layers as they are stored: an image's numbered from the base up, an artifact's named by title.

Two names of each that is a tar are in no listing: `00.tar`, the layer uncompressed, and `00/`, its own tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from regfs.errors import NoEntryError
from regfs.graph.outline import Named, Outline
from regfs.oci.media_types import suffix
from regfs.oci.naming import LAYERS, layer_name
from regfs.tree import inside
from regfs.tree.blob import BlobFile, entry_of_blob
from regfs.tree.link import FixedLink
from regfs.tree.node import Attributes, Child, Directory, Node, Part
from regfs.tree.scope import Scope

if TYPE_CHECKING:
    from regfs.layers import Layer

#: What a foreign layer's symlink may point to (image-spec, descriptor.md, "urls"). Anything else, the kernel
#: would take for a path of the host.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\0]+\Z")

_POSITION = re.compile("[0-9]{2,9}")

#: The numbers of the nodes here (`Node.part`): of the directory, and of the first layer.
_PART = 3
FIRST_LAYER = 16


class LayersDirectory(Part):
    """The layers of one manifest, named by `naming.layer_name`."""

    __slots__ = ("_outline", "_scope", "_titled")
    part = _PART

    def __init__(self, scope: Scope, parent: Directory, outline: Outline) -> None:
        super().__init__(parent, LAYERS)
        self._scope = scope
        self._outline = outline
        self._titled = {layer.title: layer for layer in outline.layers if layer.title}

    def children(self) -> Iterable[Child]:
        """List the layers. Only for a layer that may be foreign does this look whether it is stored."""
        for layer in self._outline.layers:
            yield Child.of(self._name(layer), self._node(layer))

    def entries(self) -> Iterator[tuple[Child, Attributes | None]]:
        """List the layers with what stat(2) tells of each."""
        for layer in self._outline.layers:
            name = self._name(layer)
            if layer.elsewhere:
                yield from self._with_attributes([Child.of(name, self._node(layer))])
            else:
                yield entry_of_blob(self._scope, name, layer, self, FIRST_LAYER + layer.position)

    def lookup(self, name: str) -> Node:
        """Find a layer by its exact name, or what is inside it."""
        layers = self._outline.layers
        if name in self._titled:
            return self._node(self._titled[name])
        digits, _, ending = name.partition(".")
        if _POSITION.fullmatch(digits) and int(digits) < len(layers):
            layer = layers[int(digits)]
            if name == self._name(layer):
                return self._node(layer)
            if name in (digits, f"{digits}.tar") and digits == self._number(layer) and self._tar(layer):
                return self._inside(name, layer.position, uncompressed=bool(ending))
        raise NoEntryError(name)

    def member(self, number: int) -> Node:
        """Find the layer that has a number as its `part`. Raises NoEntryError."""
        position = number - FIRST_LAYER
        if position >= len(self._outline.layers):
            raise NoEntryError(str(number))
        return self._node(self._outline.layers[position])

    def name_of(self, number: int) -> str:
        """Give the name of such a layer."""
        return self._name(self._outline.layers[number - FIRST_LAYER])

    def lasts(self, child: Node) -> bool:
        """Tell whether a name stands for a child for ever: not, where a layer need not be stored."""
        return child.part > 0

    def _inside(self, name: str, position: int, *, uncompressed: bool) -> Node:
        """Give what is inside a layer: its tar, or its own tree."""
        graph, opener, repository = self._scope.graph, self._scope.opener, self._scope.repository

        def layer() -> Layer:
            return opener.layer(repository, graph.manifest(repository, self._outline.itself.digest), position)

        if uncompressed:
            return inside.LayerTar(opener, self, name, layer)
        return inside.TopDirectory(self, name, opener, lambda: inside.OneLayer(opener, layer()))

    def _name(self, layer: Named) -> str:
        return layer_name(layer.position, len(self._outline.layers), layer.media_type, layer.title)

    def _number(self, layer: Named) -> str:
        return layer_name(layer.position, len(self._outline.layers), "").partition(".")[0]

    def _tar(self, layer: Named) -> bool:
        """Tell whether a layer can be looked into: each of an image, and an artifact's tars."""
        return self._outline.kind == "image" or suffix(layer.media_type).startswith(".tar")

    def _node(self, layer: Named) -> Node:
        if layer.elsewhere and not self._scope.graph.stored(self._scope.repository, layer):
            url = next(filter(_URL.match, self._urls(layer.position)), None)
            if url is not None:
                return FixedLink(self, self._name(layer), url)
        part = 0 if layer.elsewhere else FIRST_LAYER + layer.position
        return BlobFile(self._scope, layer, "layer", self, part=part)

    def _urls(self, position: int) -> Sequence[str]:
        """Read from the manifest where a foreign layer is kept."""
        manifest = self._scope.graph.manifest(self._scope.repository, self._outline.itself.digest)
        return manifest.layers[position].urls
