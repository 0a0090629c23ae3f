"""Looks at all that is shown: through regfs's nodes, or through a real mount."""

from __future__ import annotations

import hashlib
import os
import stat
import time
import traceback
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple, Protocol

from regfs.errors import RegfsError
from regfs.tree import Directory, File, Node, Symlink, Tree

#: Seconds that one question may take, and how often it is asked before it counts: a hang is there each time,
#: what a busy machine does is not.
LONGEST, _TIMES = 5.0, 3

VIEWS = ("@blobs", "@orphans", "@untagged", "@uploads", "@history", "@broken", "@reports")


class Shown(NamedTuple):
    """What stands at one path: `directory`, `file` (with its sha256), `symlink` (with its target), `other`,
    or `error` (with its text). `digest` and `kind` are the extended attributes."""

    type: str
    said: str = ""
    digest: str = ""
    kind: str = ""


class Looked(NamedTuple):
    """All that was seen, by path; what no program may meet: crashes and waits."""

    shown: dict[str, Shown]
    faults: list[str]


class Place(Protocol):
    """A path that can be asked, of a tree or a mount."""

    def look(self) -> Shown:
        """Tell what stands here, with its content."""

    def names(self) -> list[str]:
        """List what a directory shows."""

    def child(self, name: str) -> Place:
        """Find a name in a directory."""


class NodePlace:
    """A node of regfs's tree."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def look(self) -> Shown:
        node = self._node
        node.attributes()
        facts = node.facts()
        for name in node.xattr_names():
            node.xattr(name)
        said = ""
        if isinstance(node, Symlink):
            said = node.target()
        elif isinstance(node, File):
            content = node.open()
            try:
                said = digest_of(content.read_into)
            finally:
                content.close()
        known = {Directory: "directory", File: "file", Symlink: "symlink"}
        kind = next((name for form, name in known.items() if isinstance(node, form)), "other")
        return Shown(kind, said, facts.get("digest", ""), facts.get("kind", ""))

    def names(self) -> list[str]:
        assert isinstance(self._node, Directory)
        return [child.name for child in self._node.children()]

    def child(self, name: str) -> NodePlace:
        assert isinstance(self._node, Directory)
        return NodePlace(self._node.lookup(name))


class MountedPlace:
    """A path below a mountpoint. Nothing is opened before it was looked at."""

    def __init__(self, path: bytes) -> None:
        self._path = path

    def look(self) -> Shown:
        mode = os.lstat(self._path).st_mode
        names = os.listxattr(self._path, follow_symlinks=False)
        values = {name: os.getxattr(self._path, name, follow_symlinks=False) for name in names}
        digest, kind = (values.get(f"user.regfs.{name}", b"").decode() for name in ("digest", "kind"))
        if stat.S_ISDIR(mode):
            return Shown("directory", "", digest, kind)
        if stat.S_ISLNK(mode):
            return Shown("symlink", os.fsdecode(os.readlink(self._path)), digest, kind)
        if not stat.S_ISREG(mode):
            return Shown("other", "", digest, kind)
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            said = digest_of(lambda buffer, offset: os.preadv(descriptor, [buffer], offset))
        finally:
            os.close(descriptor)
        return Shown("file", said, digest, kind)

    def names(self) -> list[str]:
        return [os.fsdecode(name) for name in os.listdir(self._path)]

    def child(self, name: str) -> MountedPlace:
        place = MountedPlace(os.path.join(self._path, os.fsencode(name)))
        os.lstat(place._path)
        return place


def digest_of(read_into: Callable[[memoryview, int], int]) -> str:
    """Read all of a file, and give its sha256."""
    hashing, offset = hashlib.sha256(), 0
    buffer = memoryview(bytearray(1 << 18))
    while got := read_into(buffer, offset):
        hashing.update(buffer[:got])
        offset += got
    return hashing.hexdigest()


def look_at_tree(tree: Tree, inside: Collection[str]) -> Looked:
    """Look at all of a tree. `inside` are the images to look into, below whatever name they show."""
    return _Walk(NodePlace(tree.root), inside).run()


def look_at_mount(mountpoint: str, inside: Collection[str]) -> Looked:
    """Look at all of a mount, in the same way."""
    return _Walk(MountedPlace(os.fsencode(mountpoint)), inside).run()


class _Walk:
    def __init__(self, top: Place, inside: Collection[str]) -> None:
        self._top = top
        self._inside = set(inside)
        self._looked = Looked({}, [])

    def run(self) -> Looked:
        waiting: list[tuple[str, Callable[[], Place]]] = [("", lambda: self._top)]
        while waiting:
            path, find = waiting.pop()
            taken: list[float] = []
            while len(taken) < _TIMES and (not taken or taken[-1] > LONGEST):
                began = time.monotonic()
                below = self._visit(path, find)
                taken.append(time.monotonic() - began)
            waiting += below
            if min(taken) > LONGEST:
                self._looked.faults.append(f"{path!r} took {taken} s")
        return self._looked

    def _visit(self, path: str, find: Callable[[], Place]) -> Iterable[tuple[str, Callable[[], Place]]]:
        """Look at one path; give what is below it."""
        try:
            place = find()
            self._looked.shown[path] = place.look()
            if self._looked.shown[path].type != "directory":
                return []
            names = [*place.names(), *self._hidden(path)]
        except (RegfsError, OSError) as error:
            self._looked.shown[path] = Shown("error", f"{type(error).__name__}: {error}")
            return []
        except Exception:  # noqa: BLE001 - that is what is looked for
            self._looked.faults.append(f"{path!r}: {traceback.format_exc()}")
            return []
        return [(f"{path}/{name}".lstrip("/"), self._finder(place, name)) for name in names]

    @staticmethod
    def _finder(place: Place, name: str) -> Callable[[], Place]:
        return lambda: place.child(name)

    def _hidden(self, path: str) -> list[str]:
        """Name what no listing shows and is to be looked at."""
        above, _, last = path.rpartition("/")
        if not path:
            return list(VIEWS)
        if path in self._inside:
            return ["rootfs"]
        if last == "layers" and above in self._inside:
            return ["00", "00.tar", "01", "01.tar"]
        return []
