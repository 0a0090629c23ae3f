"""The index beside the registry's own collector: both find out what each blob of a store is for."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmarks.contestants import unmount
from scripts.benchmarks.measuring import Bench
from scripts.benchmarks.processes import REGFS, FailedError, Run, run, seconds_of
from scripts.benchmarks.results import Table
from scripts.benchmarks.stores import push

SECONDS = "seconds"
COLLECT, COLLECT_UNTAGGED = "garbage-collect --dry-run", "garbage-collect -m --dry-run"
INDEX, PASS = "regfs index", "its pass alone"

#: How long a pass took, by regfs's own word: without the start of Python.
_PASS = re.compile(r" in ([0-9.]+) s: ")

#: Seconds until a stamp is believed.
_SETTLED = 3.0


def indexing(bench: Bench) -> None:
    """Index a store, refresh that and remount, beside the collector; then index one ten times as large."""
    tags, large = bench.sizes.growth[-2:]
    small_table = _beside_the_collector(bench, tags)
    store = bench.stores.growing(large)
    title = f"index of {large:,} tags, and its refresh after one push (the store in memory)"
    table = Table("indexing", "index-large", title, "s", (SECONDS,), ())
    with _cache(bench):
        run([*REGFS, "index", str(store)])  # not all of it is in memory yet
    with _cache(bench):
        _note(table, run([*REGFS, "index", str(store)]))
        _refresh(table, store, 1)
    bench.results.add(table)
    small, more = (each.median(PASS, SECONDS) for each in (small_table, table))
    if small and more:
        bench.results.note(f"{large / tags:g} times the tags: {more / small:.1f} times the time of the pass")


def _beside_the_collector(bench: Bench, tags: int) -> Table:
    store, sizes = bench.stores.growing(tags), bench.sizes
    config = bench.work / "collector.json"
    storage = {"filesystem": {"rootdirectory": str(store)}}
    config.write_text(json.dumps({"version": 0.1, "log": {"level": "error"}, "storage": storage}))
    blobs = sum(1 for _ in store.glob("docker/registry/v2/blobs/sha256/*/*"))
    title = f"index of {tags:,} tags and {blobs:,} blobs (the store in memory)"
    table = Table("indexing", "index", title, "s", (SECONDS,), (COLLECT,))
    try:
        run(_collect(config))
    except FailedError as error:
        bench.results.note(f"left out: {COLLECT}: {error}")
        collectors = []
    else:
        collectors = [(COLLECT, sizes.rounds, ()), (COLLECT_UNTAGGED, 1, ("-m",))]
    for turn in range(sizes.rounds):
        for name, rounds, options in collectors:
            if turn < rounds:
                done = run(_collect(config, *options))
                table.add(name, SECONDS, done.seconds, done.memory)
        with _cache(bench):
            _note(table, run([*REGFS, "index", str(store)]))
    with _cache(bench):
        run([*REGFS, "index", str(store)])
        _refresh(table, store, sizes.slow_rounds)
        _remount(table, store, bench)
    bench.results.add(table)
    return table


def _collect(config: Path, *options: str) -> list[str]:
    return ["docker-registry", "garbage-collect", "--dry-run", *options, str(config)]


@contextmanager
def _cache(bench: Bench) -> Iterator[None]:
    """Let regfs keep its index, for the time of a with block."""
    cache = Path(os.environ["XDG_CACHE_HOME"])
    shutil.rmtree(cache, ignore_errors=True)
    yield
    shutil.rmtree(cache, ignore_errors=True)


def _note(table: Table, done: Run) -> None:
    table.add(INDEX, SECONDS, done.seconds, done.memory)
    table.add(PASS, SECONDS, _pass(done))


def _pass(done: Run) -> float:
    if (found := _PASS.search(done.output)) is None:
        raise FailedError(f"regfs index tells no time: {done.output}")
    return float(found[1])


def _refresh(table: Table, store: Path, rounds: int) -> None:
    index = [*REGFS, "index", str(store)]
    for turn in range(rounds):
        push(store, f"pushed{turn}")
        time.sleep(_SETTLED)
        run(index)  # what was too new is read once more
        push(store, f"more{turn}")
        done = run(index)
        table.add("refresh after one push", SECONDS, _pass(done), done.memory)


def _remount(table: Table, store: Path, bench: Bench) -> None:
    """Measure the first look at the summary, from a new mount on; the index is there."""
    for _ in range(bench.sizes.rounds):
        seconds_of([*REGFS, "mount", str(store), str(bench.mountpoint)])
        try:
            seconds = seconds_of(["cat", str(bench.mountpoint / "@reports/summary.txt")])
        finally:
            unmount(bench.mountpoint)
        table.add("remount, cat @reports/summary.txt", SECONDS, seconds)
