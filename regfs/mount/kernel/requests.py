"""What the kernel asks, answered from the tree by node: bytes in, bytes out. No descriptor is known here.

Called from many threads at once; no lock is held while the store is read. Raises RegfsError and OSError,
which the session turns into an errno.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from regfs.errors import (
    BadRequestError,
    IsDirectoryError,
    NameTooLongError,
    NoEntryError,
    NotDirectoryError,
    NotSymlinkError,
    RegfsError,
)
from regfs.mount.kernel import wire
from regfs.mount.kernel.ahead import AnswersAhead
from regfs.mount.kernel.files import OpenFiles, seek
from regfs.mount.kernel.foresight import Foresight, KernelAnswer, ListingAnswer
from regfs.mount.kernel.inodes import InodeTable, bytes_of, text_of
from regfs.mount.kernel.listings import DOTS, END, Listings, Reading
from regfs.mount.kernel.wire import KernelRequest, Opcode
from regfs.mount.owner import BLOCK_SIZE, Owner
from regfs.tree import Attributes, Directory, File, Node, NodeType, Symlink, Tree
from regfs.tree.image import ManifestDirectory
from regfs.tree.names import NamesDirectory
from regfs.tree.node import MODES

#: Bytes: NAME_MAX (limits.h). The kernel's limit for FUSE is 1024, so longer names are asked for.
_LONGEST_NAME = 255

#: A type as READDIR tells it (d_type, getdents(2)) is the upper bits of a mode.
_TYPE_SHIFT = 12
_KINDS = {kind: mode >> _TYPE_SHIFT for kind, mode in MODES.items()}

#: By names of their own: to look up a member of an enum takes as long as to call a function.
_READDIRPLUS, _DIRECTORY = Opcode.READDIRPLUS, NodeType.DIRECTORY

#: What comes behind the last name of any directory.
_NOTHING = ListingAnswer(KernelAnswer(b"", []), {})

#: Makes a named tuple in half the time that its own constructor takes.
_new = tuple.__new__


class Lifetimes(NamedTuple):
    """For how many seconds the kernel may believe names, attributes, and that a name is not there."""

    names: float
    attributes: float
    missing: float


class KernelRequests:
    """The operations of one mount. `drop` has the kernel drop what it caches of a node."""

    def __init__(
        self,
        tree: Tree,
        files: OpenFiles,
        lifetimes: Lifetimes,
        owner: Owner,
        drop: Callable[[int], None],
        *,
        stateless: bool,
    ) -> None:
        """`stateless`: the kernel opens no directories, and caches their listings."""
        self._tree = tree
        self._files = files
        self._lifetimes = lifetimes
        self._owner = owner
        self._drop = drop
        self._stateless = stateless
        self.inodes = InodeTable(tree.root)
        self._foresight = Foresight(self.take_back)
        self._ahead = AnswersAhead(self._foresight, self._parts)
        self._listings = Listings()
        #: Bytes that the kernel wants of a listing.
        self._room = 0
        #: Directories whose listings the kernel may have cached and that may change, with how they were.
        self._listed: dict[int, object] = {}
        #: For how long a name, and what is told of it, is valid: by whether each lasts.
        self._valid = {
            (names, attributes): wire.pack_lifetimes(
                wire.FOREVER if names else lifetimes.names,
                wire.FOREVER if names and attributes else lifetimes.attributes,
            )
            for names in (False, True)
            for attributes in (False, True)
        }
        #: What all nodes of a type have in common that are no image's.
        self._rests = {kind: (owner.mode(kind), owner.uid, owner.gid, 0, BLOCK_SIZE) for kind in NodeType}
        self._answers: dict[int, Callable[[KernelRequest], bytes]] = {
            Opcode.GETATTR: self._getattr,
            Opcode.READLINK: self._readlink,
            Opcode.OPEN: self._open,
            Opcode.STATFS: self._statfs,
            Opcode.RELEASE: self._release,
            Opcode.GETXATTR: self._getxattr,
            Opcode.LISTXATTR: self._listxattr,
            Opcode.OPENDIR: self._opendir,
            Opcode.RELEASEDIR: lambda _: b"",
            Opcode.LSEEK: self._lseek,
            Opcode.DESTROY: lambda _: b"",
        }

    def answer(self, request: KernelRequest) -> KernelAnswer:
        """Answer a request, but READ and those that are the session's own."""
        opcode = request.opcode
        if opcode == _READDIRPLUS:
            return self._readdirplus(request)
        if opcode == Opcode.READDIR:
            return self._readdir(request, plus=False).answer
        if opcode == Opcode.LOOKUP:
            return self._lookup(request)
        found = self._answers.get(request.opcode)
        if found is None:
            raise OSError(errno.EROFS if request.opcode in wire.WRITES else errno.ENOSYS, "not done here")
        return KernelAnswer(found(request), [])

    def forget(self, request: KernelRequest) -> None:
        """Forget what the kernel has forgotten."""
        many = request.opcode == Opcode.BATCH_FORGET
        pairs = wire.read_forgets(request.body) if many else [(request.nodeid, wire.read_u64(request.body))]
        for nodeid, count in pairs:
            self._foresight.forget(nodeid)
            self.inodes.forget(nodeid, count)
            self._listed.pop(nodeid, None)

    def take_back(self, answer: KernelAnswer) -> None:
        """Nobody took the answer: the kernel does not know the numbers in it."""
        for nodeid in answer.told:
            self.inodes.forget(nodeid, 1)

    def expected(self) -> KernelRequest | None:
        """Give a request whose answer is to be made ahead, or gone on with; None if nothing is expected."""
        nodeid = self._ahead.expected()
        return None if nodeid is None else wire.readdirplus(nodeid, self._room)

    def foresee(self, request: KernelRequest) -> None:
        """Make a part of the answer to what is expected: whoever asks meanwhile waits for no more."""
        self._ahead.go_on(request.nodeid)

    def _parts(self, nodeid: int) -> Iterator[int]:
        """Make an answer; of a manifest, also those for what is in it."""
        room = self._room
        made: dict[int, ListingAnswer | None] = {nodeid: None}
        self._foresight.begin(nodeid)
        try:
            with suppress(RegfsError, OSError):  # whoever asks for it shall meet that
                directory = self._directory(nodeid)
                if not directory.dear and not directory.holds_image:
                    yield nodeid
                    made[nodeid] = listed = self._list(self._begin(nodeid, directory), room)
                    for number, part in listed.below.items():
                        if part.part:
                            yield number
                            made[number] = self._list(self._begin(number, part), room)
        finally:
            self._foresight.made(nodeid, made, room)

    # --- names -------------------------------------------------------------------------------------------

    def _directory(self, nodeid: int) -> Directory:
        node = self.inodes.entered(nodeid)
        if not isinstance(node, Directory):
            raise NotDirectoryError(self.inodes.path(nodeid))
        return node

    def _lookup(self, request: KernelRequest) -> KernelAnswer:
        name = wire.read_name(request.body)
        if not name or b"/" in name or name in DOTS:
            raise BadRequestError(f"{name!r} is no name")
        directory = self._directory(request.nodeid)
        try:
            node = directory.lookup(text_of(name))
            attributes = node.attributes()
        except NoEntryError:
            if len(name) > _LONGEST_NAME:
                raise NameTooLongError(self.inodes.path(request.nodeid)) from None
            return KernelAnswer(wire.pack_no_entry(self._lifetimes.missing), [])
        nodeid, valid = self._numbered(request.nodeid, directory, name, node, attributes.lasting)
        packed = wire.pack_attributes(*self._told(attributes))
        return KernelAnswer(wire.pack_entry(nodeid, valid, packed), [nodeid])

    def _numbered(
        self, parent: int, directory: Directory, name: bytes, node: Node, lasting: bool
    ) -> tuple[int, bytes]:
        """Give a number to a node that was found, and for how long name and attributes are valid."""
        nodeid = self.inodes.number(parent, directory, name, node)
        if nodeid in self._listed:
            self._see_listing(nodeid, node)
        return nodeid, self._valid[directory.lasts(node), lasting]

    def _see_listing(self, nodeid: int, node: Node) -> None:
        """Have the kernel drop a listing that it may have cached, unless it is still the same."""
        before = self._listed.get(nodeid)
        if before is None or not isinstance(node, NamesDirectory) or node.listed() != before:
            self._listed.pop(nodeid, None)
            self._drop(nodeid)

    def _told(self, attributes: Attributes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Give what the kernel is told of a node, as `pack_attributes` takes it."""
        kind, inode, links, size, blocks, mtime_ns, permissions, _, _, _ = attributes
        if permissions is None:
            rest = self._rests[kind]
        else:
            mode, uid, gid, device = self._owner.rights(attributes)
            rest = mode, uid, gid, device & 0xFFFFFFFF, BLOCK_SIZE
        return (inode, size, blocks, links, mtime_ns), rest

    def _readdirplus(self, request: KernelRequest) -> KernelAnswer:
        _, offset, self._room = wire.read_read(request.body)
        found = None if offset else self._ahead.begun(request.nodeid, self._room)
        found = found or self._readdir(request, plus=True)
        if found.below:
            self._foresight.listed(request.nodeid, found.below)
        return found.answer

    def _readdir(self, request: KernelRequest, *, plus: bool) -> ListingAnswer:
        _, offset, size = wire.read_read(request.body)
        if offset == END:
            return _NOTHING
        nodeid = request.nodeid
        reading = self._listings.go_on(nodeid, offset) if offset else None
        reading = reading or self._begin(nodeid, self._directory(nodeid), offset)
        return self._list(reading, size, plus=plus)

    def _begin(self, nodeid: int, directory: Directory, offset: int = 0) -> Reading:
        if self._stateless and _changes(directory):
            listed = directory.listed() if isinstance(directory, NamesDirectory) else None
            self._listed.setdefault(nodeid, listed)
        return self._listings.begin(nodeid, directory, offset)

    def _list(self, reading: Reading, size: int, *, plus: bool = True) -> ListingAnswer:
        """Give what comes next in a directory, as much as there is room for."""
        nodeid, directory = reading.nodeid, reading.directory
        buffer = wire.ListingBuffer(size, reading.cookie, plus=plus)
        told: list[int] = []
        below: dict[int, Directory] = {}
        whole, parts = self.inodes.whole(nodeid, directory) if plus else 0, 0
        for entry in reading.entries:
            (name, kind, inode, node, part), attributes = entry
            raw = bytes_of(name)
            if not buffer.reserve(raw):
                reading.put_back(entry)
                reading.cookie = buffer.cookie
                self._listings.put(reading)
                break
            if attributes is not None and part and whole:
                number, valid = whole | part, self._valid[True, attributes.lasting]
                parts += 1
            elif attributes is not None and node is not None and plus:
                number, valid = self._numbered(nodeid, directory, raw, node, attributes.lasting)
            else:
                buffer.add(raw, inode, _KINDS[kind])
                continue
            told.append(number)
            if kind is _DIRECTORY and isinstance(node, Directory):
                below[number] = node
            buffer.tell(raw, number, valid, *self._told(attributes))
        else:
            buffer.end(END)
        if parts:
            self.inodes.tell(whole, parts)
        return _new(ListingAnswer, (_new(KernelAnswer, (buffer.packed(), told)), below))

    def _opendir(self, _request: KernelRequest) -> bytes:
        if self._stateless:
            raise OSError(errno.ENOSYS, "the kernel then opens none")
        return wire.pack_open(0, 0)

    # --- attributes --------------------------------------------------------------------------------------

    def _getattr(self, request: KernelRequest) -> bytes:
        node = self._files.node(request.nodeid) or self.inodes.node(request.nodeid)
        if request.nodeid in self._listed:
            self._see_listing(request.nodeid, node)
        attributes = node.attributes()
        lasts = attributes.lasting and not isinstance(node, ManifestDirectory)
        valid = wire.FOREVER if lasts else self._lifetimes.attributes
        return wire.pack_attr_out(valid, wire.pack_attributes(*self._told(attributes)))

    def _readlink(self, request: KernelRequest) -> bytes:
        node = self.inodes.node(request.nodeid)
        if not isinstance(node, Symlink):
            raise NotSymlinkError(self.inodes.path(request.nodeid))
        return bytes_of(node.target())

    def _getxattr(self, request: KernelRequest) -> bytes:
        room, name = wire.read_size_and_name(request.body)
        return _sized(self.inodes.node(request.nodeid).xattr(text_of(name)), room)

    def _listxattr(self, request: KernelRequest) -> bytes:
        names = self.inodes.node(request.nodeid).xattr_names()
        return _sized(b"".join(bytes_of(name) + b"\0" for name in names), wire.read_u32(request.body))

    def _statfs(self, _request: KernelRequest) -> bytes:
        space = self._tree.space()
        counts = space.blocks, space.blocks_free, space.blocks_available, space.files, space.files_free
        return wire.pack_statfs(counts, space.block_size, space.longest_name, space.fragment_size)

    # --- files -------------------------------------------------------------------------------------------

    def _open(self, request: KernelRequest) -> bytes:
        if wire.read_u32(request.body) & (os.O_ACCMODE | os.O_TRUNC):
            raise OSError(errno.EROFS, "nothing can be written")
        node = self.inodes.node(request.nodeid)
        if not isinstance(node, File):
            raise IsDirectoryError(self.inodes.path(request.nodeid))
        return wire.pack_open(*self._files.open(request.nodeid, node))

    def _release(self, request: KernelRequest) -> bytes:
        self._files.release(wire.read_u64(request.body))
        return b""

    def _lseek(self, request: KernelRequest) -> bytes:
        handle, offset, whence = wire.read_lseek(request.body)
        return wire.pack_offset(seek(self._files.get(handle), offset, whence))


def _sized(value: bytes, room: int) -> bytes:
    """Answer as getxattr(2) does: room for 0 bytes only asks how long it is."""
    if room == 0:
        return wire.pack_length(len(value))
    if len(value) > room:
        raise OSError(errno.ERANGE, "the value is longer")
    return value


def _changes(directory: Directory) -> bool:
    """Tell whether a listing may change under its number: not that of a manifest, nor inside an image."""
    if isinstance(directory, ManifestDirectory) or directory.part:
        return False
    return not directory.lasts(directory)  # inside an image, whatever child it is
