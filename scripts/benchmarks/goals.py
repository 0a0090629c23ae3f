"""What regfs is to reach beside its peers in the same run, and whether it did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scripts.benchmarks.contestants import BINDFS, BORG, OURS, PLAIN, RESTIC
from scripts.benchmarks.finding import FIND, FOUND_EACH
from scripts.benchmarks.indexing import COLLECT, INDEX, REFRESH, SECONDS
from scripts.benchmarks.memory import WALKED
from scripts.benchmarks.page import READY, SIZE
from scripts.benchmarks.results import AGAIN, COLD, Table, in_columns
from scripts.benchmarks.serving import DISTRIBUTION, NGINX, ONE
from scripts.benchmarks.serving import SECONDS as LOADED
from scripts.benchmarks.walking import OPERATIONS


class Goal(NamedTuple):
    """A table's name, a kind, whom to compare with, the largest ratio of times, and whose."""

    table: str
    kind: str
    peer: str
    limit: float
    who: str = OURS


GOALS = (
    Goal("find", COLD, BINDFS, 1.3),
    Goal("find", COLD, RESTIC, 1.0),
    Goal("find", COLD, BORG, 1.0),
    Goal("du", COLD, BINDFS, 1.2),
    Goal("du", COLD, RESTIC, 1.0),
    Goal("du", COLD, BORG, 1.0),
    # At least 0.9 of its throughput.
    Goal("cat", COLD, BINDFS, 1 / 0.9),
    Goal("ls", AGAIN, PLAIN, 1.3),
    Goal("index", SECONDS, COLLECT, 0.5, INDEX),
    Goal("index", SECONDS, INDEX, 0.05, REFRESH),
    Goal("index-cold", SECONDS, COLLECT, 0.5, INDEX),
    Goal("index-cold", SECONDS, INDEX, 0.05, REFRESH),
    Goal("finding", SECONDS, FOUND_EACH, 0.2, FIND),
    Goal("serving", ONE, NGINX, 1.2),
    Goal("serving", ONE, DISTRIBUTION, 0.8),
    Goal("loading", LOADED, PLAIN, 1.1),
)

#: MB after so many tags.
_MEMORY = ((10_000, 120.0), (100_000, 120.0))

#: MB of the page, and seconds until it is ready in a browser, of so many tags.
_PAGES = ((5_000, 1.0, 0.5), (100_000, 5.0, 2.0))

#: Milliseconds an image for the operations of a walk, in one process.
_OPERATIONS = 0.2


def reached(tables: Sequence[Table]) -> str:
    """Compare what was measured with the goals; empty where nothing of it was measured."""
    rows = list(_rows({table.name: table for table in tables}))
    if not rows:
        return ""
    shown = [
        (what, f"{found:.2f}", f"{limit:.2f}", "yes" if found <= limit else "no")
        for what, found, limit in rows
    ]
    return in_columns(["goal", "found", "at most", "reached"], shown)


def _rows(tables: dict[str, Table]) -> Iterator[tuple[str, float, float]]:
    for goal in GOALS:
        table = tables.get(goal.table)
        found = table.ratio(goal.who, goal.kind, goal.peer) if table else None
        if found is not None:
            what = goal.kind if goal.who == OURS else goal.who
            yield f"{goal.table}, {what}: time / {goal.peer}", found, goal.limit
    alone = tables[OPERATIONS].median(OURS, COLD) if OPERATIONS in tables else None
    if alone is not None:
        yield "operations: ms an image", alone * 1e3, _OPERATIONS
    for tags, limit in _MEMORY:
        found = tables["memory"].median(f"{tags:,} tags", WALKED) if "memory" in tables else None
        if found is not None:
            yield f"memory: MB after {tags:,} tags", found, limit
    for tags, megabytes, seconds in _PAGES:
        for name, kind, limit in (("page-size", SIZE, megabytes), ("page-ready", READY, seconds)):
            found = tables[name].median(f"{tags:,} tags", kind) if name in tables else None
            if found is not None:
                yield f"{name}: {'MB' if kind == SIZE else 's'} of {tags:,} tags", found, limit
