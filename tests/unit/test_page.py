"""The page of HTML: what stands in it is what the reports say, and no name in it can do anything."""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from typing import Any, NamedTuple

import pytest

from regfs.graph.index import Need, ReferenceIndex
from regfs.graph.reports.catalogue import Reports
from regfs.graph.reports.contents import BlobContents
from regfs.graph.reports.page.making import describe
from regfs.graph.reports.reclaim import reclaim
from regfs.graph.reports.rules import Rules
from regfs.page.document import ImageFlag, Page, PlaceKind, TagFlag
from regfs.page.rendering import render
from regfs.registry import Contents, open_local
from tests.browser.stores import DAY, ENDS, HOSTILE, NOW, PUSHED, Everything, build_everything
from tests.builder import StoreBuilder
from tests.conftest import output

Row = dict[str, Any]


class Told(NamedTuple):
    """What a page says of a store, and what the reports do."""

    page: Page
    reports: dict[str, list[Row]]

    @property
    def summary(self) -> dict[tuple[str, str], Row]:
        return {(row["section"], row["item"]): row for row in self.reports["summary"]}

    def part(self, kind: PlaceKind) -> int:
        (part,) = (part for part in self.page.parts if part.kind is kind)
        return part.size

    def images(self) -> dict[str, Row]:
        """Give what the page says of each listed tag."""
        tags, images = self.page.tags, self.page.images
        found = {}
        for number, name in enumerate(tags.names):
            image = tags.images[number]
            row: Row = {"flags": TagFlag(tags.flags[number]), "former": tags.former.get(number, [])}
            if image >= 0:
                row |= {
                    "own": images.own[image],
                    "size": images.sizes[image],
                    "platforms": images.words[images.platforms[image]],
                    "image": ImageFlag(images.flags[image]),
                }
            found[f"{self.page.repositories[tags.repositories[number]]}:{name}"] = row
        return found


def tell(store: StoreBuilder, most_tags: int = 1000) -> Told:
    """Ask for the page and some reports of a store."""
    local = open_local(str(store.v2))
    contents = Contents(local)
    index = ReferenceIndex(local, str(store.v2), None, ttl=float("inf"))
    index.refresh(thorough=True)
    reports = Reports(index, contents)
    found: dict[str, list[Row]] = {}
    for name in ("summary", "tags", "blobs", "broken"):
        with reports.making(name) as table:
            names = [column.name for column in table.columns]
            found[name] = [dict(zip(names, row, strict=True)) for row in table.rows]
    with index.snapshot(*Need) as snapshot:
        page = describe(snapshot, str(store.v2), NOW, "", most_tags)
    index.close()
    local.close()
    return Told(page, found)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Everything:
    return build_everything(tmp_path_factory.mktemp("page") / "store")


@pytest.fixture(scope="module")
def told(everything: Everything) -> Told:
    return tell(everything.store)


# --- each byte once ------------------------------------------------------------------------------------


def test_the_parts_are_the_summary_s_and_add_up_to_the_store(told: Told) -> None:
    summary = told.summary
    tagged = [told.part(kind) for kind in (PlaceKind.OWN, PlaceKind.SHARED, PlaceKind.BETWEEN)]
    assert all(tagged)
    assert sum(tagged) == summary["stored", "tagged"]["size"]
    for kind in (PlaceKind.UNTAGGED, PlaceKind.ORPHANED, PlaceKind.UNKNOWN, PlaceKind.UPLOADS):
        assert told.part(kind) == summary["stored", kind.value]["size"]
    assert told.page.total == summary["stored", "all"]["size"]
    assert sum(part.number for part in told.page.parts) == summary["stored", "all"]["count"]


def drawn(page: Page) -> int:
    """Sum up what the map draws: places, and images by themselves."""
    own = [
        size
        for size, flags in zip(page.images.own, page.images.flags, strict=True)
        if not flags & ImageFlag.SEVERAL_REPOSITORIES
    ]
    return sum(own) + sum(place.size for place in page.places)


def test_the_map_draws_each_byte_once(told: Told) -> None:
    assert drawn(told.page) == told.page.total


def test_months_have_each_blob_once(told: Told) -> None:
    sizes = sum(sum(series.sizes) for series in told.page.months.series)
    assert sizes == told.page.total - told.part(PlaceKind.UPLOADS)
    assert told.page.months.months[0] == "2023-11"


def test_what_is_shared_lies_where_those_are_who_share_it(told: Told, everything: Everything) -> None:
    places = {(place.kind, place.name): place.size for place in told.page.places}
    assert places[PlaceKind.BETWEEN, ""] == everything.base.size
    assert places[PlaceKind.BETWEEN, "team"] > 20_000
    assert (PlaceKind.UNTAGGED, "alone") in places
    assert (PlaceKind.UPLOADS, "team/web") in places


def test_an_image_with_two_tags_has_bytes_of_its_own_and_counts_once(told: Told) -> None:
    tags = told.images()
    assert tags["team/app:1.0"]["own"] == tags["team/app:stable"]["own"] > 0
    shown = {row["tag"]: row["exclusive"] for row in told.reports["tags"] if row["repository"] == "team/app"}
    assert shown["1.0"] == 0
    assert tags["team/app:1.1"]["own"] == shown["1.1"]


def test_tags_that_are_not_listed_are_summed_up_by_repository(everything: Everything, told: Told) -> None:
    few = tell(everything.store, most_tags=2).page
    assert few.listed == 2
    assert few.number_of_tags == told.page.number_of_tags == 8
    assert few.images.own[0] >= 10_000
    assert sum(place.number for place in few.places if place.kind is PlaceKind.MORE) == 6
    assert drawn(few) == few.total == told.page.total
    assert few.ages == told.page.ages
    assert few.months == told.page.months


# --- what is told of tags ------------------------------------------------------------------------------


def test_signatures_and_sboms_are_told_of_the_image_that_they_belong_to(told: Told) -> None:
    tags = told.images()
    assert tags["team/app:1.0"]["image"] & 7 == ImageFlag.SIGNED | ImageFlag.SBOM
    assert not tags["team/app:1.1"]["image"] & 7


def test_signatures_by_tag_and_attestations_in_an_index_are_told_too(store: StoreBuilder) -> None:
    image = store.image("app", "1.0")
    signature = store.blob(b"{}", "application/vnd.dev.cosign.simplesigning.v1+json")
    store.image("app", f"{image.digest.replace(':', '-')}.sig", [signature])
    statement = store.blob(b"{ }", "application/vnd.in-toto+json")
    attestation = store.image("app", None, [statement])
    children = [
        image.descriptor(platform={"os": "linux", "architecture": "amd64"}),
        attestation.descriptor(
            platform={"os": "unknown", "architecture": "unknown"},
            annotations={
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": image.digest,
            },
        ),
    ]
    store.index("app", "multi", children)
    told = tell(store)
    tags = told.images()
    assert tags["app:1.0"]["image"] & 7 == ImageFlag.SIGNED
    assert tags["app:multi"]["image"] & 7 == ImageFlag.ATTESTED
    assert list(told.page.tags.belongs_to.values()) == ["1.0"]


def test_a_tag_that_moved_has_what_it_named_before(told: Told, everything: Everything) -> None:
    tags = told.images()
    (former,) = tags["team/app:nightly"]["former"]
    assert (former.pushed, former.stored) == (PUSHED + 10 * DAY, True)
    assert former.digest not in everything.moved.digest
    assert tags["team/app:1.1"]["former"] == []


def test_ages_count_each_tag_once(told: Told) -> None:
    assert sum(group.tags for group in told.page.ages) == told.page.number_of_tags
    assert {group.name: group.tags for group in told.page.ages}["under a week"] == 1


def test_rules_say_what_reclaim_and_the_summary_do(told: Told) -> None:
    rules = {rule.command: rule for rule in told.page.rules}
    summary = told.summary
    assert rules["registry garbage-collect"].freed == summary["would be freed by", "garbage-collect"]["size"]
    untagged = rules["regfs reclaim STORE --untagged"]
    assert untagged.orphaned == told.part(PlaceKind.ORPHANED)
    assert untagged.freed > untagged.orphaned
    assert rules["regfs reclaim STORE --older-than 90d"].tags == 3  # and three `latest` are spared


def test_each_rule_frees_what_reclaim_says(everything: Everything, told: Told) -> None:
    local = open_local(str(everything.store.v2))
    contents = Contents(local)
    index = ReferenceIndex(local, str(everything.store.v2), None, ttl=float("inf"))
    BlobContents(index, contents).read_configs()
    before = (NOW - 90 * DAY) * 10**9
    rules = {rule.command.partition("STORE ")[2]: rule for rule in told.page.rules}
    with index.snapshot(*Need) as snapshot:
        for options, given in (
            ("--older-than 90d", Rules(before=before)),
            ("--keep-last 10", Rules(keep_last=10)),
            ("--older-than 90d --keep-last 10", Rules(before=before, keep_last=10)),
        ):
            found = reclaim(snapshot, given)
            assert (rules[options].tags, rules[options].freed) == (len(found.tags), found.size)
    index.close()
    local.close()


def test_findings_are_the_report_s(told: Told) -> None:
    assert sum(group.number for group in told.page.wrong) == len(told.reports["broken"])


# --- what was not read ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torn(everything: Everything, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The same store, but one repository's tags cannot be listed, and a tag's link in another is empty."""
    root = tmp_path_factory.mktemp("torn") / "store"
    shutil.copytree(everything.store.root, root)
    store = StoreBuilder.__new__(StoreBuilder)
    store.root, store.now, store.v2 = root, None, root / "docker/registry/v2"
    shutil.rmtree(store.repository("alone") / "_manifests" / "tags")
    (store.repository("alone") / "_manifests" / "tags").write_bytes(b"")
    store.tag("team/app/tools", "broken", everything.signed)
    store.tag_link("team/app/tools", "broken").write_bytes(b"")
    return tell(store)


def test_what_was_not_read_is_unknown_and_said_to_be(torn: Told) -> None:
    assert torn.part(PlaceKind.UNKNOWN) == torn.summary["stored", "unknown"]["size"] > 15_000
    assert torn.part(PlaceKind.UNTAGGED) == torn.summary["stored", "untagged"]["size"]
    assert drawn(torn.page) == torn.page.total
    gap, link = torn.page.unread
    assert gap.where.endswith("alone/_manifests/tags")
    assert link.where.endswith("broken/current/link")
    assert "have tags" in gap.hides
    page = render(torn.page).decode()
    assert "Not everything could be read" in page
    assert gap.where in page


def test_a_store_that_was_read_whole_says_nothing_of_gaps(told: Told) -> None:
    assert told.page.unread == []
    assert "could be read" not in render(told.page).decode()


def test_whether_it_is_signed_is_unknown_where_a_signature_may_not_have_been_read(
    told: Told, torn: Told
) -> None:
    assert not told.images()["team/app:1.1"]["image"] & ImageFlag.BELONGINGS_UNKNOWN
    tags = torn.images()
    assert tags["team/app/tools:latest"]["image"] & ImageFlag.BELONGINGS_UNKNOWN
    assert tags["team/app/tools:broken"]["flags"] & TagFlag.DAMAGED
    assert not tags["team/web:latest"]["image"] & ImageFlag.BELONGINGS_UNKNOWN


# --- the page ------------------------------------------------------------------------------------------


def data_of(page: str) -> Any:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_no_name_ends_the_data_or_becomes_an_element(told: Told) -> None:
    page = render(told.page).decode()
    assert told.images()["bad:tag"]["platforms"]
    assert HOSTILE not in page
    assert ENDS not in page
    assert html.escape(HOSTILE, quote=False).replace("'", "&#39;") in page
    assert any(HOSTILE in word for word in data_of(page)["images"]["words"])
    assert page.count("</script>") == 3


def test_a_page_allows_its_own_scripts_alone(told: Told) -> None:
    page = render(told.page).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src &#39;none&#39;" in policy
    assert "unsafe" not in policy
    assert policy.count("sha256-") == 3
    assert not re.search(r'(?:src|href)="(?!data:,")', page)


def test_the_sums_stand_in_the_page_without_scripts(told: Told) -> None:
    page = render(told.page).decode()
    for part in told.page.parts:
        assert f'<data value="{part.size}"' in page


def test_only_who_makes_a_page_loads_what_makes_pages() -> None:
    script = "import sys; import regfs.cli.reporting, regfs.tree.views.root; print('jinja2' in sys.modules)"
    assert output(sys.executable, "-c", script) == "False\n"


def test_an_empty_store_has_a_page(store: StoreBuilder) -> None:
    told = tell(store)
    assert told.page.total == 0
    assert b"stored" in render(told.page)
