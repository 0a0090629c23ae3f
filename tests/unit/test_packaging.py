"""What the project says of itself: its metadata, its changes, and its container."""

from __future__ import annotations

import re
from pathlib import Path

from regfs import __version__

ROOT = Path(__file__).parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text()


def test_the_metadata_name_each_python_that_is_asked_for() -> None:
    assert 'requires-python = ">=3.10"' in PROJECT
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)
    assert named == ["3.10", "3.11", "3.12", "3.13"]


def test_the_changes_have_a_dated_section_for_this_version() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    dated = [section for section in sections if section != "Unreleased"]
    assert re.fullmatch(rf"{re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)", dated[0])


def test_the_container_copies_what_there_is() -> None:
    text = (ROOT / "scripts/Containerfile").read_text()
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for name in line.split()
    ]
    assert "regfs" in copied
    assert all((ROOT / name).exists() for name in copied)
