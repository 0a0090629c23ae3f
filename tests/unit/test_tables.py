"""What a person sees of a table: which rows and columns, in which order, in how wide a terminal."""

from __future__ import annotations

import pytest

from regfs.errors import UsageError
from regfs.graph.reports.lines import Lines, Screen
from regfs.graph.reports.table import SPARE, WIDE, Column, Table, Type
from regfs.graph.reports.view import TableView, see

HOUR = 3_600_000_000_000
TAGS = Table(
    (
        Column("repository"),
        Column("tag"),
        Column("digest", Type.DIGEST, rank=SPARE),
        Column("state", Type.STATE, rank=SPARE),
        Column("pushed", Type.TIME),
        Column("size", Type.SIZE),
        Column("note", rank=WIDE),
    ),
    [
        ("team/app", "1.0", "sha256:" + "ab" * 32, "tagged", 490_000 * HOUR, 10, "first"),
        ("team/app", "1.1", "sha512:" + "cd" * 64, "unknown", None, None, "second"),
        ("tools/long/name/of/a/repository", "nightly", None, "damage", 480_000 * HOUR, 5 << 30, "third"),
    ],
)


def shown(table: Table, width: int | None = None, **screen: object) -> list[str]:
    return "".join(Lines(table, Screen(width, **screen))).splitlines()  # type: ignore[arg-type]


def column(table: Table, name: str) -> list[object]:
    at = [column.name for column in table.columns].index(name)
    return [row[at] for row in table.rows]


# --- lines -----------------------------------------------------------------------------------------


def test_without_a_terminal_a_table_is_as_wide_as_it_is_and_digests_are_short() -> None:
    assert shown(TAGS) == [
        "repository                       tag      digest               state    pushed             size",
        "team/app                         1.0      abababababab         tagged   2025-11-24T16:00Z    10",
        "team/app                         1.1      sha512:cdcdcdcdcdcd  unknown",
        "tools/long/name/of/a/repository  nightly                       damage   2024-10-04T00:00Z  5.0G",
    ]


def test_wide_shows_all_columns_and_whole_digests_in_any_terminal() -> None:
    lines = shown(TAGS, 40, wide=True)
    assert lines[0].split() == [column.name for column in TAGS.columns]
    assert "sha256:" + "ab" * 32 in lines[1]
    assert "2025-11-24T16:00:00Z" in lines[1]
    assert lines[1].endswith("first")


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (92, "repository tag digest state pushed size"),
        (88, "repository tag digest state pushed size"),
        (80, "repository tag digest pushed size"),
        (60, "repository tag pushed size"),
        (50, "repository tag pushed size"),
    ],
)
def test_a_table_is_never_wider_than_the_terminal(width: int, header: str) -> None:
    lines = shown(TAGS, width)
    assert lines[0].split() == header.split()
    assert max(map(len, lines)) <= width
    left_out = Lines(TAGS, Screen(width)).left_out
    assert left_out == [name for name in ("digest", "state") if name not in header]


def test_what_has_no_room_goes_on_below_and_nothing_is_lost() -> None:
    lines = shown(TAGS, 44)
    assert max(map(len, lines)) <= 44
    found = "".join(line.partition("  ")[0] for line in lines[3:])
    assert found == "tools/long/name/of/a/repository"


def test_words_that_tell_of_damage_are_coloured_and_the_others_are_not() -> None:
    lines = shown(TAGS, 100, paint=lambda text, style: f"<{style}:{text}>")
    assert "<bad:damage>" in lines[3]
    assert "<doubtful:unknown>" in lines[2]
    assert "<" not in lines[1]


def test_a_word_beside_a_count_of_nothing_is_not_coloured() -> None:
    table = Table((Column("item", Type.STATE), Column("count", Type.NUMBER)), [("alarm", 0), ("alarm", 1)])
    lines = shown(table, paint=lambda text, style: f"<{style}:{text}>")
    assert ["bad" in line for line in lines] == [False, False, True]


def test_long_lists_are_counted_unless_all_is_asked_for() -> None:
    table = Table((Column("tags", Type.LIST),), [(("a:1", "b:1", "c:1", "d:1"),), (("a:1", "b:1", "c:1"),)])
    assert shown(table) == ["tags", "a:1 b:1 +2 more", "a:1 b:1 c:1"]
    assert shown(table, wide=True)[1] == "a:1 b:1 c:1 d:1"


def test_letters_that_are_two_places_wide_keep_the_columns_straight() -> None:
    table = Table((Column("name"), Column("size", Type.SIZE)), [("日本", 1), ("abcd", 2)])
    assert shown(table) == ["name  size", "日本     1", "abcd     2"]


# --- what is asked for -----------------------------------------------------------------------------


def test_sizes_and_times_are_sorted_the_largest_first_and_names_from_a_on() -> None:
    assert column(see(TAGS, TableView(sort="size")).table, "tag") == ["nightly", "1.0", "1.1"]
    assert column(see(TAGS, TableView(sort="pushed")).table, "tag") == ["1.0", "nightly", "1.1"]
    assert column(see(TAGS, TableView(sort="tag")).table, "tag") == ["1.0", "1.1", "nightly"]


@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_not_known_comes_last_whichever_way_and_is_said(reverse: bool) -> None:
    seen = see(TAGS, TableView(sort="size", reverse=reverse))
    assert column(seen.table, "size")[-1] is None
    assert seen.notes == ["of 1 row size is unknown; last here"]


def test_the_first_rows_and_the_columns_in_the_order_that_is_asked_for() -> None:
    seen = see(TAGS, TableView(columns=("note", "tag"), sort="size", top=1))
    assert [column.name for column in seen.table.columns] == ["note", "tag"]
    assert "1 of 3 rows" in seen.notes
    assert shown(seen.table, 20) == ["note   tag", "third  nightly"]


def test_times_in_words_are_sorted_as_times() -> None:
    table = Table(
        (Column("created", Type.TIME),), [("2026-01-01T00:00:00+02:00",), ("2025-12-31T23:00:00Z",), ("?",)]
    )
    seen = see(table, TableView(sort="created"))
    assert [row[0] for row in seen.table.rows] == ["2025-12-31T23:00:00Z", "2026-01-01T00:00:00+02:00", "?"]


def test_a_column_that_is_none_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="no column 'sise'; did you mean size\\? there are repository, tag"):
        see(TAGS, TableView(sort="sise"))
    with pytest.raises(UsageError, match="no column 'x', there are"):
        see(TAGS, TableView(columns=("x",)))


def test_rows_that_nothing_is_asked_of_are_given_as_they_come() -> None:
    def rows():  # type: ignore[no-untyped-def]
        yield ("first",)
        raise AssertionError("read too early")

    table = see(Table((Column("name"),), rows()), TableView(columns=("name",))).table
    assert list(next(iter(table.rows))) == ["first"]
