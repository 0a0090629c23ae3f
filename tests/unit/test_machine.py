"""What regfs asks of the machine, on this one."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

#: Allocates in many threads at once, and has the C library tell of its heaps (malloc_info(3)).
_HEAPS = """
import ctypes, sys, threading
from regfs import machine
if sys.argv[1] == "held":
    machine.hold_little_memory()
barrier = threading.Barrier(8)
def allocate():
    barrier.wait()
    kept = [bytearray(50_000) for _ in range(20)]
    barrier.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(library.fopen(b"/dev/stdout", b"w"))
library.malloc_info(0, file)
library.fclose(file)
"""


def heaps(how: str) -> int:
    command = [sys.executable, "-c", _HEAPS, how]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_the_heaps_of_a_process_that_is_to_hold_little_memory() -> None:
    assert heaps("free") > 2
    assert heaps("held") <= 2
