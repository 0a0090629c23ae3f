"""Names of what images hold: in the mounted tree, and in the reports that point there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from regfs.oci import Descriptor, Digest, Manifest
from regfs.oci.media_types import suffix

MANIFEST = "manifest.json"
CONFIG = "config.json"
LAYERS = "layers"
PLATFORMS = "platforms"
ROOTFS = "rootfs"

#: What a file is called in an artifact (OCI image-spec, annotations.md); ORAS pulls it under that name.
TITLE = "org.opencontainers.image.title"

#: The longest name of a file, in bytes (Linux, NAME_MAX).
_LONGEST = 255


@lru_cache(1024)
def layer_name(position: int, count: int, media_type: str, title: str = "") -> str:
    """Name a layer's file: its title; else its position from the base up and a suffix by the media type.

    All positions of an image have the same number of digits, at least two, so that names sort as layers do:
    00.tar.gz. A title is what `layer_titles` gives.
    """
    width = max(2, len(str(count - 1)))
    return title or f"{position:0{width}}{suffix(media_type)}"


def layer_titles(manifest: Manifest) -> Sequence[str]:
    """Give the title by which each layer is named, empty where it is numbered.

    An artifact's layers are named so, but for titles that are no name of a file, that two layers have, or
    that are the number of a layer.
    """
    layers = manifest.layers
    if manifest.kind == "image" or not any(TITLE in layer.annotations for layer in layers):
        return [""] * len(layers)
    titles = [_safe(layer) for layer in layers]
    numbered = {layer_name(position, len(layers), layer.media_type) for position, layer in enumerate(layers)}
    uses = Counter(titles)
    return [title if uses[title] == 1 and title not in numbered else "" for title in titles]


def _safe(layer: Descriptor) -> str:
    """Give a layer's title if it can be a file's name, and does nothing to a terminal."""
    title = layer.annotations.get(TITLE, "")
    sound = title not in (".", "..") and "/" not in title and title.isprintable()
    return title if sound and len(title.encode()) <= _LONGEST else ""


def tag_name(tag: str, *, ambiguous: bool) -> str:
    """Name a tag's directory in its repository's; `ambiguous`: a nested repository has the name."""
    return f":{tag}" if ambiguous else tag


def revision_name(digest: Digest | str) -> str:
    """Name any revision's directory in its repository's."""
    return f"@{digest}"
