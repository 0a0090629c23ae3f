"""Sizes and durations, as people write them anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regfs.amounts import read_duration, read_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("1k", 1024),
        ("1.5G", 3 << 29),
        ("5GB", 5 << 30),
        ("5GiB", 5 << 30),
        (" 5 G ", 5 << 30),
        ("0.5K", 512),
        ("999999999999999999", 999_999_999_999_999_999),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1e9", "inf", "1,5G", "5 bytes", "\u0663", "1.G", "0x10"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no number of bytes such as 500M"):
        read_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10),
        ("10s", 10),
        ("5min", 300),
        ("12h", 43_200),
        ("90d", 7_776_000),
        ("6w", 3_628_800),
        ("6M", 15_552_000),
        ("1y", 31_536_000),
        ("0.5h", 1800),
        ("90 d", 7_776_000),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


def test_a_duration_without_a_unit_has_that_of_its_place() -> None:
    assert read_duration("2", "d") == 172_800


def test_m_alone_is_refused_for_it_may_be_minutes_or_months() -> None:
    with pytest.raises(ValueError, match="min are minutes, M months"):
        read_duration("6m", "d")


@given(st.text())
def test_any_text_is_read_or_refused_with_one_error(text: str) -> None:
    for reader in (read_size, read_duration):
        try:
            assert reader(text) >= 0
        except ValueError:
            continue
