"""A forked command behaves as one that is started: its streams, status, directory, environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, run
from tests.started import ForkServer, may_fork


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    made = ForkServer()
    yield made
    made.end()


@pytest.mark.parametrize(
    "words",
    [
        ["ls", "registry"],
        ["report", "summary", "registry"],
        ["check", "registry"],
        ["ls", "registry", "none"],
        ["report", "nonsense", "registry"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_a_forked_command_does_what_a_started_one_does(
    server: ForkServer, store: StoreBuilder, tmp_path: Path, words: list[str]
) -> None:
    store.image("app", "1.0")
    forked = server.run(words, dict(os.environ), cwd=tmp_path)
    started = subprocess.run(
        [*REGFS, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )
    assert forked.stdout + forked.stderr


def test_a_forked_command_has_the_environment_that_it_is_given(
    server: ForkServer, store: StoreBuilder, tmp_path: Path
) -> None:
    store.image("app", "1.0")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TZ": "Asia/Tokyo"}
    assert server.run(["index", str(store.root)], environment).returncode == 0
    assert (tmp_path / "cache" / "regfs").is_dir()
    there = server.run(["ls", "-l", str(store.root), "app"], environment).stdout
    here = server.run(["ls", "-l", str(store.root), "app"], {**environment, "TZ": "UTC"}).stdout
    assert there != here


def test_what_must_start_by_itself_is_not_forked() -> None:
    environment = dict(os.environ)
    assert may_fork(["ls", "x"], environment, {"cwd"})
    assert not may_fork(["mount", "x", "y"], environment, ())
    assert not may_fork(["--help"], environment, ())
    assert not may_fork([], environment, ())
    assert not may_fork(["ls", "x"], {**environment, "LC_ALL": "ja_JP.eucJP"}, ())
    assert not may_fork(["ls", "x"], environment, {"user"})
    assert run(*REGFS, "--version").args[: len(REGFS)] == REGFS
