"""The steps that built an image, with what each did to its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from regfs.layers.changes import Changes, changes
from regfs.oci import ImageManifest, Schema1Manifest
from regfs.tree.inside.view import asked
from regfs.tree.scope import Scope


class LayerFacts(NamedTuple):
    """A layer: its position from the base up, its digest, its bytes stored and uncompressed, its changes."""

    position: int
    digest: str
    stored: int
    unpacked: int
    changes: Changes


class BuildStep(NamedTuple):
    """One step: when, by which command, and the layer that it made, if any."""

    created: str
    command: str
    layer: LayerFacts | None


def steps(scope: Scope, image: ImageManifest | Schema1Manifest) -> Iterator[BuildStep]:
    """Tell the steps of a build, the first one first.

    A config may keep no history, or one that does not fit the layers: then the layers stand alone. Raises
    what opening a layer does.
    """
    facts = list(_layers(scope, image))
    config = scope.graph.config(scope.repository, image)
    history = config.history if config else ()
    if sum(not step.empty for step in history) != len(facts):
        yield from (BuildStep("", "", layer) for layer in facts)
        yield from (BuildStep(step.created, step.command or step.comment, None) for step in history)
        return
    waiting = iter(facts)
    for step in history:
        layer = None if step.empty else next(waiting)
        yield BuildStep(step.created, step.command or step.comment, layer)


def _layers(scope: Scope, image: ImageManifest | Schema1Manifest) -> Iterator[LayerFacts]:
    opened = scope.opener.layers_of(scope.repository, image)
    found = asked(lambda: list(changes([layer.tree for layer in opened])))
    for position, (layer, change) in enumerate(zip(opened, found, strict=True)):
        yield LayerFacts(position, str(layer.digest), layer.meta.stored, layer.size, change)
