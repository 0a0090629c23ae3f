"""The examples of the README and of regfs/docs: ```console blocks, each `$ command` with what it prints.

Those of one document are run in order, on a sample store. `python -m tests.readme` writes what they print
into the documents; tests/mount/test_readme.py sees that it still is what they print.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.builder.sample import build_sample

_TOP = Path(__file__).parent.parent
README = _TOP / "README.md"
EXAMPLES = _TOP / "regfs/docs/examples.md"
DOCUMENTS = (README, *sorted((_TOP / "regfs/docs").glob("*.md")))

#: What the README calls the store and the mountpoint.
STORE, MOUNTPOINT = "/var/lib/registry", "/mnt/reg"

_PLACES = {"store": STORE, "mountpoint": MOUNTPOINT, "log": "/var/log/regfs.log"}

_BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


def example(pattern: str, **places: str | Path) -> str:
    """Give the one example of all documents that a pattern finds, with other places for those it names."""
    (found,) = re.findall(pattern, "".join(path.read_text() for path in DOCUMENTS), re.MULTILINE)
    for name, place in places.items():
        found = found.replace(_PLACES[name], str(place))
    return str(found)


def run_examples(text: str, work: Path) -> str:
    """Run all examples of a text, and give the text with what they print now."""
    build_sample(work / "store")
    (work / "mnt").mkdir()
    try:
        return _BLOCK.sub(lambda block: run_block(block[0], work), text)
    finally:
        if os.path.ismount(work / "mnt"):
            subprocess.run(["umount", "-l", str(work / "mnt")], check=True)


def run_block(block: str, work: Path) -> str:
    commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    return "".join(f"$ {command}\n{_run(command, work)}" for command in commands)


def _run(command: str, work: Path) -> str:
    places = {STORE: str(work / "store"), MOUNTPOINT: str(work / "mnt")}
    return printed(command, work, places, {"TIME_STYLE": "long-iso"})


def printed(command: str, work: Path, places: dict[str, str], more: dict[str, str]) -> str:
    """Run a command with other places for those that it names, and more environment; give what it prints."""
    actual = command
    for name, place in places.items():
        actual = actual.replace(name, place)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "XDG_CACHE_HOME": str(work / "cache"),
        **more,
    }
    done = subprocess.run(
        ["bash", "-c", actual],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    told = done.stdout
    for name, place in places.items():
        told = told.replace(place, name).replace(place.lstrip("/"), name.lstrip("/"))
    # a machine without syslog says so on each mount; that is the machine's, not the example's
    return re.sub(r"^regfs: no syslog.*\n", "", told, flags=re.MULTILINE)


if __name__ == "__main__":
    for document in DOCUMENTS:
        with tempfile.TemporaryDirectory() as place:
            document.write_text(run_examples(document.read_text(), Path(place)))
