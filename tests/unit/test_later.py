"""What is loaded or made later: once, whoever asks, and never of another regfs than the one that runs."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from regfs import later
from regfs.errors import ReplacedError
from regfs.later import Later, door


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a room, which notes in it that it was loaded."""
    below = tmp_path / "a_house"
    below.mkdir()
    (below / "__init__.py").write_text("")
    (below / "room.py").write_text("CHAIR = 'a chair'\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "a_house"
    for name in [name for name in sys.modules if name.startswith("a_house")]:
        del sys.modules[name]


def test_a_door_loads_what_is_asked_for(package: str) -> None:
    find = door(package, {"CHAIR": "room"})
    assert f"{package}.room" not in sys.modules
    assert find("CHAIR") == "a chair"
    assert f"{package}.room" in sys.modules


def test_a_door_has_no_other_names(package: str) -> None:
    with pytest.raises(AttributeError, match="no attribute 'TABLE'"):
        door(package, {"CHAIR": "room"})("TABLE")


@pytest.mark.parametrize("what", ["replaced", "removed"])
def test_a_door_stays_closed_where_another_regfs_lies(
    package: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = tmp_path / "__init__.py"
    version.write_text('__version__ = "1"\n')
    monkeypatch.setattr(later, "_VERSION_FILE", str(version))
    monkeypatch.setattr(later, "_LOADED", later._stamp())
    assert door(package, {"CHAIR": "room"})("CHAIR") == "a chair"
    version.unlink()
    if what == "replaced":
        version.write_text('__version__ = "2.0"\n')
    assert door(package, {"CHAIR": "room"})("CHAIR") == "a chair", "it is loaded"
    del sys.modules[f"{package}.room"]
    with pytest.raises(ReplacedError, match="start it anew"):
        door(package, {"CHAIR": "room"})("CHAIR")
    assert f"{package}.room" not in sys.modules


def test_a_value_is_made_once_for_all_threads() -> None:
    made: list[int] = []
    begun = threading.Barrier(8)
    value = Later(lambda: made.append(1) or object())  # type: ignore[func-returns-value]
    assert value.if_made() == []
    found: list[object] = []

    def ask() -> None:
        begun.wait()
        found.append(value())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert len(found) == 8
    assert value.if_made() == [found[0]]
    assert set(map(id, found)) == {id(found[0])}


def test_a_value_that_could_not_be_made_is_tried_again() -> None:
    answers = iter([ValueError("not yet"), "made"])

    def make() -> str:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    value = Later(make)
    with pytest.raises(ValueError, match="not yet"):
        value()
    assert value.if_made() == []
    assert value() == "made"
