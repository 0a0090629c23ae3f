"""What the mount's process takes, looked at again and again: memory and file descriptors (proc(5))."""

from __future__ import annotations

import os
import re
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_EVERY = 0.5

#: What a layer that is kept open holds: its index, and the blob; at most so many are kept (regfs.layers).
_OF_LAYERS = re.compile(r"/regfs/layers/|/data( \(deleted\))?$")
_DELETED = re.compile(r"/data \(deleted\)$")


class Sample(NamedTuple):
    """One look: seconds since the start, bytes of memory, descriptors of layers and blobs (and how many
    of those were deleted since), other descriptors, threads.
    """

    at: float
    memory: int
    layers: int
    deleted: int
    others: int
    threads: int


class Gauge(threading.Thread):
    """Looks at one process until it is told to end."""

    def __init__(self, process: int) -> None:
        super().__init__(name="gauge")
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
        return Sample(at, memory << 10, layers, deleted, others, threads)

    def fifth(self, number: int) -> Sample:
        """Give the medians of one fifth of the run, from 0 on."""
        part = fifth_of(self.samples, number)
        return Sample(*(statistics.median(values) for values in zip(*part, strict=True)))

    def table(self) -> list[str]:
        lines = [
            "the mount's process, medians of each fifth of the run:",
            "  until s     MB   layers' fds   of deleted   others   threads",
        ]
        for number in range(5):
            part, found = fifth_of(self.samples, number), self.fifth(number)
            lines.append(
                f"  {part[-1].at:7.0f} {found.memory / 1e6:6.1f} {found.layers:13.0f}"
                f" {found.deleted:12.0f} {found.others:8.0f} {found.threads:9.0f}"
            )
        return lines


def fifth_of(samples: Sequence[Sample], number: int) -> Sequence[Sample]:
    count = len(samples)
    return samples[count * number // 5 : count * (number + 1) // 5]
