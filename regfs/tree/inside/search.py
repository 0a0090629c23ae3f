"""Looking for files by their names in many images: each layer once, by its index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from regfs.errors import LayerError, RegfsError
from regfs.layers import Layer
from regfs.layers.tree import Hit, MergedTree
from regfs.oci import Digest
from regfs.tree.inside.layered import asked
from regfs.tree.inside.opener import Attempt


class FoundFile(NamedTuple):
    """A file that shows in an image: its path, and the layer that it is from, with its number."""

    path: bytes
    position: int
    layer: Layer


class Search:
    """The search for one pattern, as `LayerTree.search` has it. What was found in a layer is kept."""

    def __init__(self, pattern: bytes) -> None:
        self._pattern = pattern
        self._hits: dict[Digest, Sequence[Hit]] = {}

    def image(self, attempts: Sequence[Attempt]) -> Iterator[FoundFile | RegfsError]:
        """Find what shows in an image, in the order of the paths, and the layers that cannot be read."""
        yield from (attempt for attempt in attempts if not isinstance(attempt, Layer))
        layers = [(position, layer) for position, layer in enumerate(attempts) if isinstance(layer, Layer)]
        try:
            found = [(hit, index) for index, (_, layer) in enumerate(layers) for hit in self._search(layer)]
            if not found:
                return
            merged = MergedTree([layer.tree for _, layer in layers])
            for hit, index in sorted(found, key=lambda each: (each[0].path, each[1])):
                shown = asked(partial(merged.at, hit.path.split(b"/"), resolved=False))
                if shown is not None and shown.identity == (index, hit.node):
                    position, layer = layers[index]
                    yield FoundFile(hit.path, position, layer)
        except LayerError as error:
            yield error

    def _search(self, layer: Layer) -> Sequence[Hit]:
        hits = self._hits.get(layer.digest)
        if hits is None:
            hits = self._hits[layer.digest] = asked(layer.tree.search, self._pattern)
        return hits
