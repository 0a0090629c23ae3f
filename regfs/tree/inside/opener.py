"""Opening layers as images name them: by their descriptors, with the DiffIDs of their configs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from regfs.errors import DamageError, LayerError, LayerProcessError, RegfsError, StoreError
from regfs.graph import Graph
from regfs.graph.cache import Cache, for_ever
from regfs.oci import Descriptor, Digest, Index, Manifest
from regfs.oci.media_types import no_tar, suffix
from regfs.storage import Content

if TYPE_CHECKING:
    from regfs.later import Later
    from regfs.layers import Layer, Layers

#: A layer, or why it cannot be read.
Attempt: TypeAlias = "Layer | RegfsError"


class Wanted(NamedTuple):
    """A layer of a manifest: the digest under which it is stored, and its DiffID, empty if none is known."""

    digest: Digest
    diff_id: str


#: Views of images and layers that are kept open at once, with all layers of each.
_VIEWS = 4


class Opener:
    """The layers of one store. `given_up` tells whether who asks the calling thread has given up waiting.

    `partial`: images are shown without the layers that cannot be read. `views` are those that were used last,
    by their handles (`ViewHandle`).
    """

    def __init__(
        self,
        graph: Graph,
        layers: Later[Layers],
        given_up: Callable[[], bool] = lambda: False,
        *,
        partial: bool = False,
    ) -> None:
        self._graph = graph
        self._layers = layers
        self.given_up = given_up
        self.partial = partial
        self.views: Cache[object, Any] = for_ever(_VIEWS)

    def layer(self, repository: str, manifest: Manifest, position: int) -> Layer:
        """Open one layer of a manifest. Raises what `Layers.get` does, BlobMissingError, SizeError."""
        return self._open(repository, manifest, slice(position, position + 1))[0]

    def layers_of(self, repository: str, manifest: Manifest) -> Sequence[Layer]:
        """Open all layers of a manifest, base first; those that were never read are read two at a time."""
        return self._open(repository, manifest, slice(None))

    def attempts(self, repository: str, manifest: Manifest) -> Sequence[Attempt]:
        """Open all layers of a manifest as far as each can be read, base first.

        Raises what is wrong with the config, and what says nothing of one layer.
        """
        diff_ids = self._diff_ids(repository, manifest)
        found: list[Wanted | RegfsError] = []
        for descriptor, diff_id in zip(manifest.layers, diff_ids, strict=True):
            try:
                found.append(self._wanted(repository, descriptor, diff_id))
            except (LayerError, DamageError, StoreError) as error:
                found.append(error)
        wanted = [each for each in found if isinstance(each, Wanted)]
        opened = iter(self._layers().try_all(wanted, given_up=self.given_up))
        attempts: list[Attempt] = [next(opened) if isinstance(each, Wanted) else each for each in found]
        return [
            _told(each, [descriptor]) if isinstance(each, LayerError) else each
            for each, descriptor in zip(attempts, manifest.layers, strict=True)
        ]

    def _open(self, repository: str, manifest: Manifest, which: slice) -> Sequence[Layer]:
        descriptors = manifest.layers[which]
        diff_ids = self._diff_ids(repository, manifest)[which]
        wanted = [
            self._wanted(repository, descriptor, diff_id)
            for descriptor, diff_id in zip(descriptors, diff_ids, strict=True)
        ]
        try:
            return self._layers().get_all(wanted, given_up=self.given_up)
        except LayerError as error:
            told = _told(error, [layer for layer in descriptors if str(layer.digest) in error.reason])
            if told is error:
                raise
            raise told from error

    def _wanted(self, repository: str, descriptor: Descriptor, diff_id: str) -> Wanted:
        """Find a layer's blob. Raises LayerError if it is known to be no tar, DamageError, StoreError."""
        if form := no_tar(descriptor.media_type):
            key = ": no key here" if form == "encrypted" else ", no tar"
            raise LayerError(f"layer {descriptor.digest}: {form} ({descriptor.media_type}){key}")
        return Wanted(self._graph.sound_blob(repository, descriptor).digest, diff_id)

    def _diff_ids(self, repository: str, manifest: Manifest) -> Sequence[str]:
        """Give the DiffID of each layer, empty where none is known. Raises what is wrong with the config."""
        found: Sequence[str] = ()
        if not isinstance(manifest, Index):
            config = self._graph.config(repository, manifest)
            found = config.diff_ids if config else ()
        count = len(manifest.layers)
        return found if len(found) == count else [""] * count

    def created_by(self, repository: str, manifest: Manifest) -> Sequence[str]:
        """Tell which command made each layer, base first; nothing if the image keeps no such history."""
        return [command for _, command in self.built(repository, manifest)]

    def built(self, repository: str, manifest: Manifest) -> Sequence[tuple[str, str]]:
        """Tell when and by which command each layer was made, base first; nothing if none is told."""
        if isinstance(manifest, Index):
            return []
        config = self._graph.config(repository, manifest)
        steps = [step for step in (config.history if config else ()) if not step.empty]
        found = [(step.created, step.command or step.comment) for step in steps]
        return found if len(found) == len(manifest.layers) else []

    def tar(self, layer: Layer) -> Content:
        """Open a layer's tar."""
        return layer.open(given_up=self.given_up)

    def file(self, layer: Layer, number: int) -> Content:
        """Open a file of a layer, by its id in the layer's tree."""
        return layer.open_file(number, given_up=self.given_up)


def _told(error: LayerError, layers: Sequence[Descriptor]) -> LayerError:
    """Add the media type of a layer that may be no tar, for its media type is none of a tar."""
    if isinstance(error, LayerProcessError):
        return error
    for layer in layers:
        told = layer.media_type in error.reason
        if layer.media_type and not told and not suffix(layer.media_type).startswith(".tar"):
            return type(error)(f"{error.reason} (its media type is {layer.media_type})")
    return error
