"""The steps that built an image, with what each did to its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from regfs.errors import RegfsError
from regfs.layers import Layer
from regfs.layers.changes import Change, Changes, changes
from regfs.oci import ImageManifest, Schema1Manifest
from regfs.tree.inside.layered import asked
from regfs.tree.scope import Scope


class LayerFacts(NamedTuple):
    """A layer: its position from the base up, its digest, its bytes stored and uncompressed, its changes.

    `left_out` counts its entries that no file system can show. Of one that cannot be read `error` says why;
    then its size is what the manifest says, if that says one, and the rest is not known.
    """

    position: int
    digest: str
    stored: int | None
    unpacked: int | None = None
    changes: Changes | None = None
    left_out: int | None = None
    error: RegfsError | None = None


class Changed(NamedTuple):
    """What changed, and the layers that cannot be read, each with the reason."""

    changes: Sequence[Change]
    missing: Sequence[tuple[int, RegfsError]]


class BuildStep(NamedTuple):
    """One step: when, by which command, and the layer that it made, if any."""

    created: str
    command: str
    layer: LayerFacts | None


def steps(scope: Scope, image: ImageManifest | Schema1Manifest) -> Iterator[BuildStep]:
    """Tell the steps of a build, the first one first; a layer that cannot be read has its error.

    A config may keep no history, or one that does not fit the layers: then the layers stand alone. Raises
    what is wrong with the config.
    """
    facts = list(_layers(scope, image))
    history = _history(scope, image)
    if sum(not empty for _, _, empty in history) != len(facts):
        yield from (BuildStep("", "", layer) for layer in facts)
        yield from (BuildStep(created, command, None) for created, command, _ in history)
        return
    waiting = iter(facts)
    for created, command, empty in history:
        yield BuildStep(created, command, None if empty else next(waiting))


def changed_files(scope: Scope, image: ImageManifest | Schema1Manifest) -> Changed:
    """Tell the names behind the counts of the steps, as far as the layers can be read."""
    attempts = scope.opener.attempts(scope.repository, image)
    readable = [(position, layer) for position, layer in enumerate(attempts) if isinstance(layer, Layer)]
    found: list[Change] = []
    asked(lambda: list(changes([layer.tree for _, layer in readable], found.append)))
    return Changed(
        [change._replace(position=readable[change.position][0]) for change in found],
        [(position, error) for position, error in enumerate(attempts) if not isinstance(error, Layer)],
    )


def _history(scope: Scope, image: ImageManifest | Schema1Manifest) -> list[tuple[str, str, bool]]:
    config = scope.graph.config(scope.repository, image)
    history = config.history if config else ()
    return [(step.created, step.command or step.comment, step.empty) for step in history]


def _layers(scope: Scope, image: ImageManifest | Schema1Manifest) -> Iterator[LayerFacts]:
    attempts = scope.opener.attempts(scope.repository, image)
    readable = [layer for layer in attempts if isinstance(layer, Layer)]
    found = iter(asked(lambda: list(changes([layer.tree for layer in readable]))))
    for position, (layer, descriptor) in enumerate(zip(attempts, image.layers, strict=True)):
        if isinstance(layer, Layer):
            meta = layer.meta
            yield LayerFacts(position, str(layer.digest), meta.stored, layer.size, next(found), meta.skipped)
        else:
            yield LayerFacts(position, str(descriptor.digest), descriptor.size, error=layer)
