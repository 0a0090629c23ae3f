"""`blobs/sha256/<2 hex>/<hex>/data`: distribution's paths.go."""

from __future__ import annotations

from pathlib import Path

from scripts.generator.documents import Document
from scripts.generator.layers import Layer
from scripts.generator.pushes import State
from scripts.generator.tally import Tally
from scripts.generator.writing import Content, Writer

BLOBS = "blobs/sha256"


class Blobs:
    """Writes blobs and counts them. One process writes each blob once; several may write different ones."""

    def __init__(self, v2: Path, tally: Tally) -> None:
        self.writer = Writer(v2)
        self._tally = tally

    def document(self, document: Document, state: State, time: int) -> None:
        """Store a JSON document."""
        self._tally.blob(state, len(document.content))
        self._write(document.digest, document.content, time)

    def layer(self, layer: Layer) -> None:
        """Store a layer; what leads there is known later."""
        self._write(layer.digest, layer.size if layer.content is None else layer.content, layer.time)

    def led_to(self, layer: Layer, state: State) -> None:
        """Count a layer that was stored."""
        self._tally.blob(state, layer.size)

    def close(self) -> None:
        """End writing."""
        self._tally.files += self.writer.files
        self.writer.close()

    def _write(self, digest: str, content: Content, time: int) -> None:
        self.writer.alone(f"{BLOBS}/{digest[:2]}", digest, "data", content, time)
