"""Numbers of what is inside images, beside a plain dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regfs.mount.kernel.insides import InsidePlace, Insides

PLACES = st.builds(InsidePlace, st.integers(0, 5), st.binary(min_size=1, max_size=3))


@given(st.lists(PLACES, max_size=200), st.integers(1, 60))
def test_each_place_has_one_number_and_stands_behind_it(asked: list[InsidePlace], most: int) -> None:
    insides, numbers = Insides(), dict[InsidePlace, int]()
    for place in asked:
        found = insides.number(place, most)
        if place in numbers or len(numbers) < most:
            assert found == numbers.setdefault(place, len(numbers) + 1)
        else:
            assert found is None
    assert len(insides) == len(numbers)
    for place, number in numbers.items():
        assert insides.place(number) == place
