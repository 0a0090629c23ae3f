"""What the mount's process takes, looked at again and again: memory and file descriptors (proc(5))."""

from __future__ import annotations

import os
import re
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_EVERY = 0.5

#: In so many seconds the caches of a sound mount are full (measured: 180), and then take up to so many bytes
#: (measured: 45 MB). Until then nobody can tell a leak that is slower from caches that fill.
WARM_UP = 240.0
FULL_CACHES = 80_000_000

#: Samples after the warm-up with which it is judged.
_ENOUGH = 50

#: After that the mount may take so much more: a twentieth and 4 MB of memory.
MORE_MEMORY = (1.05, 4_000_000)
#: And so many bytes for each write to the store since then: what the kernel knows of the names that it made,
#: which it forgets when it needs the memory, and caches of manifests (measured: 2,800).
OF_A_WRITE = 3_000
#: Descriptors beside those of layers, of files that are open at that moment.
MORE_DESCRIPTORS = 8

#: What a layer that is kept open holds: its index, and the blob; at most so many are kept (regfs.layers).
_OF_LAYERS = re.compile(r"/regfs/layers/|/data( \(deleted\))?$")
_DELETED = re.compile(r"/data \(deleted\)$")


class Sample(NamedTuple):
    """One look: seconds since the start, bytes of memory, descriptors of layers and blobs (and how many
    of those were deleted since), other descriptors, threads, writes to the store by then.
    """

    at: float
    memory: int
    layers: int
    deleted: int
    others: int
    threads: int
    written: int


class Gauge(threading.Thread):
    """Looks at one process until it is told to end. `written` tells how many writes there were."""

    def __init__(self, process: int, written: Callable[[], int]) -> None:
        super().__init__(name="gauge")
        self._written = written
        self._directory = Path(f"/proc/{process}")
        self._ending = threading.Event()
        self.samples: list[Sample] = []

    def run(self) -> None:
        start = time.monotonic()
        while not self._ending.wait(_EVERY):
            with suppress(OSError):
                self.samples.append(self.look(time.monotonic() - start))

    def end(self) -> None:
        self._ending.set()
        self.join()

    def look(self, at: float = 0) -> Sample:
        status = (self._directory / "status").read_text()
        memory, threads = (int(re.findall(rf"{key}:\s*(\d+)", status)[0]) for key in ("VmRSS", "Threads"))
        layers = deleted = others = 0
        for name in os.listdir(self._directory / "fd"):
            with suppress(OSError):
                target = os.readlink(self._directory / "fd" / name)
                deleted += bool(_DELETED.search(target))
                if _OF_LAYERS.search(target):
                    layers += 1
                else:
                    others += 1
        return Sample(at, memory << 10, layers, deleted, others, threads, self._written())

    def table(self) -> list[str]:
        lines = [
            "the mount's process, medians of each fifth of the run:",
            "  until s     MB   layers' fds   of deleted   others   threads",
        ]
        for number in range(5):
            part = fifth_of(self.samples, number)
            found = medians(part)
            lines.append(
                f"  {part[-1].at:7.0f} {found.memory / 1e6:6.1f} {found.layers:13.0f}"
                f" {found.deleted:12.0f} {found.others:8.0f} {found.threads:9.0f}"
            )
        return lines


def fifth_of(samples: Sequence[Sample], number: int) -> Sequence[Sample]:
    count = len(samples)
    return samples[count * number // 5 : count * (number + 1) // 5]


def medians(samples: Sequence[Sample]) -> Sample:
    return Sample(*(statistics.median(values) for values in zip(*samples, strict=True)))


class Limit(NamedTuple):
    """What was taken of something, and the most that it may be."""

    what: str
    got: float
    most: float

    def __str__(self) -> str:
        return f"{self.what}: {self.got:,.0f}, at most {self.most:,.0f}"


def limits(samples: Sequence[Sample]) -> list[Limit]:
    """Give what a run of any length took and may take.

    Of memory: all in all, what the caches hold when they are full; and, in a run that is long enough, no more
    at the end than after the warm-up, which is four minutes and at least half of the run, but for what was
    written meanwhile.
    """
    first = medians([sample for sample in samples if sample.at < samples[0].at + 10])
    second, last = medians(fifth_of(samples, 1)), medians(fifth_of(samples, 4))
    most = first.memory + FULL_CACHES + OF_A_WRITE * (last.written - first.written)
    found = [
        Limit("bytes of memory since the start", last.memory, most),
        Limit("descriptors", last.others, second.others + MORE_DESCRIPTORS),
    ]
    warm = [sample for sample in samples if sample.at >= max(WARM_UP, samples[-1].at / 2)]
    if len(warm) >= _ENOUGH:
        share, bytes_more = MORE_MEMORY
        early, late = medians(fifth_of(warm, 0)), medians(fifth_of(warm, 4))
        most = early.memory * share + bytes_more + OF_A_WRITE * (late.written - early.written)
        found.append(Limit("bytes of memory since the warm-up", late.memory, most))
    return found
