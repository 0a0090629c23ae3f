"""A directory seen from afar, as over NFS: `python -m tests.slow.overlay SOURCE MOUNTPOINT LATENCY CACHED`.

Each request of the kernel (a lookup for each part of a path, getattr, opendir, readdir, open, read) is
answered from SOURCE, LATENCY seconds later; any number of them side by side. The kernel keeps names and
attributes for CACHED seconds, as it does for NFS (nfs(5), acregmin: 3). What is stuck ends with the thread
that waits for it only if that is killed, as with NFS's `hard`.

To count round trips whatever else the machine does, requests can be answered in rounds: all at once, as soon
as nothing more was asked for some time (`{"quiet": 0.03}`, in seconds; 0 goes back to LATENCY). The number of
rounds is then that of the round trips that follow on one another.

The process is told what to do by lines of JSON on its standard input, such as `{"latency": 0.005}` or
`{"stick": "/ff/"}`, and answers each with what was asked since. When its input ends, it unmounts and ends: so
nothing stays behind a test that was killed. Only root can run it, since it mounts without fusermount.
"""

from __future__ import annotations

import collections
import ctypes
import errno
import heapq
import json
import os
import select
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.slow import wire
from tests.slow.wire import Opcode, Request

#: mount(2), MS_RDONLY | MS_NOSUID | MS_NODEV; umount(2), MNT_DETACH.
_MOUNT_FLAGS = 1 | 2 | 4
_DETACH = 2

_ROOT = 1

#: What NFS never asks its server.
_FREE = {Opcode.INIT, Opcode.RELEASE, Opcode.RELEASEDIR, Opcode.DESTROY, Opcode.STATFS}

#: Seconds between two looks whether who waits for something stuck was killed.
_PAUSE = 0.1

_libc = ctypes.CDLL(None, use_errno=True)


class Files:
    """What is asked, answered at once from the directory `source`."""

    def __init__(self, source: str, cached: float) -> None:
        self._cached = cached
        self._paths = {_ROOT: source}
        self._nodes = {source: _ROOT}
        self._listings: dict[int, list[tuple[str, int]]] = {}

    def free(self, request: Request) -> bool:
        """Tell whether NFS would not ask its server: it hears of a listing's end with the last names."""
        if request.opcode != Opcode.READDIR:
            return request.opcode in _FREE or request.opcode not in set(Opcode)
        handle, offset, _ = wire.read_of(request.body)
        return offset > 0 and offset == len(self._listings[handle])

    def path(self, request: Request) -> str:
        path = self._paths[request.node or _ROOT]
        return f"{path}/{wire.name_of(request.body)}" if request.opcode == Opcode.LOOKUP else path

    def answer(self, request: Request) -> bytes:
        """Give the body of the answer. Raises OSError."""
        path = self.path(request)
        match request.opcode:
            case Opcode.INIT:
                return wire.init(request.body)
            case Opcode.LOOKUP:
                try:
                    found = os.lstat(path)
                except FileNotFoundError:
                    return wire.nothing(self._cached)
                node = self._nodes.setdefault(path, len(self._nodes) + 1)
                self._paths[node] = path
                return wire.entry(node, found, self._cached)
            case Opcode.GETATTR:
                return wire.attributes(os.lstat(path), self._cached)
            case Opcode.READLINK:
                return os.fsencode(os.readlink(path))
            case Opcode.OPENDIR:
                with os.scandir(path) as entries:
                    names = [(entry.name, wire.mode_of(entry)) for entry in entries]
                handle = os.open(path, os.O_PATH)
                self._listings[handle] = names
                return wire.opened(handle)
            case Opcode.READDIR:
                handle, offset, size = wire.read_of(request.body)
                return wire.entries(self._listings[handle], offset, size)
            case Opcode.OPEN:
                return wire.opened(os.open(path, os.O_RDONLY))
            case Opcode.READ:
                handle, offset, size = wire.read_of(request.body)
                return os.pread(handle, size, offset)
            case Opcode.RELEASE | Opcode.RELEASEDIR:
                handle = wire.handle_of(request.body)
                self._listings.pop(handle, None)
                os.close(handle)
                return b""
            case Opcode.STATFS:
                return wire.space(os.statvfs(path))
            case Opcode.DESTROY:
                return b""
        raise OSError(errno.ENOSYS, path)


class Afar:
    """The delay between question and answer."""

    def __init__(self, device: int, files: Files, latency: float) -> None:
        self._device = device
        self._files = files
        self._latency = latency
        self._quiet = 0.0
        self._rounds = 0
        self._round: list[Request] = []
        self._due: list[tuple[float, int, Request]] = []
        self._stick = ""
        self._stuck: list[Request] = []
        self._calls: collections.Counter[str] = collections.Counter()
        self._most = 0

    def serve(self) -> None:
        """Answer until the standard input ends."""
        while True:
            ready, _, _ = select.select([self._device, 0], [], [], self._wait())
            if 0 in ready and not self._obey(sys.stdin.readline()):
                return
            if self._device in ready:
                self._take(wire.parse(os.read(self._device, wire.LARGEST)))
            elif self._round and not ready:
                self._end_round()
            while self._due and self._due[0][0] <= time.monotonic():
                self._answer(heapq.heappop(self._due)[2])
            for request in [one for one in self._stuck if _killed(one.pid)]:
                self._stuck.remove(request)
                self._send(request, error=errno.EINTR)

    def _wait(self) -> float | None:
        """Tell how long nothing is to be done, unless something is asked."""
        waits = [max(0.0, self._due[0][0] - time.monotonic())] if self._due else []
        if self._stuck:
            waits.append(_PAUSE)
        if self._round:
            waits.append(self._quiet)
        return min(waits, default=None)

    def _end_round(self) -> None:
        """Answer all that was asked since the last round."""
        self._rounds += 1
        for request in self._round:
            self._answer(request)
        self._round.clear()

    def _obey(self, line: str) -> bool:
        if not line:
            return False
        order = json.loads(line)
        self._latency = order.get("latency", self._latency)
        self._quiet = order.get("quiet", self._quiet)
        if "stick" in order:
            self._stick = order["stick"]
            freed = [one for one in self._stuck if not self._sticks(one)]
            for request in freed:
                self._stuck.remove(request)
                self._delay(request)
        told = {"calls": self._calls, "most": self._most, "rounds": self._rounds, "stuck": len(self._stuck)}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        self._calls.clear()
        self._most = self._rounds = 0
        return True

    def _take(self, request: Request) -> None:
        if request.opcode in wire.UNANSWERED:
            return
        if self._files.free(request):
            self._answer(request)
            return
        self._calls[Opcode(request.opcode).name.lower()] += 1
        if self._sticks(request):
            self._stuck.append(request)
        else:
            self._delay(request)
        self._most = max(self._most, len(self._due) + len(self._round) + len(self._stuck))

    def _sticks(self, request: Request) -> bool:
        return bool(self._stick) and self._stick in self._files.path(request) + "/"

    def _delay(self, request: Request) -> None:
        if self._quiet:
            self._round.append(request)
            return
        heapq.heappush(self._due, (time.monotonic() + self._latency, request.unique, request))

    def _answer(self, request: Request) -> None:
        try:
            self._send(request, self._files.answer(request))
        except OSError as error:
            self._send(request, error=error.errno or errno.EIO)

    def _send(self, request: Request, body: bytes = b"", error: int = 0) -> None:
        with suppress(FileNotFoundError):  # who asked is gone
            os.write(self._device, wire.answer(request.unique, body, error))


def _killed(pid: int) -> bool:
    """Tell whether a thread has a SIGKILL to die of (proc(5), SigPnd and ShdPnd)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    masks = [line.split()[1] for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))]
    return any(int(mask, 16) >> 8 & 1 for mask in masks)


def main() -> None:
    source, mountpoint, latency, cached = sys.argv[1:]
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    target = os.fsencode(mountpoint)
    if _libc.mount(b"regfs-slow", target, b"fuse.regfs-slow", _MOUNT_FLAGS, options.encode()):
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    try:
        Afar(device, Files(source, float(cached)), float(latency)).serve()
    finally:
        _libc.umount2(target, _DETACH)


if __name__ == "__main__":
    main()
