"""The sample store of `scripts/demo` and the README: `python -m tests.builder.sample DIRECTORY`."""

from __future__ import annotations

import random
import sys
from datetime import datetime, timezone
from pathlib import Path

from tests.builder import StoreBuilder


def day(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def build_sample(root: Path) -> StoreBuilder:
    """Two releases and a nightly on one base, a tool, and an index of two platforms."""
    store = StoreBuilder(root)
    noise = random.Random(1)
    files = {f"usr/lib/library-{number}.so": noise.randbytes(40_000) for number in range(80)}
    base = store.layer({"etc/os-release": b'ID=demo\nVERSION_ID="12"\n', "bin/sh": b"#!", **files})
    releases = [
        ("1.0", b"print('hello')\n", ["PATH=/bin"], "2026-01-10"),
        ("1.1", b"print('hello, world')\n", ["PATH=/bin", "DEBUG=1"], "2026-03-02"),
        ("nightly", b"print('new')\n", ["PATH=/bin"], "2026-03-04"),
    ]
    for tag, code, environment, date in releases:
        app = store.layer({"srv/app.py": code, "srv/VERSION": f"{tag}\n".encode()})
        config = store.config(created=f"{date}T06:00:00Z", config={"Env": environment})
        store.image("team/app", tag, [base, app], config, mtime=day(f"{date} 06:30"))
    tool = store.layer({"usr/bin/tool": b"#!/bin/sh\necho tool\n"})
    store.image("team/app/tools", "latest", [base, tool], mtime=day("2026-02-01 12:00"))
    children = []
    for architecture in ("amd64", "arm64"):
        layer = store.layer({"etc/arch": architecture.encode()})
        image = store.image("multi", None, [layer], store.config(architecture=architecture))
        children.append(image.descriptor(platform={"os": "linux", "architecture": architecture}))
    store.index("multi", "latest", children)
    return store


if __name__ == "__main__":
    build_sample(Path(sys.argv[1]))
