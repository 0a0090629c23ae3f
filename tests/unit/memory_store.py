"""A Store in memory: the same rules as the local directory, and no disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from regfs.errors import MissingError, TooLargeError, UnsafeError
from regfs.storage.protocol import Entry, FileStat, FileType, Leaf, Space


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

    def __init__(
        self, above: MemoryStore | None = None, path: str = "", *, follow_symlinks: bool = False
    ) -> None:
        """Make an empty store, or one that is the directory at a path of another.

        A symlink's content is its target, a path from the top.
        """
        self.follow_symlinks = above.follow_symlinks if above else follow_symlinks
        self._nodes: dict[str, Stored] = above._nodes if above else {"": Stored(FileType.DIRECTORY)}
        self._root = path

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
        directory = self._enter(path)
        return [
            Entry(name, self._seen(where).type)
            for where in self._nodes
            for parent, _, name in [where.rpartition("/")]
            if where and parent == directory
        ]

    def stat(self, path: str, below: str = "") -> FileStat:
        if path and self._seen(self._place(path)).type is FileType.DIRECTORY:
            self._enter(path)
        return _file_stat(self._seen(self._place(path)))

    def read(self, path: str, limit: int) -> bytes:
        content = self._file(path).content
        if len(content) > limit:
            raise TooLargeError(path, len(content), limit)
        return content

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        return self.stat(path), self.read(path, limit)

    def open(self, path: str, size: int | None = None) -> MemoryContent:
        return MemoryContent(self._file(path).content)

    def space(self) -> Space:
        return Space(4096, 4096, 1000, 600, 500, 100, 60, 50, 255)

    @contextmanager
    def at(self, path: str) -> Iterator[MemoryStore]:
        yield MemoryStore(self, self._enter(path))

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> list[Leaf]:
        found: list[Leaf] = []
        for entry in self.list(path):
            inner = f"{path}/{entry.name}".lstrip("/")
            if entry.type is not FileType.DIRECTORY:
                odd = UnsafeError(entry.name, entry.type.value, FileType.DIRECTORY.value)
                found.append((entry.name, odd))
                continue
            if depth == 1:
                node = self._nodes.get(self._place(f"{inner}/{leaf}", missing=True))
                found.append((entry.name, _file_stat(node) if node else None))
            else:
                below = self.find(inner, depth - 1, leaf)
                found += [(f"{entry.name}/{name}", stat) for name, stat in below]
        return found

    def beside(self, path: str) -> bool:
        return False

    def stamps(self, paths: Iterable[str]) -> list[int]:
        return [self._stamp(path) for path in paths]

    def _stamp(self, path: str) -> int:
        try:
            return self._seen(self._place(path)).mtime_ns
        except (MissingError, UnsafeError):
            return 0

    def _seen(self, place: str) -> Stored:
        """Give what stands at a place: for a symlink that is followed, the directory that it leads to."""
        node = self._nodes[place]
        if node.type is FileType.SYMLINK and self.follow_symlinks:
            target = self._nodes.get(node.content.decode())
            if target and target.type is FileType.DIRECTORY:
                return target
        return node

    def _place(self, path: str, *, missing: bool = False) -> str:
        """Give where a path's last name stands; the directories on the way are entered."""
        above, _, name = path.rpartition("/")
        place = f"{self._enter(above, path)}/{name}".lstrip("/") if path else self._root
        if place not in self._nodes and not missing:
            raise MissingError(path)
        return place

    def _enter(self, path: str, asked: str = "") -> str:
        """Give the place of a directory, over the symlinks on the way to what is `asked` for."""
        way, followed = [self._root], 0
        for name in filter(None, path.split("/")):
            place = f"{way[-1]}/{name}".lstrip("/")
            if place not in self._nodes:
                raise MissingError(asked or path)
            node = self._seen(place)
            if node.type is not FileType.DIRECTORY:
                raise UnsafeError(path, node.type.value, FileType.DIRECTORY.value)
            if self._nodes[place].type is FileType.SYMLINK:
                place = self._nodes[place].content.decode()
                followed += 1
                if place in way or followed > 4:
                    raise UnsafeError(path, "symbolic link that leads back", FileType.DIRECTORY.value)
            way.append(place)
        return way[-1]

    def _file(self, path: str) -> Stored:
        node = self._nodes[self._place(path)]
        if node.type is not FileType.FILE:
            raise UnsafeError(path, node.type.value, FileType.FILE.value)
        return node


def _file_stat(node: Stored) -> FileStat:
    size = len(node.content)
    return FileStat(node.type, size, -(-size // 512), node.mtime_ns, node.mtime_ns)
