"""What the README shows is what the commands print."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import cannot_run, need
from tests.readme import README, run_examples

pytestmark = pytest.mark.fuse


def test_every_example_of_the_readme_prints_what_the_readme_shows(tmp_path: Path, fuse: None) -> None:
    need("getfattr")
    if os.geteuid() != 0:
        cannot_run("the README's examples were run by root, who shows as the owner")
    text = README.read_text()
    assert text.count("\n$ ") > 15
    assert run_examples(text, tmp_path) == text
