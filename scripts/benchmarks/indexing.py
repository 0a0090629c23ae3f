"""The index beside the registry's own collector: both find out what each blob of a store is for."""

from __future__ import annotations

import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.builder import StoreBuilder

_REGFS = [sys.executable, "-m", "regfs"]

#: How long a pass took, by regfs's own word: without the start of Python.
_PASS = re.compile(r" in ([0-9.]+) s: ")

#: Seconds until a stamp is believed.
_SETTLED = 3.0

_REPOSITORIES = 200
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Run(NamedTuple):
    """One command: seconds, the largest of its processes in MB, and what it printed."""

    seconds: float
    memory: float
    output: str


def indexing(work: Path, mountpoint: Path, rounds: int) -> None:
    """`regfs index`, its refresh and a remount, beside `garbage-collect --dry-run`."""
    os.environ["XDG_CACHE_HOME"] = str(work / "cache")
    small = _measure(work, mountpoint, 10_000, rounds)
    large = _measure(work, mountpoint, 100_000, 1)
    print(f"\nten times the tags: {large / small:.1f} times the time")


def _measure(work: Path, mountpoint: Path, tags: int, rounds: int) -> float:
    store = _fill(work / f"registry{tags}", tags)
    config = work / "config.json"
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "error"},
                "storage": {"filesystem": {"rootdirectory": str(store.root)}},
            }
        )
    )
    collect = ["docker-registry", "garbage-collect", "--dry-run", str(config)]
    index = [*_REGFS, "index", str(store.root)]
    run(collect)  # the store's files are in memory, for both
    collected, indexed = [], []
    for _ in range(rounds):
        collected.append(run(collect))
        subprocess.run(["rm", "-rf", str(work / "cache")], check=True)
        indexed.append(run(index))
    full = statistics.median(run.seconds for run in indexed)
    whole_pass = statistics.median(_pass(run) for run in indexed)
    peer = statistics.median(run.seconds for run in collected)
    print(f"\nindex of {tags:,} tags and {5 * tags:,} blobs: seconds, MB of the largest process\n")
    print(f"{'garbage-collect --dry-run':34}{peer:9.2f}{max(run.memory for run in collected):9.0f}")
    print(
        f"{'regfs index':34}{full:9.2f}{max(run.memory for run in indexed):9.0f}"
        f"   {full / peer:.2f} of it; the pass alone {whole_pass:.2f}, {whole_pass / peer:.2f}"
    )
    refreshed = []
    for turn in range(rounds):
        store.image("team0/app0", f"pushed{turn}", [store.blob(os.urandom(40), _LAYER)])
        time.sleep(_SETTLED)
        run(index)  # what was too new is read once more
        store.image("team0/app0", f"more{turn}", [store.blob(os.urandom(40), _LAYER)])
        refreshed.append(run(index))
    again = statistics.median(map(_pass, refreshed))
    print(
        f"{'its refresh after one push':34}{again:9.3f}{max(run.memory for run in refreshed):9.0f}"
        f"   1/{whole_pass / again:.0f} of the pass"
    )
    print(f"{'remount, cat @reports/summary.txt':34}{_remount(store, mountpoint, rounds):9.2f}")
    return full


def _fill(root: Path, tags: int) -> StoreBuilder:
    """Build images of one config and three layers of their own each, in 200 repositories."""
    store = StoreBuilder(root)
    noise = random.Random(1)
    for number in range(tags):
        layers = [store.blob(noise.randbytes(40), _LAYER) for _ in range(3)]
        repository = f"team{number % 20}/app{number % _REPOSITORIES}"
        store.image(repository, f"v{number}", layers, store.config(number=number))
    return store


def run(command: list[str]) -> Run:
    """Run a command that must succeed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: {process.returncode}")
    return Run(time.perf_counter() - began, usage.ru_maxrss / 1024, output)


def _pass(run: Run) -> float:
    found = _PASS.search(run.output)
    assert found is not None, run.output
    return float(found[1])


def _remount(store: StoreBuilder, mountpoint: Path, rounds: int) -> float:
    """Measure the first look at the summary, from a new mount on; the index is there."""
    times = []
    for _ in range(rounds):
        subprocess.run(
            [*_REGFS, "mount", str(store.root), str(mountpoint)], check=True, stderr=subprocess.DEVNULL
        )
        began = time.perf_counter()
        subprocess.run(
            ["cat", str(mountpoint / "@reports/summary.txt")], check=True, stdout=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - began)
        subprocess.run(["umount", str(mountpoint)], check=True)
    return statistics.median(times)
