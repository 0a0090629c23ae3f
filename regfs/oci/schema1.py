"""Schema 1: the manifest of Docker before 1.10.

Its layers stand top first, and its config is in strings of JSON, one for each layer. Signed or not: the
signature block is one key more. Source: distribution's documentation, "Image Manifest V 2, Schema 1";
the conversion to a config follows Moby's image specification v1 to v1.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from regfs.errors import DigestError, ManifestError
from regfs.oci import media_types
from regfs.oci.descriptor import Descriptor
from regfs.oci.digest import Digest
from regfs.oci.document import Form

#: Keys of v1Compatibility that tell of the layer chain, not of the image; Docker drops them as well.
_CHAIN_KEYS = frozenset({"id", "parent", "parent_id", "layer_id", "throwaway", "Size"})

#: The depth of Docker's layer chains ends at 127; this bounds what a hostile manifest may ask for.
_MOST_LAYERS = 100_000


class FSLayerJSON(msgspec.Struct, rename="camel"):
    """One entry of fsLayers."""

    blob_sum: str


class HistoryJSON(msgspec.Struct, rename="camel"):
    """One entry of history: a string that holds JSON."""

    v1_compatibility: str


class Schema1JSON(msgspec.Struct, rename="camel"):
    """A schema 1 manifest, as JSON has it."""

    fs_layers: list[FSLayerJSON]
    history: list[HistoryJSON]
    signatures: list[msgspec.Raw] | None = None


class ContainerConfigJSON(msgspec.Struct):
    """The command that made a layer."""

    command: list[str] | str | None = msgspec.field(default=None, name="Cmd")


class V1JSON(msgspec.Struct):
    """What the history of a config keeps of one v1Compatibility."""

    created: str | None = None
    author: str | None = None
    comment: str | None = None
    throwaway: bool | None = None
    container_config: ContainerConfigJSON | None = None


_SCHEMA1 = Form(Schema1JSON, ManifestError)
_V1 = Form(V1JSON, ManifestError)
_OBJECT = Form(dict[str, msgspec.Raw], ManifestError)


@dataclass(frozen=True, slots=True)
class Schema1Manifest:
    """An image of schema 1, in the order of the later schemas: base layer first.

    `layers` keeps each repetition of the empty layer: position tells the build step. `config` is JSON
    made from the newest v1Compatibility, with the history of all; it is no blob of the store. The layers'
    media type is the only one that there was, and their sizes are told nowhere.
    """

    raw: bytes = field(repr=False)
    layers: tuple[Descriptor, ...]
    config: bytes = field(repr=False)
    signed: bool

    @property
    def media_type(self) -> str:
        """The media type under which a registry serves it."""
        return media_types.DOCKER_SCHEMA1_SIGNED if self.signed else media_types.DOCKER_SCHEMA1

    @property
    def kind(self) -> str:
        """Always `image`."""
        return "image"

    @classmethod
    def parse(cls, raw: bytes) -> Schema1Manifest:
        """Parse a schema 1 manifest. Raises ManifestError, and nothing else, for any bytes."""
        value = _SCHEMA1.decode(raw)
        if len(value.fs_layers) > _MOST_LAYERS:
            raise ManifestError(f"schema 1 with {len(value.fs_layers)} layers")
        if not value.fs_layers or len(value.fs_layers) != len(value.history):
            raise ManifestError(
                f"schema 1 with {len(value.fs_layers)} fsLayers and {len(value.history)} history entries"
            )
        try:
            layers = tuple(
                Descriptor(media_types.DOCKER_LAYER_GZIP, Digest.parse(layer.blob_sum), size=None)
                for layer in reversed(value.fs_layers)
            )
        except DigestError as error:
            raise ManifestError(f"fsLayers: {error}") from error
        config = _config([entry.v1_compatibility for entry in value.history])
        return cls(raw=raw, layers=layers, config=config, signed=value.signatures is not None)


def _config(newest_first: list[str]) -> bytes:
    newest = _OBJECT.decode(newest_first[0])
    steps = [_step(_V1.decode(text)) for text in reversed(newest_first)]
    kept: dict[str, object] = {key: value for key, value in newest.items() if key not in _CHAIN_KEYS}
    try:
        return msgspec.json.encode({**kept, "history": steps})
    except (msgspec.MsgspecError, RecursionError) as reason:
        raise ManifestError(f"v1Compatibility: {reason}") from reason


def _step(v1: V1JSON) -> Mapping[str, object]:
    command = v1.container_config.command if v1.container_config else None
    step: dict[str, object] = {
        "created": v1.created,
        "created_by": " ".join(command) if isinstance(command, list) else command,
        "author": v1.author,
        "comment": v1.comment,
        "empty_layer": v1.throwaway,
    }
    return {key: value for key, value in step.items() if value}
