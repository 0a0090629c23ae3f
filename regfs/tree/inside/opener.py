"""Opening layers as images name them: by their descriptors, with the DiffIDs of their configs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from regfs.graph import Graph
from regfs.layers import Layer, Layers, never
from regfs.oci import Index, Manifest
from regfs.storage import Content


class Opener:
    """The layers of one store. `given_up` tells whether who asks the calling thread has given up waiting."""

    def __init__(self, graph: Graph, layers: Layers, given_up: Callable[[], bool] = never) -> None:
        self._graph = graph
        self._layers = layers
        self.given_up = given_up

    def layer(self, repository: str, manifest: Manifest, position: int) -> Layer:
        """Open one layer of a manifest. Raises what `Layers.get` does, BlobMissingError, SizeError."""
        return self._open(repository, manifest, slice(position, position + 1))[0]

    def layers_of(self, repository: str, manifest: Manifest) -> Sequence[Layer]:
        """Open all layers of a manifest, base first; those that were never read are read two at a time."""
        return self._open(repository, manifest, slice(None))

    def _open(self, repository: str, manifest: Manifest, which: slice) -> Sequence[Layer]:
        wanted = list(zip(manifest.layers, self._diff_ids(repository, manifest), strict=True))[which]
        stored = [
            (self._graph.sound_blob(repository, descriptor).digest, diff_id) for descriptor, diff_id in wanted
        ]
        return self._layers.get_all(stored, given_up=self.given_up)

    def _diff_ids(self, repository: str, manifest: Manifest) -> Sequence[str]:
        """Give the DiffID of each layer, empty where none is known. Raises what is wrong with the config."""
        found: Sequence[str] = ()
        if not isinstance(manifest, Index):
            config = self._graph.config(repository, manifest)
            found = config.diff_ids if config else ()
        count = len(manifest.layers)
        return found if len(found) == count else [""] * count

    def tar(self, layer: Layer) -> Content:
        """Open a layer's tar."""
        return layer.open(given_up=self.given_up)

    def file(self, layer: Layer, number: int) -> Content:
        """Open a file of a layer, by its id in the layer's tree."""
        return layer.open_file(number, given_up=self.given_up)
