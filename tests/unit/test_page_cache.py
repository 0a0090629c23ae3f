"""What the kernel may keep: no reader ever sees the pages or the size of another content."""

from __future__ import annotations

import threading

from regfs.mount.page_cache import PageCache, Use
from regfs.tree import Attributes, NodeType
from tests.unit.fakes import FakeClock

#: Longer than any reply is on its way to the kernel.
A_WHILE = 2.0

PATH, OTHER = b"/app/1.0/config.json", b"/app/2.0/config.json"
OLD = Attributes(NodeType.FILE, 10, 2, 100, 8, 0)
NEW = Attributes(NodeType.FILE, 20, 2, 50, 8, 1)

CACHED_FRESH = Use(keep=False, direct=False)
CACHED_KEPT = Use(keep=True, direct=False)
AROUND = Use(keep=False, direct=True)


def told(cache: PageCache, identity: str, attributes: Attributes, path: bytes = PATH) -> PageCache:
    assert cache.tell(path, identity, attributes) == attributes
    return cache


def test_the_first_reader_fills_the_page_cache_anew() -> None:
    assert told(PageCache(), "old", OLD).opened(PATH, "old") == CACHED_FRESH


def test_a_reader_after_one_of_the_same_content_keeps_its_pages() -> None:
    cache = told(PageCache(FakeClock()), "old", OLD)
    cache.closed(PATH, "old", cache.opened(PATH, "old"))
    assert cache.opened(PATH, "old") == CACHED_KEPT


def test_so_does_one_that_comes_a_while_after_another_that_is_still_open() -> None:
    clock = FakeClock()
    cache = told(PageCache(clock), "old", OLD)
    cache.opened(PATH, "old")
    clock.now += A_WHILE
    assert cache.opened(PATH, "old") == CACHED_KEPT


def test_a_reader_at_the_same_time_clears_the_pages_as_well_for_the_first_may_not_have_yet() -> None:
    cache = told(PageCache(FakeClock()), "old", OLD)
    assert [cache.opened(PATH, "old"), cache.opened(PATH, "old")] == [CACHED_FRESH] * 2


def test_after_the_tag_moved_a_reader_goes_around_pages_and_size_of_the_old() -> None:
    cache = told(PageCache(), "old", OLD)
    cache.closed(PATH, "old", cache.opened(PATH, "old"))
    assert cache.opened(PATH, "new") == AROUND


def test_just_after_a_move_the_new_content_is_read_around_for_a_reply_may_be_on_its_way() -> None:
    clock = FakeClock()
    cache = told(PageCache(clock), "old", OLD)
    clock.now += A_WHILE
    told(cache, "new", NEW)
    assert cache.opened(PATH, "new") == AROUND
    clock.now += A_WHILE
    assert cache.opened(PATH, "new") == AROUND, "the kernel may have dropped what it was told"
    told(cache, "new", NEW)
    assert cache.opened(PATH, "new") == CACHED_FRESH


def test_a_while_after_a_move_the_pages_start_anew_and_are_then_kept() -> None:
    clock = FakeClock()
    cache = told(PageCache(clock), "old", OLD)
    cache.closed(PATH, "old", cache.opened(PATH, "old"))
    told(cache, "new", NEW)
    clock.now += A_WHILE
    told(cache, "new", NEW)
    first = cache.opened(PATH, "new")
    assert first == CACHED_FRESH
    cache.closed(PATH, "new", first)
    clock.now += A_WHILE
    assert cache.opened(PATH, "new") == CACHED_KEPT


def test_a_tag_that_moved_there_and_back_does_not_bring_the_other_pages_back() -> None:
    clock = FakeClock()
    cache = PageCache(clock)
    for identity, attributes in (("old", OLD), ("new", NEW), ("old", OLD)):
        told(cache, identity, attributes)
        clock.now += A_WHILE
        told(cache, identity, attributes)
        use = cache.opened(PATH, identity)
        assert use == CACHED_FRESH
        cache.closed(PATH, identity, use)


def test_while_a_file_is_open_its_attributes_stay() -> None:
    cache = told(PageCache(), "old", OLD)
    use = cache.opened(PATH, "old")
    assert cache.tell(PATH, "new", NEW) == OLD
    assert cache.opened(PATH, "new") == AROUND
    cache.closed(PATH, "old", use)
    assert cache.tell(PATH, "new", NEW) == NEW


def test_they_stay_until_the_last_of_several_readers_is_done() -> None:
    cache = told(PageCache(), "old", OLD)
    first, second = cache.opened(PATH, "old"), cache.opened(PATH, "old")
    cache.closed(PATH, "old", first)
    assert cache.tell(PATH, "new", NEW) == OLD
    cache.closed(PATH, "old", second)
    assert cache.tell(PATH, "new", NEW) == NEW


def test_one_that_reads_around_the_cache_pins_nothing() -> None:
    cache = told(PageCache(), "old", OLD)
    around = cache.opened(PATH, "new")
    assert cache.tell(PATH, "new", NEW) == NEW
    cache.closed(PATH, "new", around)


def test_a_file_that_the_kernel_was_told_nothing_of_is_read_around() -> None:
    assert PageCache().opened(PATH, "old") == AROUND


def test_paths_have_nothing_to_do_with_each_other() -> None:
    clock = FakeClock()
    cache = told(told(PageCache(clock), "old", OLD), "new", NEW, OTHER)
    cache.opened(PATH, "old")
    assert cache.tell(OTHER, "old", OLD) == OLD
    clock.now += A_WHILE
    assert cache.tell(OTHER, "old", OLD) == OLD
    assert cache.opened(OTHER, "old") == CACHED_FRESH


def forgetful() -> tuple[PageCache, FakeClock]:
    """Make a cache that was told of a file a while ago, and forgets it when it is told of another."""
    clock = FakeClock()
    cache = told(PageCache(clock, most_paths=1), "old", OLD)
    clock.now += A_WHILE
    return cache, clock


def test_a_path_that_was_forgotten_is_read_around() -> None:
    cache, _ = forgetful()
    told(cache, "new", NEW, OTHER)
    assert cache.opened(PATH, "old") == AROUND
    assert cache.opened(OTHER, "new") == CACHED_FRESH


def test_who_opens_a_path_that_was_forgotten_asks_anew_for_the_kernel_may_still_tell_of_another() -> None:
    cache, _ = forgetful()
    told(cache, "new", NEW, OTHER)
    assert cache.outdated(PATH, "old")
    told(cache, "old", OLD)
    assert not cache.outdated(PATH, "old")


def test_but_not_where_a_file_holds_the_path_for_it_would_change_nothing() -> None:
    cache, _ = forgetful()
    cache.opened(PATH, "old")
    told(cache, "new", NEW, OTHER)
    assert not cache.outdated(PATH, "new")


def test_none_is_forgotten_of_which_a_reply_may_be_on_its_way() -> None:
    cache, clock = forgetful()
    told(cache, "old", OLD)
    told(cache, "new", NEW, OTHER)
    told(cache, "new", NEW)
    assert cache.opened(PATH, "new") == AROUND
    clock.now += A_WHILE
    told(cache, "new", NEW, b"/a/third")
    assert [cache.opened(path, "new") for path in (PATH, OTHER)] == [AROUND] * 2


def test_an_open_file_stays_pinned_when_its_path_was_forgotten() -> None:
    cache, _ = forgetful()
    use = cache.opened(PATH, "old")
    told(cache, "new", NEW, OTHER)
    assert cache.tell(PATH, "new", NEW) == OLD
    assert cache.opened(PATH, "new") == AROUND
    cache.closed(PATH, "old", use)
    assert cache.tell(PATH, "new", NEW) == NEW


def test_who_opens_what_the_kernel_may_take_for_the_old_is_sent_back_once() -> None:
    clock = FakeClock()
    cache = told(PageCache(clock, believed=1.0), "old", OLD)
    assert not cache.outdated(PATH, "old")
    assert cache.outdated(PATH, "new")
    assert not cache.outdated(PATH, "new")
    assert cache.opened(PATH, "new") == AROUND


def test_nobody_is_sent_back_when_the_kernel_asks_again_anyway() -> None:
    clock = FakeClock()
    cache = told(PageCache(clock, believed=1.0), "old", OLD)
    clock.now += 2.0
    assert not cache.outdated(PATH, "new")
    assert not cache.outdated(OTHER, "new")


def test_the_kernel_believes_from_when_it_takes_the_answer_which_may_be_late() -> None:
    clock = FakeClock()
    cache = told(PageCache(clock, believed=1.0), "old", OLD)
    clock.now += 1.9
    assert cache.outdated(PATH, "new")


def test_what_the_kernel_is_told_of_a_held_file_it_believes_as_long_as_anything() -> None:
    clock = FakeClock()
    cache = told(PageCache(clock, believed=1.0), "old", OLD)
    use = cache.opened(PATH, "old")
    clock.now += 0.9
    assert cache.tell(PATH, "new", NEW) == OLD
    cache.closed(PATH, "old", use)
    clock.now += 0.9
    assert cache.outdated(PATH, "new")


def test_who_opens_the_new_while_the_old_is_held_is_sent_back_once_for_it_may_be_closed() -> None:
    cache = told(PageCache(FakeClock(), believed=1.0), "old", OLD)
    cache.opened(PATH, "old")
    assert not cache.outdated(PATH, "old")
    assert cache.outdated(PATH, "new")
    assert cache.tell(PATH, "new", NEW) == OLD
    assert not cache.outdated(PATH, "new")
    assert cache.opened(PATH, "new") == AROUND


def test_who_opens_the_new_waits_a_moment_for_the_old_to_be_closed() -> None:
    cache = told(PageCache(FakeClock(), believed=1.0), "old", OLD)
    use = cache.opened(PATH, "old")
    closing = threading.Timer(0.02, cache.closed, (PATH, "old", use))
    closing.start()
    assert cache.outdated(PATH, "new")
    assert cache.tell(PATH, "new", NEW) == NEW
    closing.join()


def test_nobody_is_sent_back_twice_though_the_tag_moves_again_meanwhile() -> None:
    clock = FakeClock()
    cache = told(PageCache(clock, believed=1.0), "old", OLD)
    assert cache.outdated(PATH, "new")
    told(cache, "new", NEW)
    assert not cache.outdated(PATH, "newer")
    clock.now += 0.5
    assert cache.outdated(PATH, "newer")


def test_a_kernel_that_believes_nothing_is_never_outdated() -> None:
    cache = told(PageCache(FakeClock(), believed=0.0), "old", OLD)
    assert not cache.outdated(PATH, "new")
