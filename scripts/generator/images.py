"""Pushes images into one repository: which layers they share with their neighbours, and what they write."""

from __future__ import annotations

import random
from collections.abc import Sequence

from scripts.generator.bases import ARCHITECTURES, Base, Bases
from scripts.generator.blobs import Blobs
from scripts.generator.documents import FORMS, Document, config, index, manifest
from scripts.generator.layers import Layer, Maker
from scripts.generator.plan import SECOND, Plan
from scripts.generator.pushes import Push, State
from scripts.generator.repository import Repository

#: How heavy layers are, in mean layers, and how often each changes.
_DEPENDENCIES_WEIGHT = 2.0
_OWN_WEIGHT = 0.3
_NEW_DEPENDENCIES = 0.1
_SECOND_LAYER = 0.3

#: Before a manifest is pushed, its layers and config are. In nanoseconds.
_LAYERS_BEFORE = 4 * SECOND
_CONFIG_BEFORE = SECOND


class Images:
    """One repository's images: a base, dependencies that builds share, one or two layers of their own."""

    def __init__(
        self,
        plan: Plan,
        chance: random.Random,
        name: str,
        bases: Bases,
        maker: Maker,
        blobs: Blobs,
        to: Repository,
    ) -> None:
        self._plan, self._chance, self._name = plan, chance, name
        self._maker, self._blobs, self._to = maker, blobs, to
        self._release_at = bases.release_at
        self._family = chance.choice(bases.all)
        self._form = chance.choice(FORMS)
        self._builds = 0
        self._dependencies: dict[str, Layer] = {}
        #: Dependencies of all builds, by digest, and what leads to them; and what leads to layers of bases.
        self._shared: dict[str, tuple[Layer, State]] = {}
        self.bases: dict[str, State] = {}

    def push(self, push: Push) -> None:
        """Write one push, and note what leads to its blobs."""
        self._builds += 1
        children = [
            (architecture, self._image(architecture, push))
            for architecture in ARCHITECTURES[: push.platforms]
        ]
        document = children[0][1]
        if push.platforms > 1:
            document = index(self._form, children)
            self._manifest(document, push)
            self._to.tally.indexes += 1
        for tag in push.tags:
            self._to.tag(tag, document.digest, push.time)

    def close(self) -> None:
        """Count the layers that images of this repository share."""
        for layer, state in self._shared.values():
            self._blobs.led_to(layer, state)

    def _image(self, architecture: str, push: Push) -> Document:
        base = self._family[architecture][self._release_at(push.time)]
        dependencies = self._dependencies_of(architecture, push)
        own = [self._own(step, push) for step in range(1 + (self._chance.random() < _SECOND_LAYER))]
        layers = [*base.layers, *dependencies, *own]
        for layer in base.layers:
            self.bases[layer.digest] = min(push.state, self.bases.get(layer.digest, push.state))
        for layer in layers:
            self._to.link(layer.digest, push.time - _LAYERS_BEFORE)
        text = config(self._form, architecture, push.time - 60 * SECOND, layers, *self._words(base))
        self._blobs.document(text, push.state, push.time - _CONFIG_BEFORE)
        self._to.link(text.digest, push.time - _CONFIG_BEFORE)
        document = manifest(self._form, text, layers)
        self._manifest(document, push)
        return document

    def _manifest(self, document: Document, push: Push) -> None:
        self._blobs.document(document, push.state, push.time)
        if push.state is State.ORPHANED:
            self._to.deleted_revision(document.digest, push.time)
        else:
            self._to.revision(document.digest, push.time)

    def _dependencies_of(self, architecture: str, push: Push) -> Sequence[Layer]:
        if self._plan.layers < 3:
            return ()
        layer = self._dependencies.get(architecture)
        if layer is None or self._chance.random() < _NEW_DEPENDENCIES:
            layer = self._new(_DEPENDENCIES_WEIGHT, f"RUN fetch dependencies of {self._name}", push)
            self._dependencies[architecture] = layer
            self._shared[layer.digest] = layer, push.state
        self._shared[layer.digest] = layer, min(push.state, self._shared[layer.digest][1])
        return (layer,)

    def _own(self, step: int, push: Push) -> Layer:
        layer = self._new(_OWN_WEIGHT, f"COPY build/{self._builds}.{step} /srv", push)
        self._blobs.led_to(layer, push.state)
        return layer

    def _new(self, weight: float, made: str, push: Push) -> Layer:
        layer = self._maker(self._chance, weight, made, push.time - _LAYERS_BEFORE)
        self._blobs.layer(layer)
        return layer

    def _words(self, base: Base) -> tuple[Sequence[str], dict[str, str]]:
        environment = (f"{base.runtime.upper()}_VERSION={base.version}", f"BUILD_NUMBER={self._builds}")
        labels = {
            "org.opencontainers.image.title": self._name,
            "org.opencontainers.image.revision": f"{self._chance.getrandbits(160):040x}",
        }
        return environment, labels
