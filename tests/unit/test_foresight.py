"""Which directories a walk is expected to list, and what becomes of what was made for them."""

from __future__ import annotations

from typing import cast

from regfs.mount.kernel.foresight import AHEAD, Foresight, KernelAnswer, ListingAnswer
from regfs.tree import Directory
from tests.unit.fakes import FakeClock

ROOM = 4096

#: What is made of a walk over tags that is at the first.
NEXT = [10 * number for number in range(2, 2 + AHEAD)]


class Walk:
    """A walk over a tree that is a mapping, with the answers that were made ahead and taken back."""

    def __init__(self, tree: dict[int, list[int]]) -> None:
        self.tree = tree
        self.clock = FakeClock()
        self.returned: list[int] = []
        self.foresight = Foresight(lambda answer: self.returned.extend(answer.told), self.clock)

    def answer(self, nodeid: int) -> ListingAnswer:
        below = dict.fromkeys(self.tree[nodeid], cast(Directory, None))  # only the numbers are looked at
        return ListingAnswer(KernelAnswer(b"%d" % nodeid, [nodeid]), below)

    def ask(self, nodeid: int, room: int = ROOM) -> bool:
        """List a directory; tell whether the answer was made before."""
        made = self.foresight.begun(nodeid, room)
        self.foresight.listed(nodeid, (made or self.answer(nodeid)).below)
        return made is not None

    def idle(self) -> list[int]:
        """Make what is expected."""
        made = []
        while (nodeid := self.foresight.next()) is not None:
            self.foresight.made(nodeid, {nodeid: self.answer(nodeid)}, ROOM)
            made.append(nodeid)
        return made


def of_tags(count: int) -> Walk:
    """Give a walk over one repository, 1, whose tags 10, 20 … have one directory each."""
    tags = [10 * number for number in range(1, count + 1)]
    return Walk({1: tags, **{tag: [tag + 1] for tag in tags}, **{tag + 1: [] for tag in tags}})


def test_nothing_is_foreseen_of_who_lists_one_directory_or_jumps() -> None:
    walk = of_tags(9)
    for nodeid in (1, 50, 1, 20, 70):
        assert not walk.ask(nodeid)
        assert walk.idle() == []


def test_who_goes_on_finds_each_answer_made_in_the_order_of_a_walk() -> None:
    walk = of_tags(AHEAD + 2)
    for nodeid in (1, 10, 11):
        assert not walk.ask(nodeid)
    assert walk.idle() == NEXT
    last = NEXT[-1] + 10
    for nodeid, then in ((20, [21]), (21, [last]), (30, [31]), (31, []), (40, [41]), (41, [])):
        assert walk.ask(nodeid)
        assert walk.idle() == then  # so many at most are kept
    assert walk.returned == []


def test_what_a_listing_tells_in_several_parts_is_in_its_order() -> None:
    walk = of_tags(6)
    walk.foresight.begun(1, ROOM)
    walk.foresight.listed(1, [10, 20])
    walk.foresight.listed(1, [30, 40])
    walk.ask(10)
    walk.ask(11)
    assert walk.idle() == [20, 30, 40]
    walk.foresight.listed(1, [50])  # of a directory that nobody is at any more
    walk.ask(20)
    assert walk.idle() == [21]


def test_what_is_old_or_too_large_or_not_asked_for_is_taken_back() -> None:
    walk = of_tags(4)
    for nodeid in (1, 10, 11):
        walk.ask(nodeid)
    assert walk.idle() == [20, 30, 40]
    walk.clock.now += 1
    assert not walk.ask(20)
    assert sorted(walk.returned) == [20, 30, 40]
    assert walk.idle() == [21, 30, 40]
    assert not walk.ask(21, room=ROOM - 1)
    walk.foresight.forget(30)
    assert walk.returned[3:] == [21, 30]
    walk.ask(10)  # it jumps
    assert walk.returned[5:] == [40]
    assert walk.idle() == []


def test_what_comes_too_late_is_taken_back_and_stands_in_nobodys_way() -> None:
    """A thread may be held up by a slow disk while the walk goes on past what it makes."""
    walk = of_tags(4)
    for nodeid in (1, 10, 11):
        walk.ask(nodeid)
    late = walk.foresight.next()
    assert late == 20
    walk.ask(20)
    walk.foresight.made(late, {20: walk.answer(20), 21: walk.answer(21)}, ROOM)
    assert walk.returned == [20, 21]
    assert walk.idle() == [21, 30, 40]


def test_what_is_in_a_directory_may_be_made_with_it() -> None:
    walk = of_tags(9)
    for nodeid in (1, 10, 11):
        walk.ask(nodeid)
    walk.foresight.made(20, {20: walk.answer(20), 21: walk.answer(21)}, ROOM)
    assert walk.ask(20)
    assert walk.ask(21)
    assert walk.returned == []


def test_what_one_thread_is_at_is_not_made_by_another() -> None:
    walk = of_tags(9)
    for nodeid in (1, 10, 11):
        walk.ask(nodeid)
    walk.foresight.begin(20)
    assert walk.foresight.under_way(20)
    assert walk.idle() == NEXT[1:]
    walk.foresight.made(20, {20: walk.answer(20)}, ROOM)
    assert walk.ask(20)
