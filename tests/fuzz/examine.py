"""Asks regfs all there is to ask of one store: `python -m tests.fuzz.examine STORE CACHE ANSWERS IMAGE...`.

In a process of its own, so that a hang can be ended and strace can look on. The answers are JSON.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple

from regfs.cli import main as regfs
from regfs.cli.opening import Choices, opened_tree
from regfs.graph.reports.catalogue import REPORTS
from regfs.oci import Platform
from regfs.registry import locate, open_local
from tests.fuzz.looking import Looked, look_at_tree

#: Seconds for one command, which asks a lot; a busy machine takes its time.
_LONGEST = 60


class Said(NamedTuple):
    """What a command answered, and what no command may do."""

    status: int
    out: str
    err: str
    fault: str = ""


def main(store: str, cache: str, answers: str, *images: str) -> None:
    """Run each command, then look at the whole tree."""
    os.environ["XDG_CACHE_HOME"] = cache
    said = {name: command(*arguments) for name, arguments in commands(store).items()}
    looked = look(store, Path(cache), images)
    Path(answers).write_text(json.dumps({"said": said, "shown": looked.shown, "faults": looked.faults}))


def commands(store: str) -> dict[str, tuple[str, ...]]:
    """Give each command by a name of its own, in their order."""
    asked: dict[str, tuple[str, ...]] = {
        "index": ("index", store),
        "check": ("check", "--digests", "--all", "--format", "json", store),
    }
    for report in REPORTS:
        asked[report] = ("report", report, store, "--format", "json")
    # What no registry names stands in this one.
    asked["broken.csv"] = ("report", "broken", store, "--format", "csv")
    asked["broken.table"] = ("report", "broken", store)
    return asked


def command(*arguments: str) -> Said:
    """Run one command of regfs here, as its program would."""
    streams = sys.argv, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    sys.argv, sys.stdout, sys.stderr = ["regfs", *arguments], out, err
    status, fault, began = 0, "", time.monotonic()
    try:
        regfs()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - that is what is looked for
        fault = traceback.format_exc()
    finally:
        sys.argv, sys.stdout, sys.stderr = streams
    if (taken := time.monotonic() - began) > _LONGEST:
        fault = f"took {taken:.1f} s"
    return Said(status, _text(out), _text(err), fault)


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def look(store: str, cache: Path, images: tuple[str, ...]) -> Looked:
    """Look at the whole tree of a store."""
    try:
        path = locate(store)
    except Exception as error:  # noqa: BLE001 - there may be nothing left of it
        return Looked({}, [] if type(error).__name__ == "StoreNotFoundError" else [traceback.format_exc()])
    with opened_tree(open_local(path), cache, Platform("linux", "amd64"), Choices(0.0)) as tree:
        return look_at_tree(tree, images)


if __name__ == "__main__":
    main(*sys.argv[1:])
