"""The units of a storage that tells of a thousand files in one request (an object store).

There nothing but a listing tells whether anything has changed, and it tells all at once: sizes, times, and by
their MD5 what links hold. So a unit is what one listing gives, a shard or a part of a repository, and its
stamp is that of all below it. What is in it is read by the same units as in a directory (`Within`), from that
listing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from regfs.registry import layout
from regfs.registry.survey import Survey
from regfs.registry.units import Shard, ShardRead, Unit


class ListedShard(NamedTuple):
    """The blobs whose digits begin with `prefix`; `known` is the stamp of when they were last read."""

    algorithm: str
    prefix: str
    known: int = 0

    @property
    def path(self) -> str:
        """Its directory."""
        return layout.shard(self.algorithm, self.prefix)

    def read(self, survey: Survey) -> ShardRead | None:
        """List it; None if nothing in it has changed."""
        listed, stamp = survey.listed(self.path)
        if stamp and stamp == self.known:
            return None
        read = Shard(self.algorithm, self.prefix).read(listed)
        return read._replace(stamp=stamp)


class PartRead(NamedTuple):
    """A part that has changed: what reads it, and its stamp (0: it could not be listed)."""

    stamp: int
    survey: Survey


class ListedPart(NamedTuple):
    """A part of a repository, `_layers`, `_manifests` or `_uploads`; `known` as for a shard."""

    repository: str
    part: str
    known: int = 0

    @property
    def path(self) -> str:
        """Its directory."""
        return f"{layout.repository(self.repository)}/{self.part}"

    @property
    def place(self) -> str:
        """Under which its stamp is kept: its directory has one of its own, of the names in it alone."""
        return f"{self.path}//"

    def read(self, survey: Survey) -> PartRead | None:
        """List it; None if nothing in it has changed."""
        listed, stamp = survey.listed(self.path)
        return None if stamp and stamp == self.known else PartRead(stamp, listed)


class Within(NamedTuple):
    """A unit that is read from a listing which holds it: `part` names that."""

    unit: Unit
    part: str
    survey: Survey

    def read(self, survey: Survey) -> Any:
        """Read it from there."""
        return self.unit.read(self.survey)
