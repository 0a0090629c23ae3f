"""What only the blobs themselves tell: when an image was built, what an orphan is.

Read when a report first needs it, and kept in the index: the content of a digest does not change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress

from regfs.errors import MissingError, RegfsError
from regfs.graph.index import Role, State
from regfs.oci import Digest, ImageConfig, Schema1Manifest, parse_manifest
from regfs.oci.media_types import SCHEMA1
from regfs.oci.signature import ENOUGH, recognise
from regfs.registry import Contents
from regfs.registry.contents import CONFIG_LIMIT

#: The configs of images, and the manifests that hold their own, which were not read yet.
_CONFIGS = f"""
    SELECT DISTINCT blob.id, blob.digest FROM edge JOIN manifest ON manifest.blob = edge.source
    JOIN blob ON blob.id = edge.target
    WHERE edge.role = {Role.CONFIG:d} AND manifest.kind = 'image' AND blob.size IS NOT NULL
    AND blob.id NOT IN (SELECT blob FROM config)
    UNION ALL
    SELECT blob.id, blob.digest FROM manifest JOIN blob ON blob.id = manifest.blob
    WHERE manifest.media_type IN ({", ".join("?" * len(SCHEMA1))}) AND blob.size IS NOT NULL
    AND blob.id NOT IN (SELECT blob FROM config)
"""

_ORPHANS = f"""
    SELECT id, digest FROM blob LEFT JOIN held ON held.blob = id WHERE size IS NOT NULL
    AND coalesce(state, {State.ORPHANED:d}) IN ({State.ORPHANED:d}, {State.UNKNOWN:d})
    AND id NOT IN (SELECT blob FROM content)
"""


class BlobContents:
    """Fills in the tables `config` and `content` from the store."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def read_configs(self, connection: sqlite3.Connection) -> None:
        """Read when, and for which platform, each image was built."""
        self._fill(connection, "config", _CONFIGS, tuple(SCHEMA1), self._config)

    def read_orphans(self, connection: sqlite3.Connection) -> None:
        """Recognise each blob that is orphaned or unknown by its first bytes."""
        self._fill(connection, "content", _ORPHANS, (), self._orphan)

    def read_orphan(self, connection: sqlite3.Connection, digest: str) -> None:
        """Recognise one blob, if it is orphaned or unknown."""
        self._fill(connection, "content", f"{_ORPHANS} AND digest = ?", (digest,), self._orphan)

    def _fill(
        self,
        connection: sqlite3.Connection,
        table: str,
        query: str,
        values: Sequence[str],
        read: Callable[[Digest], tuple[str, str]],
    ) -> None:
        for number, digest in connection.execute(query, values).fetchall():
            with suppress(MissingError):  # collected meanwhile
                row = (
                    number,
                    *(text.encode(errors="replace").decode() for text in read(Digest.parse(digest))),
                )
                connection.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", row)

    def _config(self, digest: Digest) -> tuple[str, str]:
        try:
            raw = self._contents.read_blob(digest, CONFIG_LIMIT)
            with suppress(RegfsError):
                manifest = parse_manifest(raw)
                raw = manifest.config if isinstance(manifest, Schema1Manifest) else raw
            config = ImageConfig.parse(raw)
        except MissingError:
            raise
        except RegfsError:
            return "", ""
        platform = config.platform
        return config.created, "-".join(filter(None, (platform.os, platform.architecture, platform.variant)))

    def _orphan(self, digest: Digest) -> tuple[str, str]:
        try:
            return recognise(self._start(digest))
        except MissingError:
            raise
        except RegfsError:
            return ".bin", ""

    def _start(self, digest: Digest) -> bytes:
        """Read the first bytes of a blob; all of it, if it begins as JSON and is not too large."""
        content = self._contents.open_blob(digest)
        try:
            buffer = bytearray(ENOUGH)
            start = bytes(buffer[: content.read_into(memoryview(buffer), 0)])
        finally:
            content.close()
        if start.lstrip()[:1] == b"{" and len(start) == ENOUGH:
            with suppress(RegfsError):
                return self._contents.read_blob(digest, CONFIG_LIMIT)
        return start
