"""Images with all that a layer can hold, in layers that GNU tar packed from real files, and in built ones.

Only root can make these: devices, other owners and capabilities are among the files.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.builder.layers import MTIME
from tests.conftest import need, output
from tests.registry.api import OCI_INDEX, OCI_MANIFEST
from tests.registry.images import OCI_CONFIG, OCI_LAYER, config_of

#: `cap_net_bind_service=ep` as linux/capability.h has it, version 2.
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def make_base(top: Path) -> None:
    """Make the files of the lowest layer."""
    for name in (
        *("usr/bin/tool", "etc/os-release", "etc/conf/a", "etc/conf/b", "gone", "gone-dir/deep/x", "again"),
        *("dir-to-file/x", "dir-to-link/x", "file-to-dir", "file-to-link", "opaque/old", "opaque/sub/old"),
        *("owned", "set/uid", "set/gid", "tagged", "capable", "same/one", "names/new\nline", "names/žluť"),
        *(
            "usr/lib/first",
            "alone/one",
            "noted/file",
            "set/both",
            "-dash",
            "names/with space",
            'names/quote"and\\slash',
            "closed",
        ),
    ):
        _write(top / name, f"base {name}\n".encode())
    _write(Path(os.fsdecode(os.fsencode(top) + b"/names/latin1-caf\xe9")), b"caf\xe9\n")
    _write(top / "large", hashlib.shake_256(b"large").digest(700_000))
    with (top / "sparse").open("wb") as sparse:
        for place in (0, 1 << 20, 5 << 20):
            sparse.seek(place)
            sparse.write(b"island")
        sparse.truncate(9 << 20)
    for link, target in {
        "lib": "usr/lib",
        "link-to-file": "etc/os-release",
        "link-to-dir": "etc",
        "absolute": "/etc/os-release",
        "outside": "../../../../etc/shadow",
        "loop": "loop",
    }.items():
        (top / link).symlink_to(target)
    (top / "tmp").mkdir()
    (top / "tmp").chmod(0o1777)
    os.link(top / "same/one", top / "same/two")
    os.link(top / "same/one", top / "three")
    os.link(top / "alone/one", top / "alone/two")
    _set_attributes(top)
    (top / "special").mkdir()
    os.mkfifo(top / "special/fifo", 0o620)
    os.mknod(top / "special/null", 0o020666, os.makedev(1, 3))
    os.mknod(top / "special/disk", 0o060640, os.makedev(259, 70000))
    os.chown(top / "special/disk", 0, 6)


def _set_attributes(top: Path) -> None:
    os.chown(top / "owned", 123456, 4_000_000_000)
    os.lchown(top / "absolute", 1000, 1000)
    (top / "set/uid").chmod(0o4755)
    (top / "set/gid").chmod(0o2711)
    (top / "closed").chmod(0)
    (top / "set/both").chmod(0o6755)
    for name in ("tagged", "noted/file"):
        os.setxattr(top / name, "user.note", b"not \x00 utf-8: \xff")
    os.setxattr(top / "noted", "user.kind", b"directory")
    os.setxattr(top / "etc/conf", "user.kind", b"directory")
    os.setxattr(top / "capable", "security.capability", CAPABILITY)


def make_changes(top: Path) -> None:
    """Make the files of a layer that lies over `make_base`'s."""
    for name in (
        *("dir-to-file", "file-to-dir/inner/x", "opaque/new", "link-to-file", "link-to-dir/x", "etc/conf/c"),
        *(".wh.gone", ".wh.gone-dir", "opaque/.wh..wh..opq", "etc/conf/.wh.a", "alone/.wh.two", ".wh.again"),
        *("again", "new-dir/x", ".wh.never-was"),
    ):
        _write(top / name, b"" if "/.wh." in f"/{name}" else f"changed {name}\n".encode())
    (top / "dir-to-link").symlink_to("usr")
    (top / "file-to-link").symlink_to("usr/bin/tool")
    (top / "etc").chmod(0o700)
    os.chown(top / "etc", 5, 6)
    _write(top / "set/uid", b"safe now\n")
    _write(top / "tagged", b"without attributes\n")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def pack(top: Path, tar: Path) -> bytes:
    """Pack a directory as GNU tar does, with each entry's time its own, to the nanosecond."""
    below = sorted((path for path in top.rglob("*")), key=os.fsencode)
    for number, path in enumerate(below):
        moment = (MTIME + number) * 1_000_000_000 + number
        os.utime(path, ns=(moment, moment), follow_symlinks=False)
    options = (
        "--format=posix",
        "--sparse",
        "--xattrs",
        "--xattrs-include=*",
        "--sort=name",
        "--numeric-owner",
    )
    names = [path.name for path in sorted(top.iterdir(), key=os.fsencode)]
    output(need("tar"), *options, "-C", top, "-cf", tar, "--", *names)
    return tar.read_bytes()


def linking_layer() -> bytes:
    """Build a layer that tar(1) cannot pack: hard links into lower layers, and odd spellings of paths."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, target in (("same/five", "same/one"), ("four", "three"), ("linked", "/usr/lib/first")):
            _add(archive, name, kind=tarfile.LNKTYPE, target=target)
        _add(archive, "./dot/file", b"dot\n")
        _add(archive, "/rooted/file", b"rooted\n")
        _add(archive, "no/entry/above/it", b"alone\n")
        _add(archive, "same/.wh.two")
        _add(archive, "lone/.wh.nothing")
        _add(archive, "etc/os-release", b"ID=newest\n")
    return raw.getvalue()


def layer_over_symlink() -> bytes:
    """Build a layer with a path over a symlink of the lowest layer, and no entry for that name itself."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "lib/second", b"second\n")
    return raw.getvalue()


def _add(
    archive: tarfile.TarFile,
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    target: str = "",
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    entry.size, entry.mtime, entry.mode = len(content), MTIME, 0o644
    archive.addfile(entry, io.BytesIO(content))


def compressed(tar: bytes, compression: str) -> bytes:
    """Compress a layer: to gzip of two members, or as zstd(1), with a `wide` window too, and bzip2(1) do."""
    if compression == "none":
        return tar
    if compression == "gzip":
        half = len(tar) // 2
        return b"".join(gzip.compress(part, mtime=0) for part in (tar[:half], tar[half:]))
    program, *options = {"bzip2": ("bzip2",), "zstd": ("zstd", "-q"), "wide": ("zstd", "-q", "--long=28")}[
        compression
    ]
    return subprocess.run(
        [need(program), *options, "-c"], input=tar, capture_output=True, check=True, timeout=60
    ).stdout


def write_layout(directory: Path, tars: Sequence[bytes], compressions: Sequence[str]) -> Path:
    """Write an OCI layout with one image; gives its directory."""
    (directory / "blobs" / "sha256").mkdir(parents=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    suffixes = {"none": "", "gzip": "+gzip", "zstd": "+zstd", "wide": "+zstd", "bzip2": ""}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _blob(directory, config_of(tars), OCI_CONFIG),
        "layers": [
            _blob(directory, compressed(tar, compression), OCI_LAYER + suffixes[compression])
            for tar, compression in zip(tars, compressions, strict=True)
        ],
    }
    described = _blob(directory, json.dumps(manifest).encode(), OCI_MANIFEST)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [described]}
    (directory / "index.json").write_text(json.dumps(index))
    return directory


def _blob(directory: Path, content: bytes, media_type: str) -> dict[str, Any]:
    encoded = hashlib.sha256(content).hexdigest()
    (directory / "blobs" / "sha256" / encoded).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(content)}
