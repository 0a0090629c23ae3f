"""The examples of regfs/docs/objects.md, which want a server.

`python -m tests.objects.document` writes what they print into it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import obstore

from tests.builder.sample import build_sample
from tests.objects.server import Seaweed
from tests.readme import printed

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

    def block(found: re.Match[str]) -> str:
        shutil.rmtree(work / "cache", ignore_errors=True)
        commands = [line[2:] for line in found[0].splitlines() if line.startswith("$ ")]
        return "".join(f"$ {command}\n{told(command)}" for command in commands)

    def told(command: str) -> str:
        return re.sub(r" in \d\.\d+ s:", " in 0.1 s:", printed(command, work, places, server.environment()))

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
