"""A soak: a registry at work on one side, readers on a mount of its store on the other.

SOAK_MINUTES and SOAK_SEED choose how long, and which random choices; `scripts/soak` sets them.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Mount
from tests.registry.server import Registry
from tests.soak.gauge import MORE_DESCRIPTORS, Gauge, Limit, Sample, fifth_of, limits, medians
from tests.soak.looking import Looking
from tests.soak.paths import Expectations
from tests.soak.quiet import differences, unpullable
from tests.soak.tally import Tally
from tests.soak.writing import Writer

TTL = 1.0
#: How old an answer may be: `ttl`, once more for the last good value of a torn link, and some load.
LATE = 2 * TTL + 2
READERS = 3

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
SEED = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(1 << 32)))

#: A layer that is kept open has its index (with a log, and a copy) and the blob; 64 are kept (regfs.layers).
LAYERS_DESCRIPTORS = 64 * 5 + 50


class Soak(NamedTuple):
    """A registry that something was pushed to, and a mount of its store."""

    registry: Registry
    mount: Mount
    writer: Writer
    tally: Tally


@pytest.fixture
def start(tmp_path: Path, mount: Callable[..., Mount]) -> Iterator[Callable[[int], Soak]]:
    registries = []

    def make(seed: int) -> Soak:
        registry, tally = Registry(tmp_path / "registry", tmp_path), Tally()
        registries.append(registry)
        writer = Writer(registry, seed, tally)
        writer.begin(60)
        # Little room for the indexes of layers, so that they are made again and again.
        return Soak(registry, mount(registry.root, f"ttl={TTL:g},cache_size=2M"), writer, tally)

    yield make
    for registry in registries:
        registry.end()


def soak(it: Soak, seconds: float, seed: int) -> Gauge:
    """Write and read for some seconds; then compare all with the truth. Gives what the mount took."""
    expectations = Expectations(it.writer.chronicle, it.writer.pushes.insides, LATE)
    readers = [
        Looking(it.mount, it.writer, expectations, it.tally, seed + number) for number in range(READERS)
    ]
    gauge = Gauge(it.mount.process.pid, it.tally.written)
    gauge.start()
    for reader in readers:
        reader.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not it.writer.failed and not any(one.failed for one in readers):
        time.sleep(0.2)
    with ExitStack() as stack:  # all are ended, whoever failed
        for worker in (*readers, gauge, it.writer):
            stack.callback(worker.end)
    compare(it)
    return gauge


def compare(it: Soak) -> None:
    """Compare all with the truth, now that nobody writes."""
    for difference in unpullable(it.registry.root, it.writer.pushes):
        it.tally.fault(f"when all was quiet: {difference}")
    it.writer.mend()
    time.sleep(LATE)
    for difference in differences(it.mount.path, it.registry.root, it.writer.pushes):
        it.tally.fault(f"when all was quiet and mended: {difference}")
    log = it.mount.log.read_text()
    it.tally.did("lines in the mount's log", log.count("\n"))
    if "Traceback" in log:
        it.tally.fault(f"in the mount's log: {log[log.index('Traceback') - 200 :][:3000]}")


def grown(gauge: Gauge, process: int) -> list[str]:
    """Tell what the mount's process takes more of than it may."""
    second, now = medians(fifth_of(gauge.samples, 1)), gauge.look()
    most = max(sample.layers for sample in gauge.samples)
    found = [
        *limits(gauge.samples),
        Limit("descriptors when all is quiet", now.others, second.others + MORE_DESCRIPTORS),
        Limit("descriptors of layers", most, LAYERS_DESCRIPTORS),
        Limit("child processes", len(children_of(process)), 0),
    ]
    return [str(limit) for limit in found if limit.got > limit.most]


def children_of(process: int) -> list[str]:
    """List the child processes of all its threads."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [child for task in tasks for child in (task / "children").read_text().split()]


def taken(
    minutes: float, *, filling: float, leak: float, descriptors: float = 0, writes: float = 0
) -> list[Sample]:
    """Make up what a mount took: `filling` bytes in three minutes, leaks and writes a minute, and noise."""
    noise, found = random.Random(3), []
    for number in range(int(minutes * 120)):
        at = number / 2
        memory = 45e6 + filling * min(1, at / 180) + leak * at / 60 + noise.uniform(-3e6, 3e6)
        others = 9 + noise.choice((0, 2, 4)) + int(descriptors * at / 60)
        found.append(Sample(at, int(memory), 100, 0, others, 14, int(writes * at / 60)))
    return found


def complaints(samples: list[Sample]) -> list[str]:
    return [limit.what for limit in limits(samples) if limit.got > limit.most]


@pytest.mark.parametrize("minutes", [0.5, 1, 2, 3, 4, 5, 10, 30, 120])
def test_caches_that_fill_and_then_stay_full_are_no_leak(minutes: float) -> None:
    assert complaints(taken(minutes, filling=45e6, leak=0)) == []


@pytest.mark.parametrize(
    ("minutes", "leak"), [(1, 100e6), (3, 35e6), (5, 15e6), (10, 4e6), (30, 1e6), (120, 0.3e6)]
)
@pytest.mark.parametrize("filling", [0, 45e6])
def test_what_grows_and_grows_is_a_leak(minutes: float, leak: float, filling: float) -> None:
    assert complaints(taken(minutes, filling=filling, leak=leak))


@pytest.mark.parametrize("minutes", [10, 30, 120])
def test_what_grows_with_what_is_written_is_no_leak_and_what_grows_more_is(minutes: float) -> None:
    assert complaints(taken(minutes, filling=45e6, leak=0.4e6, writes=140)) == []
    assert complaints(taken(minutes, filling=45e6, leak=4.4e6, writes=140))


@pytest.mark.parametrize("minutes", [1, 3, 10])
def test_descriptors_that_are_not_closed_are_a_leak(minutes: float) -> None:
    found = taken(minutes, filling=45e6, leak=0, descriptors=20 / minutes)
    assert complaints(found) == ["descriptors"]


@pytest.mark.fuse
@pytest.mark.registry
@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(MINUTES * 60 + 900)
def test_a_registry_at_work_and_a_mount_that_is_read(
    start: Callable[[int], Soak], capsys: pytest.CaptureFixture[str]
) -> None:
    it = start(SEED)
    gauge = soak(it, MINUTES * 60, SEED)
    for what in grown(gauge, it.mount.process.pid):
        it.tally.fault(f"grown: {what}")
    with capsys.disabled():
        sys.stdout.write("\n".join(["", f"seed {SEED}", *it.tally.lines(), *gauge.table(), ""]))
    assert it.tally.faults == []
    assert it.mount.end() == 0
