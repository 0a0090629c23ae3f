"""The sample store of `scripts/demo` and the README: `python -m tests.builder.sample DIRECTORY`."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from tests.builder import Blob, StoreBuilder
from tests.builder.layers import make_tar

#: Tag, what its layer holds, the environment, the time of the build; pushed half an hour later.
_BUILDS = [
    ("1.0", b"print('hello')\n", ["PATH=/bin"], "2026-01-10T06:00:00Z"),
    ("1.1", b"print('hello, world')\n", ["PATH=/bin", "DEBUG=1"], "2026-03-02T06:00:00Z"),
    ("nightly", b"print('newer')\n", ["PATH=/bin"], "2026-03-03T06:00:00Z"),
    ("nightly", b"print('newest')\n", ["PATH=/bin"], "2026-03-04T06:00:00Z"),
]

#: What a layer holds: content by path.
Files = Mapping[str, bytes]

_BASE_BUILT = "2026-01-09T22:00:00Z"


def build_sample(root: Path) -> StoreBuilder:
    """Two releases and a nightly on one base, a tool on it too, and an index of two platforms.

    The nightly was pushed twice, so what only the first push needed is in the store and under no tag.
    """
    store = StoreBuilder(root)
    noise = random.Random(1)
    store.now = _time("2026-01-10T06:30:00Z")
    libraries = {f"usr/lib/library-{number}.so": noise.randbytes(40_000) for number in range(80)}
    base = {"etc/os-release": b'ID=demo\nVERSION_ID="12"\n', "bin/sh": b"#!", **libraries}
    for tag, code, environment, created in _BUILDS:
        store.now = _time(created) + 1800
        more = {"srv/debug": noise.randbytes(1_200_000)} if "newer" in code.decode() else {}
        if tag == "1.1":  # it deletes a library, and writes a file of the base anew
            more = {"usr/lib/.wh.library-7.so": b"", "etc/os-release": b'ID=demo\nVERSION_ID="12.1"\n'}
        app = {"srv/app.py": code, "srv/VERSION": f"{tag}\n".encode(), **more}
        _image(store, "team/app", tag, [base, app], created=created, config={"Env": environment})
    store.now = _time("2026-02-01T12:00:00Z")
    _image(store, "team/app/tools", "latest", [base, {"usr/bin/tool": b"#!/bin/sh\necho tool\n"}])
    children = []
    for architecture in ("amd64", "arm64"):
        files = {"etc/arch": f"{architecture}\n".encode()}
        image = _image(store, "multi", None, [files], architecture=architecture)
        children.append(image.descriptor(platform={"os": "linux", "architecture": architecture}))
    store.index("multi", "latest", children)
    last = _time(_BUILDS[-1][-1]) + 1800
    for directory, _, _ in os.walk(root):
        os.utime(directory, (last, last))
    return store


def _image(
    store: StoreBuilder,
    repository: str,
    tag: str | None,
    layers: Sequence[Files],
    *,
    created: str = "2026-02-01T11:30:00Z",
    **keys: object,
) -> Blob:
    """Push an image with the history of its build."""
    commands = ["COPY . /", "COPY srv /srv"]
    config = store.config(
        created=created,
        rootfs={"type": "layers", "diff_ids": [_diff_id(files) for files in layers]},
        history=[
            {"created": created if number else _BASE_BUILT, "created_by": commands[number]}
            for number in range(len(layers))
        ],
        **keys,
    )
    return store.image(repository, tag, [store.layer(files) for files in layers], config)


def _diff_id(files: Files) -> str:
    return f"sha256:{hashlib.sha256(make_tar(files)).hexdigest()}"


def _time(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()


if __name__ == "__main__":
    build_sample(Path(sys.argv[1]))
