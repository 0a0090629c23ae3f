"""An object store for a mount: what was listed is believed for a while, and answers what comes next.

A kernel asks for one name at a time, a LIST tells of a thousand. So whoever is about to ask much of a
directory gathers it (`gather`), and questions about what was gathered, or listed, are requests no more. Safe
for many threads; two that list the same at once both ask.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from regfs.errors import MissingError, StoreError, UnsafeError
from regfs.storage.objects.below import Below
from regfs.storage.objects.keys import directory_stat, names_stamp, stamps_of
from regfs.storage.objects.listed import ListedStorage
from regfs.storage.objects.objects import ObjectStorage
from regfs.storage.protocol import Content, Entry, FileStat, FileType, Leaf, Space, Storage

V = TypeVar("V")

#: Objects of all that is gathered, and names of all that is listed; some 300 and 100 bytes each.
_OBJECTS, _NAMES = 100_000, 200_000

#: So many files of one directory are asked for one by one; and with so many objects it is not worth a LIST.
_WORTH_A_LIST, _CROWD = 4, 2000

#: Inside the class, `list` is its method.
_Entries = list[Entry]


class _Kept(Generic[V]):
    """Values by path, each for so many seconds; the oldest go first where their weights are too many."""

    def __init__(self, keep: float, room: int, clock: Callable[[], float]) -> None:
        self._keep, self._room, self._clock = keep, room, clock
        self._lock = threading.Lock()
        self._values: OrderedDict[str, tuple[float, int, V]] = OrderedDict()
        self._weight = 0

    def get(self, path: str) -> V | None:
        with self._lock:
            found = self._values.get(path)
            if found is None or self._clock() >= found[0]:
                return None
            self._values.move_to_end(path)
            return found[2]

    def put(self, path: str, value: V, weight: int, asked: float) -> V:
        """Keep what was `asked` for at that time."""
        with self._lock:
            if path in self._values:
                self._weight -= self._values.pop(path)[1]
            self._values[path] = (asked + self._keep, weight, value)
            self._weight += weight
            while self._weight > self._room and len(self._values) > 1:
                self._weight -= self._values.popitem(last=False)[1][1]
        return value


class RememberedStorage:
    """The storage, of which what was listed is believed for `keep` seconds."""

    follow_symlinks = False

    def __init__(
        self, whole: ObjectStorage, keep: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._whole = whole
        self._clock = clock
        self._listed: _Kept[ListedStorage] = _Kept(keep, _OBJECTS, clock)
        self._names: _Kept[_Entries] = _Kept(keep, _NAMES, clock)
        self._lock = threading.Lock()
        #: How many files were asked for in directories that are not gathered.
        self._files_asked: dict[str, int] = {}
        self._crowded = False

    # --- what is known ------------------------------------------------------------------------------------

    def gather(self, path: str) -> None:
        """See that a directory is listed with all below it, unless it is known that there is none.

        Raises StoreError if it cannot be listed.
        """
        if self._covering(path) is None and self._type(path) is not None:
            self._gathered(path)

    def _gathered(self, path: str) -> ListedStorage:
        asked = self._clock()
        found = self._whole.listed(path)
        if found.error is not None:
            raise found.error
        return self._listed.put(path, found, len(found) + 1, asked)

    def asked(self, path: str) -> None:
        """Note that a file below a directory will be asked for.

        Who asks for a few in one is about to ask for more of it, as a walk does for blobs: from then on one
        LIST is less than a request for each. Not where there are so many that it takes several.
        """
        if self._crowded or self._covering(path) is not None:
            return
        with self._lock:
            count = self._files_asked[path] = self._files_asked.get(path, 0) + 1
            if count != _WORTH_A_LIST:  # one lists it, and nobody waits for that
                return
        try:
            self._crowded = len(self._gathered(path)) > _CROWD
        except StoreError:
            return  # whoever asks for the file meets it
        finally:
            with self._lock:
                del self._files_asked[path]

    def tree_stamp(self, path: str) -> int:
        """Give what changes with all below a directory; 0 if it cannot be listed."""
        return self._whole.tree_stamp(path)

    def _covering(self, path: str) -> ListedStorage | None:
        """Give what was listed with all below it, and holds a path."""
        above = path
        while (found := self._listed.get(above)) is None and above:
            above = above.rpartition("/")[0]
        return found

    def _type(self, path: str) -> FileType | bool | None:
        """Tell what stands at a path as far as listings tell: None for nothing, False where none tells."""
        above, name = path, ""
        while above:
            above, _, name = above.rpartition("/")
            entries = self._names.get(above)
            if entries is not None:
                kind = next((kind for entry, kind in entries if entry == name), None)
                here = "/".join(filter(None, (above, name)))
                return kind if here == path or kind is not FileType.DIRECTORY else False
        return False

    def _nearest(self, path: str) -> Storage:
        return self._covering(path) or self._whole

    # --- the protocol -------------------------------------------------------------------------------------

    def list(self, path: str) -> list[Entry]:
        """List a directory."""
        if (listed := self._covering(path)) is not None:
            return listed.list(path)
        if (known := self._names.get(path)) is not None:
            return list(known)
        if self._type(path) is None:
            raise MissingError(path)
        asked = self._clock()
        found = self._whole.list(path)
        return list(self._names.put(path, found, len(found) + 1, asked))

    def directory(self, path: str) -> FileStat:
        """Tell what stands at a path that will be a directory: one request, or none."""
        if self._covering(path) is not None or self._type(path) is FileType.FILE:
            return self.stat(path)
        try:
            return directory_stat(names_stamp(self.list(path)), self._whole.opened)
        except UnsafeError:
            return self._whole.stat(path)

    def stat(self, path: str, below: str = "") -> FileStat:
        """Tell what stands at a path."""
        if (listed := self._covering(path)) is not None:
            return listed.stat(path)
        kind = self._type(path) if path else FileType.DIRECTORY
        if kind is None:
            raise MissingError(path)
        if kind is FileType.DIRECTORY or self._names.get(path) is not None:
            return directory_stat(names_stamp(self.list(path)), self._whole.opened)
        return self._whole.stat(path)

    def read(self, path: str, limit: int) -> bytes:
        """Read a whole object."""
        return self.examine(path, limit)[1]

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        """Tell about an object, and read it: as it is now."""
        return self._whole.examine(path, limit)

    def open(self, path: str, size: int | None = None) -> Content:
        """Open an object."""
        return self._nearest(path).open(path, size)

    def space(self) -> Space:
        """Tell about what holds the store."""
        return self._whole.space()

    def beside(self, path: str) -> bool:
        """Tell whether something stands above the store."""
        return self._whole.beside(path)

    @contextmanager
    def at(self, path: str) -> Iterator[Storage]:
        """Give what is below a directory, by shorter paths."""
        self.list(path)
        yield Below(self, path)

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> Sequence[Leaf]:
        """Look for the name `leaf` in every directory that is `depth` levels below `path`."""
        return (self._covering(path) or self._gathered(path)).find(path, depth, leaf)

    def stamps(self, paths: Iterable[str]) -> Sequence[int]:
        """Give `changed_ns` of each path, 0 for what is not there."""
        return stamps_of(self.directory, paths)
