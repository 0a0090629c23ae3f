"""Which node each number stands for that the kernel was told (a nodeid), until it forgets the number.

A number stands for one content for ever, and none is used again during a mount. It is made of 43 bits for a
thing and 20 bits for a part of it (`Node.part`): what a manifest names needs nothing kept for itself. Things
are of two kinds:

- a naming (odd numbers): a tag with what it named at one time, in `Namings`, by slot and generation;
- any other node (even numbers), by the directory where it was found, its name and, where a name does not
  always stand for the same, its identity. What is inside an image is a part of the image's top directory, by
  its place (`Insides`).

Nodes themselves are kept only as long as they are in use: what the kernel remembers grows with what anybody
has ever looked at. They are found again as they were first, by their names, and must be the same.

A tag that moves is another naming, and so another inode; the kernel drops what it knew of the old one. So is
a manifest whose blobs are damaged or mended: else the kernel would go on telling what it had heard of them.

The kernel counts how often it was told a number, and says how many of those it forgets; the counts of a
thing's parts are its own. Safe for many threads.
"""

from __future__ import annotations

import sys
import threading
from typing import NamedTuple

from cachetools import LRUCache

from regfs.errors import ForgottenError, RegfsError
from regfs.mount.kernel import wire
from regfs.mount.kernel.insides import InsidePlace, Insides
from regfs.mount.kernel.namings import NOT_ENTERED, Namings
from regfs.tree import Directory, File, Node, Symlink
from regfs.tree.image import ManifestDirectory
from regfs.tree.inside.nodes import InsideDirectory, TopDirectory
from regfs.tree.names import NamesDirectory
from regfs.tree.tag import Naming, TagDirectory

#: Bits of a nodeid for a part, and of a thing for the slot of a naming.
_PART_BITS = 20
_PART = (1 << _PART_BITS) - 1
_SLOT_BITS = 24
_SLOT = (1 << _SLOT_BITS) - 1

#: Nodes that are kept: what a few walks side by side go through.
_KEPT = 1024

#: Names of a path in the log.
_DEEPEST = 100

_ENCODING = sys.getfilesystemencoding()


class EntryKey(NamedTuple):
    """What makes two nodes the same to the kernel."""

    parent: int
    name: bytes
    kind: type[Node]
    identity: str


class InodeEntry:
    """A node that the kernel knows, and how often it was told so. `insides`: what it knows inside of it."""

    __slots__ = ("damage", "insides", "key", "lookups")

    def __init__(self, key: EntryKey) -> None:
        self.key = key
        self.lookups = 0
        self.damage = NOT_ENTERED
        self.insides = Insides() if issubclass(key.kind, TopDirectory) else None


def text_of(name: bytes) -> str:
    """Give a name as the tree has it."""
    return name.decode(_ENCODING, "surrogateescape")


def bytes_of(name: str) -> bytes:
    """Give a name as the kernel has it."""
    return name.encode(_ENCODING, "surrogateescape")


class InodeTable:
    """The numbers of one mount."""

    def __init__(self, root: Directory) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._namings = Namings()
        self._entries: dict[int, InodeEntry] = {}
        self._numbers: dict[EntryKey, int] = {}
        self._next = 1
        #: The nodes of numbers that were used last: to find one again asks each directory above it.
        self._nodes: LRUCache[int, Node] = LRUCache(_KEPT)

    def __len__(self) -> int:
        """Tell how many things are kept."""
        return len(self._namings) + len(self._entries)

    # --- from a number to its node -----------------------------------------------------------------------

    def node(self, nodeid: int) -> Node:
        """Find the node of a number. Raises ForgottenError, and what is wrong with the manifest above it."""
        if nodeid == wire.ROOT:
            return self._root
        thing, part = nodeid >> _PART_BITS, nodeid & _PART
        whole = self._naming(thing, read=part > 0) if thing & 1 else self._found_again(thing)
        if part == 0:
            return whole
        if isinstance(whole, ManifestDirectory):
            return whole.member(part)
        return self._inside(thing, part)

    def _found_again(self, thing: int) -> Node:
        """Find the node of an entry. Raises ForgottenError if its name stands for something else by now."""
        nodeid = thing << _PART_BITS
        with self._lock:
            key = self._entry(thing).key
            node = self._nodes.get(nodeid)
        if node is None:
            node = self._look_up(key.parent, key.name)
            if type(node) is not key.kind or (key.identity and _identity(node) != key.identity):
                raise ForgottenError(str(nodeid))
            with self._lock:
                self._nodes[nodeid] = node
        return node

    def _inside(self, thing: int, part: int) -> Node:
        """Find what is inside an image."""
        nodeid = thing << _PART_BITS | part
        with self._lock:
            insides = self._entry(thing).insides
            node = self._nodes.get(nodeid)
            if insides is None or part > len(insides):
                raise ForgottenError(str(nodeid))
            above, name = insides.place(part)
        if node is None:
            node = self._look_up(thing << _PART_BITS | above, name, lasts=True)
            if isinstance(node, Directory):
                with self._lock:
                    self._nodes[nodeid] = node
        return node

    def _look_up(self, parent: int, name: bytes, *, lasts: bool = False) -> Node:
        """Find a name. Raises ForgottenError where it `lasts` and does not any more: a layer is missing."""
        directory = self.node(parent)
        if not isinstance(directory, Directory):
            raise ForgottenError(str(parent))
        node = directory.lookup(text_of(name))
        if lasts and not directory.lasts(node):
            raise ForgottenError(str(parent))
        return node

    def entered(self, nodeid: int) -> Node:
        """Find the node of a directory that is looked into, and note how a manifest's blobs are just now."""
        thing = nodeid >> _PART_BITS
        if nodeid & _PART or nodeid == wire.ROOT:
            return self.node(nodeid)
        if thing & 1:
            node: Node = self._naming(thing, read=True)
            if self._namings.damage(_slot(thing)) == NOT_ENTERED:
                self._namings.entered(_slot(thing), _first_damage(node))
            return node
        node, entry = self._found_again(thing), self._entry(thing)
        if entry.damage == NOT_ENTERED:
            entry.damage = _first_damage(node)
        return node

    def _entry(self, thing: int) -> InodeEntry:
        try:
            return self._entries[thing]
        except KeyError:
            raise ForgottenError(str(thing)) from None

    def _naming(self, thing: int, *, read: bool) -> TagDirectory:
        """Make the directory of a naming. `read`: its link is read, if it was not yet."""
        slot = _slot(thing)
        with self._lock:
            if self._namings.generation(slot) != thing >> (_SLOT_BITS + 1):
                raise ForgottenError(str(thing))
            parent, name = self._namings.parent(slot), self._namings.name(slot)
            naming = self._namings.naming(slot)
        tag = text_of(name)
        if naming.digest is None and read:
            digest = parent.of_tag(tag).digest()
            if not Namings.can_keep(digest):
                return parent.of_tag(tag, Naming(digest, naming.pushed))
            with self._lock:
                if self._namings.generation(slot) != thing >> (_SLOT_BITS + 1):
                    raise ForgottenError(str(thing))
                self._namings.read(slot, digest)
                naming = self._namings.naming(slot)
        return parent.of_tag(tag, naming)

    # --- from a node to its number -----------------------------------------------------------------------

    def number(self, parent: int, above: Directory, name: bytes, node: Node) -> int:
        """Give the number of a node that was found under a name, and count that the kernel is told.

        Raises what is wrong with what tells the node's identity.
        """
        if node.part and (whole := self.whole(parent, above)):
            self.tell(whole)
            return whole | node.part
        if isinstance(node, TagDirectory) and isinstance(above, NamesDirectory):
            tag = bytes_of(node.tag)
            naming = self._seen(above, tag, node)
            node = node.pinned(naming)
            if Namings.can_keep(naming.digest):
                return self._number_of_naming(above, tag, node, naming)
        lasts = above.lasts(node)
        if lasts and isinstance(above, (TopDirectory, InsideDirectory)):
            inside = self._number_inside(parent, name)
            if inside is not None:
                return inside
        key = EntryKey(parent, name, type(node), "" if lasts else _identity(node))
        with self._lock:
            thing = self._numbers.get(key)
            entry = None if thing is None else self._entries[thing]
        known = NOT_ENTERED if entry is None else entry.damage
        if known != NOT_ENTERED and isinstance(node, ManifestDirectory) and node.damaged() != known:
            entry = None
        with self._lock:
            if entry is None or thing is None or thing not in self._entries:
                thing = self._next = self._next + 1
                thing *= 2
                entry = self._entries[thing] = InodeEntry(key)
                self._numbers[key] = thing
            self._nodes[thing << _PART_BITS] = node
            entry.lookups += 1
        return thing << _PART_BITS

    def _number_inside(self, parent: int, name: bytes) -> int | None:
        """Give the number of what is inside an image, and count it; None if there are too many for that."""
        thing = parent >> _PART_BITS
        with self._lock:
            entry = self._entry(thing)
            insides = entry.insides
            number = None if insides is None else insides.number(InsidePlace(parent & _PART, name), _PART)
            if number is None:
                return None
            entry.lookups += 1
        return thing << _PART_BITS | number

    def _seen(self, above: NamesDirectory, tag: bytes, node: TagDirectory) -> Naming:
        """Tell what a tag names; reads its link only where what was known of it may have changed."""
        naming = node.naming()
        if naming.digest is not None:
            return naming
        with self._lock:
            slot = self._namings.find(above, tag)
            if slot is None or self._namings.naming(slot).digest is None:
                return naming
        try:
            return Naming(node.digest(), naming.pushed)
        except RegfsError:  # whoever enters it shall meet that
            with self._lock:
                self._namings.supersede(slot)
            return naming

    def _number_of_naming(self, above: NamesDirectory, tag: bytes, node: TagDirectory, naming: Naming) -> int:
        with self._lock:
            slot = self._namings.find(above, tag)
            if slot is not None and not _same(self._namings.naming(slot), naming):
                slot = None
            damage = NOT_ENTERED if slot is None else self._namings.damage(slot)
            if damage == NOT_ENTERED:
                return self._tell_naming(slot, above, tag, naming)
        same = node.damaged() == damage
        with self._lock:
            still = same and self._namings.find(above, tag) == slot
            return self._tell_naming(slot if still else None, above, tag, naming)

    def _tell_naming(self, slot: int | None, above: NamesDirectory, tag: bytes, naming: Naming) -> int:
        """Give the number of a slot, of a new one for None, and count that the kernel is told."""
        if slot is None:
            slot = self._namings.add(above, tag, naming)
        elif naming.digest is not None:
            self._namings.read(slot, naming.digest)
        self._namings.looked_up(slot)
        return self._naming_number(slot) << _PART_BITS

    def _naming_number(self, slot: int) -> int:
        return (self._namings.generation(slot) << _SLOT_BITS | slot) << 1 | 1

    def whole(self, nodeid: int, directory: Directory) -> int:
        """Give the number of the manifest whose parts a directory lists; 0 if its children are no parts."""
        if nodeid & _PART or isinstance(directory, ManifestDirectory):
            return nodeid >> _PART_BITS << _PART_BITS
        return 0

    def tell(self, whole: int, parts: int = 1) -> None:
        """Count that the kernel is told of so many parts of a manifest."""
        thing = whole >> _PART_BITS
        with self._lock:
            if thing & 1:
                self._namings.looked_up(_slot(thing), parts)
            else:
                self._entry(thing).lookups += parts

    # --- forgetting --------------------------------------------------------------------------------------

    def forget(self, nodeid: int, count: int) -> None:
        """Take back that the kernel was told a number so often. What it never was is let pass."""
        thing = nodeid >> _PART_BITS
        with self._lock:
            if thing & 1:
                if self._namings.generation(_slot(thing)) == thing >> (_SLOT_BITS + 1):
                    self._namings.forget(_slot(thing), count)
                return
            entry = self._entries.get(thing)
            if entry is None:
                return
            entry.lookups -= count
            if entry.lookups <= 0:
                del self._entries[thing]
                self._nodes.pop(thing << _PART_BITS, None)
                if self._numbers.get(entry.key) == thing:
                    del self._numbers[entry.key]

    def path(self, nodeid: int) -> str:
        """Name a node for the log, as far as its way is still known."""
        names: list[str] = []
        while nodeid != wire.ROOT and len(names) < _DEEPEST:
            thing, part = nodeid >> _PART_BITS, nodeid & _PART
            try:
                if part:
                    whole = self.node(thing << _PART_BITS)
                    nodeid = thing << _PART_BITS
                    if isinstance(whole, ManifestDirectory):
                        names.append(whole.name_of(part))
                    elif (insides := self._entry(thing).insides) and part <= len(insides):
                        above, name = insides.place(part)
                        names.append(text_of(name))
                        nodeid |= above
                elif thing & 1:
                    directory = self._naming(thing, read=False)
                    names += [directory.tag, self._namings.parent(_slot(thing)).repository]
                    break
                else:
                    key = self._entry(thing).key
                    names.append(text_of(key.name))
                    nodeid = key.parent
            except RegfsError:
                names.append("?")
                break
        path = "/" + "/".join(reversed([name for name in names if name]))
        return bytes_of(path).decode("utf-8", "backslashreplace")


def _slot(thing: int) -> int:
    return thing >> 1 & _SLOT


def _same(known: Naming, now: Naming) -> bool:
    """Tell whether two looks at a tag found one naming."""
    return known.pushed == now.pushed and (
        known.digest is None or now.digest is None or known.digest == now.digest
    )


def _identity(node: Node) -> str:
    """Give text that is another wherever the content is."""
    if isinstance(node, File):
        return node.identity
    if isinstance(node, Symlink):
        return node.target()
    if isinstance(node, ManifestDirectory):
        return str(node.digest())
    return ""


def _first_damage(node: Node) -> int:
    """Tell how many blobs are not as they must be when a directory is entered.

    Of an image that is taken to be none: if some are found later, it is shown anew. What an index shows
    depends on which of its images are stored.
    """
    return node.damaged() if isinstance(node, ManifestDirectory) and node.indexes() else 0
