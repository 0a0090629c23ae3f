"""`layers/`: layers as they are stored: an image's numbered from the base up, an artifact's named by title.

Two names of each that is a tar are in no listing: `00.tar`, the layer uncompressed, and `00/`, its own tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from regfs.errors import NoEntryError
from regfs.oci import Manifest
from regfs.oci.media_types import suffix
from regfs.oci.naming import LAYERS, layer_name, layer_titles
from regfs.tree.blob import BlobFile
from regfs.tree.inside import LayerTar, OneLayer, TopDirectory
from regfs.tree.link import FixedLink
from regfs.tree.node import Child, Directory, Node, Part
from regfs.tree.scope import Scope

#: What a foreign layer's symlink may point to (image-spec, descriptor.md, "urls"). Anything else, the kernel
#: would take for a path of the host.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\0]+\Z")

_POSITION = re.compile("[0-9]{2,9}")


class LayersDirectory(Part):
    """The layers of one manifest, named by `naming.layer_name`."""

    __slots__ = ("_layers", "_manifest", "_positions", "_scope", "_titles")

    def __init__(self, scope: Scope, parent: Directory, manifest: Manifest) -> None:
        super().__init__(parent, LAYERS)
        self._scope = scope
        self._manifest = manifest
        self._layers = manifest.layers
        self._titles = layer_titles(manifest)
        self._positions = {title: position for position, title in enumerate(self._titles) if title}

    def children(self) -> Iterable[Child]:
        """List the layers. Only for a layer that may be foreign does this look whether it is stored."""
        for position in range(len(self._layers)):
            yield Child.of(self._name(position), self._node(position))

    def lookup(self, name: str) -> Node:
        """Find a layer by its exact name, or what is inside it."""
        if name in self._positions:
            return self._node(self._positions[name])
        digits, _, ending = name.partition(".")
        if _POSITION.fullmatch(digits) and int(digits) < len(self._layers):
            position = int(digits)
            if name == self._name(position):
                return self._node(position)
            if name in (digits, f"{digits}.tar") and digits == self._number(position) and self._tar(position):
                opener, repository = self._scope.opener, self._scope.repository
                layer = partial(opener.layer, repository, self._manifest, position)
                if ending:
                    return LayerTar(opener, self, name, layer)
                return TopDirectory(self, name, lambda: OneLayer(opener, layer()))
        raise NoEntryError(name)

    def _name(self, position: int) -> str:
        layer = self._layers[position]
        return layer_name(position, len(self._layers), layer.media_type, self._titles[position])

    def _number(self, position: int) -> str:
        return layer_name(position, len(self._layers), "").partition(".")[0]

    def _tar(self, position: int) -> bool:
        """Tell whether a layer can be looked into: each of an image, and an artifact's tars."""
        return self._manifest.kind == "image" or suffix(self._layers[position].media_type).startswith(".tar")

    def _node(self, position: int) -> Node:
        layer = self._layers[position]
        if layer.urls and not self._scope.graph.stored(self._scope.repository, layer.digest):
            url = next(filter(_URL.match, layer.urls), None)
            if url is not None:
                return FixedLink(self, self._name(position), url)
        return BlobFile(self._scope, layer, "layer", self)
