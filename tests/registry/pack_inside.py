"""Cuts what is known of the insides of layers to a part small enough for the repository; run by hand.

    python -m tests.registry.pack_inside DIRECTORY

DIRECTORY holds the complete stores and the truth. `stores/inside.tar.xz` is laid out as it is, and adds to
`stores/stores.tar.xz`, from which the large blobs are left out:

    VERSION/store-before/…          two blobs: the base layer of nearly all images, gzipped, and odd/entries'
    VERSION/layers/ALG-HEX.txt      a layer as GNU tar lists it
    VERSION/trees/REPO@TAG.jsonl    an image as buildah mounts it
    VERSION/truth-before.json       of each layer: how it is compressed, sha256 and size of its tar

What is stored uncompressed is not packed again: `inside_truth` makes it of the gzipped blob. The zstd
forms of the base layer, a megabyte each, are left out.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from pathlib import Path

from tests.registry.truth import PACKED

VERSION = "2.7.1"

BLOBS = (
    "sha256:ef7ccbbbafbae0dd6536dd22b09ecb6f78cc18d7ef342e4e0092a1e9c7a69402",
    "sha256:e123246e99812c526641f2816362441035eded70197012a636c19b284e25217e",
)

_KEYS = ("digest", "sha256", "compression", "plainSha256", "plainSize")


def data_path(digest: str) -> str:
    """Name the file of a blob below a store."""
    algorithm, encoded = digest.split(":")
    return f"docker/registry/v2/blobs/{algorithm}/{encoded[:2]}/{encoded}/data"


def pack(directory: Path, archive: Path) -> None:
    listed = {path.stem.replace("-", ":", 1) for path in (directory / "layers").glob("*.txt")}
    blobs = json.loads((directory / "truth-before.json").read_text())["blobs"]
    facts = [{key: blob[key] for key in _KEYS} for blob in blobs if blob["digest"] in listed]
    assert len(facts) == len(listed)
    texts = [*sorted(directory.glob("layers/*.txt")), *sorted(directory.glob("trees/*.jsonl"))]
    with tarfile.open(archive, "w:xz", format=tarfile.GNU_FORMAT, preset=9) as packed:
        _add(packed, "truth-before.json", json.dumps({"blobs": facts}, separators=(",", ":")).encode())
        for path in texts:
            _add(packed, str(path.relative_to(directory)), path.read_bytes())
        for digest in BLOBS:
            name = f"store-before/{data_path(digest)}"
            _add(packed, name, (directory / name).read_bytes())


def _add(packed: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(f"{VERSION}/{name}")
    entry.size = len(content)
    packed.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    pack(Path(os.path.abspath(sys.argv[1])) / VERSION, PACKED / "inside.tar.xz")
