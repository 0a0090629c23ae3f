"""A Store in memory: the same rules as the local directory, and no disk."""

from __future__ import annotations

from typing import NamedTuple

from regfs.errors import MissingError, TooLargeError, UnsafeError
from regfs.store.protocol import Entry, FileStat, FileType, Space


class Stored(NamedTuple):
    type: FileType
    content: bytes = b""
    mtime_ns: int = 0


class MemoryContent:
    """Bytes of an open file; what is written to the store later does not change them."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)

    def read_into(self, buffer: memoryview, offset: int) -> int:
        piece = self._content[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._content.release()


class MemoryStore:
    """Paths as `layout` makes them; directories come to be with what is put in them."""

    def __init__(self) -> None:
        self._nodes: dict[str, Stored] = {"": Stored(FileType.DIRECTORY)}

    # --- writing -----------------------------------------------------------------------------------

    def put(self, path: str, node: Stored) -> None:
        parent = path.rpartition("/")[0]
        if parent not in self._nodes:
            self.put(parent, Stored(FileType.DIRECTORY))
        self._nodes[path] = node

    def write(self, path: str, content: bytes, mtime_ns: int = 0) -> None:
        self.put(path, Stored(FileType.FILE, content, mtime_ns))

    def mkdir(self, path: str) -> None:
        self.put(path, Stored(FileType.DIRECTORY))

    def remove(self, path: str) -> None:
        del self._nodes[path]

    # --- the protocol ------------------------------------------------------------------------------

    def list(self, path: str) -> list[Entry]:
        self._expect(path, FileType.DIRECTORY)
        return [
            Entry(name, node.type)
            for where, node in self._nodes.items()
            for parent, _, name in [where.rpartition("/")]
            if where and parent == path
        ]

    def stat(self, path: str, below: str = "") -> FileStat:
        node = self._find(path)
        size = len(node.content)
        return FileStat(node.type, size, -(-size // 512), node.mtime_ns, node.mtime_ns)

    def read(self, path: str, limit: int) -> bytes:
        content = self._expect(path, FileType.FILE).content
        if len(content) > limit:
            raise TooLargeError(path, len(content), limit)
        return content

    def open(self, path: str) -> MemoryContent:
        return MemoryContent(self._expect(path, FileType.FILE).content)

    def space(self) -> Space:
        return Space(4096, 4096, 1000, 600, 500, 100, 60, 50, 255)

    def _find(self, path: str) -> Stored:
        parts = path.split("/")
        for length in range(1, len(parts)):
            above = self._nodes.get("/".join(parts[:length]))
            if above is not None and above.type is not FileType.DIRECTORY:
                raise UnsafeError(path, above.type.value, FileType.DIRECTORY.value)
        if path not in self._nodes:
            raise MissingError(path)
        return self._nodes[path]

    def _expect(self, path: str, wanted: FileType) -> Stored:
        node = self._find(path)
        if node.type is not wanted:
            raise UnsafeError(path, node.type.value, wanted.value)
        return node
