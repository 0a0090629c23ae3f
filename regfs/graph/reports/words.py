"""Words that several reports have for the same thing."""

from __future__ import annotations

from regfs.graph.index.signatures import Belonging, Place


def image_in_words(belonging: Belonging) -> str:
    """Name the image that something belongs to."""
    return f"{belonging.image} (gone)" if belonging.place is Place.GONE else belonging.image
