"""The files of one repository: distribution's paths.go.

_layers/sha256/<hex>/link
_manifests/revisions/sha256/<hex>/link
_manifests/tags/<tag>/current/link
                     /index/sha256/<hex>/link
_uploads/<id>/{data,startedat,hashstates/sha256/<offset>}
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

from scripts.generator.plan import SECOND
from scripts.generator.tally import Tally
from scripts.generator.writing import Writer, set_times

REPOSITORIES = "repositories"

_LAYERS = "_layers/sha256"
_REVISIONS = "_manifests/revisions/sha256"
_TAGS = "_manifests/tags"
_UPLOADS = "_uploads"

#: Bytes of the state of a sha256 that distribution 2.8 keeps beside an upload.
_HASH_STATE = 108


class Repository:
    """Writes the links and uploads of one repository, in the order of time. Times are in nanoseconds."""

    def __init__(self, v2: Path, name: str, tally: Tally) -> None:
        self._path = v2 / REPOSITORIES / name
        self.writer = Writer(self._path)
        self.tally = tally
        self._linked: set[str] = set()
        self._tags: set[str] = set()
        for part in (_LAYERS, _REVISIONS, _TAGS):
            self.writer.at(part)
        tally.repositories += 1

    def link(self, digest: str, time: int) -> None:
        """Let the repository serve a layer or config; again is nothing new."""
        if digest not in self._linked:
            self._linked.add(digest)
            self.writer.alone(_LAYERS, digest, "link", _link(digest), time)

    def revision(self, digest: str, time: int) -> None:
        """Let it hold a manifest."""
        self.writer.alone(_REVISIONS, digest, "link", _link(digest), time)
        self.tally.revisions += 1

    def deleted_revision(self, digest: str, time: int) -> None:
        """Leave what a deletion by the API leaves: the directory of a revision, empty."""
        within = self.writer.directory(_REVISIONS, digest, time)
        os.utime(digest, ns=(time, time), dir_fd=within)

    def tag(self, tag: str, digest: str, time: int) -> None:
        """Let a tag name a manifest that is new to it: first its index, then what it names now."""
        within = self.writer.at(_TAGS)
        first = tag not in self._tags
        if first:
            self._first(tag, time)
        index = f"{tag}/index/sha256"
        os.mkdir(f"{index}/{digest}", 0o755, dir_fd=within)
        self.writer.file(within, f"{index}/{digest}/link", _link(digest), time)
        self.writer.file(within, f"{tag}/current/link", _link(digest), time, again=not first)
        changed = [f"{index}/{digest}", index]
        if first:
            changed += [f"{tag}/current", f"{tag}/index", tag]
        for path in changed:
            os.utime(path, ns=(time, time), dir_fd=within)
        self.tally.history += 1

    def _first(self, tag: str, time: int) -> None:
        within = self.writer.directory(_TAGS, tag, time)
        for part in ("current", "index", "index/sha256"):
            os.mkdir(f"{tag}/{part}", 0o755, dir_fd=within)
        self._tags.add(tag)
        self.tally.tags += 1

    def upload(self, name: str, size: int, time: int) -> None:
        """Leave a push that was cut short after `size` bytes."""
        self.writer.alone(_UPLOADS, name, "data", size, time)
        within = self.writer.at(_UPLOADS)
        started = datetime.fromtimestamp(time // SECOND, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        self.writer.file(within, f"{name}/startedat", started, time)
        states = f"{name}/hashstates/sha256"
        for path in (f"{name}/hashstates", states):
            os.mkdir(path, 0o755, dir_fd=within)
        self.writer.file(within, f"{states}/{size}", b"sha\x03".ljust(_HASH_STATE, b"\0"), time)
        for path in (states, f"{name}/hashstates", name):
            os.utime(path, ns=(time, time), dir_fd=within)
        self.tally.uploads += 1
        self.tally.uploaded += size + len(started) + _HASH_STATE

    def close(self, time: int) -> None:
        """End writing; `time` stands for directories that nothing came into."""
        self.tally.files += self.writer.files
        self.writer.close()
        set_times(self._path, dict.fromkeys((_LAYERS, _REVISIONS, _TAGS), time) | self.writer.changed)


def _link(digest: str) -> bytes:
    return b"sha256:" + digest.encode()
