"""The corpus: real documents and archives, and each input that was a fault once; in a few seconds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.fuzz.engine import LONGEST, bounded, mutated
from tests.fuzz.targets import CORPUS, TARGETS


def inputs() -> Iterator[object]:
    for path in sorted(CORPUS.glob("*/*")):
        yield pytest.param(path.parent.name, path.read_bytes(), id=f"{path.parent.name}/{path.name}")


@pytest.mark.parametrize(("target", "content"), list(inputs()))
def test_an_input_of_the_corpus_is_read_or_raises_the_documented_error(target: str, content: bytes) -> None:
    bounded(TARGETS[target], content)


@pytest.mark.parametrize("target", list(TARGETS))
def test_mutations_of_the_corpus_raise_no_other_error(target: str) -> None:
    sound = [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]
    chance = random.Random(20240203)
    for _ in range(20):
        bounded(TARGETS[target], mutated(chance, sound))


def test_each_target_has_a_corpus_and_it_is_small() -> None:
    files = list(CORPUS.glob("*/*"))
    assert {path.parent.name for path in files} == TARGETS.keys()
    assert sum(path.stat().st_size for path in files) < 300_000
    assert max(path.stat().st_size for path in files) < 2 * LONGEST
