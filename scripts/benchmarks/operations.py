"""The operations of a mount, called as `find -ls` makes the kernel call them; prints seconds, twice.

The second walk finds in memory what there is room for.
"""

from __future__ import annotations

import struct
import sys
import time

from regfs.cli.opening import Choices, cache_directory, opened_tree
from regfs.machine import collect_cycles_seldom
from regfs.mount.kernel import wire
from regfs.mount.kernel.files import OpenFiles
from regfs.mount.kernel.listings import DOTS
from regfs.mount.kernel.requests import KernelRequests, Lifetimes
from regfs.mount.options import this_machine
from regfs.mount.owner import Owner
from regfs.registry import locate, open_local

#: Bytes of one answer to READDIRPLUS, as today's kernels ask; of one name's entry, and of its header.
_SIZE = 32 << 10
_ENTRY = 128
_NAME = struct.Struct("=QQII")

#: The directory's type as READDIR tells it.
_DIRECTORY = 4


def look_up(requests: KernelRequests, parent: int, name: bytes) -> int:
    """Ask for one name."""
    request = wire.KernelRequest(wire.Opcode.LOOKUP, 2, parent, 0, 1, memoryview(name + b"\0"))
    (found,) = struct.unpack_from("=Q", requests.answer(request).body)
    return int(found)


def walk(requests: KernelRequests) -> None:
    """List each directory; what stat(2) tells comes with the names, or else is asked for."""
    waiting = [wire.ROOT]
    while waiting:
        nodeid, offset = waiting.pop(), 0
        while True:
            body = struct.pack("=QQIIQII", 0, offset, _SIZE, 0, 0, 0, 0)
            request = wire.KernelRequest(wire.Opcode.READDIRPLUS, 2, nodeid, 0, 1, memoryview(body))
            answer = requests.answer(request).body
            if not answer:
                break
            at = 0
            while at < len(answer):
                (child,) = struct.unpack_from("=Q", answer, at)
                _, offset, length, kind = _NAME.unpack_from(answer, at + _ENTRY)
                name = answer[at + _ENTRY + _NAME.size :][:length]
                if not child and name not in DOTS:
                    child = look_up(requests, nodeid, name)
                if child and kind == _DIRECTORY:
                    waiting.append(child)
                at += _ENTRY + -(-(_NAME.size + length) // 8) * 8


def main(store: str) -> None:
    """Walk over a store twice."""
    collect_cycles_seldom()
    storage = open_local(locate(store))
    with opened_tree(storage, cache_directory(), this_machine(), Choices(5)) as tree:
        files = OpenFiles(-1, passthrough=False)
        lifetimes = Lifetimes(5, 5, 5)
        requests = KernelRequests(tree, files, lifetimes, Owner(0, 0, 0), lambda _: None, stateless=True)
        for _ in range(2):
            began = time.perf_counter()
            walk(requests)
            print(time.perf_counter() - began)


if __name__ == "__main__":
    main(sys.argv[1])
