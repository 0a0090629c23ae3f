"""`regfs index`, `report`, `explain`, `reclaim`, `check` and `diff`, run as a person runs them."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builder import Blob, StoreBuilder
from tests.conftest import REGFS, run
from tests.registry.snapshot import snapshot

pytestmark = pytest.mark.long

PUSHED = 1_700_000_000
DAY = 86_400
REPORTS = ["repositories", "tags", "images", "blobs", "untagged", "orphans", "uploads", "broken"]

#: Every command that takes a store, with what else it needs, and its status for trouble.
COMMANDS = [
    (["index", "{}"], 2),
    (["report", "summary", "{}"], 2),
    (["explain", "{}", "0123abcd"], 2),
    (["reclaim", "{}", "--untagged"], 2),
    (["check", "{}"], 2),
    (["check", "--digests", "{}"], 2),
    (["diff", "{}", "{}"], 2),
]


class Library(NamedTuple):
    """A store of which the tests know what is in it. They only read it."""

    store: StoreBuilder
    base: Blob
    image: Blob
    loose: Blob
    index: Blob
    #: Two blobs whose digests begin alike.
    twins: list[Blob]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    store = StoreBuilder(tmp_path_factory.mktemp("store") / "registry")
    store.now = PUSHED
    base = store.layer({"base": b"shared by all" * 1000})
    image = store.image("team/app", "1.0", [base, store.layer({"one": b"1"})], store.config(author="one"))
    store.tag("team/app", "stable", image)
    for number in range(4):
        config, layer = store.config(author=f"pr {number}"), store.layer({"pr": b"%d" % number})
        store.image("team/app", f"pr-{number}", [base, layer], config, mtime=PUSHED + number * DAY)
    children = [
        store.image("multi", None, [base], store.config(architecture=name)).descriptor(
            platform={"os": "linux", "architecture": name}
        )
        for name in ("amd64", "arm64")
    ]
    index = store.index("multi", "1.0", children)
    store.image("multi/1.0", "nested", [base], store.config(author="nested"))
    loose = store.image("team/app", None, [base, store.layer({"loose": b"!"})], store.config(author="loose"))
    store.upload("team/app", b"x" * 1234)
    return Library(store, base, image, loose, index, [store.blob(content) for content in twins()])


def twins() -> tuple[bytes, bytes]:
    """Find two texts whose digests begin with the same four digits."""
    seen: dict[str, bytes] = {}
    for content in (b"%d" % number for number in itertools.count()):
        prefix = hashlib.sha256(content).hexdigest()[:4]
        if prefix in seen:
            return content, seen[prefix]
        seen[prefix] = content
    raise AssertionError


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> StoreBuilder:
    """A store with many tags, for what has to last a moment or to print much. Tests only read it."""
    store = StoreBuilder(tmp_path_factory.mktemp("large") / "registry")
    image = store.image("app", "latest")
    for number in range(1500):
        store.tag("app", f"build-{number}", image)
    return store


def regfs(*arguments: str | Path, **keywords: object) -> subprocess.CompletedProcess[str]:
    """Run regfs; whatever goes wrong, nobody must see a traceback."""
    done = run(*REGFS, *arguments, **keywords)
    for text in (done.stdout, done.stderr):
        assert "Traceback" not in text, text
        assert "Exception ignored" not in text, text
    return done


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start regfs in a process group of its own, as a shell does."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*REGFS, *map(str, arguments)], start_new_session=True, **pipes)  # type: ignore[call-overload]


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for a process that is about to end; gives its output. If it does not, its whole group is ended."""
    try:
        return process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"{process.args} hangs: {out}{err}")


def told(*arguments: str | Path, status: int = 0) -> str:
    """Run regfs, which must end with a status; gives what it printed."""
    done = regfs(*arguments)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout


def together(*commands: list[str | Path]) -> list[str]:
    """Run regfs several times at once, each of which must succeed; gives what they printed."""
    processes = [start(*arguments) for arguments in commands]
    outputs = [ended(process) for process in processes]
    for process, (_, err) in zip(processes, outputs, strict=True):
        assert (process.returncode, err) == (0, ""), process.args
    return [out for out, _ in outputs]


def failed(*arguments: str | Path, status: int = 1) -> str:
    """Run regfs, which must say what is wrong in one line."""
    done = regfs(*arguments)
    assert (done.returncode, done.stdout) == (status, ""), done
    (line,) = done.stderr.splitlines()
    assert line.startswith("regfs: ")
    return line


def misused(*arguments: str | Path) -> str:
    """Run regfs, which must answer with the usage; gives its error line."""
    done = regfs(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "Usage: regfs" in done.stderr
    return done.stderr.splitlines()[-1]


def table(*arguments: str | Path, status: int = 0) -> list[dict[str, str]]:
    """Run regfs with `--format csv`, and read that."""
    return list(csv.DictReader(io.StringIO(told(*arguments, "--format", "csv", status=status))))


# --- trouble ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "status"), COMMANDS, ids=lambda value: "-".join(value) if isinstance(value, list) else ""
)
def test_a_store_that_is_none_is_an_error_in_one_line(
    tmp_path: Path, command: list[str], status: int
) -> None:
    assert "no such directory" in failed(
        *(part.format(tmp_path / "nothing") for part in command), status=status
    )


def test_a_directory_that_holds_no_store_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path}: " in failed("index", tmp_path, status=2)
    assert f"{tmp_path}: " in failed("check", tmp_path, status=2)


def test_every_command_has_help() -> None:
    commands = ("index", "report", "explain", "reclaim", "check", "diff")
    for command, text in zip(commands, together(*([name, "--help"] for name in commands)), strict=True):
        assert f"Usage: regfs {command} " in text


def test_a_cache_directory_that_cannot_be_made_is_no_reason_to_fail(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    done = regfs("report", "tags", library.store.root, "--format", "csv")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 9
    assert done.stderr.count(str(tmp_path / "file" / "cache")) == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_damaged_index_is_built_anew(library: Library, cache: Path) -> None:
    before = told("report", "tags", library.store.root)
    (index,) = cache.glob("regfs/graph-*/*/*.sqlite")
    for content in (b"", b"SQLite format 3\0" + bytes(range(256)) * 20):
        index.write_bytes(content)
        assert told("report", "tags", library.store.root) == before
        (index,) = cache.glob("regfs/graph-*/*/*.sqlite")


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_reader_that_goes_away_is_no_error_to_talk_about(large: StoreBuilder, form: str) -> None:
    command = f"{' '.join(REGFS)} report tags {large.root} --format {form} | head -n 1"
    done = run("sh", "-c", command)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_a_report_that_nobody_reads_on_holds_up_nobody(store: StoreBuilder) -> None:
    """It prints more than a pipe takes, to one who reads the first line and then something else."""
    store.image("app", "1.0", [store.blob(b"layer %d" % number, "x/y") for number in range(2000)])
    slow = start("report", "blobs", store.root, "--format", "csv")
    assert slow.stdout
    assert slow.stdout.readline().startswith("digest,")
    store.image("app", "2.0", [store.layer({"a": b"new"})])
    assert ": brought up to date in" in told("index", store.root)
    assert len(table("report", "tags", store.root)) == 2
    assert slow.poll() is None
    rest = slow.stdout.read()
    assert (len(rest.splitlines()), ended(slow), slow.returncode) == (2002, ("", ""), 0)


def test_output_that_cannot_be_written_is_an_error_in_one_line(library: Library) -> None:
    for command in ("report tags", "check --all"):
        words = command.split()
        line = f"{' '.join(REGFS)} {words[0]} {' '.join(words[1:])} {library.store.root} > /dev/full"
        done = run("sh", "-c", line)
        assert done.returncode not in (0, 120)
        assert "Traceback" not in done.stderr
        assert "No space left" in done.stderr.splitlines()[-1]


# --- index -----------------------------------------------------------------------------------------


def test_index_reads_once_and_then_only_what_has_changed(store: StoreBuilder, cache: Path) -> None:
    image = store.image("app", "1.0", mtime=PUSHED)
    done = regfs("index", store.root)
    pattern = rf"{re.escape(str(store.v2))}: (.*) in \d+\.\d+ s: (\d+) tags?, (\d+) blobs?, (\S+)\n"
    match = re.fullmatch(pattern, done.stdout)
    assert match is not None
    assert match.groups()[:3] == ("read", "1", "3")
    assert done.stderr == ""
    assert len(list(cache.glob("regfs/graph-*/*/*.sqlite"))) == 1

    store.tag("app", "2.0", image)
    match = re.fullmatch(pattern, told("index", store.root))
    assert match is not None
    assert match.groups()[:3] == ("brought up to date", "2", "3")


def test_index_says_that_nothing_has_changed(library: Library) -> None:
    # What is younger than a tick of the clock is read again, and may count as changed.
    deadline = time.monotonic() + 20
    while "looked through; nothing changed in" not in told("index", library.store.root):
        assert time.monotonic() < deadline


def test_a_thorough_index_says_that_nothing_has_changed_either(library: Library) -> None:
    deadline = time.monotonic() + 20
    while "looked through; nothing changed in" not in told("index", library.store.root):
        assert time.monotonic() < deadline
    assert ": looked through; nothing changed in " in told("index", "--thorough", library.store.root)


def test_a_thorough_index_sees_what_no_registry_does(store: StoreBuilder) -> None:
    layer = store.layer({"f": b"x" * 1000})
    store.image("app", "1.0", [layer])
    told("index", store.root)
    data = store.data(layer.digest)
    stat = data.stat()
    os.truncate(data, 10)
    os.utime(data, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    told("index", "--thorough", store.root)
    rows = {row["digest"]: row for row in table("report", "blobs", store.root)}
    assert rows[layer.digest]["size"] == "10"


def test_two_stores_have_an_index_each_and_two_names_of_one_share_it(
    library: Library, store: StoreBuilder, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "link").symlink_to(library.store.root)
    for path in (library.store.root, library.store.v2, tmp_path / "link"):
        told("index", path)
    assert len(list(cache.glob("regfs/graph-*/*/*.sqlite"))) == 1
    told("index", store.root)
    assert len(list(cache.glob("regfs/graph-*/*/*.sqlite"))) == 2


def children_of(process: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return []


@pytest.mark.parametrize("moment", ["index made", "readers at work"])
def test_control_c_in_the_middle_of_a_first_index_leaves_nothing_half_done(
    large: StoreBuilder, cache: Path, moment: str
) -> None:
    reached: Callable[[int], object] = {
        "index made": lambda process: list(cache.glob("regfs/graph-*/*/*.sqlite")),
        "readers at work": lambda process: len(children_of(process)) > 1,
    }[moment]
    while True:  # until it was not done before it could be interrupted
        process = start("index", large.root)
        while not reached(process.pid) and process.poll() is None:
            time.sleep(0.001)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        out, err = ended(process)
        for text in (out, err):
            assert "Traceback" not in text, text
            assert "Exception ignored" not in text, text
        assert len(err.splitlines()) <= 2
        if process.returncode != 0:
            break
        shutil.rmtree(cache)
    assert "1501 tags, 3 blobs" in told("index", large.root)
    assert len(list(cache.glob("regfs/graph-*/*/*.sqlite"))) == 1


# --- report ----------------------------------------------------------------------------------------

NUMBERS = {"size", "exclusive", "shared", "count", "blocks", "files", "tags", "images", "pushes"}
TIMES = {"pushed", "stored", "changed", "created", "started"}
LISTS = {"platforms", "tags", "repositories"}
DATES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def as_csv(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return " ".join(map(str, cell)) if isinstance(cell, list) else "" if cell is None else str(cell)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_has_the_same_values_in_each_form(library: Library, name: str) -> None:
    forms = (["csv"], ["json"], ["jsonl"], ["table", "--wide"])
    text, document, lines_of_json, shown = together(
        *(["report", name, library.store.root, "--format", *form] for form in forms)
    )
    header, *rows = list(csv.reader(io.StringIO(text)))
    objects = json.loads(document)
    assert [json.loads(line) for line in lines_of_json.splitlines()] == objects
    assert {row.pop("schema") for row in objects} == ({1} if rows else set())
    assert [[as_csv(cell) for cell in row.values()] for row in objects] == rows
    assert all(list(row) == header for row in objects)
    if name != "broken":
        assert rows
    for row in objects:
        for column, cell in row.items():
            if column in NUMBERS and name != "images":
                assert cell is None or type(cell) is int, (column, cell)
            if column in TIMES:
                assert cell is None or DATES.fullmatch(cell), (column, cell)
            if column in LISTS and name != "repositories":
                assert cell is None or type(cell) is list, (column, cell)
    lines = shown.splitlines()
    assert lines[0].split() == header
    assert len(lines) == 1 + len(rows)
    assert all(line == line.rstrip() for line in lines)


def test_the_report_of_blobs_has_each_with_the_size_and_time_of_its_file(library: Library) -> None:
    rows = {row["digest"]: row for row in table("report", "blobs", library.store.root)}
    paths = list(library.store.v2.glob("blobs/sha256/*/*/data"))
    assert set(rows) == {f"sha256:{path.parent.name}" for path in paths}
    for path in paths:
        row, stat = rows[f"sha256:{path.parent.name}"], path.stat()
        assert (row["size"], row["blocks"]) == (str(stat.st_size), str(stat.st_blocks))
        assert row["stored"] == "2023-11-14T22:13:20Z"
    base = rows[library.base.digest]
    assert (base["kind"], base["state"], base["repositories"]) == (
        "layer",
        "tagged",
        "multi multi/1.0 team/app",
    )
    assert base["images"] == "9"
    assert base["media_type"] == library.base.media_type
    assert rows[library.twins[0].digest]["state"] == "orphaned"
    assert rows[library.loose.digest]["state"] == "untagged"


def test_the_report_of_tags_has_each_with_its_digest_and_push(library: Library) -> None:
    rows = {f"{row['repository']}:{row['tag']}": row for row in table("report", "tags", library.store.root)}
    assert list(rows) == sorted(rows, key=lambda name: name.split(":"))
    assert len(rows) == 8
    assert rows["team/app:1.0"]["digest"] == rows["team/app:stable"]["digest"] == library.image.digest
    assert rows["team/app:pr-2"]["pushed"] == "2023-11-16T22:13:20Z"
    assert rows["team/app:pr-2"]["created"] == "2024-02-03T04:05:06Z"
    assert (rows["multi:1.0"]["kind"], rows["multi:1.0"]["platforms"]) == ("index", "linux-amd64 linux-arm64")


def test_the_other_reports_name_what_there_is(library: Library) -> None:
    root = library.store.root
    assert [row["digest"] for row in table("report", "untagged", root)] == [library.loose.digest]
    assert {row["digest"] for row in table("report", "orphans", root)} == {
        twin.digest for twin in library.twins
    }
    (upload,) = table("report", "uploads", root)
    assert (upload["repository"], upload["started"]) == ("team/app", "2024-01-02T03:04:05Z")
    assert (upload["size"], upload["files"]) == (str(1234 + 20), "2")
    (hazard,) = table("report", "broken", root)
    assert (hazard["severity"], hazard["repository"], hazard["tag"]) == ("hazard", "multi", "1.0")


def test_the_report_of_images_has_each_once_with_all_of_its_tags(library: Library) -> None:
    rows = {row["digest"]: row for row in table("report", "images", library.store.root)}
    assert len(rows) == 7
    assert rows[library.image.digest]["tags"] == "team/app:1.0 team/app:stable"
    tags = {row["tag"]: row for row in table("report", "tags", library.store.root)}
    assert tags["stable"]["exclusive"] == "0"
    parts = [library.store.data(library.image.digest)]
    named = json.loads(parts[0].read_bytes())
    own = [part for part in (named["config"], *named["layers"]) if part["digest"] != library.base.digest]
    alone = parts[0].stat().st_size + sum(part["size"] for part in own)
    assert rows[library.image.digest]["exclusive"] == str(alone)


def test_the_summary_is_one_flat_object(library: Library) -> None:
    root = library.store.root
    text, document = together(
        ["report", "summary", root, "--format", "jsonl"], ["report", "summary", root, "--format", "json"]
    )
    found = json.loads(text)
    assert json.loads(document) == found
    assert all(not isinstance(value, (list, dict)) for value in found.values())
    rows = {(row["section"], row["item"]): row for row in table("report", "summary", root)}
    assert str(found["tagged_bytes"]) == rows["stored", "tagged"]["size"]
    assert str(found["tags"]) == rows["names", "tags"]["count"]
    assert str(found["gc_m_bytes"]) == rows["would be freed by", "garbage-collect -m"]["size"]
    assert f"{found['hazard_findings']}" == rows["wrong", "hazard"]["count"]
    assert found["schema"] == 1


@pytest.mark.parametrize(
    ("report", "pattern", "wanted"),
    [
        ("tags", "team/*:pr-*", 4),
        ("images", "*:stable", 1),
        ("repositories", "multi*:*", 2),
        ("untagged", "team/*:*", 1),
        ("uploads", "multi:*", 0),
        ("broken", "multi:1.0", 1),
        ("blobs", "team/app:pr-1", 4),
    ],
)
def test_match_gives_the_rows_of_such_images(
    library: Library, report: str, pattern: str, wanted: int
) -> None:
    assert len(table("report", report, library.store.root, "--match", pattern)) == wanted


def test_match_is_refused_where_no_row_is_of_an_image(library: Library) -> None:
    for report in ("summary", "orphans"):
        assert "--match" in failed("report", report, library.store.root, "--match", "*:*", status=2)
    line = failed("report", "repositories", library.store.root, "--match", "*:1.0", status=2)
    assert "REPO:*" in line


def test_an_unknown_report_is_refused_with_the_names_that_there_are(library: Library) -> None:
    line = misused("report", "nothing", library.store.root)
    assert all(f"'{name}'" in line for name in REPORTS)
    assert "--format" in misused("report", "tags", library.store.root, "--format", "xml")


# --- explain ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["html", "--format", "csv"], "no option of a table goes with it"),
        (["html", "--registry", "no/host"], "is no HOST[:PORT]"),
        (["tags", "--registry", "reg.example.com"], "--registry is for html alone"),
    ],
)
def test_options_that_do_not_go_with_a_page_are_refused(
    library: Library, arguments: list[str], told: str
) -> None:
    done = run(*REGFS, "report", *arguments, library.store.root)
    assert done.returncode == 2
    assert told in done.stderr


def test_the_page_is_one_file_that_names_the_registry(library: Library) -> None:
    done = run(*REGFS, "report", "html", library.store.root, "--registry", "reg.example.com")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<!doctype html>")
    assert '"host":"reg.example.com"' in done.stdout


def test_a_blob_is_explained_by_whatever_leads_to_it(library: Library) -> None:
    store, base, image, loose = library.store, library.base.digest, library.image.digest, library.loose.digest
    encoded = base.removeprefix("sha256:")
    things = {
        base: base,
        encoded: base,
        encoded[:12]: base,
        f"sha256:{encoded[:10]}": base,
        "team/app/1.0/layers/00.tar.gz": base,
        "/team/app/1.0/layers/00.tar.gz": base,
        "multi/:1.0/platforms/linux-arm64/layers/00.tar.gz": base,
        str(store.data(base)): base,
        str(store.data(base).parent): base,
        f"blobs/sha256/{encoded[:2]}/{encoded}/data": base,
        "team/app:1.0": image,
        "team/app:stable": image,
        "multi:1.0": library.index.digest,
        "team/app/1.0": image,
        "team/app/1.0/manifest.json": image,
        f"team/app@{loose}": loose,
        f"team/app/@{loose}": loose,
    }
    explained = told("explain", store.root, *things).split("\n\n")
    assert [text.split("\n")[0] for text in explained] == list(things.values())


def test_what_is_explained_says_who_holds_it_and_what_keeps_it(library: Library) -> None:
    text = told("explain", library.store.root, library.base.digest)
    assert "a layer of 9 images, application/vnd.oci.image.layer.v1.tar+gzip" in text
    assert f"{library.base.size} bytes" in text
    assert "stored   2023-11-14T22:13:20Z" in text
    for path in (
        "team/app/pr-3",
        "multi/:1.0/platforms/linux-arm64",
        "multi/1.0/nested",
        f"team/app/@{library.loose.digest}",
    ):
        assert f"{path}/layers/00.tar.gz\n" in text
    for name in ("multi:1.0", "multi/1.0:nested", "team/app:stable", f"team/app@{library.loose.digest}"):
        assert f"when {name} is deleted\n" in text


def test_an_orphan_is_explained_by_its_first_bytes_at_the_first_time(store: StoreBuilder) -> None:
    orphan = store.blob(b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}')
    assert "application/vnd.oci.image.config.v1+json" in told("explain", store.root, orphan.digest)


def test_what_is_not_known_is_one_line_each_and_the_rest_is_explained(library: Library) -> None:
    unknown = [
        "nothing",
        "abc",
        "0" * 64,
        "sha256:" + "0" * 64,
        "sha256:",
        "md5:" + "0" * 32,
        "multi:nothing",
        "team/app:nothing",
        "nothing:1.0",
        f"team/app@sha256:{'0' * 64}",
        "team/app@sha256:123",
        "team/app:",
        "team/app",
        "team/app/nothing",
        "team/app/1.0/layers",
        "team/app/1.0/layers/99.tar",
        "/etc/passwd",
        f"blobs/sha256/00/{'0' * 64}/data",
        "",
        "/",
        ":",
        "@",
        "..",
        "a\nb\x1b[2J",
        library.twins[0].digest.removeprefix("sha256:")[:4],
    ]
    done = regfs("explain", library.store.root, *unknown, "team/app:1.0")
    assert done.returncode == 1
    assert done.stdout.startswith(library.image.digest) or done.stdout.startswith(f"\n{library.image.digest}")
    errors = done.stderr.split("\n")
    assert len(errors) == len(unknown) + 1
    assert all(line.startswith("regfs: ") and line.isprintable() for line in errors[:-1])
    assert all(twin.digest in errors[-2] for twin in library.twins)


# --- reclaim ---------------------------------------------------------------------------------------


def reclaimed(library: Library, *rules: str) -> list[str]:
    """Give the tags that rules select, as `repository:tag`; only those that go."""
    rows = table("reclaim", library.store.root, *rules, "--show", "tags")
    return [f"{row['repository']}:{row['tag']}" for row in rows if row["goes"] == "yes"]


@pytest.mark.parametrize(
    ("rules", "tags"),
    [
        (["--match", "team/app:pr-*"], ["pr-0", "pr-1", "pr-2", "pr-3"]),
        (
            ["--match", "*:pr-0", "--match", "*:pr-[1-3]", "--keep", "*:pr-2", "--keep", "t*:pr-0"],
            ["pr-1", "pr-3"],
        ),
        (["--keep-last", "2", "--keep", "multi*:*"], ["1.0", "pr-0", "pr-1", "stable"]),
        (["--match", "*:pr-*", "--older-than", "90d"], ["pr-0", "pr-1", "pr-2", "pr-3"]),
        (["--older-than", "12h", "--keep-last", "3", "--match", "*:pr-*", "--keep", "x:y"], ["pr-0"]),
        (["--untagged"], []),
    ],
)
def test_reclaim_selects_what_all_rules_select(library: Library, rules: list[str], tags: list[str]) -> None:
    assert reclaimed(library, *rules) == [f"team/app:{tag}" for tag in tags]


@pytest.mark.parametrize("age", ["90", "6w"])
def test_an_age_can_be_told_in_several_units(store: StoreBuilder, age: str) -> None:
    store.image("app", "old", mtime=PUSHED)
    store.image("app", "new")
    (row,) = table("reclaim", store.root, "--older-than", age, "--show", "tags")
    assert row["tag"] == "old"


def test_a_tag_whose_image_has_another_name_that_is_kept_stays(library: Library) -> None:
    rows = table("reclaim", library.store.root, "--match", "team/app:1.0", "--show", "tags")
    assert [(row["tag"], row["goes"]) for row in rows] == [("1.0", "no: stable names it as well")]
    assert told("reclaim", library.store.root, "--match", "team/app:1.0", "--show", "digests") == ""
    assert reclaimed(library, "--match", "team/app:1.0", "--match", "*:stable") == [
        "team/app:1.0",
        "team/app:stable",
    ]


def test_reclaim_tells_the_bytes_by_repository_and_in_all(library: Library) -> None:
    rules = ("--match", "*:pr-*", "--match", "*@*", "--untagged")
    done = regfs("reclaim", library.store.root, *rules, "--format", "json")
    rows = {row["repository"]: row for row in json.loads(done.stdout)}
    blobs = {row["digest"]: row for row in table("report", "blobs", library.store.root)}
    goes = [row for row in blobs.values() if "pr-" in row["example"] or row["state"] == "untagged"]
    size = sum(int(row["size"]) for row in goes if row["digest"] != library.base.digest)
    orphans = sum(twin.size for twin in library.twins)
    assert rows["team/app"]["tags"] == 4
    assert rows["team/app"]["freed"] == size
    assert rows["(orphaned already)"]["freed"] == orphans
    assert rows["(total)"]["freed"] == size + orphans
    shown = regfs("reclaim", library.store.root, *rules)
    assert f"({size + orphans} bytes)" in shown.stderr
    assert "4 tags, 5 manifests" in shown.stderr
    assert done.stderr == ""


def test_digests_are_printed_one_a_line_to_hand_on(library: Library) -> None:
    rules = ("--match", "multi:*", "--match", "team/*@*", "--untagged", "--show", "digests")
    text = told("reclaim", library.store.root, *rules)
    assert all(re.fullmatch(r"[a-z/]+@sha256:[0-9a-f]{64}", line) for line in text.splitlines())
    assert len(text.splitlines()) == 4
    assert f"team/app@{library.loose.digest}" in text.splitlines()
    rows = table("reclaim", library.store.root, *rules)
    assert [f"{row['repository']}@{row['digest']}" for row in rows] == text.splitlines()


def test_without_a_rule_reclaim_answers_with_the_usage(library: Library) -> None:
    for rules in ([], ["--keep", "*:x", "--show", "tags"], ["--keep-last", "0"]):
        assert "--match" in misused("reclaim", library.store.root, *rules)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--match", "team/app"),
        ("--keep", "release-*"),
        ("--keep", "app@sha256:12"),
        ("--by", "size"),
        ("--keep-last", "-1"),
        ("--older-than", "soon"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_option(library: Library, option: str, value: str) -> None:
    assert option in misused("reclaim", library.store.root, "--untagged", option, value)


def test_an_age_beyond_all_time_selects_nothing(library: Library) -> None:
    assert reclaimed(library, "--older-than", "99999999999999999999y") == []


def names_of(store: StoreBuilder, *rules: str | Path, **keywords: object) -> tuple[list[str], str]:
    """Give the tags that go, as `repository:tag`, and what was said beside it."""
    done = regfs("reclaim", store.root, *rules, "--show", "tags", "--format", "json", **keywords)
    assert done.returncode == 0, done.stderr
    rows = [row for row in json.loads(done.stdout) if row["goes"] == "yes"]
    return [f"{row['repository']}:{row['tag']}" for row in rows], done.stderr


def digests_of(store: StoreBuilder, *rules: str) -> list[str]:
    """Give the manifests that go."""
    return told("reclaim", store.root, *rules, "--show", "digests").splitlines()


def push(store: StoreBuilder, repository: str, tag: str | None, days: float, **config: object) -> Blob:
    """Push an image of its own, so many days before now."""
    then = time.time() - days * DAY
    made = store.config(author=f"{repository}:{tag}:{days}", **config)
    image = store.image(repository, tag, [], made, mtime=then)
    os.utime(store.revision_link(repository, image.digest), (then, then))
    return image


def sign(store: StoreBuilder, repository: str, image: Blob, ending: str) -> tuple[str, Blob]:
    """Push what cosign does; gives its tag."""
    tag = f"{image.digest.replace(':', '-')}{ending}"
    return tag, push(store, repository, tag, 0)


def test_every_rule_binds_untagged_images_too(store: StoreBuilder) -> None:
    old = {name: push(store, name, None, 100) for name in ("app", "web")}
    for name in old:
        push(store, name, None, 60 / DAY)
    tagged = push(store, "app", "1.0", 100)
    rules = ("--untagged", "--older-than", "30d")
    assert digests_of(store, *rules, "--match", "app:*") == sorted(
        f"app@{image.digest}" for image in (old["app"], tagged)
    )
    assert digests_of(store, *rules, "--match", "*@*") == sorted(f"{n}@{i.digest}" for n, i in old.items())
    assert digests_of(store, *rules, "--match", "app:1*") == [f"app@{tagged.digest}"]
    assert digests_of(store, *rules, "--match", f"web@{old['web'].digest[:20]}*") == [
        f"web@{old['web'].digest}"
    ]
    assert digests_of(store, *rules, "--keep", "app:*") == [f"web@{old['web'].digest}"]
    assert len(digests_of(store, "--untagged")) == 4


def test_a_child_of_an_untagged_index_goes_with_it_alone(store: StoreBuilder) -> None:
    child = push(store, "app", None, 1)
    index = store.index("app", None, [child.descriptor()])
    rules = ("--untagged", "--match", f"app@{index.digest}")
    assert digests_of(store, *rules) == sorted(f"app@{one.digest}" for one in (child, index))
    assert digests_of(store, *rules, "--keep", f"app@{child.digest}") == [f"app@{index.digest}"]
    assert digests_of(store, "--untagged", "--match", f"app@{child.digest}") == []


def test_a_digest_that_is_kept_stays_with_its_tags(store: StoreBuilder) -> None:
    one, two, loose = (push(store, "app", tag, 9) for tag in ("1", "2", None))
    for pattern in (one.digest, f"{one.digest[:16]}*"):
        rules = ("--match", "app:*", "--untagged", "--keep", f"app@{pattern}")
        assert digests_of(store, *rules) == sorted(f"app@{image.digest}" for image in (two, loose))
    assert digests_of(store, "--untagged", "--keep", f"*@{loose.digest}") == []


def test_images_in_use_are_kept_as_kubectl_and_docker_print_them(store: StoreBuilder, tmp_path: Path) -> None:
    for tag in ("1.0", "1.1", "1.2", "latest"):
        push(store, "team/app", tag, 9)
    pulled, moved = push(store, "team/web", None, 9), push(store, "team/web", "1.0", 9)
    running = tmp_path / "running"
    running.write_text(
        "# kubectl get pods\nreg.example.com:5000/team/app:1.0\n\nteam/app\nghcr.io/other/thing:3\n"
        f"docker-pullable://reg.example.com:5000/team/web:1.0@{pulled.digest}\r\n"
    )
    everything = ("--match", "*:*", "--match", "*:latest", "--untagged")
    gone, said = names_of(store, *everything, "--keep-from", running)
    assert gone == ["team/app:1.1", "team/app:1.2", "team/web:1.0"]
    assert f"{running}, line 5: 'ghcr.io/other/thing:3' matches nothing" in said
    assert len(said.splitlines()) == 1
    assert digests_of(store, *everything, "--match", "x:y", "--keep-from", str(running))[-1:] == [
        f"team/web@{moved.digest}"
    ]
    gone, _ = names_of(store, *everything, "--keep-from", "-", input="team/app:1.1\n")
    assert gone == ["team/app:1.0", "team/app:1.2", "team/app:latest", "team/web:1.0"]


def test_a_keep_list_that_cannot_be_read_or_is_empty_stops_everything(
    library: Library, tmp_path: Path
) -> None:
    command = ("reclaim", library.store.root, "--untagged", "--keep-from")
    assert "nothing" in misused(*command, tmp_path / "nothing")
    (tmp_path / "list").write_text("\n# nobody runs\n")
    assert "names no image" in misused(*command, tmp_path / "list")
    (tmp_path / "list").write_bytes(b"team/app:1.0\n\xff\x00 what\n")
    assert "line 2" in misused(*command, tmp_path / "list")


def test_signatures_go_and_stay_with_their_image(store: StoreBuilder) -> None:
    tags = {}
    for days, tag in ((3, "1.0"), (2, "1.1"), (1, "pr-7")):
        image = push(store, "app", tag, days)
        tags[tag] = [tag, *(sign(store, "app", image, ending)[0] for ending in (".sig", ".att"))]
    gone, said = names_of(store, "--keep-last", "2")
    assert sorted(gone) == sorted(f"app:{tag}" for tag in tags["1.0"])
    assert said == ""
    gone, _ = names_of(store, "--match", "*:*", "--keep", "*:pr-*")
    assert sorted(gone) == sorted(f"app:{tag}" for tag in tags["1.0"] + tags["1.1"])
    gone, said = names_of(store, "--match", "*:sha256-*.sig")
    assert gone == []
    assert "--match '*:sha256-*.sig' matches signatures alone" in said
    rows = table("reclaim", store.root, "--match", "app:1.0", "--show", "tags")
    assert {row["tag"]: row["selected_by"] for row in rows} == {
        tag: "with 1.0" if tag in tags["1.0"][1:] else "--match 'app:1.0'" for tag in tags["1.0"]
    }


def test_a_list_of_referrers_and_an_untagged_image_s_signature_go_with_the_image(store: StoreBuilder) -> None:
    image, loose = push(store, "app", "1.0", 9), push(store, "app", None, 9)
    referrer = store.image("app", None, [], store.config(author="sbom"), subject=image.descriptor())
    listed = store.index("app", image.digest.replace(":", "-"), [referrer.descriptor()])
    _, signature = sign(store, "app", loose, ".sig")
    assert digests_of(store, "--match", "app:1.0") == sorted(
        f"app@{one.digest}" for one in (image, referrer, listed)
    )
    assert digests_of(store, "--untagged") == sorted(f"app@{one.digest}" for one in (loose, signature))


def test_a_stale_signature_is_named_and_goes_only_if_asked_for(store: StoreBuilder) -> None:
    image, gone, apart = (
        push(store, name, tag, 9) for name, tag in (("app", "1"), ("app", "2"), ("web", "3"))
    )
    sign(store, "app", image, ".sig")
    sign(store, "app", apart, ".sig")  # as cosign does with COSIGN_REPOSITORY
    stale, blob = sign(store, "app", gone, ".sig")
    shutil.rmtree(store.tag_link("app", "2").parent.parent)
    store.revision_link("app", gone.digest).unlink()
    for rules in (("--match", "app:no*"), ("--keep-last", "1"), ("--untagged",)):
        names, said = names_of(store, *rules)
        assert names == []
        assert f"1 stale signature (app:{stale}): the images are gone" in said
    assert digests_of(store, "--stale-signatures") == [f"app@{blob.digest}"]
    assert digests_of(store, "--stale-signatures", "--match", "web:sha256-*") == []
    rules = ("--stale-signatures", "--match", "app:sha256-*")
    assert digests_of(store, *rules) == [f"app@{blob.digest}"]
    assert digests_of(store, *rules, "--older-than", "1d") == []
    assert names_of(store, "--stale-signatures", "--keep", f"*:{stale}") == ([], "")
    of = {row["tag"]: row["of"] for row in table("report", "tags", store.root)}
    assert of.pop(stale) == f"{gone.digest} (gone)"
    assert sorted(of.values()) == sorted(["", "", "1", apart.digest])
    assert f"of       {gone.digest} (gone) in app: a stale signature" in told(
        "explain", store.root, blob.digest
    )
    (named,) = (tag for tag, name in of.items() if name == "1")
    assert "  of       1 in app\n" in told("explain", store.root, f"app:{named}")


def test_builds_copied_without_their_times_are_kept_by_the_date_that_they_tell(store: StoreBuilder) -> None:
    for number in range(1, 11):
        push(store, "app", str(number), 5, created=f"2024-03-{number:02}T00:00:00Z")
    for link in store.root.glob("**/current/link"):
        os.utime(link, (PUSHED, PUSHED))
    gone, said = names_of(store, "--keep-last", "3")
    assert sorted(gone) == sorted(f"app:{number}" for number in range(1, 8))
    assert said == ""
    gone, said = names_of(store, "--keep-last", "3", "--by", "pushed")
    assert gone == []
    assert "--keep-last 3 keeps 7 tags (" in said
    gone, _ = names_of(store, "--keep-last", "2", "--by", "version", "--match", "*:?")
    assert gone == [f"app:{number}" for number in range(1, 8)]


def test_latest_is_spared_unless_it_is_named_and_is_not_counted(store: StoreBuilder) -> None:
    for days, tag in ((1, "a"), (2, "b"), (3, "latest"), (4, "c")):
        push(store, "app", tag, days)
    assert names_of(store, "--keep-last", "2") == (
        ["app:c"],
        "regfs: latest is spared in 1 repository (app); --match '*:latest' selects it\n",
    )
    assert names_of(store, "--keep-last", "3") == ([], "")
    assert names_of(store, "--match", "*:l*")[0] == []
    assert names_of(store, "--match", "*p:latest") == (["app:latest"], "")
    rows = table("reclaim", store.root, "--match", "*:*", "--show", "tags")
    assert {row["tag"]: row["goes"] for row in rows if row["goes"] != "yes"} == {
        "latest": "no: latest is spared where no --match names it"
    }


def test_a_tag_whose_link_is_torn_is_kept_and_not_counted(store: StoreBuilder) -> None:
    for days, tag in ((1, "torn"), (2, "new"), (3, "old")):
        push(store, "app", tag, days)
    store.tag_link("app", "torn").write_bytes(b"")
    done = regfs("reclaim", store.root, "--keep-last", "1", "--show", "tags", "--format", "json")
    goes = {row["tag"]: row["goes"] for row in json.loads(done.stdout)}
    assert goes == {"old": "yes", "torn": "no: what it names could not be read"}
    # It is left out, and nobody knows whether it should be.
    assert done.returncode == 1
    assert "not everything could be read" in done.stderr


def test_a_rule_that_matches_nothing_today_is_named(library: Library) -> None:
    rules = ("--match", "*:pr-*", "--match", "web:*", "--keep", "*:v*", "--keep", "team/app@sha256:0000*")
    names, said = names_of(library.store, *rules)
    assert len(names) == 4
    assert [line.partition(" matches nothing")[0] for line in said.splitlines()] == [
        "regfs: --match 'web:*'",
        "regfs: --keep '*:v*'",
        "regfs: --keep 'team/app@sha256:0000*'",
    ]
    _, said = names_of(library.store, "--match", "*:pr-*", "--untagged")
    assert "--untagged selects nothing" in said


def test_the_selected_tags_show_their_size_their_age_and_the_rules(store: StoreBuilder) -> None:
    image = push(store, "app", "pr-1", 100)
    push(store, "app", "pr-2", 1)
    rules = ("--match", "*:pr-*", "--keep-last", "1", "--older-than", "30d")
    (row,) = table("reclaim", store.root, *rules, "--show", "tags")
    (tag,) = (row for row in table("report", "tags", store.root) if row["tag"] == "pr-1")
    assert (row["digest"], row["size"]) == (image.digest, tag["size"])
    assert 0 <= int(row["age"]) - 100 * DAY < 3600
    assert row["selected_by"] == "--match '*:pr-*' --keep-last 1 --older-than"
    assert " 100d " in told("reclaim", store.root, *rules, "--show", "tags")


def test_a_child_of_an_index_that_cannot_be_deleted_stays(store: StoreBuilder) -> None:
    child = push(store, "app", None, 9)
    index = store.index("app", "1", [child.descriptor()])
    store.revision_link("app", index.digest).unlink()
    assert digests_of(store, "--match", "app:*") == []


@pytest.mark.parametrize(
    "rules", [["--by", "version", "--untagged"], ["--match", "app@*"], ["--keep-last", "1", "--by", "size"]]
)
def test_rules_that_do_not_go_together_are_refused(library: Library, rules: list[str]) -> None:
    assert "--" in misused("reclaim", library.store.root, *rules)


def test_reclaim_and_all_reports_change_nothing_in_the_store(library: Library, tmp_path: Path) -> None:
    root = Path(shutil.copytree(library.store.root, tmp_path / "copy"))
    before = snapshot(root)
    told("reclaim", root, "--match", "*:*", "--untagged", "--show", "digests")
    told("report", "blobs", root)
    told("check", "--digests", root)
    assert snapshot(root) == before


# --- check -----------------------------------------------------------------------------------------


def test_check_of_a_sound_store_prints_no_tag_and_ends_with_0(library: Library) -> None:
    done = regfs("check", library.store.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "8 of 8 tags can be pulled\n"
        "1 hazard: garbage-collect -m before 3.0 would lose data; "
        "see regfs report broken\n"
    )
    done = regfs("check", "--quiet", library.store.root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = regfs("check", "--quiet", "--strict", library.store.root)
    assert (done.returncode, done.stderr) == (1, "")
    assert "collector-m-deletes" in done.stdout
    rows = table("check", "--all", library.store.root)
    assert len(rows) == 8
    assert {row["can_be_pulled"] for row in rows} == {"yes"}
    assert rows[-1] == {
        "repository": "team/app",
        "tag": "stable",
        "digest": library.image.digest,
        "can_be_pulled": "yes",
        "lacks": "",
    }


def test_check_names_each_tag_that_cannot_be_pulled_and_ends_with_1(store: StoreBuilder) -> None:
    layer, base = store.layer({"own": b"!"}), store.layer({"base": b"base"})
    store.image("app", "no-layer", [base, layer])
    store.image("app", "sound", [base])
    image = store.image("app", "no-manifest", [base], store.config(author="lost"))
    store.image("app", "no-link", [base])
    store.data(layer.digest).unlink()
    store.data(image.digest).unlink()
    store.tag_link("app", "no-link").write_bytes(b"")
    rows = {row["tag"]: row for row in table("check", "--by-tag", store.root, status=1)}
    assert set(rows) == {"no-layer", "no-manifest", "no-link"}
    assert rows["no-layer"]["lacks"] == f"layer 1, {layer.size} bytes {layer.digest}: not stored"
    assert image.digest in rows["no-manifest"]["lacks"]
    assert rows["no-link"]["digest"] == ""
    done = regfs("check", "--all", "--wide", store.root)
    assert done.returncode == 1
    shown = done.stdout.splitlines()
    assert "1 of 4 tags can be pulled" in shown
    assert shown.index("") == 5


def test_check_names_each_cause_once_with_what_to_copy_however_many_images_suffer(
    store: StoreBuilder,
) -> None:
    base, other = store.layer({"base": b"base"}), store.layer({"other": b"other"})
    for number in range(5):
        store.image("app", str(number), [base], store.config(author=str(number)))
    cut = store.image("tools", "1", [other], store.config(author="tools"))
    store.tag("tools", "2", cut)
    content = store.data(other.digest).read_bytes()
    store.data(base.digest).unlink()
    store.data(other.digest).write_bytes(content[:-3])
    store.tag_link("app", "4").write_bytes(b"")
    rows = {row["digest"]: row for row in table("check", store.root, status=1)}
    assert len(rows) == 3
    missing = rows[base.digest]
    assert (missing["severity"], missing["kind"], missing["found"]) == ("damage", "missing", "not stored")
    assert (missing["size"], missing["images"], missing["tags"]) == (str(base.size), "5", "4")
    assert re.fullmatch(r"app/[0-3]/layers/00.*", missing["example"])
    assert store.v2 / missing["path"] == store.data(base.digest)
    short = rows[other.digest]
    assert (short["found"], short["images"], short["tags"]) == (f"{len(content) - 3} bytes", "1", "2")
    link = rows[""]
    assert (link["kind"], link["example"], link["images"]) == ("tag-link", "app:4", "")
    assert store.v2 / link["path"] == store.tag_link("app", "4")
    done = regfs("check", "--quiet", store.root)
    assert done.returncode == 1
    assert done.stderr == ""
    assert "1 of 7 tags can be pulled" not in done.stdout
    assert "0 of 7 tags can be pulled" in done.stdout


def test_damage_of_every_kind_is_told_by_check_and_by_the_report(store: StoreBuilder) -> None:
    base = store.layer({"base": b"base"})
    for name in ("revision", "tag", "blob", "fifo", "date"):
        store.image(name, "1", [base, store.layer({"own": name.encode()})], store.config(author=name))
    image = store.image("revision", "2", [base])
    store.revision_link("revision", image.digest).write_bytes(b"")
    store.tag_link("tag", "1").write_bytes(b"\xff" * 200)
    store.upload("date", b"x", None)
    (store.repository("date") / "_manifests" / "tags" / "-x").mkdir()
    orphan = store.blob(b"orphan")
    store.data(orphan.digest).unlink()
    os.mkfifo(store.data(orphan.digest))
    (store.v2 / "blobs" / "sha256" / "00" / "x").mkdir(parents=True)
    assert regfs("check", store.root).returncode == 1
    kinds = {row["kind"] for row in table("report", "broken", store.root)}
    assert kinds >= {"link", "tag-link", "upload", "stray", "blob"}
    told("index", "--thorough", store.root)


def test_check_digests_finds_a_byte_that_was_changed_and_names_the_tags(store: StoreBuilder) -> None:
    base = store.layer({"base": b"base" * 1000})
    store.image("app", "broken", [base])
    store.image("app", "sound", [store.layer({"own": b"!"})], store.config(author="sound"))
    content = bytearray(store.data(base.digest).read_bytes())
    content[-1] ^= 1
    store.data(base.digest).write_bytes(content)
    assert regfs("check", store.root).returncode == 0
    rows = table("check", "--digests", "--by-tag", store.root, status=1)
    assert [row["tag"] for row in rows] == ["broken"]
    assert f"{base.digest}: sha256:{hashlib.sha256(content).hexdigest()}" in rows[0]["lacks"]
    # What was found is kept: the next check, which reads no content, tells it still.
    assert [row["digest"] for row in table("check", store.root, status=1)] == [base.digest]
    content[-1] ^= 1
    store.data(base.digest).write_bytes(content)
    told("check", "--digests", store.root)


def test_a_check_of_digests_that_was_interrupted_goes_on_where_it_was(store: StoreBuilder) -> None:
    size = 64 << 10
    blobs = [store.blob(bytes([number]) * size, "application/x-data") for number in range(24)]
    store.image("app", "1.0", blobs)
    process = start("check", "--digests", "--jobs", "1", "--bandwidth", "300K", store.root)
    opened: set[str] = set()
    while len(opened) < 4 and process.poll() is None:  # so three were hashed to their end
        for descriptor in Path(f"/proc/{process.pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                target = os.readlink(descriptor)
                opened |= {target} if target.endswith("/data") else set()
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = ended(process)
    assert process.returncode not in (0, 1)  # 1 would say that there is damage
    assert "Traceback" not in out + err
    assert len(err.splitlines()) <= 2

    done = regfs("check", "--digests", store.root)
    assert done.returncode == 0
    match = re.search(r"regfs: goes on after (\d+)K hashed before\n", done.stderr)
    assert match is not None
    assert 2 * 64 <= int(match[1]) < 24 * 64
    assert "goes on" not in regfs("check", "--digests", store.root).stderr


def test_a_rate_can_be_told_in_several_units(store: StoreBuilder) -> None:
    store.image("app", "1.0")
    for rate in ("1.5G", "500k"):
        told("check", "--digests", "--bandwidth", rate, store.root)


def test_wrong_options_of_check_end_with_2_and_are_named(library: Library) -> None:
    for rate in ("nonsense", "0"):
        assert "--bandwidth" in misused("check", "--digests", "--bandwidth", rate, library.store.root)
    assert "--jobs" in misused("check", "--jobs", "0", library.store.root)


# --- diff ------------------------------------------------------------------------------------------


@pytest.fixture
def other(library: Library, tmp_path: Path) -> StoreBuilder:
    """A copy of the store."""
    root = tmp_path / "other"
    built = StoreBuilder(root)
    shutil.rmtree(root)
    shutil.copytree(library.store.root, root)
    return built


def test_a_copy_of_a_store_does_not_differ(library: Library, other: StoreBuilder) -> None:
    done = regfs("diff", library.store.root, other.root)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "0 added, 0 removed, 0 moved" in done.stderr
    assert "lacks 0 blobs" in done.stderr


def test_diff_names_tags_that_were_added_removed_and_moved(library: Library, other: StoreBuilder) -> None:
    shutil.rmtree(other.tag_link("team/app", "pr-0").parent.parent)
    other.tag("team/app", "pr-1", library.image)
    other.tag("web", "new", library.image, mtime=PUSHED)
    rows = table("diff", library.store.root, other.root, status=1)
    names = {(row["change"], row["repository"], row["tag"]): row for row in rows}
    assert set(names) == {
        ("removed", "team/app", "pr-0"),
        ("moved", "team/app", "pr-1"),
        ("added", "web", "new"),
    }
    moved = names["moved", "team/app", "pr-1"]
    assert moved["second"] == library.image.digest != moved["first"]
    assert moved["pushed_first"] == "2023-11-15T22:13:20Z" != moved["pushed_second"]
    assert names["added", "web", "new"]["pushed_second"] == "2023-11-14T22:13:20Z"
    done = regfs("diff", library.store.root, other.root)
    assert "1 added, 1 removed, 1 moved" in done.stderr
    back = table("diff", other.root, library.store.root, status=1)
    assert {(row["change"], row["tag"]) for row in back} == {
        ("added", "pr-0"),
        ("moved", "pr-1"),
        ("removed", "new"),
    }


def test_diff_names_the_blobs_that_the_copy_lacks_and_their_bytes(
    library: Library, other: StoreBuilder
) -> None:
    other.data(library.base.digest).unlink()
    os.truncate(other.data(library.image.digest), 3)
    other.data(library.twins[0].digest).unlink()  # which no tag needs
    rows = {
        row["digest"]: row
        for row in table("diff", library.store.root, other.root, "--show", "blobs", status=1)
    }
    assert set(rows) == {library.base.digest, library.image.digest}
    assert (rows[library.base.digest]["size"], rows[library.base.digest]["second"]) == (
        str(library.base.size),
        "",
    )
    assert rows[library.image.digest]["second"] == "3"
    assert sum(int(row["size"]) for row in rows.values()) == library.base.size + library.image.size
    assert rows[library.base.digest]["there"] == "missing there"
    done = regfs("diff", library.store.root, other.root)
    assert done.returncode == 1
    assert "lacks 2 blobs, " in done.stderr
    assert regfs("diff", other.root, library.store.root).returncode == 1  # the damaged image differs in size


@pytest.mark.skipif(not shutil.which("rsync"), reason="wants rsync")
def test_the_paths_of_a_diff_are_what_rsync_needs_to_complete_the_copy(
    library: Library, other: StoreBuilder
) -> None:
    other.data(library.base.digest).unlink()
    shutil.rmtree(other.repository("multi"))
    shutil.rmtree(other.tag_link("team/app", "pr-0").parent.parent)
    other.data(library.index.digest).unlink()
    done = regfs("diff", "--show", "paths", library.store.root, other.root)
    assert done.returncode == 1
    paths = done.stdout.splitlines()
    first_link = next(at for at, path in enumerate(paths) if path.startswith("repositories/"))
    assert all(path.startswith("blobs/") for path in paths[:first_link])
    assert not any(path.startswith("blobs/") for path in paths[first_link:])
    copied = subprocess.run(
        ["rsync", "-a", "--files-from=-", f"{library.store.v2}/", f"{other.v2}/"],
        input=done.stdout,
        text=True,
        check=False,
        capture_output=True,
    )
    assert (copied.returncode, copied.stderr) == (0, "")
    assert told("diff", "--quiet", "--show", "paths", library.store.root, other.root) == ""
    assert "8 of 8 tags can be pulled" in told("check", other.root)


def test_diff_with_digests_tells_what_has_its_size_and_another_content(
    library: Library, other: StoreBuilder
) -> None:
    ours, theirs = library.store.data(library.base.digest), other.data(library.image.digest)
    for data in (ours, theirs):
        data.write_bytes(bytes(data.stat().st_size))
    assert "lacks 0 blobs" in regfs("diff", library.store.root, other.root).stderr
    wanted = ("diff", "--digests", library.store.root, other.root, "--show")
    rows = {row["digest"]: row["there"] for row in table(*wanted, "blobs", status=1)}
    assert rows == {
        library.base.digest: "other content in STORE_A",
        library.image.digest: "other content",
    }
    done = regfs(*wanted, "paths")
    assert (done.returncode, done.stdout) == (1, f"{theirs.relative_to(other.v2)}\n")
    assert f"lacks 1 blob, {library.image.size}" in done.stderr
    assert f"{library.store.root} has other content in 1 blob" in done.stderr


def test_a_store_cannot_be_compared_with_itself(library: Library, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(library.store.root)
    for path in (library.store.root, library.store.v2, tmp_path / "link"):
        assert "the same store" in failed("diff", library.store.root, path, status=2)
