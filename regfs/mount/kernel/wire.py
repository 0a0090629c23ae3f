"""The bytes between the kernel and a FUSE server: structures in, structures out. No I/O, no state.

Sizes and fields are those of include/uapi/linux/fuse.h from protocol 7.9 on. Structures grow from minor to
minor, and distributions backport: so a body is read by the bytes that are there, and what the kernel can do
by the flags that it offers. What is too short for its operation, or says another length than it has, raises
BadRequestError; nothing else is raised whatever the bytes.
"""

from __future__ import annotations

import enum
import functools
import struct
from typing import NamedTuple

from regfs.errors import BadRequestError

MAJOR = 7

#: The newest minor whose structures are known here.
MINOR = 45

#: The oldest minor that is spoken: READDIRPLUS and the structures of 7.9 are there.
OLDEST_MINOR = 21

#: The nodeid of the root (FUSE_ROOT_ID).
ROOT = 1


class Opcode(enum.IntEnum):
    """The operations (enum fuse_opcode). No answer is expected to FORGET, BATCH_FORGET, INTERRUPT."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    COPY_FILE_RANGE = 47
    STATX = 52
    TMPFILE = 51


#: Those that would change something.
WRITES = frozenset(
    {
        Opcode.SETATTR,
        Opcode.SYMLINK,
        Opcode.MKNOD,
        Opcode.MKDIR,
        Opcode.UNLINK,
        Opcode.RMDIR,
        Opcode.RENAME,
        Opcode.LINK,
        Opcode.WRITE,
        Opcode.SETXATTR,
        Opcode.REMOVEXATTR,
        Opcode.CREATE,
        Opcode.FALLOCATE,
        Opcode.RENAME2,
        Opcode.COPY_FILE_RANGE,
        Opcode.TMPFILE,
    }
)

#: Those that are answered by nothing.
UNANSWERED = frozenset({Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT})


class Flag(enum.IntFlag):
    """What kernel and server may agree on (FUSE_INIT flags; from bit 32 on, those of flags2)."""

    ASYNC_READ = 1 << 0
    EXPORT_SUPPORT = 1 << 4
    SPLICE_WRITE = 1 << 7
    SPLICE_MOVE = 1 << 8
    SPLICE_READ = 1 << 9
    AUTO_INVAL_DATA = 1 << 12
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    PARALLEL_DIROPS = 1 << 18
    MAX_PAGES = 1 << 22
    CACHE_SYMLINKS = 1 << 23
    NO_OPENDIR_SUPPORT = 1 << 24
    INIT_EXT = 1 << 30
    PASSTHROUGH = 1 << 37


#: How a file that is opened may be read (FOPEN_*).
KEEP_CACHE = 1 << 1
PASSTHROUGH = 1 << 7

#: `error` of a message that nobody asked for: the kernel is to forget what it holds of an inode.
_NOTIFY_INVAL_INODE = 2

_IN = struct.Struct("=IIQQIIII")
_OUT = struct.Struct("=IiQ")
_ATTR = struct.Struct("=QQQqqqIIIIIIIIII")
_ENTRY = struct.Struct("=Q32s88s")
_LIFETIMES = struct.Struct("=QQQII")
_ATTR_OUT = struct.Struct("=QII")
_DIRENT = struct.Struct("=QQII")
_COOKIE = struct.Struct("=QII")
_DIRENTPLUS = struct.Struct(f"=Q32s{_ATTR.format[1:]}{_DIRENT.format[1:]}")
_OPEN_OUT = struct.Struct("=QIi")
_INIT_OUT = struct.Struct("=IIIIHHIIHHIIH22x")
_STATFS = struct.Struct("=QQQQQIIII24x")
_INVAL_INODE = struct.Struct("=Qqq")
_INIT_IN = struct.Struct("=IIII")
_READ_IN = struct.Struct("=QQI")
_U32 = struct.Struct("=I")
_U64 = struct.Struct("=Q")
_TWO = struct.Struct("=QQ")
_LSEEK = struct.Struct("=QQI")

HEADER_IN = _IN.size
HEADER_OUT = _OUT.size

#: The sizes of INIT's answer, and the minors before which it was so short.
_SHORT_INIT, _SHORT_BEFORE = 24, 23

#: Nothing is known of a node: of `.` and `..`, of what was not looked at, of a name that is not there.
_NO_ENTRY = bytes(_ENTRY.size)

#: What fills a name up to eight bytes, by its length modulo eight: all before it is of whole ones.
_PADDING = [bytes(-length % 8) for length in range(8)]

_NANO = 1_000_000_000

#: "For ever", in the seconds that the kernel counts: longer than any mount lives, and no overflow in jiffies.
FOREVER = 1 << 31


#: Makes a named tuple in half the time that its own constructor takes.
_new = tuple.__new__


class KernelRequest(NamedTuple):
    """One message from the kernel. `body` is valid until the next is read into the same buffer."""

    opcode: int
    unique: int
    nodeid: int
    uid: int
    pid: int
    body: memoryview


def read_request(message: memoryview) -> KernelRequest:
    """Read a message: a header, and what belongs to the operation."""
    if len(message) < HEADER_IN:
        raise BadRequestError(f"{len(message)} bytes are no message")
    length, opcode, unique, nodeid, uid, _gid, pid, _ = _IN.unpack_from(message)
    if length != len(message):
        raise BadRequestError(f"a message of {len(message)} bytes says that it has {length}")
    return _new(KernelRequest, (opcode, unique, nodeid, uid, pid, message[HEADER_IN:]))


def _unpack(form: struct.Struct, body: memoryview, offset: int = 0) -> tuple[int, ...]:
    try:
        return form.unpack_from(body, offset)
    except struct.error as error:
        raise BadRequestError(f"a body of {len(body)} bytes is too short") from error


def read_name(body: memoryview, offset: int = 0) -> bytes:
    """Read a name that ends with a NUL byte."""
    name = bytes(body[offset:])
    if name.find(b"\0") != len(name) - 1:
        raise BadRequestError("a name has no end, or goes on behind it")
    return name[:-1]


class Offered(NamedTuple):
    """What the kernel says of itself (struct fuse_init_in)."""

    major: int
    minor: int
    max_readahead: int
    flags: Flag


def read_init(body: memoryview) -> Offered:
    """Read INIT."""
    major, minor, ahead, flags = _unpack(_INIT_IN, body)
    if flags & Flag.INIT_EXT and len(body) >= _INIT_IN.size + _U32.size:
        flags |= _unpack(_U32, body, _INIT_IN.size)[0] << 32
    return Offered(major, minor, ahead, Flag(flags))


class Agreed(NamedTuple):
    """What the server answers to INIT (struct fuse_init_out), sizes in bytes."""

    minor: int
    flags: Flag
    max_readahead: int
    max_background: int
    congestion_threshold: int
    max_write: int
    max_pages: int
    max_stack_depth: int


def pack_init(agreed: Agreed) -> bytes:
    """Pack the answer to INIT, as long as the kernel's minor wants it."""
    low, high = agreed.flags & 0xFFFFFFFF, agreed.flags >> 32
    packed = _INIT_OUT.pack(
        MAJOR,
        agreed.minor,
        agreed.max_readahead,
        low,
        agreed.max_background,
        agreed.congestion_threshold,
        agreed.max_write,
        1,
        agreed.max_pages,
        0,
        high,
        agreed.max_stack_depth,
        0,
    )
    return packed[:_SHORT_INIT] if agreed.minor < _SHORT_BEFORE else packed


def pack_version() -> bytes:
    """Pack the answer to a kernel that speaks a newer major: it then asks again in ours."""
    return struct.pack("=II", MAJOR, MINOR)


def read_size_and_name(body: memoryview) -> tuple[int, bytes]:
    """Read GETXATTR: the room for the value (0: how long is it?), and the name."""
    return _unpack(_U32, body)[0], read_name(body, 8)


def read_u32(body: memoryview) -> int:
    """Read OPEN's flags, LISTXATTR's room."""
    return _unpack(_U32, body)[0]


def read_u64(body: memoryview) -> int:
    """Read INTERRUPT's request, FORGET's count, RELEASE's handle."""
    return _unpack(_U64, body)[0]


def read_read(body: memoryview) -> tuple[int, int, int]:
    """Read READ, READDIR, READDIRPLUS: handle, offset, bytes."""
    handle, offset, size = _unpack(_READ_IN, body)
    return handle, offset, size


def readdirplus(nodeid: int, size: int) -> KernelRequest:
    """Make a READDIRPLUS of a directory from its beginning, as nobody sent it: its number is 0."""
    return _new(KernelRequest, (Opcode.READDIRPLUS, 0, nodeid, 0, 0, _beginning(size)))


@functools.cache
def _beginning(size: int) -> memoryview:
    return memoryview(_READ_IN.pack(0, 0, size))


def read_lseek(body: memoryview) -> tuple[int, int, int]:
    """Read LSEEK: handle, offset, whence."""
    handle, offset, whence = _unpack(_LSEEK, body)
    return handle, offset, whence


def read_forgets(body: memoryview) -> list[tuple[int, int]]:
    """Read BATCH_FORGET: nodeids, and how many lookups of each are forgotten."""
    (count,) = _unpack(_U32, body)
    if len(body) < 8 + count * _TWO.size:
        raise BadRequestError(f"{count} nodes do not fit into {len(body)} bytes")
    return [_TWO.unpack_from(body, 8 + place * _TWO.size) for place in range(count)]


def header(unique: int, length: int, error: int = 0) -> bytes:
    """Pack the header of an answer with `length` bytes behind it."""
    return _OUT.pack(HEADER_OUT + length, -error, unique)


def pack_inval_inode(nodeid: int) -> bytes:
    """Pack the message that has the kernel drop what it caches of a node: attributes, pages, a listing."""
    return _OUT.pack(HEADER_OUT + _INVAL_INODE.size, _NOTIFY_INVAL_INODE, 0) + _INVAL_INODE.pack(nodeid, 0, 0)


def pack_attributes(attributes: tuple[int, ...], rest: tuple[int, ...]) -> bytes:
    """Pack a struct fuse_attr: inode, size, blocks, links, time (ns); mode, uid, gid, device, block size."""
    ino, size, blocks, links, mtime_ns = attributes
    mode, uid, gid, device, block_size = rest
    seconds, nanoseconds = divmod(mtime_ns, _NANO)
    times = seconds, seconds, seconds, nanoseconds, nanoseconds, nanoseconds
    return _ATTR.pack(ino, size, blocks, *times, mode, links, uid, gid, device, block_size, 0)


def _valid(seconds: float) -> tuple[int, int]:
    if seconds >= FOREVER:
        return FOREVER, 0
    whole = int(seconds)
    return whole, int((seconds - whole) * _NANO)


def pack_lifetimes(name: float, attributes: float) -> bytes:
    """Pack for how many seconds a name and the attributes behind it are valid, as `pack_entry` takes it."""
    (entry, entry_ns), (attr, attr_ns) = _valid(name), _valid(attributes)
    return _LIFETIMES.pack(0, entry, attr, entry_ns, attr_ns)


def pack_entry(nodeid: int, lifetimes: bytes, attributes: bytes) -> bytes:
    """Pack a struct fuse_entry_out."""
    return _ENTRY.pack(nodeid, lifetimes, attributes)


def pack_no_entry(valid: float) -> bytes:
    """Pack the answer that a name is not there, which the kernel may believe for some seconds."""
    return pack_entry(0, pack_lifetimes(valid, 0), bytes(_ATTR.size))


def pack_attr_out(valid: float, attributes: bytes) -> bytes:
    """Pack the answer to GETATTR."""
    return _ATTR_OUT.pack(*_valid(valid), 0) + attributes


def pack_open(handle: int, flags: int, backing: int = 0) -> bytes:
    """Pack the answer to OPEN; `backing` is the number of a file that the kernel reads by itself."""
    return _OPEN_OUT.pack(handle, flags, backing)


def pack_length(length: int) -> bytes:
    """Pack how long an extended attribute is."""
    return struct.pack("=II", length, 0)


def pack_offset(offset: int) -> bytes:
    """Pack the answer to LSEEK."""
    return _U64.pack(offset)


def pack_statfs(counts: tuple[int, ...], block_size: int, longest_name: int, fragment_size: int) -> bytes:
    """Pack the answer to STATFS; counts are blocks, free, available, files, free files."""
    return _STATFS.pack(*counts, block_size, longest_name, fragment_size, 0)


class ListingBuffer:
    """What goes into one answer to READDIR or READDIRPLUS (`plus`), of at most `size` bytes.

    `cookie` is that of the name that was added last, where the next answer goes on: each name has the next.
    """

    def __init__(self, size: int, cookie: int, *, plus: bool) -> None:
        self.cookie = cookie
        self._room = size
        self._overhead = _DIRENT.size + (len(_NO_ENTRY) if plus else 0)
        self._no_entry = _NO_ENTRY if plus else b""
        #: Of each name: what is told of it and its struct fuse_dirent; the name; what fills it up.
        self._parts: list[bytes] = []

    def reserve(self, name: bytes) -> bool:
        """Take the room that a name needs, for `add` or `tell` to fill; False if not so much is left."""
        needed = self._overhead + len(name) + 7 & ~7
        if needed > self._room:
            return False
        self._room -= needed
        return True

    def add(self, name: bytes, ino: int, kind: int) -> None:
        """Add a name alone. `kind` is the type as in a mode, shifted by 12."""
        self.cookie = cookie = self.cookie + 1
        length = len(name)
        dirent = _DIRENT.pack(ino, cookie, length, kind)
        self._parts += (self._no_entry + dirent, name, _PADDING[length & 7])

    def tell(
        self, name: bytes, nodeid: int, lifetimes: bytes, attributes: tuple[int, ...], rest: tuple[int, ...]
    ) -> None:
        """Add a name with what is told of it, as `pack_entry` and `pack_attributes` take that."""
        ino, size, blocks, links, mtime_ns = attributes
        mode, uid, gid, device, block_size = rest
        s, ns = divmod(mtime_ns, _NANO)
        self.cookie = cookie = self.cookie + 1
        length = len(name)
        head = _DIRENTPLUS.pack(
            nodeid, lifetimes, ino, size, blocks, s, s, s, ns, ns, ns, mode, links, uid, gid, device,
            block_size, 0, ino, cookie, length, mode >> 12,
        )  # fmt: skip
        self._parts += (head, name, _PADDING[length & 7])

    def end(self, cookie: int) -> None:
        """Have the name that was added last be the last of the directory, by its cookie."""
        if self._parts:
            told = self._parts[-3]
            _, length, kind = _COOKIE.unpack_from(told, len(told) - _COOKIE.size)
            self._parts[-3] = told[: -_COOKIE.size] + _COOKIE.pack(cookie, length, kind)

    def packed(self) -> bytes:
        """Give the whole answer; empty at the end of a directory."""
        return b"".join(self._parts)
