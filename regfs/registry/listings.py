"""The units of a storage that tells of a thousand files in one request (an object store).

There nothing but a listing tells whether anything has changed, and it tells all at once: sizes, times, and by
their MD5 what links hold. So a unit is what one listing gives, a shard or a repository, and its stamp is that
of all below it. What is in it is read by the same units as in a directory (`Within`), from that
listing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from regfs.registry import layout
from regfs.registry.survey import Survey
from regfs.registry.units import Elsewhere, Shard, ShardRead, Unit


class ListedShard(NamedTuple):
    """The blobs whose digits begin with `prefix`; `known` is the stamp of when they were last read.

    `elsewhere`: what is no blob there is to be told as well.
    """

    algorithm: str
    prefix: str
    known: int = 0
    elsewhere: bool = False

    @property
    def path(self) -> str:
        """Its directory."""
        return layout.shard(self.algorithm, self.prefix)

    def read(self, survey: Survey) -> ShardRead | None:
        """List it; None if nothing in it has changed."""
        listed, stamp = survey.listed(self.path, self.known)
        if stamp and stamp == self.known:
            return None
        read = Shard(self.algorithm, self.prefix).read(listed)
        elsewhere = Elsewhere(self.path).read(listed) if self.elsewhere else None
        return read._replace(stamp=stamp, elsewhere=elsewhere)


class ListingRead(NamedTuple):
    """A listing that has changed: what reads it, and its stamp (0: it could not be listed)."""

    stamp: int
    survey: Survey


class ListedRepository(NamedTuple):
    """A repository with all its parts, and what is nested in it; `known` as for a shard."""

    name: str
    known: int = 0

    @property
    def path(self) -> str:
        """Its directory."""
        return layout.repository(self.name)

    @property
    def place(self) -> str:
        """Under which its stamp is kept: its directory has one of its own, of the names in it alone."""
        return f"{self.path}//"

    def read(self, survey: Survey) -> ListingRead | None:
        """List it; None if nothing in it has changed."""
        return _listing(survey, self.path, self.known)


class ListedPart(NamedTuple):
    """A part of a repository in which others are nested: `_layers`, `_manifests` or `_uploads`."""

    repository: str
    part: str
    known: int = 0

    @property
    def path(self) -> str:
        """Its directory."""
        return f"{layout.repository(self.repository)}/{self.part}"

    @property
    def place(self) -> str:
        """As a repository's."""
        return f"{self.path}//"

    def read(self, survey: Survey) -> ListingRead | None:
        """List it; None if nothing in it has changed."""
        return _listing(survey, self.path, self.known)


def _listing(survey: Survey, path: str, known: int) -> ListingRead | None:
    listed, stamp = survey.listed(path, known)
    return None if stamp and stamp == known else ListingRead(stamp, listed)


class Within(NamedTuple):
    """A unit that is read from a listing which holds it: `place` is that one's."""

    unit: Unit
    place: str
    survey: Survey

    def read(self, survey: Survey) -> Any:
        """Read it from there."""
        return self.unit.read(self.survey)
