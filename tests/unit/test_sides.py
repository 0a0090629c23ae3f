"""Tests in several processes: one marked `alone` has quiet, and what is made once is made once."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import output

ROOT = Path(__file__).parents[2]

SUITE = """
import json, os, time
from pathlib import Path
import pytest
from tests.conftest import pytest_collection_modifyitems, pytest_configure
from tests.sides import made_once

HERE = Path(__file__).parent

def note(kind):
    began = time.monotonic()
    time.sleep(0.05)
    line = json.dumps([kind, began, time.monotonic(), os.getpid()]) + "\\n"
    with (HERE / "notes").open("a") as notes:
        notes.write(line)

def make(directory):
    with (HERE / "made").open("a") as made:
        made.write("made ")
    (directory / "file").write_text("content")
    return [directory / "file"]

@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    return made_once(tmp_path_factory, "shared", make)

@pytest.mark.parametrize("number", range(12))
def test_beside_others(shared, number):
    note("many")
    assert shared[0].read_text() == "content"

@pytest.mark.alone
@pytest.mark.parametrize("number", range(4))
def test_alone(number):
    note("alone")
"""


@pytest.mark.long
def test_one_that_is_alone_has_quiet_and_what_is_shared_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text("from test_suite import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "3",
        "--dist",
        "worksteal",
        f"--basetemp={tmp_path}/base",
    )
    output(*command, "--rootdir", tmp_path, "-c", tmp_path / "pytest.ini", tmp_path, cwd=ROOT)
    notes = [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]
    notes.sort(key=lambda found: found[1])
    assert [kind for kind, *_ in notes].count("alone") == 4
    assert len(notes) == 16
    assert len({process for *_, process in notes}) == 3
    beside = 0
    for (kind, _, ended, _), (next_kind, began, _, _) in pairwise(notes):
        if "alone" in (kind, next_kind):
            assert ended <= began
        else:
            beside += began < ended
    assert beside, "they did not run side by side"
    assert (tmp_path / "made").read_text() == "made "
