"""One unfinished push: what lies in its directory, and when it began."""

from __future__ import annotations

from regfs.registry import layout
from regfs.storage import Content, Entry, FileStat, FileType, Storage

#: The file that says when a push began.
STARTED = layout.STARTED


class Upload:
    """An unfinished push, which may end meanwhile; `below` is a path in its own directory, "" that itself."""

    __slots__ = ("_storage", "_top", "name")

    def __init__(self, storage: Storage, repository: str, identifier: str) -> None:
        self.name = f"{repository}/{identifier}"
        self._storage = storage
        self._top = layout.upload(repository, identifier)

    def entries(self, below: str = "") -> list[Entry]:
        """List the files and directories of a directory."""
        return [
            entry
            for entry in self._storage.list(self._path(below))
            if entry.type in (FileType.FILE, FileType.DIRECTORY)
        ]

    def entry(self, below: str = "") -> FileStat:
        """Tell about a file or directory."""
        return self._storage.stat(self._path(below))

    def started(self) -> str:
        """Read when the push began, as the registry wrote it (RFC 3339)."""
        content = self._storage.read(self._path(STARTED), layout.LONGEST_DATE)
        return content.decode("utf-8", "replace").strip()

    def open(self, below: str) -> Content:
        """Open a file. It may grow while it is read."""
        return self._storage.open(self._path(below))

    def _path(self, below: str) -> str:
        return f"{self._top}/{below}" if below else self._top
