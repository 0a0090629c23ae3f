"""Slots of columns, found by what is in them: four bytes a place, and half of the places empty."""

from __future__ import annotations

from array import array
from collections.abc import Callable

#: A place that was never used, and one that is free again; else a slot's number plus one.
_EMPTY, _DELETED = 0, 0xFFFFFFFF

#: Places for each slot.
_SPARSE = 2
_FEWEST = 16


class SlotIndex:
    """Numbers by hashes, with open addressing. Not safe for threads."""

    __slots__ = ("_places", "_used")

    def __init__(self) -> None:
        self._places = array("I", bytes(4 * _FEWEST))
        self._used = 0  # places that are not empty

    def find(self, key: int, is_it: Callable[[int], bool]) -> int | None:
        """Give the slot with a hash that `is_it`, if there is one."""
        places, mask = self._places, len(self._places) - 1
        place = key & mask
        while (entry := places[place]) != _EMPTY:
            if entry != _DELETED and is_it(entry - 1):
                return entry - 1
            place = (place + 1) & mask
        return None

    def add(self, key: int, slot: int, hash_of: Callable[[int], int]) -> None:
        """Have a slot found; none of those that are has the same in it.

        `hash_of` gives the hash of what is in a slot, for when there must be more places.
        """
        if (self._used + 1) * _SPARSE > len(self._places):
            self._rebuild(hash_of)
        self._put(key, slot)

    def _put(self, key: int, slot: int) -> None:
        places, mask = self._places, len(self._places) - 1
        place = key & mask
        while places[place] not in (_EMPTY, _DELETED):
            place = (place + 1) & mask
        self._used += places[place] == _EMPTY
        places[place] = slot + 1

    def remove(self, key: int, slot: int) -> None:
        """Have a slot found no more; one that is not found does no harm."""
        places, mask = self._places, len(self._places) - 1
        place = key & mask
        while (entry := places[place]) != _EMPTY:
            if entry == slot + 1:
                places[place] = _DELETED
                return
            place = (place + 1) & mask

    def _rebuild(self, hash_of: Callable[[int], int]) -> None:
        """Make it anew, with room for twice as many."""
        slots = [entry - 1 for entry in self._places if entry not in (_EMPTY, _DELETED)]
        size = _FEWEST
        while size < 2 * _SPARSE * len(slots):
            size *= 2
        self._places = array("I", bytes(4 * size))
        self._used = 0
        for slot in slots:
            self._put(hash_of(slot), slot)
