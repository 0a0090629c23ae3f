"""The rules of `regfs reclaim` apart: which texts are rules, what fits them, which tags are the last."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from regfs.errors import RuleError
from regfs.graph.reports.last import last, versions
from regfs.graph.reports.rules import By, Pattern, Patterns, read_keep_list, read_pattern
from regfs.graph.times import iso, nanoseconds
from regfs.oci.names import named_after

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"
YEAR = 31_536_000 * 10**9
NOW = 55 * YEAR


class Tag(NamedTuple):
    tag: str
    pushed: int | None = None
    created: int | None = None


def kept(tags: list[Tag], count: int, by: By | None = None) -> list[str]:
    return [tags[position].tag for position in sorted(last(tags, count, by).kept)]


@pytest.mark.parametrize(
    "text",
    [
        "app",
        "v*",
        "team/app",
        ":1.0",
        "app:",
        "reg.example.com:5000/team/app",
        "app:a/b",
        "app:-1",
        "app: 1",
        "Team/App:1.0",
        "app@latest",
        "app@sha256:abc",
        f"app@sha256:{HEX.upper()}",
        "app@sha256:ABC*",
        "app@md5:*",
        f"app:1.0@{DIGEST}",
        "app@",
        "",
    ],
)
def test_what_can_match_nothing_is_no_rule(text: str) -> None:
    with pytest.raises(RuleError):
        read_pattern("--keep", text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("v*", "'*:v*' means these tags of all repositories"), ("team/*", "'team/*:*' means all tags of")],
)
def test_what_is_no_pattern_is_refused_with_what_may_be_meant(text: str, hint: str) -> None:
    with pytest.raises(RuleError) as caught:
        read_pattern("--keep", text)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "text", [f"app@{DIGEST}", "app@sha256:0123*", "*@sha256:*", "*@*", "team/*@0123*", "app@*:0123*"]
)
def test_a_digest_is_matched_whole_or_by_a_pattern(text: str) -> None:
    patterns = Patterns([read_pattern("--keep", text)])
    repository = "team/app" if text.startswith("team") else "app"
    found = patterns.digest(repository, DIGEST)
    assert (found is not None) == ("@0" not in text)
    assert patterns.tag(repository, "1.0") is None
    assert patterns.digest("other/web", DIGEST) is None or text[0] == "*"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("team/app:1.0", ["team/app:1.0"]),
        ("team/app", ["team/app:latest"]),
        ("app", ["app:latest"]),
        (f"team/app@{DIGEST}", [f"team/app@{DIGEST}"]),
        ("reg.example.com:5000/team/app:1.0", ["reg.example.com:5000/team/app:1.0", "team/app:1.0"]),
        ("reg.example.com:5000/team/app", ["reg.example.com:5000/team/app:latest", "team/app:latest"]),
        ("localhost/app:1", ["localhost/app:1", "app:1"]),
        (f"reg.io/app:1.0@{DIGEST}", [f"reg.io/app@{DIGEST}", f"app@{DIGEST}"]),
        (f"docker-pullable://reg.io/app@{DIGEST}", [f"reg.io/app@{DIGEST}", f"app@{DIGEST}"]),
        (f"docker://{DIGEST}", [f"*@{DIGEST}"]),
        (DIGEST, [f"*@{DIGEST}"]),
        ("  app:1  # in use\r", ["app:1"]),
    ],
)
def test_a_keep_list_takes_images_as_tools_print_them(line: str, names: list[str]) -> None:
    found = read_keep_list("list", ["", "# comment", line])
    assert [
        f"{pattern.repository}{':' if pattern.tag else '@'}{pattern.tag or pattern.digest}"
        for pattern in found
    ] == names


@pytest.mark.parametrize(
    "line", ["Team/App:1", "app:*", "app 1.0", "app@sha256:12", "https://reg.io/app:1", ":1"]
)
def test_a_line_of_a_keep_list_that_names_no_image_is_named(line: str) -> None:
    with pytest.raises(RuleError) as caught:
        read_keep_list("list", ["app:1", line])
    assert "list, line 2" in str(caught.value)
    assert line in str(caught.value)


def test_a_keep_list_without_an_image_is_refused() -> None:
    with pytest.raises(RuleError):
        read_keep_list("list", ["", "# nothing"])


def test_thousands_of_names_are_looked_up_and_not_tried() -> None:
    names = [Pattern("", "app", f"v{number}") for number in range(50_000)]
    patterns = Patterns(names)
    assert all(patterns.tag("app", f"v{number}") is names[number] for number in range(50_000))
    assert patterns.tag("app", "v50000") is None


def test_the_last_are_those_by_push_and_those_by_the_date_of_the_build() -> None:
    tags = [Tag(f"{n}", pushed=NOW - n, created=NOW + n) for n in range(6)]
    assert kept(tags, 2) == ["0", "1", "4", "5"]
    assert kept(tags, 2, By.PUSHED) == ["0", "1"]
    assert kept(tags, 2, By.CREATED) == ["4", "5"]


def test_an_order_that_is_the_same_for_all_says_nothing() -> None:
    copied = [Tag(f"{n}", pushed=NOW, created=NOW + n) for n in range(1, 11)]
    assert kept(copied, 3) == ["8", "9", "10"]
    reproducible = [Tag(f"{n}", pushed=NOW + n, created=NOW) for n in range(1, 11)]
    assert kept(reproducible, 3) == ["8", "9", "10"]


def test_where_nothing_gives_an_order_all_are_kept() -> None:
    tags = [Tag(f"{n}", pushed=NOW, created=NOW) for n in range(5)]
    found = last(tags, 2, None)
    assert (len(found.kept), len(found.tied)) == (5, 3)
    undated = last([Tag("a"), Tag("b", pushed=NOW), Tag("c", pushed=NOW + 1)], 1, None)
    assert (undated.kept, undated.unordered) == ({0, 2}, {0})


def test_a_tie_at_the_cut_keeps_all_that_are_tied() -> None:
    tags = [Tag(name, pushed=NOW + place) for name, place in zip("abcdef", (0, 1, 1, 1, 2, 3), strict=True)]
    found = last(tags, 3, By.PUSHED)
    assert kept(tags, 3, By.PUSHED) == ["b", "c", "d", "e", "f"]
    assert len(found.tied) == 2
    assert last(tags, 2, By.PUSHED).tied == set()


def test_a_date_before_there_were_images_is_none() -> None:
    tags = [Tag("zero", NOW, 0), Tag("jib", NOW, 10 * YEAR), Tag("real", NOW, NOW), Tag("new", NOW, NOW + 1)]
    found = last(tags, 1, By.CREATED)
    assert (found.kept, found.unordered) == ({0, 1, 3}, {0, 1})


@pytest.mark.parametrize(
    "names",
    [
        ["1.9", "1.10", "2.0-rc1", "2.0-rc2", "2.0-rc10", "2.0", "2.0-alpine", "2.0-1", "2.0.1", "10"],
        ["v1.9", "v1.10", "v2.0-alpha", "v2.0-beta.2", "v2.0-rc.1", "v2.0"],
        ["1.0", "v1.1", "1.2rc1", "1.2", "v1.3"],
        ["release-1.9", "release-1.10", "release-2.0-rc1", "release-2.0"],
        ["pr-7", "pr-10", "pr-100"],
        ["20231231", "20240101", "20240101-2"],
    ],
)
def test_versions_are_in_the_order_in_which_people_read_them(names: list[str]) -> None:
    keys = dict(zip(names, versions(names), strict=True))
    assert None not in keys.values()
    assert sorted(sorted(names), key=lambda name: keys[name] or ()) == names


def test_what_is_no_version_is_kept_and_not_counted() -> None:
    names = ["1.0", "1.1", "main", "pr-7", "9f3c2d1", "2.0"]
    tags = [Tag(name) for name in names]
    assert kept(tags, 2, By.VERSION) == ["1.1", "main", "pr-7", "9f3c2d1", "2.0"]
    assert kept([Tag("1.0"), Tag("v1.0"), Tag("0.9")], 1, By.VERSION) == ["1.0", "v1.0"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-02-03T04:05:06Z", 0),
        ("2024-02-03T04:05:06.123456789Z", 0),
        ("2024-02-03t06:05:06+02:00", 0),
        ("2024-02-03T04:05:06", None),
        ("2024-13-03T04:05:06Z", None),
        ("0001-01-01T00:00:00Z", -63_842_529_906),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_time_is_read_as_documents_write_it(text: str, seconds: int | None) -> None:
    found = nanoseconds(text)
    if seconds is None:
        assert found is None
    else:
        assert found is not None
        assert found // 10**9 == 1_706_933_106 + seconds
        if seconds == 0:
            assert iso(found) == "2024-02-03T04:05:06Z"


def test_tags_of_signatures_are_named_after_an_image() -> None:
    for ending in ("", ".sig", ".att", ".sbom"):
        assert named_after(f"sha256-{HEX}{ending}") == DIGEST
    for tag in (HEX, f"sha256-{HEX[1:]}", f"sha256-{HEX}0", f"md5-{HEX}", f"sha256-{HEX}-1", "1.0.sig"):
        assert named_after(tag) is None
