"""Names of what images hold: in the mounted tree, and in the reports that point there."""

from __future__ import annotations

from regfs.oci.digest import Digest
from regfs.oci.media_types import suffix

MANIFEST = "manifest.json"
CONFIG = "config.json"
LAYERS = "layers"
PLATFORMS = "platforms"
ROOTFS = "rootfs"


def layer_name(position: int, count: int, media_type: str) -> str:
    """Name a layer's file: its position from the base up, then a suffix by the media type: 00.tar.gz.

    All positions of an image have the same number of digits, at least two, so that names sort as layers do.
    """
    width = max(2, len(str(count - 1)))
    return f"{position:0{width}}{suffix(media_type)}"


def tag_name(tag: str, *, ambiguous: bool) -> str:
    """Name a tag's directory in its repository's; `ambiguous`: a nested repository has the name."""
    return f":{tag}" if ambiguous else tag


def revision_name(digest: Digest | str) -> str:
    """Name any revision's directory in its repository's."""
    return f"@{digest}"
