"""A store that is gone is no empty store: deleted, emptied or replaced under the mount, and back again."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from regfs.errors import StoreAwayError
from regfs.graph.index import ReferenceIndex
from regfs.registry import open_local
from regfs.storage import FileType
from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, need, run
from tests.faults.conftest import images, listed
from tests.mount.conftest import until

pytestmark = pytest.mark.fuse

Make = Callable[..., Mount]

TTL = "ttl=0.5"


def deleted(store: StoreBuilder) -> None:
    shutil.rmtree(store.root)


def emptied(store: StoreBuilder) -> None:
    for path in store.v2.iterdir():
        shutil.rmtree(path)


def above_deleted(store: StoreBuilder) -> None:
    shutil.rmtree(store.root / "docker")


def replaced(store: StoreBuilder) -> None:
    """Another directory, without a store, stands at its path."""
    shutil.rmtree(store.v2)
    store.v2.mkdir()


every_way = pytest.mark.parametrize("goes", [deleted, emptied, above_deleted, replaced])


def fails(*command: str | Path) -> bool:
    return run(*command).returncode != 0


@every_way
def test_no_question_is_answered_as_of_an_empty_store(
    store: StoreBuilder, mount: Make, goes: Callable[[StoreBuilder], None], tmp_path: Path
) -> None:
    images(store, 2)
    made = mount(store, TTL)
    assert listed(made.path / "app") == ["v0", "v1"]
    copy = tmp_path / "copy"
    command = (need("rsync"), "-a", "--delete", f"{made.path}/", f"{copy}/")
    assert run(*command).returncode == 0
    summary = (made.path / "@reports/summary.txt").read_text()
    goes(store)
    until(lambda: fails("ls", made.path), "an error")
    for path in ("", "app", "app/v0", "@orphans/sha256", "@untagged", "@unknown/sha256"):
        until(lambda path=path: fails("ls", made.path / path), "an error")  # type: ignore[misc]
    assert run(*command).returncode != 0
    assert sorted(os.listdir(copy / "app")) == ["v0", "v1"]
    done = run("cat", made.path / "@reports/summary.txt")
    assert done.returncode != 0 or done.stdout == summary
    until(lambda: made.log.read_text().count("no store is at") > 0, "a line in the log")
    assert made.log.read_text().count("what was known of it is kept") == 1
    assert "since" not in made.log.read_text(), "it says so once, not of each question"
    until(lambda: fails("df", made.path), "an error")


@every_way
def test_a_store_that_is_back_shows_again(
    store: StoreBuilder, mount: Make, goes: Callable[[StoreBuilder], None], tmp_path: Path
) -> None:
    images(store, 2)
    kept = tmp_path / "kept"
    shutil.copytree(store.root, kept)
    made = mount(store, TTL)
    assert listed(made.path / "app") == ["v0", "v1"]
    goes(store)
    until(lambda: fails("ls", made.path), "an error")
    shutil.rmtree(store.root, ignore_errors=True)
    shutil.copytree(kept, store.root)
    until(lambda: not fails("ls", made.path), "the store")
    until(lambda: listed(made.path / "app") == ["v0", "v1"], "its tags")
    assert run(need("cat"), made.path / "app/v0/manifest.json").returncode == 0


def test_another_store_at_its_path_shows_instead(store: StoreBuilder, mount: Make, tmp_path: Path) -> None:
    images(store, 1)
    other = StoreBuilder(tmp_path / "other")
    images(other, 3)
    made = mount(store, TTL)
    assert listed(made.path / "app") == ["v0"]
    shutil.move(store.root, tmp_path / "moved")
    shutil.move(other.root, store.root)
    until(lambda: listed(made.path / "app") == ["v0", "v1", "v2"], "the other store")


def test_what_is_in_both_is_never_said_to_be_missing_when_another_store_takes_its_place(
    store: StoreBuilder, tmp_path: Path
) -> None:
    images(store, 1)
    kept = tmp_path / "kept"
    shutil.copytree(store.root, kept)
    with closing(open_local(str(store.v2))) as local:
        local.stat("repositories/app")
        shutil.rmtree(store.root)
        shutil.copytree(kept, store.root)
        with pytest.raises(StoreAwayError, match="ask again"):
            local.stat("repositories/app")
        assert local.stat("repositories/app").type is FileType.DIRECTORY


@every_way
@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("during", ["blobs", "repositories"])
def test_a_pass_during_which_the_store_goes_changes_nothing(
    store: StoreBuilder, tmp_path: Path, goes: Callable[[StoreBuilder], None], processes: int, during: str
) -> None:
    for number in range(20):
        store.image(f"app{number}", "1.0")
    armed = False

    def told(what: str, done: int, total: int) -> None:
        if armed and what == during and done == 3:
            goes(store)

    with closing(open_local(str(store.v2))) as local:
        index = ReferenceIndex(
            local, str(store.v2), tmp_path / "cache", ttl=0, processes=processes, progress=told
        )
        with index.snapshot() as snapshot:
            known = list(snapshot.connection.iterdump())
        armed = True
        with pytest.raises(StoreAwayError):
            index.refresh(thorough=True)
        index.close()
    # Nothing is read now: what was known is asked of the file.
    (file,) = (tmp_path / "cache").rglob("*.sqlite")
    with closing(sqlite3.connect(file)) as connection:
        assert list(connection.iterdump()) == known


def test_a_store_in_which_nothing_is_left_but_its_directories_is_empty(
    store: StoreBuilder, mount: Make
) -> None:
    images(store, 1)
    made = mount(store, TTL)
    shutil.rmtree(store.v2 / "repositories")
    (store.v2 / "repositories").mkdir()
    until(lambda: os.listdir(made.path) == [], "an empty store")


@every_way
def test_commands_say_that_no_store_is_there(
    store: StoreBuilder, goes: Callable[[StoreBuilder], None]
) -> None:
    images(store, 2)
    assert run(*REGFS, "report", "summary", store.root).returncode == 0
    goes(store)
    for command in (("report", "summary"), ("report", "orphans"), ("index",), ("reclaim", "--untagged")):
        done = run(*REGFS, *command, store.root)
        assert (done.returncode, done.stdout) == (2, "")
        assert "no" in done.stderr
        assert "Traceback" not in done.stderr
    done = run(*REGFS, "check", store.root)
    assert (done.returncode, done.stdout) == (2, "")
