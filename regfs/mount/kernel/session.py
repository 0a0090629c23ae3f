"""Our own session with the kernel, over /dev/fuse: from the mount to its end.

`wire` has the bytes, `mounting` gets the descriptor, `agreement` opens the connection, `crew` are the
threads, `requests` knows the answers; here they are put together, and errors become errno.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from regfs.errors import BadRequestError, RegfsError, StoreGoneError, UnreadableError, printable
from regfs.mount.errnos import ASKED_WRONGLY, errno_of
from regfs.mount.kernel import wire
from regfs.mount.kernel.agreement import Settings, acceptable, agree, stateless
from regfs.mount.kernel.crew import Crew, Work
from regfs.mount.kernel.files import MOST, OpenedFile, OpenFiles, ReadPipe, readable
from regfs.mount.kernel.interrupts import Interrupts
from regfs.mount.kernel.requests import KernelRequests, Lifetimes
from regfs.mount.kernel.wire import Flag, KernelRequest, Opcode
from regfs.mount.owner import Owner
from regfs.tree import Tree

_log = logging.getLogger(__name__)

#: Bytes of the buffer that a request is read into: the kernel wants 8 KiB; FORGETs come many at once.
_BUFFER = 64 << 10

#: Seconds for which a thread asks again whether a request has come, before it sleeps, if the one before came
#: so soon: to wake it on another processor takes as long as most answers.
_SOON = 0.0002

#: Bytes of a pipe's page, which an answer's header takes.
_PAGE = 4096

#: What a user who is neither the mount's nor root is refused with allow_root.
_NAMED = frozenset(
    {Opcode.LOOKUP, Opcode.GETATTR, Opcode.READLINK, Opcode.OPEN, Opcode.OPENDIR}
    | {Opcode.READDIR, Opcode.READDIRPLUS, Opcode.GETXATTR, Opcode.LISTXATTR}
)


#: What is not for `KernelRequests.answer`.
_HERE = frozenset({Opcode.READ, *wire.UNANSWERED})


class KernelTooOldError(Exception):
    """The kernel speaks a protocol that is not spoken here. Whoever mounts takes another session."""


class PerThread(threading.local):
    """What each thread has for itself: made when it is first used."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_BUFFER))
        self._poll: select.poll | None = None
        self.pipe: ReadPipe | None = None
        self.copied = memoryview(b"")

    def poll(self, descriptor: int) -> bool:
        """Tell whether there is something to read."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLIN)
        return bool(self._poll.poll(0))

    def room(self, size: int) -> memoryview:
        """Give a buffer of some bytes."""
        if len(self.copied) < size:
            self.copied = memoryview(bytearray(MOST if size <= MOST else size))
        return self.copied[:size]


class KernelSession:
    """The conversation over one descriptor of /dev/fuse (or a socket that speaks like one)."""

    def __init__(
        self,
        device: int,
        tree: Tree,
        settings: Settings,
        lifetimes: Lifetimes,
        owner: Owner,
        *,
        only_for: frozenset[int] | None = None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """`only_for`: the users who may ask, if not all. `on_end` is called when it is unmounted."""
        self._device = device
        self._tree = tree
        self._settings = settings
        self._lifetimes = lifetimes
        self._owner = owner
        self._only_for = only_for
        self._mine = PerThread()
        #: Whether the last request came soon after the one before it was answered.
        self._eager = False
        self.crew: Crew[KernelRequest] = Crew(
            self._next, self._serve, lambda task: task.opcode in wire.UNANSWERED, self._meanwhile, on_end
        )
        self._interrupts = Interrupts(self._who_waits, self._interrupt)

    # --- the connection ----------------------------------------------------------------------------------

    def begin(self) -> wire.Agreed:
        """Answer INIT. Raises KernelTooOldError."""
        while True:
            found = self._next()
            if found is None:
                raise KernelTooOldError("the connection ended before it began")
            request = found[1]
            if request.opcode != Opcode.INIT:
                self._fail(request.unique, errno.EIO)
                continue
            offered = wire.read_init(request.body)
            if offered.major > wire.MAJOR:
                self._write(request.unique, wire.pack_version())
                continue
            if not acceptable(offered):
                self._fail(request.unique, errno.EPROTO)
                raise KernelTooOldError(f"the kernel speaks FUSE {offered.major}.{offered.minor}")
            agreed = agree(offered, self._settings)
            self._open(agreed)
            self._write(request.unique, wire.pack_init(agreed))
            return agreed

    def _open(self, agreed: wire.Agreed) -> None:
        self._files = OpenFiles(self._device, passthrough=Flag.PASSTHROUGH in agreed.flags)
        self._requests = KernelRequests(
            self._tree, self._files, self._lifetimes, self._owner, self._drop, stateless=stateless(agreed)
        )

    @property
    def remembered(self) -> int:
        """How many nodes the kernel knows, as far as anything is kept for them."""
        return len(self._requests.inodes)

    def close(self) -> None:
        """Close what is still open."""
        self.crew.end()
        self._files.close()

    def _next(self) -> tuple[int, KernelRequest] | None:
        """Read the next request; None when the file system is unmounted."""
        buffer = self._mine.buffer
        began = time.monotonic()
        while self._eager and not self._mine.poll(self._device) and time.monotonic() - began < _SOON:
            pass
        while True:
            try:
                size = os.readv(self._device, [buffer])
                self._eager = time.monotonic() - began < _SOON
            except OSError as error:
                # ENOENT: it was interrupted before it was read.
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue
                if error.errno != errno.ENODEV:
                    _log.warning("the connection to the kernel is lost: %s", error.strerror)
                return None
            if size == 0:  # a socket's end
                return None
            try:
                request = wire.read_request(memoryview(bytes(buffer[:size])))
            except BadRequestError as error:
                _log.warning("a request that cannot be understood: %s", error)
                continue
            return request.unique, request

    def _meanwhile(self) -> KernelRequest | None:
        """Give a request that will come, to make its answer, unless one has come."""
        expected = self._requests.expected()
        return None if expected is None or self._mine.poll(self._device) else expected

    def _who_waits(self, unique: int) -> int | None:
        """Give the thread that waits for a request; None if nobody does."""
        request = self.crew.under_way(unique)
        return None if request is None or self.crew.ended.is_set() else request.pid

    def _interrupt(self, unique: int) -> None:
        if self.crew.take(unique):
            self._fail(unique, errno.EINTR)

    # --- answers -----------------------------------------------------------------------------------------

    def _write(self, unique: int, *body: bytes | memoryview) -> bool:
        """Send an answer; tell whether the kernel took it."""
        size = sum(map(len, body))
        try:
            os.writev(self._device, [wire.header(unique, size), *body])
        except OSError as error:
            # ENOENT: nobody waits any more; ENODEV: unmounted.
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EPIPE):
                _log.warning("an answer of %d bytes was not taken: %s", size, error.strerror)
                self._fail(unique, errno.EIO)
            return False
        return True

    def _fail(self, unique: int, number: int) -> None:
        with suppress(OSError):
            os.write(self._device, wire.header(unique, 0, number))

    def _drop(self, nodeid: int) -> None:
        """Have the kernel drop what it caches of a node."""
        with suppress(OSError):  # it may know none
            os.write(self._device, wire.pack_inval_inode(nodeid))

    def _serve(self, work: Work[KernelRequest]) -> None:
        """Answer one request: here errors become errno, and nothing else leaves."""
        request = work.task
        try:
            self._answer(work)
        except RegfsError as error:
            number = errno_of(error)
            if number not in ASKED_WRONGLY and not isinstance(error, StoreGoneError):
                self._say(logging.WARNING, request, error)
            self._refuse(work, number)
        except OSError as error:
            self._refuse(work, error.errno or errno.EIO)
        except BaseException:  # noqa: BLE001 - a thread that ended here would leave its caller waiting
            if not self.crew.ended.is_set():
                place = self._place(request)
                _log.exception("%s: unexpected error, please report it", place)
            self._refuse(work, errno.EIO)

    def _answer(self, work: Work[KernelRequest]) -> None:
        request = work.task
        if not work.unique:
            self._requests.foresee(request)
            return
        if request.opcode in _HERE:
            self._answer_here(work)
            return
        if self._only_for is not None and request.opcode in _NAMED and request.uid not in self._only_for:
            self._refuse(work, errno.EACCES)
            return
        answer = self._requests.answer(request)
        if _log.isEnabledFor(logging.DEBUG):
            self._say(logging.DEBUG, request, f"{len(answer.body)} bytes")
        if not (work.claim() and self._write(request.unique, answer.body)):
            self._requests.take_back(answer)

    def _answer_here(self, work: Work[KernelRequest]) -> None:
        """Do what needs no answer, or is no question to the tree."""
        request = work.task
        if request.opcode == Opcode.READ:
            self._read(work)
        elif request.opcode == Opcode.INTERRUPT:
            self._interrupts.came(wire.read_u64(request.body))
        else:
            self._requests.forget(request)

    def _refuse(self, work: Work[KernelRequest], number: int) -> None:
        request = work.task
        if work.unique and request.opcode not in wire.UNANSWERED and work.claim():
            if _log.isEnabledFor(logging.DEBUG):
                self._say(logging.DEBUG, request, os.strerror(number))
            self._fail(request.unique, number)

    def _say(self, level: int, request: KernelRequest, what: object) -> None:
        if level == logging.DEBUG:
            _log.debug("%s %s: %s", _name(request.opcode), self._place(request), what)
        else:
            _log.log(level, "%s: %s", self._place(request), what)

    def _place(self, request: KernelRequest) -> str:
        """Name what a request is about, for the log."""
        path = self._requests.inodes.path(request.nodeid)
        if request.opcode == Opcode.LOOKUP:
            name = bytes(request.body).rstrip(b"\0").decode("utf-8", "backslashreplace")
            path = f"{path.rstrip('/')}/{name}"
        return printable(path)

    # --- reading -----------------------------------------------------------------------------------------

    def _read(self, work: Work[KernelRequest]) -> None:
        handle, offset, size = wire.read_read(work.task.body)
        if size > 2 * MOST:
            raise BadRequestError(f"{size} bytes are more than was agreed")
        opened = self._files.get(handle)
        if opened.descriptor < 0:
            self._copy(work, opened, offset, size)
            return
        there = readable(opened, offset, size)
        if not self._splice(work, opened.descriptor, offset, there):
            self._copy(work, opened, offset, there)

    def _splice(self, work: Work[KernelRequest], descriptor: int, offset: int, size: int) -> bool:
        """Answer by what never comes into this process; tell whether that was possible."""
        pipe = self._mine.pipe
        if pipe is None:
            pipe = self._mine.pipe = ReadPipe()
        if size == 0 or pipe.room < size + _PAGE:
            return False
        claimed, sent = False, 0
        with suppress(OSError):
            if pipe.fill(descriptor, offset, size, wire.header(work.unique, size)) and work.claim():
                claimed = True
                sent = os.splice(pipe.reading, self._device, wire.HEADER_OUT + size)
        if sent == 0:  # what is in the pipe is no answer to anything
            pipe.close()
            self._mine.pipe = None
        if claimed and sent == 0:
            self._fail(work.unique, errno.EIO)
        return claimed or work.given_up

    def _copy(self, work: Work[KernelRequest], opened: OpenedFile, offset: int, size: int) -> None:
        if opened.parts:
            parts = opened.parts(offset, size)
            if work.claim():
                self._write(work.unique, *parts)
            self._eager = False  # what receives the next bytes needs the processor
            return
        room = self._mine.room(size)
        got = opened.content.read_into(room, offset)
        if got < size and offset + got < opened.size:
            raise UnreadableError("open file", f"ends after {offset + got} bytes", errno.EIO, denied=False)
        if work.claim():
            self._write(work.unique, room[:got])


def _name(opcode: int) -> str:
    try:
        return Opcode(opcode).name
    except ValueError:
        return f"operation {opcode}"
