"""A Store in memory: the same rules as the local directory, and no disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from regfs.errors import MissingError, TooLargeError, UnsafeError
from regfs.store.protocol import Entry, FileStat, FileType, Leaf, Space


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

    def __init__(self, above: MemoryStore | None = None, path: str = "") -> None:
        """Make an empty store, or one that is the directory at a path of another."""
        self._nodes: dict[str, Stored] = above._nodes if above else {"": Stored(FileType.DIRECTORY)}
        self._root = f"{path}/" if path else ""

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
        directory = self._whole(path)
        return [
            Entry(name, node.type)
            for where, node in self._nodes.items()
            for parent, _, name in [where.rpartition("/")]
            if where and parent == directory
        ]

    def stat(self, path: str, below: str = "") -> FileStat:
        return _file_stat(self._find(path))

    def read(self, path: str, limit: int) -> bytes:
        content = self._expect(path, FileType.FILE).content
        if len(content) > limit:
            raise TooLargeError(path, len(content), limit)
        return content

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        return self.stat(path), self.read(path, limit)

    def open(self, path: str) -> MemoryContent:
        return MemoryContent(self._expect(path, FileType.FILE).content)

    def space(self) -> Space:
        return Space(4096, 4096, 1000, 600, 500, 100, 60, 50, 255)

    @contextmanager
    def at(self, path: str) -> Iterator[MemoryStore]:
        self._expect(path, FileType.DIRECTORY)
        yield MemoryStore(self, self._whole(path))

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> list[Leaf]:
        found: list[Leaf] = []
        for entry in self.list(path):
            inner = f"{path}/{entry.name}".lstrip("/")
            if entry.type is not FileType.DIRECTORY:
                odd = UnsafeError(entry.name, entry.type.value, FileType.DIRECTORY.value)
                found.append((entry.name, odd))
                continue
            if depth == 1:
                node = self._nodes.get(self._whole(f"{inner}/{leaf}"))
                found.append((entry.name, _file_stat(node) if node else None))
            else:
                below = self.find(inner, depth - 1, leaf)
                found += [(f"{entry.name}/{name}", stat) for name, stat in below]
        return found

    def beside(self, path: str) -> bool:
        return False

    def stamps(self, paths: Iterable[str]) -> list[int]:
        nodes = [self._nodes.get(self._whole(path)) for path in paths]
        return [node.mtime_ns if node else 0 for node in nodes]

    def _whole(self, path: str) -> str:
        return f"{self._root}{path}" if path else self._root.rstrip("/")

    def _find(self, path: str) -> Stored:
        parts = path.split("/")
        for length in range(1, len(parts)):
            above = self._nodes.get(self._whole("/".join(parts[:length])))
            if above is not None and above.type is not FileType.DIRECTORY:
                raise UnsafeError(path, above.type.value, FileType.DIRECTORY.value)
        whole = self._whole(path)
        if whole not in self._nodes:
            raise MissingError(path)
        return self._nodes[whole]

    def _expect(self, path: str, wanted: FileType) -> Stored:
        node = self._find(path)
        if node.type is not wanted:
            raise UnsafeError(path, node.type.value, wanted.value)
        return node


def _file_stat(node: Stored) -> FileStat:
    size = len(node.content)
    return FileStat(node.type, size, -(-size // 512), node.mtime_ns, node.mtime_ns)
