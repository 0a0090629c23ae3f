"""Stores of which a directory was moved elsewhere, with a symlink in its place, read with follow_symlinks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, output, run
from tests.mount.conftest import regfs, snapshot

pytestmark = pytest.mark.fuse

PUSHED = 1_700_000_000

FOLLOWED = "--follow-symlinks"

REPORTS = ["summary", "tags", "blobs", "uploads", "broken"]

#: When the summary was made is in it.
NOW = re.compile("(?<=looked for at )[0-9T:.Z-]+")

PARTS = [
    "repositories",
    "repositories/big",
    "repositories/big/app/_manifests",
    "repositories/big/app/_manifests/tags",
    "repositories/big/app/_manifests/tags/1.0",
    "repositories/big/app/_manifests/revisions",
    "repositories/big/app/_layers",
    "repositories/big/app/_uploads",
    "blobs",
    "blobs/sha256",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> StoreBuilder:
    store = StoreBuilder(tmp_path_factory.mktemp("whole") / "registry")
    store.now = PUSHED
    for name in ("small/app", "big/app"):
        config = store.config(author=name)
        store.image(name, "1.0", [store.layer({f"etc/{name}": name.encode()})], config)
    store.upload("big/app", b"begun")
    store.blob(b"loose")
    return store


def copied(store: StoreBuilder, to: Path) -> Path:
    """Copy a store, with all times; gives the copy's `v2`."""
    output("cp", "-a", store.root, to)
    return to / store.v2.relative_to(store.root)


def moved(v2: Path, part: str) -> Path:
    """Move a directory of a store elsewhere, and leave a symlink; gives the new place."""
    elsewhere = v2.parents[3] / f"elsewhere-{part.replace('/', '-')}"
    (v2 / part).rename(elsewhere)
    (v2 / part).symlink_to(elsewhere)
    return elsewhere


@pytest.fixture(params=[*PARTS, "a shard", "several"])
def linked(whole: StoreBuilder, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the store of which one directory, or several in one another, stand elsewhere."""
    v2 = copied(whole, tmp_path / "copy")
    shard = min((v2 / "blobs/sha256").iterdir()).relative_to(v2)
    several = ["repositories/big/app/_manifests/tags", "repositories/big", "repositories", "blobs"]
    for part in {"a shard": [str(shard)], "several": several}.get(request.param, [request.param]):
        moved(v2, part)
    return v2


def told(store: Path, *options: str) -> dict[str, tuple[int, str]]:
    """Ask each command about a store; gives its status and output."""
    layer = "big/app/1.0/layers/00.tar.gz"
    commands = {
        **{name: ("report", name, store, "--format", "csv") for name in REPORTS},
        "check": ("check", store, "--digests", "--all"),
        "reclaim": ("reclaim", store, "--untagged", "--format", "csv"),
        "explain": ("explain", store, layer),
        "ls": ("ls", "-l", store, "/", "big/app", "big/app/1.0/layers", "@orphans/sha256"),
        "cat": ("cat", store, "big/app/1.0/manifest.json"),
        "tree": ("tree", store, "big/app:1.0"),
        "history": ("history", store, "big/app:1.0"),
    }
    done = {name: regfs(*command, *options) for name, command in commands.items()}
    return {name: (one.returncode, NOW.sub("NOW", one.stdout)) for name, one in done.items()}


@pytest.fixture(scope="module")
def right(whole: StoreBuilder) -> dict[str, tuple[int, str]]:
    found = told(whole.v2)
    assert {status for status, _ in found.values()} == {0}
    return found


def test_every_command_reads_on_as_if_the_symlink_were_a_directory(
    whole: StoreBuilder, linked: Path, right: dict[str, tuple[int, str]]
) -> None:
    assert told(linked, FOLLOWED) == right
    assert regfs("diff", whole.v2, linked, FOLLOWED).returncode == 0
    assert regfs("diff", "--show", "blobs", whole.v2, linked, FOLLOWED).returncode == 0
    assert regfs("index", "--layers", linked, FOLLOWED).returncode == 0


def test_without_the_option_none_is_followed(linked: Path) -> None:
    assert regfs("check", linked).returncode == 1


def test_a_mount_shows_the_same_as_if_the_symlink_were_a_directory(
    whole: StoreBuilder, linked: Path, mount: Callable[..., Mount]
) -> None:
    tops = [mount(whole.root).path, mount(linked, "follow_symlinks").path]
    shown = [snapshot(top) for top in tops]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 6
    for view in ("@orphans", "@unknown", "@untagged", "@uploads", "@broken", "big/app/1.0/rootfs"):
        found = [snapshot(top / view) for top in tops]
        assert found[0] == found[1], view


def test_what_the_index_knows_with_the_option_it_does_not_know_without(
    whole: StoreBuilder, tmp_path: Path
) -> None:
    v2 = copied(whole, tmp_path / "copy")
    moved(v2, "repositories/big")
    for _ in range(2):
        assert regfs("check", v2, FOLLOWED).returncode == 0
        assert regfs("check", v2).returncode == 1
        assert "symbolic link" in regfs("report", "broken", v2).stdout
        assert "symbolic link" not in regfs("report", "broken", v2, FOLLOWED).stdout


@pytest.mark.parametrize("part", ["repositories/big", "repositories/big/app/_manifests/tags"])
def test_a_refresh_sees_what_is_pushed_behind_a_symlink_and_where_else_it_leads(
    whole: StoreBuilder, tmp_path: Path, part: str
) -> None:
    v2 = copied(whole, tmp_path / "copy")
    elsewhere = moved(v2, part)

    def tags() -> list[str]:
        done = regfs("report", "tags", v2, FOLLOWED, "--format", "csv")
        assert done.returncode == 0
        return sorted(line.split(",")[1] for line in done.stdout.splitlines() if line.startswith("big/app,"))

    assert tags() == ["1.0"]
    place = elsewhere if part.endswith("tags") else elsewhere / "app/_manifests/tags"
    output("cp", "-a", place / "1.0", place / "2.0")
    assert tags() == ["1.0", "2.0"]
    other = elsewhere.with_name("other")
    output("cp", "-a", elsewhere, other)
    output("rm", "-r", other / place.relative_to(elsewhere) / "1.0")
    (v2 / part).unlink()
    (v2 / part).symlink_to(other)
    assert tags() == ["2.0"]


@pytest.mark.parametrize("target", [".", "repositories", "repositories/big", "repositories/big/app"])
@pytest.mark.parametrize("place", ["repositories/again", "repositories/big/app/again"])
@pytest.mark.timeout(60)
def test_a_circle_ends_and_is_named(
    whole: StoreBuilder, tmp_path: Path, mount: Callable[..., Mount], place: str, target: str
) -> None:
    v2 = copied(whole, tmp_path / "copy")
    (v2 / place).symlink_to(v2 / target)
    circular = Path(place).is_relative_to(target)
    done = regfs("report", "broken", v2, FOLLOWED)
    assert done.returncode == 0
    if circular:
        assert "leads back" in done.stdout
        assert regfs("check", v2, FOLLOWED).returncode == 1
    found = run("find", mount(v2, "follow_symlinks").path)
    assert "/big/app/1.0/manifest.json" in found.stdout
    assert len(found.stdout.splitlines()) < 1000


def test_the_helps_say_what_the_option_opens() -> None:
    for command in ("index", "report", "explain", "reclaim", "check", "diff", "ls", "cat", "tree", "history"):
        assert "can then point" in " ".join(regfs(command, "--help").stdout.split())
    assert "can then point a mount of root's at others" in " ".join(regfs("mount", "--help").stdout.split())
