"""The tags that the kernel remembers, each as one naming: what it named, and when that was pushed.

A walk shows the kernel every tag of a store, and it remembers them until it wants the memory. So they are
kept in columns, some 120 bytes for each, and not as nodes. Not safe for threads: `InodeTable` holds its lock.
"""

from __future__ import annotations

from array import array

from regfs.mount.kernel.slots import SlotIndex
from regfs.oci import Digest
from regfs.tree.names import NamesDirectory
from regfs.tree.tag import Naming

#: What is kept: sha256, the only algorithm that registries store manifests under. Others are nodes.
_ALGORITHM = "sha256"
_BYTES = 32
_UNREAD = bytes(_BYTES)

#: What `damage` is before anybody looked.
NOT_ENTERED = -2

#: A slot is used again so often, with another generation; then it is left.
MOST_GENERATIONS = (1 << 18) - 1


class Namings:
    """Slots, each a naming: found by its number, and by directory and tag as long as it is the newest."""

    def __init__(self) -> None:
        self._parents: list[NamesDirectory | None] = []
        self._names: list[bytes] = []
        self._digests = bytearray()
        self._pushed = array("q")
        self._lookups = array("Q")
        self._generations = array("I")
        self._damage = array("h")
        self._free: list[int] = []
        self._index = SlotIndex()

    def __len__(self) -> int:
        return len(self._names) - len(self._free)

    def find(self, parent: NamesDirectory, tag: bytes) -> int | None:
        """Give the slot of what a tag named when it was last looked at."""
        return self._index.find(hash((parent.inode, tag)), lambda slot: self._is(slot, parent, tag))

    def _hash(self, slot: int) -> int:
        return hash((self.parent(slot).inode, self._names[slot]))

    def _is(self, slot: int, parent: NamesDirectory, tag: bytes) -> bool:
        other = self._parents[slot]
        return (
            self._names[slot] == tag
            and other is not None
            and other.inode == parent.inode
            and other.repository == parent.repository
        )

    def naming(self, slot: int) -> Naming:
        """Give what a slot's tag named."""
        start = slot * _BYTES
        raw = bytes(self._digests[start : start + _BYTES])
        digest = None if raw == _UNREAD else Digest(_ALGORITHM, raw.hex())
        return Naming(digest, self._pushed[slot])

    def parent(self, slot: int) -> NamesDirectory:
        """Give the directory of a slot's tag."""
        found = self._parents[slot]
        assert found is not None  # noqa: S101 - only slots in use are asked for
        return found

    def name(self, slot: int) -> bytes:
        """Give a slot's tag."""
        return self._names[slot]

    def generation(self, slot: int) -> int:
        """Tell which use of a slot this is; -1 for a slot that is free, or is none."""
        return self._generations[slot] if slot < len(self._names) and self._parents[slot] else -1

    def damage(self, slot: int) -> int:
        """Tell how many blobs were not as they must be when the tag was entered; NOT_ENTERED before."""
        return self._damage[slot]

    def entered(self, slot: int, damage: int) -> None:
        """Note how many blobs are not as they must be."""
        self._damage[slot] = min(damage, 32767)

    def read(self, slot: int, digest: Digest) -> None:
        """Note what the link holds, unless somebody did so before: then that stays."""
        start = slot * _BYTES
        if self._digests[start : start + _BYTES] == _UNREAD:
            self._digests[start : start + _BYTES] = bytes.fromhex(digest.hex)

    @staticmethod
    def can_keep(digest: Digest | None) -> bool:
        """Tell whether a naming can be kept here."""
        return digest is None or digest.algorithm == _ALGORITHM

    def add(self, parent: NamesDirectory, tag: bytes, naming: Naming) -> int:
        """Keep what a tag names now, in place of what it named before; the old slot keeps its number."""
        before = self.find(parent, tag)
        if before is not None:
            self.supersede(before)
        raw = _UNREAD if naming.digest is None else bytes.fromhex(naming.digest.hex)
        if self._free:
            slot = self._free.pop()
            self._parents[slot], self._names[slot] = parent, tag
            self._digests[slot * _BYTES : (slot + 1) * _BYTES] = raw
            self._pushed[slot], self._damage[slot] = naming.pushed, NOT_ENTERED
        else:
            slot = len(self._names)
            self._parents.append(parent)
            self._names.append(tag)
            self._digests += raw
            self._pushed.append(naming.pushed)
            self._lookups.append(0)
            self._generations.append(0)
            self._damage.append(NOT_ENTERED)
        self._index.add(self._hash(slot), slot, self._hash)
        return slot

    def supersede(self, slot: int) -> None:
        """Have a tag found no more: it does not name what it did, and what it names is not known."""
        if self._parents[slot] is not None:
            self._index.remove(self._hash(slot), slot)

    def looked_up(self, slot: int, times: int = 1) -> None:
        """Count lookups of a slot, or of parts of it."""
        self._lookups[slot] += times

    def forget(self, slot: int, count: int) -> None:
        """Take lookups back; with the last, the slot is free."""
        left = self._lookups[slot] - count
        if left > 0:
            self._lookups[slot] = left
            return
        self._lookups[slot] = 0
        self._index.remove(self._hash(slot), slot)
        self._parents[slot], self._names[slot] = None, b""
        if self._generations[slot] < MOST_GENERATIONS:
            self._generations[slot] += 1
            self._free.append(slot)
