"""The document of what is printed for programs says what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regfs.graph.reports.catalogue import REPORTS
from tests.builder.sample import build_sample
from tests.conftest import REGFS, run
from tests.formats import FILE, OBJECTS, TABLES, document

pytestmark = pytest.mark.long

#: What is asked, and the part of the document that tells of it.
COMMANDS = {
    **{f"report {name}": ["report", name, "{}"] for name in REPORTS if name != "summary"},
    "report summary (json, jsonl)": ["report", "summary", "{}"],
    "check": ["check", "{}"],
    "check --by-tag": ["check", "--all", "{}"],
    "reclaim": ["reclaim", "{}", "--untagged"],
    "reclaim --show tags": ["reclaim", "{}", "--match", "*:*", "--show", "tags"],
    "find": ["find", "{}", "app.py"],
    "tree": ["tree", "{}", "team/app:1.1", "/srv"],
    "history": ["history", "{}", "team/app:1.1"],
    "history --files": ["history", "{}", "team/app:1.1", "--files"],
    "explain (a blob)": ["explain", "{}", "team/app/1.0/layers/00.tar.gz"],
    "explain (a path in an image)": ["explain", "{}", "team/app:1.1", "/srv/app.py"],
    "ls": ["ls", "{}", "team/app", "team/app/1.0"],
    "index": ["index", "{}"],
    "index --layers": ["index", "--layers", "{}", "team/app:1.1"],
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "store"
    build_sample(path)
    return path


def test_the_document_is_up_to_date() -> None:
    assert FILE.read_text() == document(), "python -m tests.formats"


def test_every_column_is_explained() -> None:
    for name, shown in TABLES.items():
        assert all(column.help for column in shown), name


@pytest.mark.parametrize("part", COMMANDS)
def test_what_is_printed_has_the_fields_that_the_document_names(part: str, sample: Path) -> None:
    command = [word.format(sample) for word in COMMANDS[part]]
    done = run(*REGFS, *command, "--format", "jsonl")
    assert done.returncode in (0, 1), done.stderr
    named = list(OBJECTS.get(part) or (column.name for column in TABLES[part]))
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    if part not in ("report orphans", "report unknown", "report uploads", "report broken", "check"):
        assert objects
    for found in objects:
        assert found["schema"] == 1
        assert sorted(found) == sorted(["schema", *named])
    if objects and part in TABLES:
        types = {column.name: column.type.value for column in TABLES[part]}
        for name, value in objects[0].items():
            kind = types.get(name)
            if kind in ("number", "bytes", "seconds"):
                assert value is None or type(value) is int, name
            elif kind == "list":
                assert value is None or type(value) is list, name
            elif kind == "truth":
                assert value is None or type(value) is bool, name
