"""Images with real layers, of which it is known what rootfs/ and layers/NN.tar must show.

Random, the same for the same seed. Layers are shared, laid over one another, and hide files of those below.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.builder.layers import make_layer, make_tar
from tests.builder.media_types import OCI_LAYER
from tests.registry.collector import digest_of

_SUFFIXES = {"gzip": "+gzip", "zstd": "+zstd", "none": ""}
_NAMES = ("etc/os-release", "etc/app.conf", "srv/app.py", "srv/data", "usr/lib/one", "usr/lib/two", "var/log")
_WHITEOUT = ".wh."

#: More than a seekable copy is made for, where zstd has one frame: 8 MiB.
_LARGE = 10 << 20


class Layer(NamedTuple):
    """A layer as stored, and what is in it. A file whose content is None is a whiteout of that name."""

    stored: bytes
    media_type: str
    diff_id: str
    files: Mapping[str, bytes | None]

    @property
    def digest(self) -> str:
        return digest_of(self.stored)


class Inside(NamedTuple):
    """What an image holds inside: the digests of its uncompressed layers, the content of each file."""

    diff_ids: Sequence[str]
    #: The digest of each file, by its path in rootfs/.
    files: Mapping[str, str]

    def digest(self, name: str) -> str:
        """Give the digest of `layers/NN.tar` or of `rootfs/…`; empty if there is no such file."""
        directory, _, inner = name.partition("/")
        if directory == "rootfs":
            return self.files.get(inner, "")
        number = int(inner.partition(".")[0])
        return self.diff_ids[number] if number < len(self.diff_ids) else ""


class Layers:
    """Makes layers, and images of them."""

    def __init__(self, chooser: random.Random) -> None:
        self._random = chooser
        self._made: list[Layer] = []

    def choose(self) -> list[Layer]:
        """Choose the layers of an image, base first: mostly some that other images have."""
        layers = []
        for _ in range(self._random.choice((1, 2, 2, 3, 4))):
            if not self._made or self._random.random() < 0.3:
                self._made.append(self._make())
            # The later, the likelier.
            layers.append(self._made[-1 - int(self._random.expovariate(0.1)) % len(self._made)])
        return layers

    def _make(self) -> Layer:
        chosen = self._random
        files: dict[str, bytes | None] = {}
        for name in chosen.sample(_NAMES, chosen.randrange(1, len(_NAMES))):
            files[name] = None if chosen.random() < 0.15 else self._content()
        compression = chosen.choice([*_SUFFIXES])
        packed = {
            _whiteout(name) if content is None else name: content or b"" for name, content in files.items()
        }
        stored = make_layer(packed, compression)
        return Layer(stored, OCI_LAYER + _SUFFIXES[compression], digest_of(make_tar(packed)), files)

    def _content(self) -> bytes:
        size = int(10 ** self._random.uniform(0, 5))
        if self._random.random() < 0.005:
            piece = self._random.randbytes(size + 1)
            return piece * (_LARGE // len(piece) + 1)
        return self._random.randbytes(size)

    def config(self, layers: Sequence[Layer]) -> bytes:
        """Write a config that fits some layers, and no other image's."""
        diff_ids = [layer.diff_id for layer in layers]
        document = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-02-03T04:05:06Z",
            "author": f"the soak, {self._random.getrandbits(64):016x}",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        return json.dumps(document).encode()


def inside(layers: Sequence[Layer]) -> Inside:
    """Lay layers over one another, as a container sees them."""
    files: dict[str, str] = {}
    for layer in layers:
        # What a layer hides is only ever below it.
        for name in [name for name, content in layer.files.items() if content is None]:
            files.pop(name, None)
        files |= {name: digest_of(content) for name, content in layer.files.items() if content is not None}
    return Inside([layer.diff_id for layer in layers], files)


def _whiteout(name: str) -> str:
    directory, _, last = name.rpartition("/")
    return f"{directory}/{_WHITEOUT}{last}"
