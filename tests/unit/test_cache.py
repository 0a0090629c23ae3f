from __future__ import annotations

import pytest

from regfs.graph.cache import Cache, for_a_while, for_ever
from tests.unit.fakes import FakeClock


def test_a_value_is_loaded_once() -> None:
    cache: Cache[str, int] = for_ever(10)
    loads: list[int] = []

    def load() -> int:
        loads.append(1)
        return 7

    assert [cache.through("a", load) for _ in range(3)] == [7, 7, 7]
    assert len(loads) == 1


def test_what_loading_raises_is_not_kept() -> None:
    cache: Cache[str, int] = for_ever(10)
    with pytest.raises(ZeroDivisionError):
        cache.through("a", lambda: 1 // 0)
    assert cache.get("a") is None
    assert cache.through("a", lambda: 5) == 5


def test_a_value_expires_by_the_clock() -> None:
    clock = FakeClock()
    cache: Cache[str, int] = for_a_while(10.0, 10, clock)
    cache.put("a", 1)
    clock.now += 9.99
    assert cache.get("a") == 1
    clock.now += 0.02
    assert cache.get("a") is None


def test_the_sum_of_sizes_is_bounded_and_the_least_used_goes() -> None:
    cache: Cache[str, bytes] = for_ever(10, len)
    cache.put("a", b"1234")
    cache.put("b", b"1234")
    assert cache.get("a")
    cache.put("c", b"1234")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"1234", None, b"1234")


def test_a_value_too_large_is_handed_out_and_not_kept_nor_is_the_one_before() -> None:
    cache: Cache[str, bytes] = for_ever(10, len)
    cache.put("a", b"old")
    assert cache.through("b", lambda: b"x" * 11) == b"x" * 11
    assert cache.get("b") is None
    cache.put("a", b"x" * 11)
    assert cache.get("a") is None
