"""The table of tags in columns, against a dictionary: whatever is pushed, moved and forgotten."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from regfs.mount.kernel.namings import Namings
from regfs.oci import Digest
from regfs.tree.tag import Naming


class FakeNames(NamedTuple):
    """A repository's directory, as far as the table asks."""

    inode: int
    repository: str


#: Two of one inode: a hash may be the same for two names.
PARENTS = [FakeNames(1, ""), FakeNames(2, "a"), FakeNames(2, "b")]
TAGS = [b"1.0", b"latest", b"x" * 128]
DIGESTS = [None, *(Digest.of(bytes([number])) for number in range(3))]

push = st.tuples(
    st.just("push"),
    st.sampled_from(PARENTS),
    st.sampled_from(TAGS),
    st.sampled_from(DIGESTS),
    st.integers(0, 3),
)
forget = st.tuples(st.just("forget"), st.integers(0, 200), st.none(), st.none(), st.integers(1, 3))


@given(st.lists(st.one_of(push, forget), max_size=120))
def test_a_slot_keeps_what_it_was_given_and_the_newest_is_found(steps: list[tuple[object, ...]]) -> None:
    table = Namings()
    alive: dict[int, tuple[object, bytes, Naming, int]] = {}
    newest: dict[tuple[object, bytes], int] = {}
    used: set[tuple[int, int]] = set()
    for what, parent, tag, digest, number in steps:
        if what == "push":
            naming = Naming(digest, number)  # type: ignore[arg-type]
            slot = table.add(parent, tag, naming)  # type: ignore[arg-type]
            table.looked_up(slot)
            assert (slot, table.generation(slot)) not in used
            used.add((slot, table.generation(slot)))
            alive[slot] = (parent, tag, naming, 1)  # type: ignore[assignment]
            newest[parent, tag] = slot  # type: ignore[index]
        elif alive:
            slot = sorted(alive)[parent % len(alive)]  # type: ignore[operator]
            above, name, _, _ = alive.pop(slot)
            table.forget(slot, 1)
            if newest.get((above, name)) == slot:
                del newest[above, name]
        assert len(table) == len(alive)
        for slot, (above, name, naming, _) in alive.items():
            assert table.naming(slot) == naming
            assert (table.parent(slot), table.name(slot)) == (above, name)
        for above in PARENTS:
            for name in TAGS:
                assert table.find(above, name) == newest.get((above, name))  # type: ignore[arg-type]


def test_thousands_are_found_again() -> None:
    table = Namings()
    slots = {}
    for number in range(20_000):
        tag = b"t%d" % number
        slots[tag] = table.add(PARENTS[1], tag, Naming(None, number))  # type: ignore[arg-type]
    assert all(table.find(PARENTS[1], tag) == slot for tag, slot in slots.items())  # type: ignore[arg-type]
    assert table.find(PARENTS[2], b"t5") is None  # type: ignore[arg-type]
