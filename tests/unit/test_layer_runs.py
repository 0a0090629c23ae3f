"""Runs of names: whatever is asked in whatever order, it is the table's; in order, it is read ahead."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from regfs.layers.entry import EntryType
from regfs.layers.tree.node import LayerNode, Member
from regfs.layers.tree.runs import NodeRuns, Row


class Table:
    """Directories of names, and how many rows each reading of them gave."""

    def __init__(self, directories: dict[int, set[bytes]]) -> None:
        self.directories = {parent: sorted(names) for parent, names in directories.items()}
        self.given: list[int] = []

    def read(self, parent: int, first: bytes, most: int) -> Sequence[Row]:
        names = [name for name in self.directories.get(parent, []) if name >= first][:most]
        self.given.append(len(names))
        return [row(parent, name) for name in names]


def row(parent: int, name: bytes) -> Row:
    number = hash((parent, name))
    node = LayerNode(number, EntryType.FILE, 0o644, 0, 0, len(name), 0, b"", (0, 0), 1, 0)
    return Row(Member(name, number, EntryType.FILE, 0), node)


NAMES = st.binary(min_size=1, max_size=2)


@given(st.dictionaries(st.integers(1, 6), st.sets(NAMES, max_size=40)), st.data())
def test_every_answer_is_the_tables(directories: dict[int, set[bytes]], data: st.DataObject) -> None:
    table = Table(directories)
    runs = NodeRuns(table.read)
    asked = data.draw(st.lists(st.tuples(st.integers(1, 7), NAMES), max_size=60))
    in_order = [(parent, name) for parent, names in table.directories.items() for name in names]
    for parent, name in data.draw(st.sampled_from([[], in_order, in_order[::-1]])) + asked:
        found = runs.find(parent, name)
        assert found == (row(parent, name) if name in directories.get(parent, ()) else None)
        if found is not None:
            assert runs.found == found


def test_names_in_order_are_read_in_ever_longer_runs() -> None:
    table = Table({1: {b"%04d" % number for number in range(1000)}})
    runs = NodeRuns(table.read)
    for name in table.directories[1]:
        assert runs.find(1, name) is not None
    assert table.given[:5] == [1, 4, 16, 64, 128]
    assert len(table.given) < 13
    assert max(table.given) == 128


def test_names_at_random_are_read_nearly_alone() -> None:
    table = Table({1: {b"%05d" % number for number in range(10_000)}})
    runs = NodeRuns(table.read)
    names = random.Random(1).sample(table.directories[1], 500)
    for name in names:
        assert runs.find(1, name) is not None
    assert sum(table.given) < 4 * len(names)


def test_names_that_are_not_there_are_asked_once_for_the_gap_between_two_that_are() -> None:
    table = Table({1: {b"a", b"z"}})
    runs = NodeRuns(table.read)
    for number in range(100):
        assert runs.find(1, b"m%02d" % number) is None
    assert len(table.given) == 1


def test_a_walk_down_and_back_up_goes_on_with_the_run_above() -> None:
    names = {b"%02d" % number for number in range(60)}
    table = Table(dict.fromkeys((1, 2, 3), names))
    runs = NodeRuns(table.read)
    for name in sorted(names):
        assert runs.find(1, name) is not None
        for parent in (2, 3):
            assert runs.find(parent, name) is not None
    assert len(table.given) <= 3 * 5
