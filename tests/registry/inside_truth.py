"""What is known of the insides of packed stores: GNU tar's listings, buildah's trees, and where layers show.

See pack_inside.py for what is packed, and how it is laid out.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.conftest import need
from tests.registry.insides import Found, Tree
from tests.registry.pack_inside import VERSION, data_path
from tests.registry.truth import PACKED, Truth

TRUTH = Truth.packed()

_PROGRAMS = {"gzip": ("gzip", "-dc"), "zstd": ("zstd", "-dcq"), "xz": ("xz", "-dc")}


class Blob(NamedTuple):
    """A layer as it is stored, and the sha256 and size of its tar.

    Whatever the digest that it was pushed by, the registry files it by its sha256.
    """

    digest: str
    stored: str
    compression: str
    plain_sha256: str
    plain_size: int


class Place(NamedTuple):
    """Where a layer shows: an image's directory below the mount, the number there, and whether
    its stored name already is that of a tar."""

    image: str
    number: str
    uncompressed: bool


class Stores:
    """One store, mounted or not, and the truth of it."""

    def __init__(self, directory: Path, version: str) -> None:
        self.version = version
        self.directory = directory / version
        self.root = self.directory / "store-before"
        self.repositories = TRUTH.stores[f"{version}/store-before"]["repositories"]
        self.blobs = {
            blob["digest"]: Blob(
                blob["digest"],
                blob["sha256"],
                blob["compression"],
                blob["plainSha256"].partition(":")[2],
                blob["plainSize"],
            )
            for blob in json.loads((self.directory / "truth-before.json").read_text())["blobs"]
            if self.listing(blob["digest"]).exists()
        }

    def listing(self, digest: str) -> Path:
        """Where GNU tar's listing of a layer is."""
        return self.directory / "layers" / f"{digest.replace(':', '-')}.txt"

    def data(self, blob: Blob) -> Path:
        """Where a blob's bytes are."""
        return self.root / data_path(blob.stored)

    def layers(self) -> Iterator[tuple[Blob, Place]]:
        """List the layers that are stored, each with one place where it shows."""
        places = dict(self._places())
        for digest, blob in self.blobs.items():
            if self.data(blob).exists():
                yield blob, places[digest]

    def _places(self) -> Iterator[tuple[str, Place]]:
        for repository, said in self.repositories.items():
            answered = [(digest, status) for status, digest in said["tags"].values()]
            for digest, status in [*answered, *said["revisions"].items()]:
                if status == 200:
                    manifest = TRUTH.manifests[digest]
                    kinds = [layer["mediaType"] for layer in manifest.get("layers", ())]
                    for position, layer in enumerate(self._of(manifest)):
                        number = f"{position:02}"
                        plain = bool(kinds) and kinds[position].endswith(".tar")
                        yield layer, Place(f"{repository}/@{digest}", number, plain)

    def _of(self, manifest: Mapping[str, object]) -> Sequence[str]:
        layers = manifest.get("layers")
        if isinstance(layers, list):
            return [layer["digest"] for layer in layers]
        base_last = manifest.get("fsLayers", [])
        assert isinstance(base_last, list)
        return base_last[::-1]

    def images(self, *, whole: bool) -> Iterator[tuple[str, Path, Sequence[Blob]]]:
        """List the images that buildah mounted, whole or not: path below the mount, tree, layers."""
        for tree in sorted(self.directory.glob("trees/*.jsonl")):
            repository, tag = tree.stem.split("@")
            repository = next(name for name in self.repositories if name.replace("/", "_") == repository)
            manifest = TRUTH.manifests[self.repositories[repository]["tags"][tag][1]]
            layers = [self.blobs[digest] for digest in self._of(manifest)]
            if whole == all(self.data(layer).exists() for layer in layers):
                yield f"{repository}/{tag}", tree, layers

    def tar(self, blob: Blob) -> bytes:
        """Give a layer's tar, as the real tools unpack it."""
        path = self.data(blob)
        if blob.compression == "none":
            return path.read_bytes()
        program, *options = _PROGRAMS[blob.compression]
        with path.open("rb") as content:
            done = subprocess.run(
                [need(program), *options], stdin=content, capture_output=True, check=True, timeout=60
            )
        assert hashlib.sha256(done.stdout).hexdigest() == blob.plain_sha256
        return done.stdout


def read_buildah(path: Path) -> Tree:
    """Read a tree as buildah showed it; it told how many names each file has, not which belong together."""
    entries, names = {}, {}
    for line in path.read_text().splitlines():
        said = json.loads(line)
        place = said["path"].encode("utf-8", "surrogateescape")
        entries[place] = Found(
            said["type"],
            int(said["mode"], 8),
            (said["uid"], said["gid"]),
            said["mtime_ns"],
            said.get("size", 0),
            said.get("sha256", ""),
            said.get("target", "").encode("utf-8", "surrogateescape"),
            tuple(said.get("rdev", (0, 0))),
            tuple(sorted((name, bytes.fromhex(value)) for name, value in said.get("xattrs", {}).items())),
        )
        if said["type"] == "-":
            names[place] = said["nlink"]
    return Tree(entries, frozenset(), names)


def put_together(directory: Path) -> None:
    """Unpack one store, with its large blobs and what is known of it."""
    for name in ("stores.tar.xz", "inside.tar.xz"):
        with tarfile.open(PACKED / name) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            others = tuple(f"{VERSION}/store-{other}" for other in ("after", "crash", "proxy"))
            mine = (
                entry
                for entry in archive
                if entry.name.startswith(f"{VERSION}/") and not entry.name.startswith(others)
            )
            archive.extractall(directory, mine)
    stores = Stores(directory, VERSION)
    for blob in stores.blobs.values():
        plain = stores.root / data_path(f"sha256:{blob.plain_sha256}")
        if blob.compression == "gzip" and plain.parent.is_dir() and not plain.exists():
            plain.write_bytes(gzip.decompress(stores.data(blob).read_bytes()))
