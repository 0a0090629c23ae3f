"""The page in a real browser: its sums, clicks and keys, its filter, names that mean harm, and no request."""

from __future__ import annotations

import json
import re
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regfs.page.units import readable
from tests.browser.chromium import Browser, browser, find_browser
from tests.browser.stores import HOSTILE, Everything, build_everything
from tests.conftest import REGFS, cannot_run, output

pytestmark = pytest.mark.browser

#: Widths of windows: a small telephone, a common one, 4K.
WIDTHS = (320, 1280, 3840)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        cannot_run("no Chromium is installed")
    with browser(program) as running:
        yield running


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Everything:
    return build_everything(tmp_path_factory.mktemp("store") / "registry")


@pytest.fixture(scope="module")
def page(everything: Everything, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the page of that store, as a person does."""
    made = tmp_path_factory.mktemp("page") / "page.html"
    made.write_text(
        output(*REGFS, "report", "html", everything.store.root, "--registry", "reg.example.com:5000")
    )
    return made


@pytest.fixture(scope="module")
def summary(everything: Everything) -> dict[str, int]:
    told = json.loads(output(*REGFS, "report", "summary", everything.store.root, "--format", "json"))
    found = {state: told[f"{state}_bytes"] for state in ("tagged", "untagged", "orphaned", "unknown")}
    found["uploads"] = told["upload_bytes"]
    return found | {"all": told["blob_bytes"] + told["upload_bytes"]}


@pytest.fixture
def shown(chromium: Browser, page: Path) -> Browser:
    chromium.open(page.as_uri())
    return chromium


def sizes(shown: Browser, selector: str) -> list[int]:
    return [
        int(size)
        for size in shown.run(
            f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.value)"
        )
    ]


def tags(shown: Browser) -> list[str]:
    found: list[str] = shown.run(
        "[...document.querySelectorAll('#tags tbody .name')].map((one) => one.textContent)"
    )
    return found


def cell(shown: Browser, name: str) -> str:
    """Give a selector of the outermost cell of a name."""
    number = shown.run(
        "[...document.querySelectorAll('#map > .cell')]"
        f".findIndex((one) => one.querySelector('.label')?.textContent === {json.dumps(name)})"
    )
    assert number >= 0, name
    return f"#map > .cell:nth-child({number + 1})"


# --- what it shows ---------------------------------------------------------------------------------------


def test_the_sums_are_the_summary_s(shown: Browser, summary: dict[str, int]) -> None:
    assert sizes(shown, "#total data") == [summary["all"]]
    own, shared, between, untagged, orphaned, unknown, uploads = sizes(shown, "#parts data")
    assert own + shared + between == summary["tagged"]
    assert [untagged, orphaned, unknown, uploads] == [
        summary[name] for name in ("untagged", "orphaned", "unknown", "uploads")
    ]
    assert sizes(shown, "#way data") == [summary["all"]]


def test_the_areas_of_the_map_are_as_the_bytes(shown: Browser, summary: dict[str, int]) -> None:
    areas: list[list[Any]] = shown.run(
        "[...document.querySelectorAll('#map > .cell')].map((one) =>"
        "[one.querySelector('.label')?.textContent, one.offsetWidth * one.offsetHeight])"
    )
    whole = shown.run(
        "document.querySelector('#map').clientWidth * document.querySelector('#map').clientHeight"
    )
    found = dict(areas)
    assert found["@orphans"] / whole == pytest.approx(summary["orphaned"] / summary["all"], rel=0.1)
    assert found["@untagged"] / whole == pytest.approx(summary["untagged"] / summary["all"], rel=0.1)
    assert sum(found.values()) == pytest.approx(whole, rel=0.02)


def test_scripts_write_bytes_as_the_page_does(shown: Browser) -> None:
    found = shown.run(
        "[...document.querySelectorAll('data')].map((one) => [Number(one.value), one.textContent])"
    )
    assert len(found) > 20
    assert found == [[size, readable(size)] for size, _ in found]
    assert shown.run("document.querySelectorAll('#map .size').length") > 3


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(chromium: Browser, page: Path, width: int, dark: bool) -> None:
    chromium.open(page.as_uri(), width=width, dark=dark)
    assert chromium.run("document.documentElement.scrollWidth") == width
    background = chromium.run("getComputedStyle(document.body).backgroundColor")
    brightness = statistics.mean(map(int, re.findall(r"\d+", background)[:3]))
    assert brightness < 64 if dark else brightness > 192
    assert chromium.run("document.querySelectorAll('#map .cell').length") > 5
    assert chromium.complaints() == []


def test_the_map_is_drawn_anew_for_another_width(shown: Browser) -> None:
    before = shown.run("document.querySelector('#map > .cell').offsetWidth")
    shown.resize(500, 900)
    shown.wait(f"document.querySelector('#map > .cell').offsetWidth !== {before}")
    assert shown.run("document.documentElement.scrollWidth") == 500


def test_what_was_not_read_stands_first_and_has_its_own_colour(
    chromium: Browser, everything: Everything, tmp_path: Path
) -> None:
    torn = tmp_path / "store"
    shutil.copytree(everything.store.root, torn)
    tags_of_one = torn / "docker/registry/v2/repositories/alone/_manifests/tags"
    shutil.rmtree(tags_of_one)
    tags_of_one.write_bytes(b"")
    made = tmp_path / "page.html"
    made.write_text(output(*REGFS, "report", "html", torn))
    chromium.open(made.as_uri())
    assert "alone/_manifests/tags" in chromium.text("main > section:first-child")
    unknown = cell(chromium, "@unknown")
    assert "gradient" in chromium.run(
        f"getComputedStyle(document.querySelector('{unknown}')).backgroundImage"
    )
    assert "what was not read may lead there" in chromium.run(
        f"document.querySelector('{unknown}').ariaLabel"
    )


# --- what it does ----------------------------------------------------------------------------------------


def test_a_click_enters_and_the_table_follows_and_a_tag_opens(shown: Browser) -> None:
    shown.click(cell(shown, "team") + " > .head")
    assert shown.text("#way strong") == "team"
    assert {name.partition("/")[0] for name in tags(shown)} == {"team"}
    assert shown.text("#within").startswith("in team ")
    shown.click(cell(shown, "app") + " > .head")
    shown.click(cell(shown, "1.1"))
    assert shown.text("#details-title") == "team/app:1.1"
    assert shown.run("document.querySelector('#details').open")
    shown.press("Escape")
    assert not shown.run("document.querySelector('#details').open")
    shown.click("#way button")
    assert shown.text("#way strong") == "the store"
    assert len(tags(shown)) == 8


def test_a_click_on_what_has_nothing_below_it_stays(shown: Browser) -> None:
    shown.click(cell(shown, "@orphans"))
    assert shown.text("#way strong") == "the store"
    assert not shown.run("document.querySelector('#details').open")


def test_keys_go_through_the_map_and_back(shown: Browser) -> None:
    shown.run("document.querySelector('#map [tabindex=\"0\"]').focus()")
    first = shown.run("document.activeElement.ariaLabel")
    shown.press("ArrowRight")
    second = shown.run("document.activeElement.ariaLabel")
    assert first != second
    shown.press("ArrowLeft")
    assert shown.run("document.activeElement.ariaLabel") == first
    shown.run(f"document.querySelector({json.dumps(cell(shown, 'team'))}).focus()")
    shown.press("Enter")
    assert shown.text("#way strong") == "team"
    shown.press("Escape")
    assert shown.text("#way strong") == "the store"
    assert shown.run("document.activeElement.ariaLabel").startswith("team,")


def test_the_filter_finds_by_words_and_digests_and_sums_each_image_once(
    shown: Browser, everything: Everything
) -> None:
    shown.type("#filter", "team app 1.0")
    assert tags(shown) == ["team/app:1.0"]
    (once,) = sizes(shown, "#found data")
    shown.type("#filter", everything.signed.digest.removeprefix("sha256:")[:10])
    assert tags(shown) == ["team/app:1.0", "team/app:stable"]
    assert sizes(shown, "#found data") == [once]
    assert shown.text("#found").startswith("2 of 8 tags")
    shown.type("#filter", "nothing of that name")
    assert tags(shown) == []


def test_the_table_is_sorted_by_each_column(shown: Browser) -> None:
    shown.click("#tags .column-tag .sort")
    assert tags(shown) == sorted(tags(shown))
    shown.click("#tags .column-own .sort")
    found = sizes(shown, "#tags td.column-own data")
    assert found == sorted(found, reverse=True)
    shown.click("#tags .column-own .sort")
    assert sizes(shown, "#tags td.column-own data") == sorted(found)
    assert shown.run("document.querySelector('#tags th.column-own').ariaSort") == "ascending"


def test_signed_tags_and_those_that_moved_can_be_shown_alone(shown: Browser) -> None:
    for which, wanted in (
        ("signed", ["team/app:1.0", "team/app:stable"]),
        ("sbom", ["team/app:1.0", "team/app:stable"]),
        ("moved", ["team/app:nightly"]),
    ):
        shown.run(
            f"(() => {{ const box = document.querySelector('#which'); box.value = {json.dumps(which)};"
            "box.dispatchEvent(new Event('change')); })()"
        )
        assert sorted(tags(shown)) == wanted


def test_a_click_on_an_age_lists_its_tags(shown: Browser) -> None:
    groups = shown.run(
        "[...document.querySelectorAll('.age')].map((one) => one.querySelector('.tags-number').textContent)"
    )
    number = next(position for position, count in enumerate(groups) if count != "0")
    shown.click(".age", number)
    assert len(tags(shown)) == int(groups[number])


def test_a_tag_has_its_history_as_a_timeline_and_its_pull_command(shown: Browser) -> None:
    shown.type("#filter", "nightly")
    shown.click("#tags tbody .name")
    assert shown.run("document.querySelectorAll('.timeline circle').length") == 2
    assert shown.run("[...document.querySelectorAll('.pushes li')].map((one) => one.className)") == [
        "current",
        "stored",
    ]
    assert shown.text(".command code") == "docker pull reg.example.com:5000/team/app:nightly"


def test_the_pull_command_is_copied(shown: Browser) -> None:
    shown.type("#filter", "team/web")
    shown.run(
        "Object.defineProperty(navigator, 'clipboard',"
        "{value: {writeText: async (text) => { window.copied = text; }}})"
    )
    shown.click("#tags tbody .copy")
    assert shown.wait("window.copied") == "docker pull reg.example.com:5000/team/web:latest"
    shown.type("#host", "other.example.com")
    shown.click("#tags tbody .copy")
    shown.wait("window.copied === 'docker pull other.example.com/team/web:latest'")


# --- what it must not do ---------------------------------------------------------------------------------


def test_the_page_asks_nobody_for_anything(shown: Browser, page: Path) -> None:
    shown.click("#tags tbody .name")
    shown.press("Escape")
    shown.click(cell(shown, "team") + " > .head")
    assert shown.requests() == [page.as_uri()]
    assert shown.complaints() == []


def test_a_name_is_text_wherever_it_stands(shown: Browser) -> None:
    shown.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert HOSTILE in shown.text("main")
    shown.type("#filter", "bad")
    shown.click("#tags tbody .name")
    assert HOSTILE in shown.text("#details")
    assert shown.run("document.querySelectorAll('img').length") == 0
    assert shown.run("document.scripts.length") == 3
    assert shown.run("document.title") != "taken"


def test_the_policy_lets_no_other_script_run(shown: Browser) -> None:
    shown.run(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(HOSTILE)})")
    shown.run(
        "document.body.append(Object.assign(document.createElement('script'),"
        "{textContent: 'document.title = \"taken\"'}))"
    )
    assert shown.run("document.title") != "taken"
    assert shown.complaints() != []
