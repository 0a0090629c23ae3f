"""What regfs/docs/objects.md and the README show of an object store is what the commands print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.objects.document import DOCUMENT, README, run_examples
from tests.objects.server import Seaweed

pytestmark = [pytest.mark.objects, pytest.mark.fuse]


@pytest.mark.parametrize("document", [DOCUMENT, README], ids=["objects", "readme"])
def test_every_example_prints_what_the_document_shows(
    seaweed: Seaweed, document: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = document.read_text()
    assert run_examples(text, seaweed, tmp_path_factory.getbasetemp() / "document") == text
