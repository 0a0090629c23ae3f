"""The reports and what computes them, on small stores whose answers can be counted by hand."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import pytest

from regfs.errors import NotKnownError
from regfs.graph.index import Need, ReferenceIndex
from regfs.graph.reports.catalogue import REPORTS, Reports
from regfs.graph.reports.check import DigestCheck, by_tag, verdict
from regfs.graph.reports.contents import BlobContents
from regfs.graph.reports.difference import blobs as missing_blobs
from regfs.graph.reports.difference import tags as changed_tags
from regfs.graph.reports.explain import describe, explain, find
from regfs.graph.reports.formats import Format, render
from regfs.graph.reports.hashing import Throttle
from regfs.graph.reports.reclaim import Reclaim, reclaim
from regfs.graph.reports.reclaim import by_tag as tags_of
from regfs.graph.reports.rules import Rules, read_pattern
from regfs.graph.reports.table import Table, Type, columns, readable_size
from regfs.registry import Contents, open_local
from tests.builder import Blob, StoreBuilder
from tests.unit.fakes import FakeClock

PUSHED = 1_700_000_000
DAY = 86_400
Row = dict[str, Any]
T = TypeVar("T")


class Asked:
    """The index of a store, read anew, and what the reports say of it."""

    def __init__(self, built: StoreBuilder) -> None:
        self.local = open_local(str(built.v2))
        self.contents = Contents(self.local)
        self.index = ReferenceIndex(self.local, str(built.v2), None, ttl=float("inf"))
        self.index.refresh()

    def of(self, question: Callable[..., T], *arguments: Any) -> T:
        """Ask a question that takes the index."""
        with self.index.snapshot(*Need) as snapshot:
            return question(snapshot, *arguments)

    def rows(self, report: str) -> list[Row]:
        with Reports(self.index, self.contents).making(report) as table:
            return rows_of(table)

    def tag(self, repository: str, tag: str) -> Row:
        (row,) = (row for row in self.rows("tags") if (row["repository"], row["tag"]) == (repository, tag))
        return row

    def reclaim(self, *match: str, **rules: Any) -> Reclaim:
        """Ask what rules select; patterns as text."""
        for name, texts in (("match", match), ("keep", rules.get("keep", ()))):
            rules[name] = tuple(read_pattern(f"--{name}", text) for text in texts)
        BlobContents(self.index, self.contents).read_configs()
        return self.of(reclaim, Rules(**rules))

    def by_tag(self, found: Reclaim, days: float = 0) -> list[Row]:
        """Give the selected tags, as they are listed so many days after PUSHED."""
        now = int((PUSHED + days * DAY) * 10**9)
        return self.of(lambda snapshot: rows_of(tags_of(snapshot, found, now)))

    def explained(self, digest: str) -> str:
        return "\n".join(self.of(lambda snapshot: list(explain(snapshot, digest))))

    def digest_check(self) -> DigestCheck:
        return DigestCheck(self.index, self.contents, Throttle(None), 1)

    def close(self) -> None:
        self.index.close()
        self.local.close()


Ask = Callable[..., Asked]


@pytest.fixture
def ask(store: StoreBuilder) -> Iterator[Ask]:
    """Give a function that reads the built store, or another, as it is at the call."""
    made: list[Asked] = []

    def make(built: StoreBuilder = store) -> Asked:
        made.append(Asked(built))
        return made[-1]

    yield make
    for asked in made:
        asked.close()


def rows_of(table: Table) -> list[Row]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def size_of(*blobs: Blob) -> int:
    return sum(blob.size for blob in blobs)


class Images:
    """Makes images each with a layer and a config of its own, and remembers these as its parts."""

    def __init__(self, store: StoreBuilder) -> None:
        self.store = store
        self.base = store.layer({"base": b"shared by all" * 100})
        self._own: dict[str, list[Blob]] = {}

    def push(self, repository: str, tag: str | None, name: str = "", days: float = 0, **keys: object) -> Blob:
        """Push the image `name` (else the tag's): the base, a layer, a config; `days` is when."""
        name = name or f"{repository}:{tag}"
        own = self.store.layer({"own": name.encode()}), self.store.config(author=name)
        image = self.store.image(
            repository, tag, [self.base, own[0]], own[1], mtime=PUSHED + days * DAY, **keys
        )
        self._own[image.digest] = [image, *own]
        return image

    def index(self, repository: str, tag: str | None, *children: Blob) -> Blob:
        platforms = [{"os": "linux", "architecture": f"cpu{number}"} for number in range(len(children))]
        descriptors = [
            child.descriptor(platform=platform) for child, platform in zip(children, platforms, strict=True)
        ]
        made = self.store.index(repository, tag, descriptors)
        self._own[made.digest] = [made]
        return made

    def own(self, *images: Blob) -> int:
        """Give the bytes of all that only these need: all but the base."""
        return size_of(*(part for image in images for part in self._own[image.digest]))


@pytest.fixture
def images(store: StoreBuilder) -> Images:
    return Images(store)


# --- tables ----------------------------------------------------------------------------------------


def text_of(table: Table, form: Format) -> str:
    return "".join(render(table, form))


TABLE = Table(
    columns("name", number=Type.NUMBER, size=Type.SIZE, when=Type.TIME),
    [
        ("plain", 1, 1536, 1_700_000_000_999_999_999),
        ('with "quotes", commas', 20, 0, 0),
        ("two\nlines", None, None, None),
        ("ä \u2603", 300, 10**15, 300_000_000_000 * 10**9),
        (None, 0, 1023, 1),
    ],
)


def test_csv_has_exact_numbers_dates_and_quotes_where_they_are_needed() -> None:
    assert text_of(TABLE, Format.CSV).splitlines()[:3] == [
        "name,number,size,when",
        "plain,1,1536,2023-11-14T22:13:20Z",
        '"with ""quotes"", commas",20,0,1970-01-01T00:00:00Z',
    ]
    rows = list(csv.reader(io.StringIO(text_of(TABLE, Format.CSV))))
    assert rows[3] == ["two\nlines", "", "", ""]
    assert rows[4] == ["ä \u2603", "300", "1000000000000000", "@300000000000"]
    assert rows[5] == ["", "0", "1023", "1970-01-01T00:00:00Z"]


def test_json_has_the_same_values_as_csv() -> None:
    rows = json.loads(text_of(TABLE, Format.JSON))
    assert {row.pop("schema") for row in rows} == {1}
    assert rows[0] == {"name": "plain", "number": 1, "size": 1536, "when": "2023-11-14T22:13:20Z"}
    assert rows[2] == {"name": "two\nlines", "number": None, "size": None, "when": None}
    told = [["" if cell is None else str(cell) for cell in row.values()] for row in rows]
    assert [list(rows[0]), *told] == list(csv.reader(io.StringIO(text_of(TABLE, Format.CSV))))


def test_a_table_for_people_has_sizes_to_read_and_numbers_to_the_right() -> None:
    assert text_of(Table(TABLE.columns, list(TABLE.rows)[:2]), Format.TABLE).splitlines() == [
        "name                   number  size  when",
        "plain                       1  1.5K  2023-11-14T22:13Z",
        'with "quotes", commas      20     0  1970-01-01T00:00Z',
    ]


def test_a_table_for_people_cannot_disturb_the_terminal() -> None:
    text = text_of(Table(columns("name"), [("a\nb",), ("\x1b[2J",), ("\udcff",), ("\u202e",)]), Format.TABLE)
    assert text.splitlines() == ["name", "a\\nb", "\\x1b[2J", "\\udcff", "\\u202e"]


def test_digits_in_a_text_stay_as_they_are() -> None:
    table = Table(columns("tag"), [("1.10",), ("007",), ("1e3",), ("-0",)])
    assert text_of(table, Format.TABLE).split() == ["tag", "1.10", "007", "1e3", "-0"]


@pytest.mark.parametrize(
    ("form", "text"), [(Format.TABLE, "a  b\n"), (Format.CSV, "a,b\n"), (Format.JSON, "[\n]\n")]
)
def test_a_table_without_rows_still_has_its_form(form: Format, text: str) -> None:
    assert text_of(Table(columns("a", b=Type.SIZE), []), form) == text


def test_rows_are_rendered_as_they_come() -> None:
    def rows() -> Iterator[tuple[str]]:
        yield ("first",)
        raise AssertionError("read too early")

    for form in (Format.CSV, Format.JSON):
        pieces = render(Table(columns("name"), rows()), form)
        next(pieces)
        assert "first" in next(pieces)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (1, "1"),
        (1023, "1023"),
        (1024, "1.0K"),
        (1536, "1.5K"),
        (10_188, "9.9K"),
        (10_189, "10K"),
        (10_752, "10K"),
        (1023 << 10, "1023K"),
        ((1 << 20) - 1, "1.0M"),
        (17 << 20, "17M"),
        (103 * 10**9, "96G"),
        (686 * 10**9, "639G"),
        (1 << 40, "1.0T"),
        (3 << 50, "3.0P"),
        ((1 << 63) - 1, "8.0E"),
    ],
)
def test_sizes_are_written_as_du_h_does(size: int, text: str) -> None:
    assert readable_size(size) == text


# --- the throttle ----------------------------------------------------------------------------------


def test_a_throttle_without_a_rate_lets_everything_pass() -> None:
    clock = FakeClock()
    throttle = Throttle(None, clock, clock.pause)
    for _ in range(1000):
        throttle.take(1 << 30)
    assert clock.pauses == []


def test_a_throttle_lets_pass_what_the_rate_allows_and_no_more() -> None:
    clock = FakeClock()
    throttle = Throttle(100.0, clock, clock.pause)
    start, taken = clock(), 0
    for size in (100, 50, 1, 49, 1000, 100):
        throttle.take(size)
        assert clock() - start == pytest.approx(taken / 100)  # what was taken before has had its time
        taken += size
    assert all(seconds > 0 for seconds in clock.pauses)


def test_a_throttle_saves_nothing_up_while_nobody_reads() -> None:
    clock = FakeClock()
    throttle = Throttle(100.0, clock, clock.pause)
    throttle.take(100)
    clock.now += 1000
    throttle.take(100)
    assert clock.pauses == []
    throttle.take(100)
    assert clock.pauses == [pytest.approx(1)]


# --- reclaim ---------------------------------------------------------------------------------------


def test_a_layer_that_another_tag_shares_is_not_counted(images: Images, ask: Ask) -> None:
    first, _ = images.push("app", "1"), images.push("app", "2")
    found = ask().reclaim("app:1")
    assert found.digests == [f"app@{first.digest}"]
    assert found.freed.by_repository == {"app": (3, images.own(first))}
    assert found.size == images.own(first)
    assert [row.tag[1:4] for row in found.tags] == [("app", "1", first.digest)]
    assert found.stays == []


def test_with_the_last_tag_the_shared_layer_goes_as_well(images: Images, ask: Ask) -> None:
    both = images.push("app", "1"), images.push("app", "2")
    found = ask().reclaim("app:*")
    assert found.freed.by_repository == {"app": (7, images.own(*both) + images.base.size)}
    assert found.digests == sorted(f"app@{image.digest}" for image in both)


def test_what_two_repositories_share_is_told_apart(images: Images, ask: Ask) -> None:
    one, other = images.push("one", "1"), images.push("other", "1")
    found = ask().reclaim("*:*")
    assert found.freed.by_repository == {
        "one": (3, images.own(one)),
        "other": (3, images.own(other)),
        "": (1, images.base.size),
    }
    assert rows_of(found.by_repository()) == [
        {"repository": "one", "tags": 1, "blobs": 3, "freed": images.own(one)},
        {"repository": "other", "tags": 1, "blobs": 3, "freed": images.own(other)},
        {"repository": "(in several of them)", "tags": None, "blobs": 1, "freed": images.base.size},
        {"repository": "(orphaned already)", "tags": None, "blobs": 0, "freed": 0},
        {"repository": "(total)", "tags": 2, "blobs": 7, "freed": found.size},
    ]
    assert found.size == images.own(one, other) + images.base.size


def test_a_digest_with_another_tag_that_is_kept_stays(images: Images, store: StoreBuilder, ask: Ask) -> None:
    image = images.push("app", "1")
    store.tag("app", "latest", image)
    found = ask().reclaim("app:1")
    assert (found.digests, found.tags, found.size) == ([], [], 0)
    assert [(row.tag.tag, row.stays) for row in found.stays] == [("1", "latest names it as well")]
    found = ask().reclaim("app:1", "app:latest")
    assert found.digests == [f"app@{image.digest}"]
    assert [row.tag.tag for row in found.tags] == ["1", "latest"]
    assert found.size == images.own(image) + images.base.size


def test_the_same_image_in_another_repository_keeps_the_bytes(images: Images, ask: Ask) -> None:
    image, _ = images.push("one", "1", "same"), images.push("other", "1", "same")
    found = ask().reclaim("one:*")
    assert (found.digests, found.size) == ([f"one@{image.digest}"], 0)
    assert ask().reclaim("*:1").freed.by_repository == {"": (4, images.own(image) + images.base.size)}


def test_a_child_that_another_index_has_stays(images: Images, ask: Ask) -> None:
    one, both, other = (images.push("app", None, name) for name in ("one", "both", "other"))
    first = images.index("app", "first", one, both)
    second = images.index("app", "second", both, other)
    found = ask().reclaim("app:first")
    assert found.digests == sorted(f"app@{image.digest}" for image in (first, one))
    assert found.freed.by_repository == {"app": (4, images.own(first, one))}
    assert ask().reclaim("*:*").freed.by_repository == {
        "app": (12, images.own(first, second, one, both, other) + images.base.size)
    }


def test_a_child_with_a_tag_of_its_own_stays(images: Images, ask: Ask) -> None:
    tagged, plain = images.push("app", "amd64"), images.push("app", None, "arm64")
    index = images.index("app", "multi", tagged, plain)
    found = ask().reclaim("app:multi")
    assert found.digests == sorted(f"app@{image.digest}" for image in (index, plain))
    assert found.size == images.own(index, plain)


def test_a_tag_that_a_kept_index_leads_to_stays(images: Images, ask: Ask) -> None:
    child = images.push("app", "amd64")
    images.index("app", "multi", child)
    found = ask().reclaim("app:amd64")
    assert (found.digests, found.size) == ([], 0)
    assert [(row.tag.tag, row.stays) for row in found.stays] == [("amd64", "a kept image leads to it")]


def test_what_refers_to_an_image_goes_with_it(images: Images, ask: Ask) -> None:
    image, other = images.push("app", "1"), images.push("app", "2")
    signature = images.push("app", None, "signature", subject=image.descriptor())
    images.push("app", None, "of the other", subject=other.descriptor())
    about = images.push("app", None, "about the signature", subject=signature.descriptor())
    found = ask().reclaim("app:1")
    assert found.digests == sorted(f"app@{one.digest}" for one in (image, signature, about))
    assert found.size == images.own(image, signature, about)


def test_a_referrer_goes_with_its_image_whatever_its_tag_but_one_that_is_kept(
    images: Images, store: StoreBuilder, ask: Ask
) -> None:
    image = images.push("app", "1")
    signature = images.push("app", "1.sig", subject=image.descriptor())
    everything = sorted(f"app@{one.digest}" for one in (image, signature))
    assert ask().reclaim("app:1").digests == everything
    assert ask().reclaim("app:1.sig").digests == []
    for keep in ("app:1.sig", f"app@{signature.digest}"):
        found = ask().reclaim("*:*", keep=(keep,))
        assert found.digests == [f"app@{image.digest}"]
        assert found.size == images.own(image)
    store.tag("app", "released", signature)
    assert ask().reclaim("*:*").digests == everything


def test_untagged_images_go_only_if_asked_for(images: Images, ask: Ask) -> None:
    image = images.push("app", "1")
    signature = images.push("app", None, "signature", subject=image.descriptor())
    loose = images.push("app", None, "loose")
    child = images.push("app", None, "child")
    index = images.index("app", None, child, image)
    assert ask().reclaim("app:2").digests == []
    found = ask().reclaim(untagged=True)
    assert found.digests == sorted(f"app@{one.digest}" for one in (loose, index, child))
    assert found.size == images.own(loose, index, child)
    assert found.tags == found.stays == []
    everything = ask().reclaim("*:*", untagged=True)
    assert everything.size == images.own(image, signature, loose, child, index) + images.base.size


def test_an_untagged_image_keeps_what_it_shares_with_a_tag_that_goes(images: Images, ask: Ask) -> None:
    tagged = images.push("app", "1")
    images.push("app", None, "loose")
    assert ask().reclaim("app:1").size == images.own(tagged)


def test_orphans_are_told_apart_from_what_a_deletion_frees(
    images: Images, store: StoreBuilder, ask: Ask
) -> None:
    orphans = [store.blob(b"orphan"), store.blob(b"another orphan")]
    image = images.push("app", "1")
    found = ask().reclaim("app:1")
    assert found.freed.orphaned == (2, size_of(*orphans))
    assert found.size == images.own(image) + images.base.size + size_of(*orphans)
    assert rows_of(found.by_repository())[-2:] == [
        {"repository": "(orphaned already)", "tags": None, "blobs": 2, "freed": size_of(*orphans)},
        {"repository": "(total)", "tags": 1, "blobs": 6, "freed": found.size},
    ]


def test_a_pattern_of_keep_spares_a_tag(images: Images, ask: Ask) -> None:
    images.push("app", "release-1")
    gone = images.push("app", "pr-1")
    found = ask().reclaim("*:*", keep=("*:release-*",))
    assert found.digests == [f"app@{gone.digest}"]
    assert ask().reclaim("*:*", keep=("app:*",)).digests == []


@pytest.mark.parametrize(
    ("pattern", "selected"),
    [
        ("app:1", ["app:1"]),
        ("app:*", ["app:1", "app:2"]),
        ("*:1", ["app:1", "team/app/web:1", "team/app:1"]),
        ("team/*:*", ["team/app/web:1", "team/app:1"]),
        ("*app:?", ["app:1", "app:2", "team/app:1"]),
        ("*:[!1]", ["app:2"]),
        ("APP:*", []),
        ("pp:*", []),
    ],
)
def test_a_pattern_matches_whole_names_and_slashes_too(
    images: Images, ask: Ask, pattern: str, selected: list[str]
) -> None:
    for repository, tag in (("app", "1"), ("app", "2"), ("team/app", "1"), ("team/app/web", "1")):
        images.push(repository, tag)
    found = ask().reclaim(pattern)
    assert sorted(f"{row.tag.path}:{row.tag.tag}" for row in found.tags) == sorted(selected)


def test_keep_last_counts_in_each_repository_by_the_time_of_the_push(images: Images, ask: Ask) -> None:
    pushed = {
        (repository, tag): images.push(repository, tag, days=days)
        for repository in ("one", "other")
        for tag, days in (("b", 1), ("c", 3), ("a", 2), ("d", 0))
    }
    found = ask().reclaim(keep_last=2)
    assert [(row.tag.path, row.tag.tag) for row in found.tags] == [
        ("one", "b"),
        ("one", "d"),
        ("other", "b"),
        ("other", "d"),
    ]
    assert found.digests == sorted(
        f"{repository}@{image.digest}" for (repository, tag), image in pushed.items() if tag in "bd"
    )
    assert ask().reclaim(keep_last=4).digests == []
    assert len(ask().reclaim("one:*", keep_last=1).digests) == 3


def test_keep_last_counts_among_what_match_selects(images: Images, ask: Ask) -> None:
    for number in range(4):
        images.push("app", f"pr-{number}", days=number)
        images.push("app", f"v{number}", days=10 + number)
    found = ask().reclaim("*:pr-*", keep_last=1)
    assert [row.tag.tag for row in found.tags] == ["pr-0", "pr-1", "pr-2"]


def test_a_tag_as_old_as_the_limit_is_kept(images: Images, ask: Ask) -> None:
    for tag, days in (("old", 0), ("limit", 1), ("new", 2)):
        images.push("app", tag, days=days)
    found = ask().reclaim(before=(PUSHED + DAY) * 10**9)
    assert [row.tag.tag for row in found.tags] == ["old"]


def test_all_rules_that_are_given_must_select_a_tag(images: Images, ask: Ask) -> None:
    for number in range(6):
        images.push("app", f"pr-{number}", days=number)
    images.push("app", "v1", days=0)
    limit = (PUSHED + 4 * DAY) * 10**9
    found = ask().reclaim("*:pr-*", keep=("*:pr-1",), keep_last=3, before=limit)
    assert [row.tag.tag for row in found.tags] == ["pr-0", "pr-2"]


def test_no_rule_selects_no_tag(images: Images, ask: Ask) -> None:
    images.push("app", "1")
    assert not Rules(keep=("*:*",), untagged=True).tags
    assert ask().reclaim(keep=("*:nothing",)).digests == []
    assert Rules(keep_last=1).tags
    assert Rules(before=0).tags


def test_a_tag_without_a_digest_or_a_revision_cannot_go(
    images: Images, store: StoreBuilder, ask: Ask
) -> None:
    images.push("app", "broken")
    store.tag_link("app", "broken").write_bytes(b"")
    gone = images.push("app", "no-revision")
    store.revision_link("app", gone.digest).unlink()
    found = ask().reclaim("app:*")
    assert (found.digests, found.tags) == ([], [])
    assert {row.tag.tag: row.stays for row in found.stays} == {
        "broken": "what it names could not be read",
        "no-revision": "it names no revision, so no API can delete it",
    }


def test_by_tag_lists_what_goes_and_what_stays(images: Images, store: StoreBuilder, ask: Ask) -> None:
    one, two = images.push("app", "1", days=1), images.push("app", "2", days=2)
    store.tag("app", "latest", two, mtime=PUSHED)
    asked = ask()
    rows = asked.by_tag(asked.reclaim("app:1", "app:2"), days=9)
    assert rows == [
        {
            "repository": "app",
            "tag": "1",
            "digest": one.digest,
            "pushed": (PUSHED + DAY) * 10**9,
            "age": 8 * DAY * 10**9,
            "size": images.own(one) + images.base.size,
            "selected_by": "--match 'app:1'",
            "goes": "yes",
        },
        {
            "repository": "app",
            "tag": "2",
            "digest": two.digest,
            "pushed": (PUSHED + 2 * DAY) * 10**9,
            "age": 7 * DAY * 10**9,
            "size": images.own(two) + images.base.size,
            "selected_by": "--match 'app:2'",
            "goes": "no: latest names it as well",
        },
    ]


# --- weights ---------------------------------------------------------------------------------------


def test_an_image_takes_each_blob_once_and_shares_what_others_need(images: Images, ask: Ask) -> None:
    first, _ = images.push("app", "1"), images.push("app", "2")
    row = ask().tag("app", "1")
    assert row["size"] == images.own(first) + images.base.size
    assert row["exclusive"] == images.own(first)
    assert row["shared"] == images.base.size


def test_a_layer_that_an_image_has_twice_counts_once(store: StoreBuilder, ask: Ask) -> None:
    layer, config = store.layer({"f": b"x" * 1000}), store.config()
    image = store.image("app", "1", [layer, layer, layer], config)
    row = ask().tag("app", "1")
    assert row["size"] == row["exclusive"] == size_of(image, layer, config)


def test_two_tags_of_one_image_have_nothing_exclusive_each(
    images: Images, store: StoreBuilder, ask: Ask
) -> None:
    image = images.push("app", "1")
    store.tag("app", "latest", image)
    asked = ask()
    for tag in ("1", "latest"):
        assert asked.tag("app", tag)["exclusive"] == 0
        assert asked.tag("app", tag)["size"] == images.own(image) + images.base.size
    (row,) = asked.rows("repositories")
    assert row["size"] == row["exclusive"] == images.own(image) + images.base.size


def test_an_index_weighs_what_its_children_and_referrers_do(images: Images, ask: Ask) -> None:
    children = [images.push("app", None, name) for name in ("one", "two")]
    index = images.index("app", "multi", *children)
    signature = images.push("app", None, "signature", subject=children[0].descriptor())
    row = ask().tag("app", "multi")
    assert row["size"] == row["exclusive"] == images.own(index, signature, *children) + images.base.size
    assert row["platforms"] == ("linux-cpu0", "linux-cpu1")


def test_an_untagged_image_has_a_weight_and_takes_from_what_is_exclusive(images: Images, ask: Ask) -> None:
    image, loose = images.push("app", "1"), images.push("app", None, "loose")
    asked = ask()
    assert asked.tag("app", "1")["exclusive"] == images.own(image)
    (row,) = asked.rows("untagged")
    assert (row["digest"], row["exclusive"]) == (loose.digest, images.own(loose))
    assert row["size"] == images.own(loose) + images.base.size


def test_what_is_not_stored_weighs_nothing(images: Images, store: StoreBuilder, ask: Ask) -> None:
    layer = store.layer({"lost": b"x" * 500})
    config = store.config()
    image = store.image("app", "1", [images.base, layer], config)
    store.data(layer.digest).unlink()
    assert ask().tag("app", "1")["size"] == size_of(image, config, images.base)


def test_a_repository_weighs_its_blobs_once_and_owns_what_no_other_needs(images: Images, ask: Ask) -> None:
    pushed = [images.push("one", "1"), images.push("one", "2"), images.push("one", None, "loose")]
    other = images.push("other", "1")
    rows = {row["repository"]: row for row in ask().rows("repositories")}
    assert rows["one"]["size"] == images.own(*pushed) + images.base.size
    assert rows["one"]["exclusive"] == images.own(*pushed)
    assert (rows["one"]["tags"], rows["one"]["manifests"], rows["one"]["untagged"]) == (2, 3, 1)
    assert (rows["other"]["size"], rows["other"]["exclusive"]) == (
        images.own(other) + images.base.size,
        images.own(other),
    )


def test_what_is_exclusive_is_what_reclaim_says_of_the_tag_alone(
    images: Images, store: StoreBuilder, ask: Ask
) -> None:
    child, both = images.push("app", None, "child"), images.push("app", "both")
    images.index("app", "multi", child, both)
    signed = images.push("app", "signed")
    images.push("app", None, "signature", subject=signed.descriptor())
    store.tag("app", "again", signed)
    images.push("app", "alone")
    images.push("web", "1", "app:alone")
    images.push("web", "2")
    images.push("web", None, "loose")
    store.blob(b"orphan")
    asked = ask()
    rows = asked.rows("tags")
    assert len(rows) == 7
    for row in rows:
        found = asked.reclaim(f"{row['repository']}:{row['tag']}")
        assert row["exclusive"] == found.size - found.freed.orphaned[1], row


# --- explain ---------------------------------------------------------------------------------------


def test_a_digest_is_found_by_its_first_digits(images: Images, ask: Ask) -> None:
    digest = images.push("app", "1").digest
    asked = ask()
    encoded = digest.removeprefix("sha256:")
    for text in (digest, encoded, encoded[:12], encoded[:12].upper(), f"sha256:{encoded[:8]}"):
        assert asked.of(find, text) == digest


@pytest.mark.parametrize("text", ["", "abc", "sha256:", "sha256:abc", "nothing", "sha256:xyz0", "a/b"])
def test_what_can_be_no_digest_is_said_to_be_none(images: Images, ask: Ask, text: str) -> None:
    with pytest.raises(NotKnownError, match="is no digest"):
        ask().of(find, text)


def test_digits_that_begin_no_digest_or_several_are_told_apart(store: StoreBuilder, ask: Ask) -> None:
    seen: dict[str, bytes] = {}
    for content in (b"%d" % number for number in itertools.count()):
        prefix = hashlib.sha256(content).hexdigest()[:4]
        if prefix in seen:
            break
        seen[prefix] = content
    digests = [store.blob(one).digest for one in (content, seen[prefix])]
    asked = ask()
    with pytest.raises(NotKnownError, match="more than one") as caught:
        asked.of(find, prefix)
    assert all(digest in str(caught.value) for digest in digests)
    assert asked.of(find, digests[0][7:27]) == digests[0]
    with pytest.raises(NotKnownError, match="no blob is stored or named"):
        asked.of(find, f"{int(prefix, 16) ^ 1:04x}")


def test_an_image_is_explained_with_who_names_it(images: Images, store: StoreBuilder, ask: Ask) -> None:
    image = images.push("app", "1")
    store.tag("app", "latest", image)
    store.tag("app", "was", image, mtime=PUSHED)
    images.push("app", "was", "another", days=1)
    text = ask().explained(image.digest)
    assert text.startswith(f"{image.digest}\n  is       the manifest of an image, ")
    assert f"  size     {image.size} bytes" in text
    assert "  state    tagged: some tag leads to it" in text
    assert "  held by  app/1/manifest.json\n           app/latest/manifest.json" in text
    assert "  linked   in app as a revision, since " in text
    assert "  was      app:was, pushed 2023-11-14T22:13:20Z" in text
    assert "  goes     when app:1 is deleted\n           and when app:latest is deleted" in text
    assert text.endswith("and garbage is collected")


def test_a_layer_is_explained_with_every_image_that_holds_it(images: Images, ask: Ask) -> None:
    children = [images.push("app", None, name) for name in ("one", "two")]
    images.index("app", "multi", *children)
    images.push("app", "nested")
    images.push("app/nested", "1")
    loose = images.push("app", None, "loose")
    asked = ask()
    text = asked.explained(images.base.digest)
    assert "a layer of 5 images, application/vnd.oci.image.layer.v1.tar+gzip" in text
    held = {
        "app/multi/platforms/linux-cpu0/layers/00.tar.gz",
        "app/multi/platforms/linux-cpu1/layers/00.tar.gz",
        "app/:nested/layers/00.tar.gz",
        "app/nested/1/layers/00.tar.gz",
        f"app/@{loose.digest}/layers/00.tar.gz",
    }
    assert set(asked.of(describe, images.base.digest)["held_by"]) == held
    assert all(path in text for path in held)
    for name in ("app:multi", "app:nested", "app/nested:1", f"app@{loose.digest}"):
        assert f"when {name} is deleted" in text


def test_a_long_list_is_cut_and_says_how_much_is_left_out(images: Images, ask: Ask) -> None:
    for number in range(60):
        images.push("app", f"t{number:02}")
    text = ask().explained(images.base.digest)
    assert text.count("layers/00.tar.gz") == 50
    assert "and 10 more" in text


def test_untagged_and_orphaned_blobs_are_told_apart(images: Images, store: StoreBuilder, ask: Ask) -> None:
    loose, orphan = images.push("app", None, "loose"), store.blob(b'{"an": "orphan"}')
    asked = ask()
    assert "untagged: a revision leads to it, but no tag does" in asked.explained(loose.digest)
    text = asked.explained(orphan.digest)
    assert "orphaned: nothing leads to it" in text
    assert "held by" not in text
    assert "goes" not in text


def test_an_orphan_is_explained_by_its_first_bytes(store: StoreBuilder, ask: Ask) -> None:
    orphan = store.blob(b'{"an": "orphan"}')
    asked = ask()
    asked.rows("orphans")
    assert "by its first bytes application/json" in asked.explained(orphan.digest)


def test_what_is_named_and_not_stored_is_explained_with_the_damage(store: StoreBuilder, ask: Ask) -> None:
    layer = store.layer({"f": b"x"})
    store.image("app", "1", [layer])
    store.data(layer.digest).unlink()
    asked = ask()
    text = asked.explained(layer.digest)
    assert "  stored   no" in text
    assert f"  damage   app:1 wants layer 0, {layer.size} bytes: not stored" in text
    found = asked.of(describe, layer.digest)
    assert (found["size"], found["stored"], found["state"]) == (None, None, "tagged")
    assert found["held_by"] == ["app/1/layers/00.tar.gz"]


def test_a_damaged_manifest_is_explained_as_one(images: Images, store: StoreBuilder, ask: Ask) -> None:
    image = images.push("app", "1")
    store.data(image.digest).write_bytes(b"{}")
    assert "a damaged manifest: its content is sha256:44136fa355b3" in ask().explained(image.digest)


def test_a_referrer_says_what_it_refers_to(images: Images, ask: Ask) -> None:
    image = images.push("app", "1")
    signature = images.push("app", None, "signature", subject=image.descriptor())
    text = ask().explained(signature.digest)
    assert f"app/@{signature.digest}/manifest.json" in text
    assert "app/1 (refers to it)" in text
    assert "when app:1 is deleted" in text


def test_artifacts_are_called_what_they_are(store: StoreBuilder, ask: Ask) -> None:
    signing = "application/vnd.dev.cosign.simplesigning.v1+json"
    payload = store.blob(b'{"critical":{}}', signing)
    signature = store.image("app", "1.sig", [payload])
    hello = store.blob(b"hello", "text/plain")
    files = [hello.descriptor(annotations={"org.opencontainers.image.title": "hello.txt"})]
    store.artifact("files", "1", files, "application/vnd.acme.files")
    asked = ask()
    kinds = {row["tag"]: (row["kind"], row["created"]) for row in asked.rows("tags")}
    assert kinds == {"1.sig": ("signature", None), "1": ("artifact: application/vnd.acme.files", None)}
    assert "  is       the manifest of a signature, " in asked.explained(signature.digest)
    text = asked.explained(payload.digest)
    assert f"  is       a layer of 1 artifact (signature), {signing}\n" in text
    assert "app/1.sig/layers/00.json" in text
    text = asked.explained(hello.digest)
    assert "  is       a layer of 1 artifact (application/vnd.acme.files), text/plain\n" in text
    assert "  held by  files/1/layers/hello.txt\n" in text


def test_a_blob_pushed_by_another_algorithm_is_explained_under_both_names(
    store: StoreBuilder, ask: Ask
) -> None:
    pushed = store.sha512_layer("app", b"content", "application/x-data")
    store.image("app", "1", [pushed])
    asked = ask()
    stored = store.blob(b"content").digest
    assert "app/1/layers/00.bin" in asked.explained(stored)
    assert "app/1/layers/00.bin" in asked.explained(pushed.digest)
    assert "when app:1 is deleted" in asked.explained(stored)


def test_nobody_knows_a_digest_that_is_neither_stored_nor_named(ask: Ask) -> None:
    asked = ask()
    for tell in (lambda digest: asked.of(describe, digest), asked.explained):
        with pytest.raises(NotKnownError, match="neither has this blob nor names it"):
            tell("sha256:" + "0" * 64)


# --- check -----------------------------------------------------------------------------------------


def test_a_verdict_counts_tags_and_each_that_cannot_be_pulled_once(
    images: Images, store: StoreBuilder, ask: Ask
) -> None:
    images.push("app", "sound")
    layers = [store.layer({"f": name}) for name in (b"a", b"b")]
    store.image("app", "broken", layers)
    for layer in layers:
        store.data(layer.digest).unlink()
    store.upload("app", b"x", None)
    asked = ask()
    found = asked.of(verdict)
    assert (found.tags, found.sound, found.untold) == (2, 1, 0)
    (row,) = rows_of(asked.of(partial(by_tag, sound=False)))
    assert (row["tag"], row["can_be_pulled"]) == ("broken", False)
    assert {lack.digest for lack in row["lacks"]} == {layer.digest for layer in layers}
    assert {(lack.kind, lack.found) for lack in row["lacks"]} == {("missing", "not stored")}
    rows = rows_of(asked.of(partial(by_tag, sound=True)))
    assert [(row["tag"], row["can_be_pulled"]) for row in rows] == [("broken", False), ("sound", True)]


def test_a_digest_check_finds_the_byte_that_was_changed(
    images: Images, store: StoreBuilder, ask: Ask
) -> None:
    images.push("app", "1")
    images.push("app", "2")
    path = store.data(images.base.digest)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    asked = ask()
    work = asked.digest_check()
    assert (work.done, work.total) == (0, sum(row["size"] for row in asked.rows("blobs")))
    told: list[int] = []
    work.run(told.append)
    assert sum(told) == work.total
    findings = [row for row in asked.rows("broken") if row["kind"] == "content"]
    assert [(row["repository"], row["tag"], row["digest"]) for row in findings] == [
        ("app", "1", images.base.digest),
        ("app", "2", images.base.digest),
    ]
    assert asked.of(verdict).sound == 0
    # One that came to its end begins anew.
    assert asked.digest_check().done == 0


def test_a_digest_check_that_is_stopped_goes_on_where_it_was(
    images: Images, store: StoreBuilder, ask: Ask
) -> None:
    for number in range(5):
        images.push("app", f"{number}")
    asked = ask()
    total = asked.digest_check().total

    class StoppedError(Exception):
        pass

    read = 0

    def stop(size: int) -> None:
        nonlocal read
        read += size
        if read > total / 2:
            raise StoppedError

    work = asked.digest_check()
    with pytest.raises(StoppedError):
        work.run(stop)
    again = asked.digest_check()
    assert 0 < again.done < again.total == total
    told: list[int] = []
    again.run(told.append)
    assert sum(told) == again.total - again.done


def test_a_blob_that_was_changed_after_it_was_hashed_is_hashed_again(store: StoreBuilder, ask: Ask) -> None:
    blob = store.blob(b"content")
    asked = ask()
    asked.digest_check().run(lambda size: None)
    # As if it had been stopped.
    asked.index.write(lambda connection: connection.execute("DELETE FROM meta WHERE key = 'check ended'"))
    assert asked.digest_check().done == blob.size
    store.data(blob.digest).write_bytes(b"changed")
    os.utime(store.data(blob.digest), (PUSHED, PUSHED))
    asked.index.refresh(thorough=True)
    assert asked.digest_check().done == 0


# --- differences and reports -----------------------------------------------------------------------


def differences(question: Callable[..., Table], one: Asked, other: Asked) -> list[Row]:
    with one.index.snapshot() as first, other.index.snapshot() as second:
        return rows_of(question(first, second))


def test_a_difference_names_what_was_added_removed_and_moved(
    images: Images, store: StoreBuilder, tmp_path: Any, ask: Ask
) -> None:
    other = StoreBuilder(tmp_path / "other")
    theirs = Images(other)
    for pushes in (images, theirs):
        pushes.push("app", "same", days=1)
    old, gone = images.push("app", "moved", "old"), images.push("app", "gone")
    new, more = theirs.push("app", "moved", "new", days=2), theirs.push("web", "more")
    one, two = ask(), ask(other)
    assert [tuple(row.values())[:5] for row in differences(changed_tags, one, two)] == [
        ("removed", "app", "gone", gone.digest, None),
        ("moved", "app", "moved", old.digest, new.digest),
        ("added", "web", "more", None, more.digest),
    ]
    missing = differences(missing_blobs, one, two)
    assert sum(row["size"] for row in missing) == images.own(old, gone)
    assert len(missing) == 6
    assert all(row["second"] is None and row["example"].startswith("app/") for row in missing)
    assert differences(changed_tags, one, ask()) == []


def test_a_blob_with_another_size_is_missing_and_one_that_no_tag_needs_is_not(
    images: Images, store: StoreBuilder, tmp_path: Any, ask: Ask
) -> None:
    images.push("app", "1")
    store.blob(b"orphan")
    images.push("app", None, "loose")
    other = StoreBuilder(tmp_path / "other")
    Images(other).push("app", "1")
    other.data(images.base.digest).write_bytes(b"short")
    (row,) = differences(missing_blobs, ask(), ask(other))
    assert (row["digest"], row["size"], row["second"]) == (images.base.digest, images.base.size, 5)


def test_every_blob_is_in_one_state_and_the_summary_adds_up(
    images: Images, store: StoreBuilder, ask: Ask
) -> None:
    images.push("app", "1")
    images.push("app", None, "loose")
    store.blob(b"orphan")
    store.upload("app", b"x" * 100)
    asked = ask()
    rows = {(row["section"], row["item"]): row for row in asked.rows("summary")}
    states = [rows["stored", state] for state in ("tagged", "untagged", "orphaned", "uploads")]
    assert [row["count"] for row in states] == [4, 3, 1, 1]
    assert rows["stored", "all"]["count"] == 9
    assert rows["stored", "all"]["size"] == sum(row["size"] for row in states)
    assert rows["stored", "uploads"]["size"] == 100 + len("2024-01-02T03:04:05Z")
    blobs = asked.rows("blobs")
    assert (
        sum(row["size"] for row in blobs) == rows["stored", "all"]["size"] - rows["stored", "uploads"]["size"]
    )
    assert (rows["names", "tags"]["count"], rows["names", "manifests"]["count"]) == (1, 2)


def test_an_empty_store_has_every_report(ask: Ask) -> None:
    asked = ask()
    for name in REPORTS:
        with Reports(asked.index, asked.contents).making(name) as table:
            for form in Format:
                text = text_of(Table(table.columns, list(table.rows)), form)
                assert text or form is Format.JSONL
    assert asked.reclaim("*:*", untagged=True).size == 0
    assert asked.of(verdict) == (0, 0, 0)
