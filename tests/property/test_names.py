"""Names: the grammar both ways, and directory names that are safe whatever an index says."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from regfs.oci.names import is_repository, is_tag
from regfs.oci.platform import Platform, choose, directory_names

component = st.from_regex(r"\A[a-z0-9]+((\.|_|__|-{1,3})[a-z0-9]+){0,3}\Z").filter(
    lambda part: len(part) < 40
)
tags = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
parts = st.one_of(
    st.sampled_from(["linux", "amd64", "arm", "v7", "unknown", "", "..", "a-b", "2"]), st.text(max_size=300)
)
platforms = st.one_of(st.none(), st.builds(Platform, parts, parts, parts, parts))


@given(st.lists(component, min_size=1, max_size=5).map("/".join))
def test_what_the_grammar_makes_is_a_repository_and_safe_as_a_path(name: str) -> None:
    assert is_repository(name)
    assert not any(part.startswith(("_", ".", "@", ":")) for part in name.split("/"))


@given(tags)
def test_what_the_grammar_makes_is_a_tag(name: str) -> None:
    assert is_tag(name)


@given(st.text(max_size=30))
def test_nothing_dangerous_is_a_name(name: str) -> None:
    if is_tag(name) or is_repository(name):
        assert name.isascii()
        assert name.isprintable()
        assert not re.search(r"(^|/)(\.\.?)?(/|$)", name)
        assert not name.startswith(("@", ":", "-"))


@given(st.lists(platforms, max_size=8))
def test_directory_names_are_unique_and_safe_as_file_names(index: list[Platform | None]) -> None:
    names = directory_names(index)
    assert len(names) == len(index) == len(set(names))
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,255}", name)
        assert name not in (".", "..")


@given(st.lists(platforms, max_size=8), platforms.filter(bool))
def test_the_child_that_is_chosen_exists_and_is_a_platform(
    index: list[Platform | None], wanted: Platform
) -> None:
    position = choose(index, wanted)
    if position is not None:
        chosen = index[position]
        assert chosen is None or not chosen.unknown


@given(platforms.filter(bool))
def test_the_normal_form_of_a_normal_form_is_itself(platform: Platform) -> None:
    assert platform.normal().normal() == platform.normal()
    if not platform.unknown:
        assert platform.runs(platform) == 0
