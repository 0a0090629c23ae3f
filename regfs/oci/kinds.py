"""What a JSON blob is, when nothing that refers to it says.

The store records no media type. A blob is told by its references first (that is the graph's business),
else by its `mediaType`, else by its set of keys: this module.
"""

from __future__ import annotations

import msgspec

from regfs.errors import ContentError
from regfs.oci import media_types
from regfs.oci.document import Form

_OBJECT = Form(dict[str, msgspec.Raw], ContentError)
_TEXT = Form(str, ContentError)

#: Keys that a document must have, most telling first, and the media type of such a document.
#: Docker's form of an image config has `container_config`, `docker_version` or `container` besides.
_KEYS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"fsLayers", "history", "signatures"}), media_types.DOCKER_SCHEMA1_SIGNED),
    (frozenset({"fsLayers", "history"}), media_types.DOCKER_SCHEMA1),
    (frozenset({"schemaVersion", "manifests"}), media_types.OCI_INDEX),
    (frozenset({"schemaVersion", "config", "layers"}), media_types.OCI_MANIFEST),
    (frozenset({"architecture", "os", "rootfs", "container_config"}), media_types.DOCKER_CONFIG),
    (frozenset({"architecture", "os", "rootfs", "docker_version"}), media_types.DOCKER_CONFIG),
    (frozenset({"architecture", "os", "rootfs", "container"}), media_types.DOCKER_CONFIG),
    (frozenset({"architecture", "os", "rootfs"}), media_types.OCI_CONFIG),
    (frozenset({"_type", "predicateType", "subject"}), "application/vnd.in-toto+json"),
    (frozenset({"spdxVersion"}), "application/spdx+json"),
    (frozenset({"bomFormat"}), "application/vnd.cyclonedx+json"),
)


def media_type_of(raw: bytes) -> str | None:
    """Name the media type of a JSON document, by its `mediaType` or else by its keys.

    Gives None for what is no JSON object, and `application/json` for an object of no known form.
    """
    try:
        keys = _OBJECT.decode(raw)
    except ContentError:
        return None
    if "mediaType" in keys:
        try:
            named = _TEXT.decode(bytes(keys["mediaType"]))
        except ContentError:
            named = ""
        if named:
            return named
        if {"config", "layers", "schemaVersion"} <= keys.keys():
            return media_types.DOCKER_MANIFEST
    for wanted, media_type in _KEYS:
        if wanted <= keys.keys():
            return media_type
    return "application/json"
