"""Puts real documents and archives into the corpus: `python -m tests.fuzz.seeds`.

Manifests, configs, links and dates are of the stores that real registries wrote (tests/registry/stores),
one of each kind; archives are made by real tools. Inputs that were faults once are put there by hand.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from regfs.errors import RegfsError
from regfs.layers.index import SeekTable
from regfs.layers.streams import transcode
from regfs.oci import ImageConfig, parse_manifest
from tests.conftest import need
from tests.fuzz.stores import unpack
from tests.fuzz.targets import CORPUS
from tests.inside import BASE, tar_of

#: Bytes: larger documents teach nothing that smaller ones do not.
_LARGEST = 8 << 10

_TAR = ("--sort=name", "--owner=0", "--group=0", "--mtime=@1700000000.5", "-C")
_NO_SPARSE, _FEW = "--exclude=sparse-*", "--exclude=sparse-many"
_FORMATS = {
    "v7": ("--format=v7", _NO_SPARSE),
    "ustar": ("--format=ustar", _NO_SPARSE),
    "gnu": ("--format=gnu", "-S", "--exclude=sparse-few"),
    "posix": ("--format=posix", "--xattrs", _NO_SPARSE),
    "sparse-0.0": ("--format=posix", "-S", "--sparse-version=0.0", _FEW),
    "sparse-0.1": ("--format=posix", "-S", "--sparse-version=0.1", _FEW),
    "sparse-1.0": ("--format=posix", "-S", "--sparse-version=1.0", _FEW),
}

#: Programs that compress what they are given, and options.
_PACKERS = {
    "gzip-1": ("gzip", "-1n"),
    "gzip-9": ("gzip", "-9n"),
    "zstd": ("zstd", "-q", "-c"),
    "zstd-19": ("zstd", "-q", "-c", "-19", "--no-check"),
    "xz": ("xz", "-c", "-0"),
    "xz-blocks": ("xz", "-c", "-0", "--block-size=4096", "--check=sha256"),
}

_WORDS = (
    b"50M",
    b"1.5GiB/s",
    b"90d",
    b"6m",
    b"linux/arm/v7",
    b"ttl=60,uid=1000,umask=077,platform=linux/arm64",
    b"cache_size=5G,owner=me,allow_other,x-systemd.automount,max_read=131072",
    b"team/app",
    b"localhost:5000/a__b/c-d",
    b"1.0_rc-1",
)


def main() -> None:
    """Write all that is missing."""
    with tempfile.TemporaryDirectory() as directory:
        for target, content in (*_documents(unpack(Path(directory))), *_archives(Path(directory, "files"))):
            _put(target, content)
    for word in _WORDS:
        _put("grammar", word)
        _put("name", word)
    _put("table", b"a\tline\nbreak\t\"quoted\", 'text'\t=1+1\t\x1b[31m\t\xff\xfe\t\xc3\xa9")
    _put("tree", bytes(range(240)))
    _put("tree", bytes(range(255, 0, -1)) * 2)


def _put(target: str, content: bytes) -> None:
    path = CORPUS / target / hashlib.sha256(content).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _documents(stores: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Find one document of each kind, by the types and the numbers of what it holds."""
    kinds: set[object] = set()
    for root in stores:
        for path in sorted(root.rglob("data")):
            # A repository or tag may have the name of a file.
            raw = path.read_bytes() if path.is_file() and path.stat().st_size <= _LARGEST else b""
            for target, kind in _kinds(raw):
                if kind not in kinds:
                    kinds.add(kind)
                    yield target, raw
        for name in ("link", "startedat"):
            yield "link", next(path for path in root.rglob(name) if path.is_file()).read_bytes()


def _kinds(raw: bytes) -> Iterator[tuple[str, object]]:
    try:
        found = parse_manifest(raw)
        yield "manifest", (type(found), found.media_type, found.kind)
    except RegfsError:
        pass
    try:
        config = ImageConfig.parse(raw)
        if config.platform.os:
            yield "config", (config.platform, len(config.history))
    except RegfsError:
        pass


def _archives(files: Path) -> Iterator[tuple[str, bytes]]:
    _make_files(files)
    tars = {}
    for name, options in _FORMATS.items():
        # The oldest format has no form for some of them, and tar leaves those out.
        command = (need("tar"), "-c", *options, *_TAR, str(files), "-b1", ".")
        tars[name] = subprocess.run(command, capture_output=True, check=False).stdout
        yield "tar", tars[name]
    yield "tar", tar_of(BASE[:12])
    for records in sorted({records for tar in tars.values() for records in _records(tar)}):
        yield "pax", records
    plain = tars["posix"]
    for program, *packing in _PACKERS.values():
        packed = _run(need(program), *packing, given=plain)
        yield "stream", b"\1" + packed
        yield "stream", b"\2" + packed + _run(need(program), *packing, given=plain[:3000])
    yield "stream", b"\0" + plain[:2000]
    copy, table = bytearray(), SeekTable()
    transcode([plain[:1000]], copy.extend, table.note, frame=300)
    yield "seek_table", bytes(copy) + table.encode(1000, len(copy))


def _records(tar: bytes) -> Iterator[bytes]:
    """Find the contents of a tar's pax headers."""
    for at in range(0, len(tar), 512):
        if tar[at + 156 : at + 157] == b"x" and tar[at + 257 : at + 262] == b"ustar":
            yield tar[at + 512 : at + 512 + int(tar[at + 124 : at + 135], 8)]


def _make_files(files: Path) -> None:
    """Make files of all kinds that a tar has a form of its own for."""
    (files / "d").mkdir(parents=True)
    (files / "d" / "text").write_text("text\n" * 30)
    (files / ("long" * 30)).write_text("a name of more than a hundred bytes")
    (files / "symlink").symlink_to("d/text")
    (files / "hard").hardlink_to(files / "d" / "text")
    os.mkfifo(files / "fifo")
    for name, runs in (("sparse-few", 2), ("sparse-many", 6)):
        with (files / name).open("wb") as sparse:
            for at in range(runs):
                sparse.seek(at << 16)
                sparse.write(b"data")


def _run(*command: str, given: bytes = b"") -> bytes:
    return subprocess.run(command, input=given, capture_output=True, check=True, cwd="/").stdout


if __name__ == "__main__":
    main()
