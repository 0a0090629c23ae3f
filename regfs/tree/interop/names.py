"""Names that tools can take: what an image's directory resolves besides, and names without a colon.

Programs that read images cut a path at `:` (containers/image, umoci), so each name with one has another form:
`+1.0` for `:1.0`, `@sha256-<hex>` for `@sha256:<hex>`, `20260303T063000Z-…` for `2026-03-03T06:30:00Z-…`.
"""

from __future__ import annotations

import re

from regfs.errors import DigestError
from regfs.oci import Digest

#: The layout of an image, and of a repository: no tag and no repository can have that name.
LAYOUT = "oci"
REPOSITORY_LAYOUT = ".oci"

#: The archive of an image.
ARCHIVE = "image.tar"

#: Stands for `:` before a tag, and for the `:` of a digest.
TAG_MARK = "+"
_DIGEST_MARK = "-"

#: containers/image, directory/directory_transport.go: a blob by its hex digits, an index's child so.
IN_DIR = re.compile(r"([0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})(\.manifest\.json)?")


def is_interop_name(name: str) -> bool:
    """Tell whether a name in an image's directory is one of those that are for other tools."""
    return name in (LAYOUT, ARCHIVE) or IN_DIR.fullmatch(name) is not None


def read_digest(name: str) -> Digest:
    """Read a digest from a name, with a colon or without. Raises DigestError."""
    try:
        return Digest.parse(name)
    except DigestError:
        return Digest.parse(name.replace(_DIGEST_MARK, ":", 1))


def without_colon(name: str) -> str:
    """Give the other form of a name that begins with a time, and ends with `-` and a digest."""
    time, _, digest = name.rpartition("-")
    return f"{time.replace('-', '').replace(':', '')}-{digest}"
