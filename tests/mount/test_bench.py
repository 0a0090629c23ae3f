"""scripts/bench works: one part of it at a small size. Its figures are nobody's concern here."""

import json
import os
import sys
from pathlib import Path

import pytest

from scripts.benchmarks.results import AGAIN, COLD, Table
from tests.conftest import output

pytestmark = pytest.mark.fuse

ROOT = Path(__file__).parents[2]


def test_the_memory_part_mounts_measures_and_leaves_nothing(fuse: None, tmp_path: Path) -> None:
    found, work = tmp_path / "found.json", tmp_path / "work"
    work.mkdir()
    command = (
        sys.executable,
        "-m",
        "scripts.benchmarks",
        "--quick",
        "--rounds",
        "1",
        "memory",
        "--json",
        found,
    )
    printed = output(*command, cwd=ROOT, env={**os.environ, "TMPDIR": str(work)})
    assert "walked" in printed
    (table,) = json.loads(found.read_text())["tables"]
    for stores in table["contestants"].values():
        assert 5 < stores["mounted"]["median"] <= stores["walked"]["median"] < 200
    assert len(table["contestants"]) == 3
    assert list(work.iterdir()) == []


def test_a_table_shows_medians_and_their_ratios_to_the_peers() -> None:
    table = Table("part", "name", "what was done", "ms", (COLD, AGAIN), ("peer",), scale=1e3)
    for seconds in (0.5, 0.1, 0.2):
        table.add("ours", COLD, seconds, memory=seconds * 100)
    table.add("peer", COLD, 0.1)
    table.add("peer", AGAIN, 0.05)
    assert table.median("ours", COLD) == 0.2
    assert table.ratio("ours", COLD, "peer") == 2.0
    assert table.ratio("ours", AGAIN, "peer") is None
    rows = [line.split() for line in str(table).splitlines()]
    assert ["ours", "200", "2.00", "50", "3"] in rows
    assert ["peer", "100", "1.00", "50.0", "1.00", "1"] in rows


def test_a_contestant_that_fails_is_forgotten() -> None:
    table = Table("part", "name", "what was done", "ms", (COLD,), ("peer",))
    table.add("ours", COLD, 1.0)
    table.add("peer", COLD, 2.0)
    table.drop("peer")
    assert table.ratio("ours", COLD, "peer") is None
    assert "peer" not in str(table)
