"""The report as a page: how long it takes to make, how large it is, and when a browser has it ready."""

from __future__ import annotations

from scripts.benchmarks.measuring import Bench
from scripts.benchmarks.processes import REGFS, FailedError, prepare, run
from scripts.benchmarks.results import Table
from tests.browser.chromium import browser, find_browser

#: Kinds of the tables: with the index there, and what the page's scripts take until it is ready.
MADE, SIZE, READY = "made", "size", "ready"


def page(bench: Bench) -> None:
    """Make the page of each store that differs in its number of tags alone, and open it."""
    program = find_browser()
    if program is None:
        raise FailedError("no Chromium is installed: scripts/test --with browser installs it")
    made = Table("page", "page", "regfs report html, the index being there", "s", (MADE,), ())
    size = Table("page-size", "page", "the page's file", "MB", (SIZE,), ())
    ready = Table("page-ready", "page", "until the page is ready in Chromium", "s", (READY,), ())
    for tags in bench.sizes.pages:
        name, store, file = f"{tags:,} tags", bench.stores.growing(tags), bench.work / f"{tags}.html"
        prepare([*REGFS, "report", "tags", str(store)], {}, bench.work)
        done = run([*REGFS, "report", "html", str(store)])
        file.write_text(done.output)
        made.add(name, MADE, done.seconds, done.memory)
        size.add(name, SIZE, file.stat().st_size / 1e6)
        with browser(program) as chromium:
            for _ in range(bench.sizes.rounds):
                chromium.open(file.as_uri())
                ready.add(name, READY, int(chromium.run("document.documentElement.dataset.ready")) / 1e3)
    for table in (made, size, ready):
        bench.results.add(table)
