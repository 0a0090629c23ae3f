"""What a store's files were before the damage, and what became of them; worked out without regfs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from tests.property.model import Model

#: What lstat(2) says of a file that nobody has written to.
Record = Mapping[bytes, tuple[int, ...]]


def record(root: Path) -> Record:
    """Record all that a write would change, of every name below a directory."""
    found = {}
    for directory, directories, names in os.walk(os.fsencode(root)):
        for name in [b".", *directories, *names]:
            path = os.path.join(directory, name)
            at = os.lstat(path)
            found[path] = (at.st_ino, at.st_mode, at.st_nlink, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
    return found


class Disk:
    """A store before and after: `sound` and `damaged` are its `v2` directories."""

    def __init__(self, model: Model, sound: Path, damaged: Path) -> None:
        self._model = model
        self._sound = sound
        self._damaged = damaged
        self._known: dict[str, bool] = {}

    def intact(self, path: str) -> bool:
        """Tell whether a file is what it was, and all directories that lead to it are directories."""
        if path not in self._known:
            self._known[path] = self._intact(path)
        return self._known[path]

    def _intact(self, path: str) -> bool:
        at = self._damaged
        for part in path.split("/")[:-1]:
            at /= part
            if not _is_directory(at):
                return False
        file = self._damaged / path
        try:
            mode = file.lstat().st_mode
        except OSError:
            return False
        return (
            stat.S_ISREG(mode)
            and bool(mode & stat.S_IRUSR)
            and file.stat().st_size == (self._sound / path).stat().st_size
            and file.read_bytes() == (self._sound / path).read_bytes()
        )

    def tags(self) -> Iterator[tuple[str, str, str]]:
        """List repository, tag and digest of what every tag named before."""
        for (repository, tag), digest in sorted(self._model.tags.items()):
            if digest:
                yield repository, tag, digest

    def obstacle(self, repository: str, tag: str) -> str | None:
        """Give the first thing that is no directory on the way to a tag's; None if the tag is there.

        A thing of that name may be missing, which is as if the tag had been deleted.
        """
        at = self._damaged
        for part in f"repositories/{repository}/_manifests/tags/{tag}".split("/"):
            at /= part
            if not _is_directory(at):
                return str(at.relative_to(self._damaged))
        return None

    def exists(self, path: str) -> bool:
        """Tell whether anything has that name."""
        return os.path.lexists(self._damaged / path)

    def is_file(self, path: str) -> bool:
        """Tell whether a plain file has that name now."""
        return stat.S_ISREG((self._damaged / path).lstat().st_mode)

    def content(self, repository: str, tag: str, digest: str) -> set[str]:
        """Name the files that a tag's image is read from, of those that were there before."""
        blobs = self._model.leads_to([digest], self._model.children, self._model.parts)
        paths = {f"repositories/{repository}/_manifests/tags/{tag}/current/link", *map(data_of, blobs)}
        return {path for path in paths if path in self._files}

    def links(self, repository: str, digest: str) -> set[str]:
        """Name the links without which a registry does not serve an image, of those that were there."""
        above = f"repositories/{repository}"
        blobs = self._model.leads_to([digest], self._model.children, self._model.parts)
        paths = {
            f"{above}/{kind}/{blob.replace(':', '/')}/link"
            for blob in blobs
            for kind in ("_layers", "_manifests/revisions")
        }
        return {path for path in paths if path in self._files}

    @cached_property
    def _files(self) -> set[str]:
        return {str(path.relative_to(self._sound)) for path in self._sound.rglob("*") if path.is_file()}


def data_of(digest: str) -> str:
    """Give the file of a blob."""
    algorithm, encoded = digest.split(":")
    return f"blobs/{algorithm}/{encoded[:2]}/{encoded}/data"


def _is_directory(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) and mode & 0o500 == 0o500
