"""The merged tree of an image's layers: each directory is worked out when it is asked for, nothing is built.

A merged directory is the list of the layers' directories that make it up, from the top down. What a name in
it stands for is told by the first of them that has it; where that is a directory, those of the same name
below join it, until something ends the list (image-spec, layer.md, "Applying Changesets", "Whiteouts"):

- a file, which hides all below it and is hidden by what is above;
- a whiteout, which hides what is in lower layers, not what its own layer has;
- an opaque directory, which hides what lower ones hold. They still stand for the same directory: where the
  opaque one is only implied, the attributes are theirs.

The attributes of a directory are those of the uppermost layer that has an entry for it: an implied directory
changes nothing, as containerd copies the lower one's. A whiteout never shows, nor a directory that is implied
by whiteouts alone where another one hides all of it.

A hard link whose target is in no earlier entry of its layer stands for what its path leads to in the layers
below, or in its own with these: the symlinks on the way are followed, with the image's root as "/". A link to
nothing, or to a directory, is listed as HARDLINK.

A time before 1970, or after what a file system can hold, is 1970, as containerd, moby and containers/storage
have it.

Safe for many threads, as the layers' trees are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from regfs.errors import LayerError
from regfs.layers.entry import EntryType, Extent
from regfs.layers.tree.layer_tree import LayerTree
from regfs.layers.tree.node import IMPLIED_NODE, LayerNode, Member
from regfs.layers.tree.paths import FOLLOWED, LONGEST_PATH, WHITEOUT
from regfs.layers.tree.schema import IMPLIED, OPAQUE, ROOT, WHITEOUTS

#: The latest time that an unpacker passes on (containerd, archive/time.go).
_LATEST = (1 << 63) - 1


class Identity(NamedTuple):
    """Which node it is: the layer's position, 0 for the base, and the id in that layer's tree.

    All names of a file have the same, also in different layers. A directory's is that of its uppermost part.
    """

    layer: int
    id: int


class MergedPart(NamedTuple):
    """A layer's directory in a merged one."""

    layer: int
    id: int
    traits: int


class Merged(NamedTuple):
    """What a name of the merged tree stands for.

    `source` is the node with its attributes. A directory's `parts` are those whose children may show.
    """

    identity: Identity
    type: EntryType
    source: Identity
    parts: tuple[MergedPart, ...] = ()


class _Gathering:
    """A merged directory while its parts are gathered, from the top down; nothing, if it never gets one."""

    __slots__ = ("_more", "_named", "_open", "_parts")

    def __init__(self) -> None:
        self._parts: list[MergedPart] = []
        self._named: Identity | None = None
        self._open = True
        self._more = True

    @property
    def empty(self) -> bool:
        """Whether nothing has been added."""
        return not self._parts

    @property
    def complete(self) -> bool:
        """Whether nothing more can change it."""
        return not self._more

    def add(self, layer: int, member: Member) -> None:
        """Add what the next lower layer has under the name."""
        if not self._more:
            return
        if member.type is not EntryType.DIRECTORY:
            self._more = False
            return
        if self._open:
            self._parts.append(MergedPart(layer, member.id, member.traits))
            self._open = not member.traits & OPAQUE
        if self._named is None and not member.traits & IMPLIED:
            self._named = Identity(layer, member.id)
        self._more = self._open or self._named is None

    def end(self) -> None:
        """Let nothing that is lower join."""
        self._more = False

    def merged(self) -> Merged | None:
        """Give the directory, if there is one."""
        if not self._parts:
            return None
        layer, node, _ = self._parts[0]
        top = Identity(layer, node)
        return Merged(top, EntryType.DIRECTORY, self._named or top, tuple(self._parts))


def _file(layer: int, member: Member) -> Merged:
    identity = Identity(layer, member.id)
    return Merged(identity, member.type, identity)


def _shown(node: LayerNode) -> LayerNode:
    return node if 0 <= node.mtime_ns < _LATEST else node._replace(mtime_ns=0)


def _begin(layer: int, member: Member) -> Merged | _Gathering:
    if member.type is not EntryType.DIRECTORY:
        return _file(layer, member)
    gathering = _Gathering()
    gathering.add(layer, member)
    return gathering


class MergedTree:
    """The layers of one image, base first, as a container sees them."""

    def __init__(self, layers: Sequence[LayerTree]) -> None:
        self._layers = layers

    @cached_property
    def root(self) -> Merged:
        """The root directory. To have it asks each layer once."""
        return self._root_below(len(self._layers))

    def lookup(self, directory: Merged, name: bytes) -> Merged | None:
        """Find a name in a directory. In what is no directory there is none."""
        found = self._find(directory, name)
        return self._resolved(found) if found and found.type is EntryType.HARDLINK else found

    def at(self, names: Sequence[bytes], *, resolved: bool = True) -> Merged | None:
        """Find what stands at a path; no symlink is followed. Not `resolved`: hard links as they are."""
        found: Merged | None = self.root
        for count, name in enumerate(names, 1):
            if found is None or found.type is not EntryType.DIRECTORY:
                return None
            last = count == len(names)
            found = self.lookup(found, name) if last and resolved else self._find(found, name)
        return found

    def resolve(self, path: bytes) -> list[bytes]:
        """Give the names by which a path is reached when the symlinks before its last name are followed.

        What is not there is taken as it is written.
        """
        waiting = list(reversed(path.split(b"/")))
        names: list[bytes] = []
        followed = 0
        while waiting:
            name = waiting.pop()
            if name == b"..":
                del names[-1:]
            elif name not in {b"", b"."}:
                found = self.at([*names, name]) if any(waiting) else None
                if found is not None and found.type is EntryType.SYMLINK and followed < FOLLOWED:
                    target = self.node(found).target
                    followed += 1
                    if target.startswith(b"/"):
                        names.clear()
                    waiting += reversed(target.split(b"/"))
                else:
                    names.append(name)
        return names

    def children(self, directory: Merged) -> list[tuple[bytes, Merged]]:
        """List a directory, in no order."""
        return list(self._children(directory, lambda part: self._layers[part.layer].children(part.id)))

    def listing(self, directory: Merged) -> list[tuple[bytes, Merged, LayerNode | None]]:
        """List a directory with what stands there, None where only `node` can tell that."""
        nodes: dict[tuple[int, int], LayerNode] = {}

        def members(part: MergedPart) -> list[Member]:
            rows = self._layers[part.layer].listing(part.id)
            nodes.update(((part.layer, row.node.id), row.node) for row in rows)
            return [row.member for row in rows]

        children = list(self._children(directory, members))
        found = ((name, merged, nodes.get(merged.source)) for name, merged in children)
        return [
            (name, merged, None if node is None or node.type is EntryType.HARDLINK else _shown(node))
            for name, merged, node in found
        ]

    def _children(
        self, directory: Merged, members_of: Callable[[MergedPart], list[Member]]
    ) -> Iterator[tuple[bytes, Merged]]:
        gathered: dict[bytes, Merged | _Gathering] = {}
        for part in directory.parts:
            members = members_of(part)
            hidden: list[bytes] = []
            if part.traits & WHITEOUTS:
                hidden = [member.name for member in members if member.hides]
                members = [member for member in members if member.shows]
            for member in members:
                above = gathered.get(member.name)
                if isinstance(above, _Gathering):
                    above.add(part.layer, member)
                elif above is None:
                    gathered[member.name] = _begin(part.layer, member)
            for whiteout in hidden:
                above = gathered.setdefault(whiteout.removeprefix(WHITEOUT), _Gathering())
                if isinstance(above, _Gathering):
                    above.end()
        return self._settled(gathered)

    def node(self, merged: Merged) -> LayerNode:
        """Read a node. Its id is that of `source`, its links are the names in the layer that has the file.

        Raises LayerError for a hard link that leads to nothing.
        """
        if not self._layers:
            return IMPLIED_NODE
        node = self._layers[merged.source.layer].node(merged.source.id)
        if node.type is EntryType.HARDLINK:
            raise LayerError(
                f"a hard link to {node.target.decode(errors='replace')!r}, which no layer below has"
            )
        return _shown(node)

    def xattrs(self, merged: Merged) -> dict[bytes, bytes]:
        """Read the extended attributes of a node."""
        return self._layers[merged.source.layer].xattrs(merged.source.id) if self._layers else {}

    def extents(self, merged: Merged) -> list[Extent]:
        """Tell where a file's content lies in the tar of the layer that `source` names."""
        return self._layers[merged.source.layer].extents(merged.source.id)

    def _find(self, directory: Merged, name: bytes) -> Merged | None:
        """Find a name; a hard link is not resolved."""
        gathering = _Gathering()
        for layer, node, traits in directory.parts:
            tree = self._layers[layer]
            member = tree.find(node, name)
            if member is not None and member.shows:
                if gathering.empty and member.type is not EntryType.DIRECTORY:
                    return _file(layer, member)
                gathering.add(layer, member)
            if gathering.complete or (traits & WHITEOUTS and tree.hides(node, name)):
                break
        return gathering.merged()

    def _settled(self, gathered: Mapping[bytes, Merged | _Gathering]) -> Iterator[tuple[bytes, Merged]]:
        for name, what in gathered.items():
            found = what.merged() if isinstance(what, _Gathering) else what
            if found is not None:
                yield name, self._resolved(found) if found.type is EntryType.HARDLINK else found

    def _resolved(self, link: Merged) -> Merged:
        """Give what a hard link stands for, itself if that is nothing."""
        found, turns = link, 0
        while turns < FOLLOWED:
            layer, node = found.identity
            path = self._layers[layer].node(node).target
            # What its own layer has of that path came later, or is reached over symlinks of those below.
            target = self._reached(self._root_below(layer), path) or self._reached(
                self._root_below(layer + 1), path
            )
            if target is None:
                return link
            if target.type is not EntryType.HARDLINK:
                return target
            # Down from layer to layer it comes to an end; within one it may go round in a circle.
            turns += target.identity.layer == layer
            found = target
        return link

    def _reached(self, root: Merged, path: bytes) -> Merged | None:
        """Follow a path over the symlinks of directories; what stands there, if it is no directory."""
        waiting = list(reversed(path.split(b"/")))
        trail = [root]
        followed = 0
        while waiting:
            name = waiting.pop()
            if name in {b"", b"."}:
                continue
            if name == b"..":
                trail = trail[:-1] or [root]
                continue
            found = self._find(trail[-1], name)
            if found is None:
                return None
            if not waiting:
                return None if found.type is EntryType.DIRECTORY else found
            if found.type is EntryType.SYMLINK:
                target = self._layers[found.identity.layer].node(found.identity.id).target
                followed += 1
                if followed > FOLLOWED or len(waiting) > LONGEST_PATH:
                    return None
                if target.startswith(b"/"):
                    trail = [root]
                waiting += reversed(target.split(b"/"))
            else:
                trail.append(found)
        return None

    @cached_property
    def _roots(self) -> tuple[Member, ...]:
        return tuple(layer.root() for layer in self._layers)

    def _root_below(self, above: int) -> Merged:
        """Give the root of the layers below a position, merged."""
        gathering = _Gathering()
        for layer in reversed(range(above)):
            gathering.add(layer, self._roots[layer])
        nothing = Identity(0, ROOT)
        return gathering.merged() or Merged(nothing, EntryType.DIRECTORY, nothing)
