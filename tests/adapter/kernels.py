"""A kernel at the other end of a socket: it speaks FUSE as those of one minor do, and counts what it is told.

The structures here are written down anew, from include/uapi/linux/fuse.h, and not taken from regfs.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections import Counter
from typing import NamedTuple

from regfs.mount.kernel.agreement import Settings
from regfs.mount.kernel.requests import Lifetimes
from regfs.mount.kernel.session import KernelSession
from regfs.mount.owner import Owner
from regfs.tree import Tree

LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 5, 14, 15, 17, 18
GETXATTR, LISTXATTR, INIT, OPENDIR, READDIR, RELEASEDIR = 22, 23, 26, 27, 28, 29
INTERRUPT, DESTROY, BATCH_FORGET, READDIRPLUS, LSEEK, STATX = 36, 38, 42, 44, 46, 52

_HEADER = struct.Struct("<IIQQIIII")
_OUT = struct.Struct("<IiQ")
_ENTRY = struct.Struct("<QQQQII")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
_DIRENT = struct.Struct("<QQII")


class KernelVersion(NamedTuple):
    """A kernel: its minor, the bytes of its INIT, and the flags that it offers."""

    minor: int
    init_size: int
    flags: int

    @property
    def init(self) -> bytes:
        low, high = self.flags & 0xFFFFFFFF, self.flags >> 32
        body = struct.pack("<IIIII", 7, self.minor, 128 << 10, low, high)
        return body.ljust(64, b"\0")[: self.init_size]


#: What each of these offers (uapi/linux/fuse.h at that minor), as far as a server like this may use it.
_OF_22 = 1 << 0 | 1 << 4 | 0b111 << 7 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15
_OF_26 = _OF_22 | 1 << 16 | 1 << 18 | 1 << 20
_OF_31 = _OF_26 | 1 << 21 | 1 << 22 | 1 << 23 | 1 << 24 | 1 << 25
_OF_37 = _OF_31 | 1 << 28 | 1 << 29 | 1 << 30 | 1 << 32 | 1 << 33
_OF_40 = _OF_37 | 1 << 36 | 1 << 37
KERNELS = {
    "RHEL 7": KernelVersion(22, 16, _OF_22),
    "4.9": KernelVersion(26, 16, _OF_26),
    "5.4": KernelVersion(31, 16, _OF_31),
    "6.1": KernelVersion(37, 64, _OF_37),
    "6.9": KernelVersion(40, 64, _OF_40),
    "6.18": KernelVersion(45, 64, _OF_40 | 1 << 38 | 1 << 42),
}
NEWEST = KERNELS["6.18"]


class Attr(NamedTuple):
    ino: int
    size: int
    blocks: int
    mtime_ns: int
    mode: int
    links: int
    uid: int
    gid: int
    device: int

    @classmethod
    def of(cls, packed: bytes) -> Attr:
        ino, size, blocks, _, mtime, _, _, ns, _, mode, links, uid, gid, device, _, _ = _ATTR.unpack(packed)
        return cls(ino, size, blocks, mtime * 10**9 + ns, mode, links, uid, gid, device)


class Entry(NamedTuple):
    nodeid: int
    entry_valid: float
    attr_valid: float
    attr: Attr

    @classmethod
    def of(cls, packed: bytes) -> Entry:
        nodeid, _, entry, attr, entry_ns, attr_ns = _ENTRY.unpack_from(packed)
        return cls(nodeid, entry + entry_ns / 1e9, attr + attr_ns / 1e9, Attr.of(packed[40:128]))


class Listed(NamedTuple):
    name: str
    ino: int
    cookie: int
    kind: int
    entry: Entry | None


class AskedError(OSError):
    """The errno that was answered."""


class FakeKernel:
    """One mount. `notices` are messages that nobody asked for, `known` counts lookups by nodeid."""

    def __init__(
        self,
        tree: Tree,
        version: KernelVersion = NEWEST,
        *,
        ttl: float = 10.0,
        owner: Owner | None = None,
        only_for: frozenset[int] | None = None,
    ) -> None:
        self.version = version
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs = theirs
        self.ours.settimeout(20)
        settings = Settings(passthrough=True)
        lifetimes = Lifetimes(ttl, ttl, ttl)
        owner = owner or Owner(1000, 1001, 0)
        self.session = KernelSession(theirs.fileno(), tree, settings, lifetimes, owner, only_for=only_for)
        self._uniques = itertools.count(2, 2)
        self.notices: list[tuple[int, bytes]] = []
        self.known: Counter[int] = Counter()

    def mount(self) -> bytes:
        """Open the connection; give the body of the answer to INIT."""
        unique = self.send(INIT, 0, self.version.init)
        beginning = threading.Thread(target=self.session.begin)
        beginning.start()
        _, body = self.receive(unique)
        beginning.join()
        self.session.crew.start()
        return body

    def unmount(self) -> None:
        self.ours.close()
        assert self.session.crew.ended.wait(10)
        self.session.close()
        self.theirs.close()

    def hang_up(self) -> None:
        """End a connection over which nothing was served."""
        self.ours.close()
        self.theirs.close()

    def send(self, opcode: int, nodeid: int, body: bytes = b"", uid: int = 0, pid: int = 0) -> int:
        unique = next(self._uniques)
        header = _HEADER.pack(40 + len(body), opcode, unique, nodeid, uid, 0, pid, 0)
        self.ours.send(header + body)
        return unique

    def receive(self, unique: int) -> tuple[int, bytes]:
        """Give what a request is answered: errno, or 0 and the body."""
        while True:
            message = self.ours.recv(2 << 20)
            length, error, number = _OUT.unpack_from(message)
            while len(message) < length:  # what came through a pipe comes in pieces
                message += self.ours.recv(2 << 20)
            assert len(message) == length
            if number == 0:
                self.notices.append((error, message[16:]))
                continue
            assert number == unique, "an answer to what was not asked"
            return -error, message[16:]

    def ask(self, opcode: int, nodeid: int, body: bytes = b"", uid: int = 0) -> bytes:
        error, answer = self.receive(self.send(opcode, nodeid, body, uid))
        if error:
            assert answer == b""
            raise AskedError(error, f"operation {opcode}")
        return answer

    # --- operations --------------------------------------------------------------------------------------

    def lookup(self, parent: int, name: str) -> Entry:
        entry = Entry.of(self.ask(LOOKUP, parent, name.encode() + b"\0"))
        if entry.nodeid:
            self.known[entry.nodeid] += 1
        return entry

    def walk(self, path: str) -> Entry:
        nodeid = 1
        for name in path.strip("/").split("/"):
            entry = self.lookup(nodeid, name)
            assert entry.nodeid, f"{path}: no {name}"
            nodeid = entry.nodeid
        return entry

    def getattr(self, nodeid: int) -> tuple[float, Attr]:
        answer = self.ask(GETATTR, nodeid, bytes(16))
        seconds, nanoseconds = struct.unpack_from("<QI", answer)
        assert len(answer) == 104
        return seconds + nanoseconds / 1e9, Attr.of(answer[16:])

    def listing(self, nodeid: int, *, size: int = 4096, offset: int = 0, plus: bool = True) -> list[Listed]:
        """Give what one call answers; nothing at the end."""
        body = struct.pack("<QQIIQII", 0, offset, size, 0, 0, 0, 0)
        answer = self.ask(READDIRPLUS if plus else READDIR, nodeid, body)
        assert len(answer) <= size
        listed, at = [], 0
        while at < len(answer):
            entry = Entry.of(answer[at : at + 128]) if plus else None
            at += 128 if plus else 0
            ino, cookie, length, kind = _DIRENT.unpack_from(answer, at)
            name = answer[at + 24 : at + 24 + length].decode()
            at += -(-(24 + length) // 8) * 8
            told = entry if entry and entry.nodeid else None
            if told:
                self.known[told.nodeid] += 1
            listed.append(Listed(name, ino, cookie, kind, told))
        return listed

    def children(self, nodeid: int, *, size: int = 4096, plus: bool = True) -> list[Listed]:
        """List a directory to its end, as readdir(3) does, without the dots."""
        found: list[Listed] = []
        offset = 0
        while some := self.listing(nodeid, size=size, offset=offset, plus=plus):
            found += some
            offset = some[-1].cookie
        return [one for one in found if one.name not in (".", "..")]

    def open(self, nodeid: int, flags: int = 0) -> tuple[int, int]:
        handle, open_flags, _ = struct.unpack("<QIi", self.ask(OPEN, nodeid, struct.pack("<II", flags, 0)))
        return handle, open_flags

    def read(self, nodeid: int, handle: int, offset: int, size: int) -> bytes:
        return self.ask(READ, nodeid, struct.pack("<QQIIQII", handle, offset, size, 0, 0, 0, 0))

    def release(self, nodeid: int, handle: int) -> None:
        assert self.ask(RELEASE, nodeid, struct.pack("<QIIQ", handle, 0, 0, 0)) == b""

    def content(self, nodeid: int, piece: int = 1 << 17) -> bytes:
        """Open, read to the end and close."""
        handle, _ = self.open(nodeid)
        found = bytearray()
        try:
            while got := self.read(nodeid, handle, len(found), piece):
                found += got
        finally:
            self.release(nodeid, handle)
        return bytes(found)

    def forget(self, nodeid: int, count: int | None = None) -> None:
        count = self.known.pop(nodeid) if count is None else count
        self.send(FORGET, nodeid, struct.pack("<Q", count))

    def forget_all(self) -> None:
        pairs = list(self.known.items())
        self.known.clear()
        body = b"".join(struct.pack("<QQ", *pair) for pair in pairs)
        self.send(BATCH_FORGET, 0, struct.pack("<II", len(pairs), 0) + body)

    def getxattr(self, nodeid: int, name: bytes, size: int = 4096) -> bytes:
        return self.ask(GETXATTR, nodeid, struct.pack("<II", size, 0) + name + b"\0")

    def statfs(self) -> tuple[int, ...]:
        answer = self.ask(STATFS, 1)
        assert len(answer) == 80
        return struct.unpack_from("<QQQQQIII", answer)
