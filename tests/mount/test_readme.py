"""What the README and the other documents show is what the commands print."""

from __future__ import annotations

import os
import re
from operator import attrgetter
from pathlib import Path

import pytest

from tests.conftest import cannot_run, need
from tests.readme import DOCUMENTS, README, run_examples

pytestmark = pytest.mark.fuse

EXAMPLE = "\n$ "
NAME = attrgetter("name")


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if EXAMPLE in path.read_text()], ids=NAME)
def test_every_example_prints_what_the_document_shows(document: Path, tmp_path: Path, fuse: None) -> None:
    need("getfattr")
    if os.geteuid() != 0:
        cannot_run("the examples were run by root, who shows as the owner")
    text = document.read_text()
    assert run_examples(text, tmp_path) == text


def test_the_readme_is_short_and_has_examples() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 250
    assert [line for line in lines if len(line) > 120] == []
    assert sum(line.startswith("$ ") for line in lines) > 15


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAME)
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", document.read_text()) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []
