"""Everything that is fuzzed, by name. A target takes any bytes; what it raises is a fault of regfs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fuzz import archives, compressed, documents, words

Target = Callable[[bytes], None]

TARGETS: Mapping[str, Target] = {
    "link": documents.link,
    "name": documents.name,
    "manifest": documents.manifest,
    "config": documents.config,
    "tar": archives.tar,
    "pax": archives.pax,
    "tree": archives.tree,
    "stream": compressed.stream,
    "seek_table": compressed.seek_table,
    "grammar": words.grammar,
    "table": words.table,
}

#: A directory for each target: real documents and archives, and each input that was a fault once.
CORPUS = Path(__file__).parent / "corpus"
