"""Words that several reports have for the same thing."""

from __future__ import annotations

from collections.abc import Sized

from regfs.graph.index.signatures import Belonging, Place


def image_in_words(belonging: Belonging) -> str:
    """Name the image that something belongs to."""
    return f"{belonging.image} (gone)" if belonging.place is Place.GONE else belonging.image


def counted(things: int | Sized, name: str, plural: str = "") -> str:
    """Count things: 1 tag, 2 tags; `plural` where that is not made by an s."""
    number = things if isinstance(things, int) else len(things)
    return f"{number} {name if number == 1 else plural or name + 's'}"
