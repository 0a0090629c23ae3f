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
from scripts.benchmarks.processes import REGFS, FailedError, Run, drop_caches, run, seconds_of
from scripts.benchmarks.results import Table
from scripts.benchmarks.stores import push

SECONDS = "seconds"
COLLECT, COLLECT_UNTAGGED = "garbage-collect --dry-run", "garbage-collect -m --dry-run"
INDEX, PASS, REFRESH = "regfs index", "its pass alone", "refresh after one push"

#: How long a pass took, by regfs's own word: without the start of Python.
_PASS = re.compile(r" in ([0-9.]+) s: ")

#: Seconds until a stamp is believed.
_SETTLED = 3.0


def indexing(bench: Bench) -> None:
    """Index a store, refresh that and remount, beside the collector; then index one ten times as large."""
    small, tags, large = bench.sizes.growth
    # With -m the collector takes a hundred times as long for ten times the tags.
    store = bench.stores.growing(small)
    bench.results.add(_beside_the_collector(bench, store, small, "index-untagged", COLLECT_UNTAGGED, "-m"))
    store = bench.stores.growing(tags)
    table = _beside_the_collector(bench, store, tags, "index", COLLECT)
    _with_an_index(table, store, bench)
    bench.results.add(table)
    store = bench.stores.growing(large)
    title = f"index of {large:,} tags, and its refresh after one push (the store in memory)"
    growth = Table("indexing", "index-large", title, "s", (SECONDS,), ())
    with _cache(bench):
        _note(growth, run([*REGFS, "index", str(store)]))
        _refresh(growth, store, 1)
    bench.results.add(growth)
    few, many = (each.median(PASS, SECONDS) for each in (table, growth))
    if few and many:
        bench.results.note(f"{large / tags:g} times the tags: {many / few:.1f} times the time of the pass")


def indexing_cold(bench: Bench) -> None:
    """Index a store beside the collector, nothing of it in memory, as on a host that was just booted.

    Then refresh and remount, as that host goes on.
    """
    tags = bench.sizes.tags
    store = bench.stores.generated(tags, "--layers", "8", "--untagged", "0.22")
    table = _beside_the_collector(bench, store, tags, "index-cold", COLLECT, cold=True)
    _with_an_index(table, store, bench)
    bench.results.add(table)


def _beside_the_collector(
    bench: Bench, store: Path, tags: int, name: str, collect: str, *options: str, cold: bool = False
) -> Table:
    """Index a store and let the collector look at it, in turns."""
    before = drop_caches if cold else (lambda: None)
    config = bench.work / "collector.json"
    storage = {"filesystem": {"rootdirectory": str(store)}}
    config.write_text(json.dumps({"version": 0.1, "log": {"level": "error"}, "storage": storage}))
    command = ["docker-registry", "garbage-collect", "--dry-run", *options, str(config)]
    blobs = sum(1 for _ in store.glob("docker/registry/v2/blobs/sha256/*/*"))
    title = f"index of {tags:,} tags and {blobs:,} blobs ({'nothing' if cold else 'the store'} in memory)"
    table = Table("indexing", name, title, "s", (SECONDS,), (collect,))
    try:
        run(command)
        collects = True
    except FailedError as error:
        bench.results.note(f"left out: {collect}: {error}")
        collects = False
    for _ in range(bench.sizes.rounds):
        if collects:
            before()
            done = run(command)
            table.add(collect, SECONDS, done.seconds, done.memory)
        before()
        with _cache(bench):
            _note(table, run([*REGFS, "index", str(store)]))
    return table


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


def _with_an_index(table: Table, store: Path, bench: Bench) -> None:
    """Measure what takes the index that is there: refreshes and remounts."""
    with _cache(bench):
        run([*REGFS, "index", str(store)])
        _refresh(table, store, bench.sizes.slow_rounds)
        _remount(table, store, bench)


def _refresh(table: Table, store: Path, rounds: int) -> None:
    index = [*REGFS, "index", str(store)]
    for turn in range(rounds):
        push(store, f"pushed{turn}")
        time.sleep(_SETTLED)
        run(index)  # what was too new is read once more
        push(store, f"more{turn}")
        done = run(index)
        table.add(REFRESH, SECONDS, _pass(done), done.memory)


def _remount(table: Table, store: Path, bench: Bench) -> None:
    """Measure the first look at the summary, from a new mount on; the index is there."""
    for _ in range(bench.sizes.rounds):
        seconds_of([*REGFS, "mount", str(store), str(bench.mountpoint)])
        try:
            seconds = seconds_of(["cat", str(bench.mountpoint / "@reports/summary.txt")])
        finally:
            unmount(bench.mountpoint)
        table.add("remount, cat @reports/summary.txt", SECONDS, seconds)
