"""What only the blobs themselves tell: when an image was built, what an orphan is. Kept once it was read.

The content of a digest does not change, so what was read is kept by digest, whatever else changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from regfs.graph.index.schema import State
from regfs.graph.index.snapshot import Snapshot
from regfs.oci.media_types import SCHEMA1
from regfs.registry.terms import Role


class ConfigRead(NamedTuple):
    """What a config, or a manifest that holds its own, tells of its image; empty where it tells nothing."""

    digest: str
    created: str
    platform: str


class Recognised(NamedTuple):
    """What a blob is by its first bytes."""

    digest: str
    suffix: str
    media_type: str


_CONFIGS = f"""
    SELECT DISTINCT blob.digest FROM edge JOIN manifest ON manifest.blob = edge.source
    JOIN blob ON blob.id = edge.target
    WHERE edge.role = {Role.CONFIG:d} AND manifest.kind = 'image' AND blob.size IS NOT NULL
    AND blob.id NOT IN (SELECT blob FROM config)
    UNION ALL
    SELECT blob.digest FROM manifest JOIN blob ON blob.id = manifest.blob
    WHERE manifest.media_type IN ({", ".join("?" * len(SCHEMA1))}) AND blob.size IS NOT NULL
    AND blob.id NOT IN (SELECT blob FROM config)
"""

_UNRECOGNISED = f"""
    SELECT digest FROM blob LEFT JOIN held ON held.blob = id WHERE size IS NOT NULL
    AND coalesce(state, {State.ORPHANED:d}) IN ({State.ORPHANED:d}, {State.UNKNOWN:d})
    AND id NOT IN (SELECT blob FROM content)
"""


def unread_configs(snapshot: Snapshot) -> list[str]:
    """Give the configs of images, and the manifests that hold their own, that were not read yet."""
    return snapshot.column(_CONFIGS, tuple(SCHEMA1))


def unrecognised(snapshot: Snapshot, digest: str | None = None) -> list[str]:
    """Give the blobs that are orphaned or unknown and were not recognised yet; of one digest, or all."""
    return snapshot.column(f"{_UNRECOGNISED} AND (digest = :digest OR :digest IS NULL)", {"digest": digest})


def keep_configs(connection: sqlite3.Connection, configs: Iterable[ConfigRead]) -> None:
    """Keep what configs tell."""
    _keep(connection, "config", configs)


def keep_recognised(connection: sqlite3.Connection, blobs: Iterable[Recognised]) -> None:
    """Keep what blobs are."""
    _keep(connection, "content", blobs)


def _keep(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[str, str, str]]) -> None:
    connection.executemany(
        f"REPLACE INTO {table} SELECT id, ?2, ?3 FROM blob WHERE digest = ?1 AND size IS NOT NULL", rows
    )
