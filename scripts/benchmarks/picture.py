"""The picture of the page in the README: `python -m scripts.benchmarks.picture FILE.png`. Wants Chromium."""

from __future__ import annotations

import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from regfs.graph.index import Need, ReferenceIndex
from regfs.graph.reports.contents import BlobContents
from regfs.graph.reports.page.making import describe
from regfs.page.rendering import render
from regfs.registry import Contents, open_local
from scripts.benchmarks.processes import prepare
from tests.browser.chromium import browser, find_browser

_HERE = Path(__file__).parents[2]

#: The day of the page; the generated store ends there.
_DAY = "2026-11-29"


def main() -> None:
    """Make a store, its page, and a picture of the top of that."""
    picture = Path(sys.argv[1])
    program = find_browser()
    if program is None:
        sys.exit("no Chromium is installed: scripts/test --with browser installs it")
    with tempfile.TemporaryDirectory(prefix="regfs-picture-") as scratch:
        store, page = Path(scratch) / "store", Path(scratch) / "page.html"
        options = ["--tags", "900", "--repositories", "30", "--untagged", "0.25", "--now", _DAY]
        prepare([sys.executable, "-m", "scripts.generator", str(store), *options], {}, _HERE)
        page.write_bytes(_page(store))
        with browser(program) as chromium:
            chromium.open(page.as_uri(), width=1000, height=790)
            chromium.picture(picture)
    print(f"{picture}: {picture.stat().st_size:,} bytes")


def _page(root: Path) -> bytes:
    """Make the page of a store, as one that lies where registries have theirs."""
    local = open_local(str(root / "docker/registry/v2"))
    contents = Contents(local)
    index = ReferenceIndex(local, local.root, None, ttl=float("inf"))
    BlobContents(index, contents).read_configs()
    now = int(datetime.fromisoformat(_DAY).replace(tzinfo=timezone.utc).timestamp())
    with index.snapshot(*Need, elsewhere=True) as snapshot:
        page = describe(snapshot, "/var/lib/registry", now, "")
    index.close()
    local.close()
    page.read = now
    return render(page)


if __name__ == "__main__":
    main()
