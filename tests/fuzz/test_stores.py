"""Damaged stores: a few of those that `scripts/fuzz --stores 1000` makes, always the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz.damage import Damager
from tests.fuzz.disk import Disk
from tests.fuzz.judge import judge
from tests.fuzz.stores import copy
from tests.fuzz.trial import Base, Trial, usual_files

#: Of a small store: what a registry wrote takes seconds each. They damage links, blobs and directories.
SEEDS = range(100, 115)

#: Of those seeds, which are looked at through a mount as well, and which strace watches.
MOUNTED, TRACED = (101,), (103,)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base("library", tmp_path_factory.mktemp("bases"))


@pytest.mark.parametrize("seed", SEEDS)
def test_damage_is_harmless_or_named_and_never_more(base: Base, tmp_path: Path, seed: int) -> None:
    mounted = seed in MOUNTED and os.path.exists("/dev/fuse")
    usual = usual_files(tmp_path / "usual") if seed in TRACED else None
    result = Trial(base, tmp_path, seed).run(mounted=mounted, usual=usual)
    assert result.damages
    assert result.wrong == [], str(result)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_regfs_that_kept_silent_or_hid_all_would_be_found_out(
    base: Base, tmp_path: Path, seed: int
) -> None:
    damaged = copy(base.root, tmp_path / "store")
    list(Damager(damaged, tmp_path, seed).run())
    disk = Disk(base.model, base.v2, damaged)
    silent = base.examined
    touched = [
        tag
        for repository, tag, digest in disk.tags()
        if disk.obstacle(repository, tag) is None
        and not all(map(disk.intact, disk.content(repository, tag, digest)))
    ]
    assert all(row["severity"] == "hazard" for row in silent.rows)
    assert bool(touched) <= bool(list(judge(silent, silent, disk)))
    assert list(judge(silent, silent._replace(shown={}), disk))
