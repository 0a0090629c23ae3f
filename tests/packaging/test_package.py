"""What is built for others: a wheel and an sdist, which install and run on each Python, by the lowest bounds.

It takes the package index and minutes, so only with `scripts/test -m slow`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builder.sample import build_sample
from tests.conftest import cannot_run, output

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")

#: A requirement's lower bound.
_BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[[a-z0-9]+\])?>=([0-9.]+)")


class Built(NamedTuple):
    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with build and twine."""
    return environment(Path(sys.executable), tmp_path_factory.mktemp("tools") / "venv", "build", "twine")


@pytest.fixture(scope="module")
def built(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist, and the wheel that is built from it."""
    directory = tmp_path_factory.mktemp("dist")
    long(tools, "-m", "build", "--outdir", directory, ROOT)
    (wheel,), (sdist,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("sample") / "store"
    build_sample(store)
    return store


def long(*command: str | Path) -> str:
    """Run what takes minutes and must succeed."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def environment(python: Path, directory: Path, *packages: str | Path) -> Path:
    """Make an environment with packages; gives its Python."""
    long(python, "-m", "venv", directory)
    found = directory / "bin/python"
    long(found, "-m", "pip", "install", "-q", *packages)
    return found


def interpreter(version: str) -> Path:
    """Find a Python of a version, or skip with the reason."""
    pyenv = Path.home() / ".pyenv/versions"
    places = (shutil.which(f"python{version}"), *pyenv.glob(f"{version}.*/bin/python"))
    runs = (
        Path(place)
        for place in places
        if place and subprocess.run([place, "-c", ""], check=False, capture_output=True).returncode == 0
    )
    return next(runs, None) or cannot_run(f"there is no Python {version}")


def test_what_is_built_has_what_belongs_to_it_and_nothing_else(built: Built, tools: Path) -> None:
    long(tools, "-m", "twine", "check", "--strict", *built)
    names = zipfile.ZipFile(built.wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    version = built.wheel.name.split("-")[1]
    assert tops == {"regfs", f"regfs-{version}.dist-info", f"regfs-{version}.data"}
    assert "regfs/py.typed" in names
    assert f"regfs-{version}.data/data/share/doc/regfs/systemd/regfs-mount.service" in names
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "regfs").rglob("*.py")}
    assert sources == {name for name in names if name.endswith(".py")}
    with tarfile.open(built.sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "scripts/test", *sources} <= inside
    assert not any(name.startswith((".venv", "dist")) for name in inside)


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("kind", Built._fields)
def test_it_installs_and_runs(
    kind: str, version: str, built: Built, sample: Path, tmp_path: Path, caches: Callable[[], Path]
) -> None:
    package = getattr(built, kind)
    python = environment(interpreter(version), tmp_path / "venv", package)
    see_that_it_runs(python, sample, built)
    assert (tmp_path / "venv/share/doc/regfs/systemd/regfs-mount.service").is_file()


def see_that_it_runs(python: Path, sample: Path, built: Built) -> None:
    regfs = python.with_name("regfs")
    assert output(regfs, "--version").split()[-1] == built.wheel.name.split("-")[1]
    assert "team/app" in output(regfs, "report", "repositories", sample, cwd="/")
    assert "ID=demo" in output(regfs, "cat", sample, "team/app/1.1/rootfs/etc/os-release", cwd="/")
    policy = python.parent / "policy.toml"
    policy.write_text('[[rule]]\nmatch = "team/app:nightly"\n')
    assert "team/app@" in output(regfs, "reclaim", sample, "--policy", policy, "--show", "digests", cwd="/")


def test_the_lowest_versions_that_it_asks_for_are_enough(built: Built, sample: Path, tmp_path: Path) -> None:
    python = environment(interpreter("3.11"), tmp_path / "venv", "packaging")
    listed = output(python, "-c", _REQUIREMENTS, built.wheel)
    bounds = {match[1]: match[2] for match in map(_BOUND.search, listed.splitlines()) if match}
    assert {"click", "msgspec", "gunicorn"} <= bounds.keys()
    constraints = tmp_path / "lowest.txt"
    constraints.write_text("".join(f"{name}=={version}.*\n" for name, version in bounds.items()))
    long(python, "-m", "pip", "install", "-q", "-c", constraints, f"{built.wheel}[serve,s3]", "pytest")
    for extra in ("hypothesis", "pytest-timeout", "zstandard"):
        long(python, "-m", "pip", "install", "-q", "-c", constraints, extra)
    see_that_it_runs(python, sample, built)
    tests = ("tests/unit", "-m", "not slow and not long", "-q", "-p", "no:cacheprovider", "-W", "default")
    done = subprocess.run(
        [python, "-m", "pytest", *tests], cwd=ROOT, capture_output=True, text=True, check=False, timeout=800
    )
    assert done.returncode == 0, done.stdout[-3000:]


#: Prints what a wheel asks for here, with the extras that run it.
_REQUIREMENTS = """
import email, sys, zipfile
from packaging.requirements import Requirement
wheel = zipfile.ZipFile(sys.argv[1])
(name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
for text in email.message_from_bytes(wheel.read(name)).get_all("Requires-Dist"):
    wanted = Requirement(text)
    marker = wanted.marker
    if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", "serve", "s3")):
        print(*(f"{wanted.name}{bound}" for bound in wanted.specifier if bound.operator == ">="))
"""
