"""A mount begins with what it needs; the rest is loaded when somebody looks there, and of the same regfs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import regfs
from tests.builder import StoreBuilder
from tests.conftest import output, run
from tests.mount.conftest import until

#: What belongs to views, reports, the insides of layers, other tools, passes over the store, other sessions,
#: other storages, pages, bars: with what of it comes from elsewhere and takes long to load.
_NOT_NEEDED = re.compile(
    r"regfs\.(layers\.(?!sizes|entry)|graph\.reports\.|graph\.index\.(update|ledger|derived|collector|reference_index)"
    r"|mount\.programs\.|tree\.(views\.(?!root|source)|inside\.(?!nodes|view|opener)|interop\.(?!names))|mount\.portable|page|serve"
    r"|storage\.objects|cli\.(?!main|mounting|opening|progress|logs|service))"
    r"|tarfile$|shutil$|socket$|subprocess$|secrets$|json$|csv$|tempfile$|backports|jinja2|rich|fuse$|obstore|http|multiprocessing|concurrent"
)


@contextmanager
def mounted(
    store: StoreBuilder, mountpoint: Path, *, code: Path | None = None, session: str = "kernel"
) -> Iterator[Path]:
    """Mount by a Python that tells what it loads; gives the file that it tells it in, with the log."""
    told = mountpoint.with_name("told")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if code is not None:
        environment["PYTHONPATH"] = str(code)
    command = [sys.executable, "-v", "-m", "regfs", "mount", "-f", "-o", f"session={session}"]
    with told.open("wb") as log:
        process = subprocess.Popen(
            [*command, str(store.root), str(mountpoint)], stderr=log, env=environment, cwd="/"
        )
    until(lambda: os.path.ismount(mountpoint) or process.poll() is not None, "mounted")
    try:
        assert process.poll() is None, told.read_text()
        yield told
    finally:
        process.terminate()
        assert process.wait(20) == 0


def loaded(told: Path) -> set[str]:
    return set(re.findall(r"^import '(.+?)' #", told.read_text(), re.MULTILINE))


@pytest.fixture
def image(store: StoreBuilder) -> StoreBuilder:
    for tag in ("1.0", "2.0"):
        store.image("team/app", tag)
    return store


@pytest.mark.parametrize("index", ["no index", "an index"])
def test_a_mount_loads_what_the_first_ls_needs(image: StoreBuilder, mountpoint: Path, index: str) -> None:
    if index == "an index":
        output(sys.executable, "-m", "regfs", "index", image.root)
    with mounted(image, mountpoint) as told:
        output("ls", "-lR", mountpoint)
        output("cat", mountpoint / "team/app/1.0/manifest.json")
        assert {"regfs.tree.tag", "regfs.mount.kernel.session"} <= loaded(told)
        assert sorted(filter(_NOT_NEEDED.match, loaded(told))) == []
        output("ls", mountpoint / "@reports")
        assert {"regfs.tree.views.reports", "regfs.graph.reports.catalogue"} <= loaded(told)
        assert "regfs.layers.layers" not in loaded(told)
        output("ls", mountpoint / "team/app/1.0/rootfs")
        assert "regfs.layers.layers" in loaded(told)


@pytest.mark.parametrize("what", ["upgraded", "removed"])
def test_a_mount_whose_regfs_is_gone_shows_what_it_has_loaded(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path, what: str
) -> None:
    """No part of another version comes to those that run."""
    code = tmp_path / "code"
    shutil.copytree(Path(regfs.__file__).parent, code / "regfs")
    with mounted(image, mountpoint, code=code) as told:
        output("ls", mountpoint / "team/app/1.0/rootfs", mountpoint / "team/app/1.0/layers/00")
        if what == "upgraded":
            version = code / "regfs/__init__.py"
            (code / "new").write_text(version.read_text() + "# another\n")
            (code / "new").rename(version)
        else:
            shutil.rmtree(code)
        output("ls", "-lR", mountpoint)
        output("cat", mountpoint / "team/app/1.0/config.json")
        # Anew: the kernel knows the first of them.
        output("find", mountpoint / "team/app/1.0/rootfs", mountpoint / "team/app/2.0/rootfs")
        done = run("ls", mountpoint / "@reports")
        assert "Input/output error" in done.stderr
        assert "regfs was upgraded or removed since this process began" in told.read_text()
