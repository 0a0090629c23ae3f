"""The examples of regfs/docs/objects.md, which want a server.

`python -m tests.objects.document` writes what they print into it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import obstore

from tests.builder.sample import build_sample
from tests.objects.server import Seaweed

DOCUMENT = Path(__file__).parent.parent.parent / "regfs/docs/objects.md"
README = Path(__file__).parent.parent.parent / "README.md"

_BLOCK = re.compile(r"(?<=^```sh-session\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)

_BUCKET, _COPY, _MOUNTPOINT = "registry", "/var/lib/registry-copy", "/mnt/reg"


def run_examples(text: str, server: Seaweed, work: Path) -> str:
    """Run all examples, on a sample store in a bucket; give the text with what they print.

    Each block begins with nothing kept.
    """
    copy = work / "copy"
    if not copy.exists():
        build_sample(copy)
        server.make_bucket(_BUCKET)
        bucket = server.objects(_BUCKET)
        for path in filter(Path.is_file, copy.rglob("*")):
            obstore.put(bucket, str(path.relative_to(copy)), path.read_bytes())
        blobs = copy / "docker/registry/v2/blobs/sha256"
        shutil.rmtree(next(blobs.glob("38/*")))
        (work / "mnt").mkdir()
    places = {_COPY: str(copy), _MOUNTPOINT: str(work / "mnt")}
    environment = {
        **os.environ,
        **server.environment(),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "XDG_CACHE_HOME": str(work / "cache"),
    }

    def block(found: re.Match[str]) -> str:
        shutil.rmtree(work / "cache", ignore_errors=True)
        commands = [line[2:] for line in found[0].splitlines() if line.startswith("$ ")]
        return "".join(f"$ {command}\n{printed(command)}" for command in commands)

    def printed(command: str) -> str:
        actual = command
        for name, place in places.items():
            actual = actual.replace(name, place)
        done = subprocess.run(
            ["bash", "-c", actual],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        ).stdout
        for name, place in places.items():
            done = done.replace(place, name)
        done = re.sub(r"^regfs: no syslog.*\n", "", done, flags=re.MULTILINE)
        return re.sub(r" in \d\.\d+ s:", " in 0.1 s:", done)

    try:
        return _BLOCK.sub(block, text)
    finally:
        if os.path.ismount(work / "mnt"):
            subprocess.run(["umount", "-l", str(work / "mnt")], check=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        own = Seaweed(Path(place) / "server")
        try:
            for document in (DOCUMENT, README):
                document.write_text(run_examples(document.read_text(), own, Path(place)))
        finally:
            own.end()
