"""What regfs asks of the machine, on this one."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from regfs import machine

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


def test_a_file_system_that_counts_directories_does_so(tmp_path: Path) -> None:
    counting = 0
    for path in (tmp_path, Path("/dev/shm"), Path("/proc"), Path("/sys")):
        if not machine.counts_directories(path.stat().st_dev):
            continue
        counting += 1
        with tempfile.TemporaryDirectory(dir=path) as name:
            directory = Path(name)
            (directory / "file").touch()
            (directory / "link").symlink_to("/")
            for number in range(3):
                assert directory.stat().st_nlink == 2 + number
                (directory / str(number)).mkdir()
            (directory / "0").rmdir()
            assert directory.stat().st_nlink == 2 + 2
    assert counting, "neither is the one for temporary files, nor tmpfs known"
    assert not machine.counts_directories(Path("/proc").stat().st_dev)
    assert not machine.counts_directories(0)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_the_heaps_of_a_process_that_is_to_hold_little_memory() -> None:
    assert heaps("free") > 2
    assert heaps("held") <= 2


#: Frees all but the last of what it allocated; prints the bytes that it holds, before and after.
_FREED = """
import os
from regfs import machine
def held():
    with open("/proc/self/statm") as figures:
        return int(figures.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
kept = [bytearray(10_000) for _ in range(5_000)]
del kept[:-1]
before = held()
machine.give_back()
print(before, held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has malloc_trim")
def test_what_was_freed_below_what_is_in_use_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _FREED], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before - after > 40_000_000
