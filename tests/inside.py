"""Layers with everything in them that a tar can hold, and a store with images of such layers."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.builder import Blob, StoreBuilder
from tests.builder.media_types import OCI_LAYER
from tests.conftest import need

#: What `mtime` is unless a test says otherwise: nanoseconds since 1970.
MTIME_NS = 1_700_000_000_123_456_789

#: A program may bind ports below 1024 (capabilities(7)): a VFS_CAP_REVISION_2 as setcap(8) writes it.
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


class Item(NamedTuple):
    """One entry of a tar. `name` and `target` may hold bytes that are no UTF-8, by surrogates."""

    name: str
    content: bytes = b""
    type: bytes = tarfile.REGTYPE
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    mtime_ns: int = MTIME_NS
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = {}


def directory(name: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> Item:
    return Item(name, type=tarfile.DIRTYPE, mode=mode, owner=owner)


def symlink(name: str, target: str) -> Item:
    return Item(name, type=tarfile.SYMTYPE, mode=0o777, target=target)


def hard_link(name: str, target: str) -> Item:
    return Item(name, type=tarfile.LNKTYPE, target=target)


def tar_of(items: Iterable[Item]) -> bytes:
    """Pack items in their order."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for item in items:
            entry = tarfile.TarInfo(item.name)
            entry.type, entry.mode, entry.linkname = item.type, item.mode, item.target
            entry.uid, entry.gid = item.owner
            entry.devmajor, entry.devminor = item.device
            entry.size = len(item.content)
            entry.pax_headers = {"mtime": _seconds(item.mtime_ns)}
            for name, value in item.xattrs.items():
                text = value.decode("utf-8", "surrogateescape")
                entry.pax_headers[f"SCHILY.xattr.{name}"] = text
            archive.addfile(entry, io.BytesIO(item.content))
    return raw.getvalue()


def _seconds(time_ns: int) -> str:
    sign = "-" if time_ns < 0 else ""
    return f"{sign}{abs(time_ns) // 10**9}.{abs(time_ns) % 10**9:09}"


class Pushed(NamedTuple):
    """A layer in a store, and the tar that it is uncompressed."""

    blob: Blob
    tar: bytes

    @property
    def diff_id(self) -> str:
        return f"sha256:{hashlib.sha256(self.tar).hexdigest()}"


def push(store: StoreBuilder, tar: bytes, program: str = "gzip") -> Pushed:
    """Store a tar as a real program compresses it: `gzip`, `zstd`, `xz` or `cat`."""
    kind = {"gzip": "+gzip", "zstd": "+zstd", "xz": "+xz", "cat": ""}[program]
    command = [need(program)] if program == "cat" else [need(program), "-c"]
    packed = subprocess.run(command, input=tar, capture_output=True, check=True).stdout
    return Pushed(store.blob(packed, OCI_LAYER + kind), tar)


def push_quickly(store: StoreBuilder, tar: bytes) -> Pushed:
    """Store a tar as gzip that compresses nothing: for large ones."""
    deflate = zlib.compressobj(0, wbits=31)
    return Pushed(store.blob(deflate.compress(tar) + deflate.flush(), OCI_LAYER + "+gzip"), tar)


def image(
    store: StoreBuilder,
    repository: str,
    tag: str | None,
    layers: Iterable[Pushed],
    *,
    architecture: str = "amd64",
) -> Blob:
    """Push an image whose config lists the layers' DiffIDs."""
    layers = list(layers)
    diff_ids = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    stored = store.config(rootfs=diff_ids, architecture=architecture)
    return store.image(repository, tag, [layer.blob for layer in layers], stored)


BASE = (
    directory("etc"),
    Item("etc/passwd", b"root:x:0:0::/root:/bin/sh\n"),
    Item("etc/shadow", b"root:*:1::::::\n", mode=0o600),
    Item("etc/os-release", b"ID=demo\nVERSION_ID=1\n"),
    symlink("etc/mtab", "/proc/mounts"),
    symlink("etc/escape", "../../../../../etc/passwd"),
    directory("usr/bin"),
    Item("usr/bin/tool", b"#!/bin/sh\necho tool\n", mode=0o755),
    Item("usr/bin/su", b"su\n", mode=0o4755),
    Item("usr/bin/wall", b"wall\n", mode=0o2755, owner=(0, 5)),
    symlink("bin", "/usr/bin"),
    symlink("usr/relative", "bin/tool"),
    Item("usr/lib/one", b"library\n" * 1000),
    hard_link("usr/lib/two", "usr/lib/one"),
    hard_link("usr/lib/three", "usr/lib/two"),
    directory("home/user", mode=0o700, owner=(1000, 1001)),
    Item("home/user/file", b"mine\n", mode=0o640, owner=(1000, 1001)),
    directory("tmp", mode=0o1777),
    Item("var/old", b"old\n", mtime_ns=-1_500_000_000),
    Item("var/eve", b"eve\n", mtime_ns=-1),
    Item("var/gone", b"hidden by the next layer\n"),
    Item("var/caf\udce9", b"latin\n"),
    Item("var/noted", b"noted\n", xattrs={"user.note": b"a\0b\xff", "security.capability": CAPABILITY}),
    Item("dev/null", type=tarfile.CHRTYPE, mode=0o666, device=(1, 3)),
    Item("dev/disk", type=tarfile.BLKTYPE, mode=0o660, owner=(0, 6), device=(259, 300)),
    Item("dev/pipe", type=tarfile.FIFOTYPE, mode=0o600),
    Item("opt/below", b"hidden by an opaque directory\n"),
)

#: Over BASE: a new version of a file, a whiteout, an opaque directory, a link to a file of the base.
APP = (
    Item("etc/os-release", b"ID=demo\nVERSION_ID=2\n"),
    Item("var/.wh.gone"),
    Item("opt/.wh..wh..opq"),
    Item("opt/own", b"own\n"),
    Item("srv/app.py", b"print('hello')\n"),
    hard_link("srv/passwd", "etc/passwd"),
)


class Library(NamedTuple):
    """A store of which the tests know what is inside: tags 1.0 and 1.1, an index and an artifact."""

    store: StoreBuilder
    base: Pushed
    app: Pushed

    @classmethod
    def build(cls, root: Path) -> Library:
        store = StoreBuilder(root)
        base, app = push(store, tar_of(BASE)), push(store, tar_of(APP), "zstd")
        other = push(store, tar_of([*APP, Item("etc/new", b"new\n")]), "xz")
        image(store, "team/app", "1.0", [base, app])
        image(store, "team/app", "1.1", [base, other])
        children = []
        for architecture in ("amd64", "arm64"):
            layer = push(store, tar_of([Item("etc/arch", architecture.encode())]), "cat")
            child = image(store, "multi", None, [layer], architecture=architecture)
            platform = {"os": "linux", "architecture": architecture}
            children.append(child.descriptor(platform=platform))
        store.index("multi", "1.0", children)
        chart = store.blob(b"chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
        config = store.blob(b"{}", "application/vnd.cncf.helm.config.v1+json")
        store.image("chart", "1.0", [chart], config)
        return cls(store, base, app)
