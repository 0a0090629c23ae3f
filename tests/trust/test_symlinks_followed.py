"""With `--follow-symlinks` a store on several disks reads as if the symlinks were directories."""

from __future__ import annotations

import json

import pytest

from tests.conftest import REGFS, run
from tests.trust.conftest import Two


@pytest.mark.parametrize(
    "path",
    [
        "blobs",
        "repositories",
        "repositories/big",
        "repositories/big/app/_manifests",
        "repositories/big/app/_manifests/revisions",
        "repositories/big/app/_manifests/tags",
        "repositories/big/app/_manifests/tags/1.0",
        "repositories/big/app/_layers",
    ],
)
def test_a_directory_on_another_disk_is_read_as_if_it_were_here(two: Two, path: str) -> None:
    before = two.rows("blobs"), two.rows("tags")
    two.aside(path)
    after = tuple(
        json.loads(two.ask("report", name, "--follow-symlinks", two.store.root, "--format", "json"))
        for name in ("blobs", "tags")
    )
    assert after == before
    assert two.check("--follow-symlinks") == 0
    assert two.check() == 1


def test_a_cycle_of_symlinks_is_a_gap(two: Two) -> None:
    (two.store.v2 / "repositories/big/again").symlink_to(two.store.v2 / "repositories")
    done = run(*REGFS, "check", "--follow-symlinks", two.store.root)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = two.ask("report", "broken", "--follow-symlinks", two.store.root, "--format", "csv")
    assert "repositories/big/again" in said
