"""The stores that scripts/generate makes are sound, always the same, and hold what it says they hold.

The registry's own collector and regfs are both asked, and know nothing of the generator.
"""

import hashlib
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import REGFS, output, run
from tests.registry.collector import collect, stored
from tests.registry.told import Tell

pytestmark = pytest.mark.registry

ROOT = Path(__file__).parents[2]
GENERATE = [sys.executable, "-m", "scripts.generator"]
STATES = ("tagged", "untagged", "orphaned")


class Generated(NamedTuple):
    """A generated store, and what the generator says of it."""

    root: Path
    made: dict[str, Any]


def generate(root: Path, *options: str) -> Generated:
    return Generated(root, json.loads(output(*GENERATE, root, "--json", *options, cwd=ROOT)))


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(tmp_path_factory.mktemp("sparse") / "registry", "--tags", "600", "--orphaned", "0.1")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(
        tmp_path_factory.mktemp("real") / "registry", "--tags", "150", "--indexes", "0.2", "--real"
    )


def test_the_collector_would_take_as_many_blobs_as_the_generator_orphaned(sparse: Generated) -> None:
    found = collect(sparse.root)
    assert found.manifests == set()
    assert len(found.blobs) == sparse.made["blobs"]["orphaned"]["count"] > 50
    sizes = stored(sparse.root)
    assert sum(sizes[digest] for digest in found.blobs) == sparse.made["blobs"]["orphaned"]["size"]


@pytest.mark.parametrize("kind", ["sparse", "real"])
def test_the_summary_counts_what_was_made(kind: str, request: pytest.FixtureRequest, tell: Tell) -> None:
    root, made = request.getfixturevalue(kind)
    told = tell(root)
    for state in STATES:
        row = told.summary("stored", state)
        assert {name: row[name] for name in ("count", "size")} == made["blobs"][state]
        assert row["count"] > 0
    uploads = told.summary("stored", "uploads")
    assert (uploads["count"], uploads["size"]) == (made["uploads"], made["uploaded"])
    for item, name in (("tags", "tags"), ("manifests", "revisions"), ("indexes", "indexes")):
        assert told.summary("names", item)["count"] == made[name] > 0
    assert told.summary("names", "repositories")["count"] == made["repositories"] > 2
    assert told.findings() == set()


def test_tags_were_pushed_over(sparse: Generated, tell: Tell) -> None:
    rows = tell(sparse.root).rows("tags")
    assert len(rows) == sparse.made["tags"] == 600
    assert sparse.made["history"] > 700
    indexes = sparse.root.glob("docker/registry/v2/repositories/**/_manifests/tags/*/index/sha256/*/link")
    assert len(list(indexes)) == sparse.made["history"]


def test_a_store_of_real_layers_passes_a_check_of_all_digests(real: Generated) -> None:
    done = run(*REGFS, "check", "--digests", real.root)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "150 of 150 tags can be pulled" in done.stdout


def test_real_layers_can_be_unpacked_and_have_their_diff_ids(real: Generated) -> None:
    repositories = output(*REGFS, "report", "repositories", real.root, "--format", "json")
    largest = max(json.loads(repositories), key=lambda row: row["tags"])["repository"]
    done = run(*REGFS, "index", "--layers", real.root, f"{largest}:latest")
    assert done.returncode == 0, done.stderr
    assert "current" in output(*REGFS, "ls", real.root, f"{largest}/latest/rootfs/opt").split()


def test_sparse_layers_take_no_room(sparse: Generated) -> None:
    sizes, blocks = 0, 0
    for path in sparse.root.rglob("data"):
        found = path.stat()
        sizes, blocks = sizes + found.st_size, blocks + found.st_blocks * 512
    assert sizes > 1_000 * blocks


def test_a_seed_gives_one_store_however_many_processes_write_it(tmp_path: Path) -> None:
    options = (
        "--tags",
        "60",
        "--repositories",
        "7",
        "--indexes",
        "0.3",
        "--layers",
        "4",
        "--layer-size",
        "64K",
    )
    for number, more in enumerate((["--processes", "1"], ["--processes", "3"], ["--seed", "2"])):
        generate(tmp_path / str(number), *options, *more)
    one, again, other = (snapshot(tmp_path / str(number)) for number in range(3))
    assert one == again
    assert len(one.keys() ^ other.keys()) > 100


def snapshot(root: Path) -> dict[str, tuple[str, int, int, str]]:
    """Tell of each name below a directory its mode, size, time and content."""
    found = {}
    for directory, below, files in os.walk(root):
        for path in (Path(directory, name) for name in (*below, *files)):
            known = path.stat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            size = known.st_size if path.is_file() else 0
            name = str(path.relative_to(root))
            found[name] = stat.filemode(known.st_mode), size, known.st_mtime_ns, content
    return found


def test_times_end_at_the_date_asked_for(tmp_path: Path) -> None:
    generate(tmp_path / "registry", "--tags", "20", "--now", "2020-06-01")
    times = [path.stat().st_mtime for path in (tmp_path / "registry" / "docker").rglob("*")]
    two_years = 730 * 86_400
    end = 1_590_969_600  # 2020-06-01T00:00:00Z
    assert end - 1.02 * two_years < min(times) < end - 0.5 * two_years
    assert end - 0.2 * two_years < max(times) <= end


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = run(*GENERATE, tmp_path, "--tags", "10", cwd=ROOT)
    assert done.returncode == 2
    assert "not an empty directory" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_more_repositories_than_tags_are_refused(tmp_path: Path) -> None:
    done = run(*GENERATE, tmp_path / "registry", "--tags", "3", "--repositories", "4", cwd=ROOT)
    assert done.returncode == 2
    assert "as many tags" in done.stderr
    assert not (tmp_path / "registry").exists()
