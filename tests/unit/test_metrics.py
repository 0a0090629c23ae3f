"""`report metrics`: what it says of stores that can be counted by hand, and the form in which it does."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from regfs.graph.index import ReferenceIndex
from regfs.graph.reports.metrics import NEEDS, Look, metrics
from regfs.registry import open_local
from tests.builder import StoreBuilder
from tests.conftest import REGFS, need, output, run

TOP = Path(__file__).parents[2]

#: A line of the text format (Prometheus, "Exposition formats"); label values with their escapes.
_SAMPLE = re.compile(
    r'(?P<name>regfs_[a-z_]+)\{(?P<labels>(?:[a-z_]+="(?:[^"\\\n]|\\\\|\\"|\\n)*",?)+)\} '
    r"(?P<value>-?\d+(?:\.\d+)?|NaN)"
)
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Series = dict[tuple[str, ...], float]
Ask = Callable[..., Series]


def read(text: str) -> Series:
    """Read metrics, each by its name and the values of its labels but the store's."""
    found: Series = {}
    typed = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            typed = line.split()[2]
        elif line.startswith("#"):
            assert line == f"# TYPE {typed} gauge"
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            assert match["name"] == typed
            labels = _LABEL.findall(match["labels"])
            assert labels[0][0] == "store"
            key = (typed, *(value for _, value in labels[1:]))
            assert key not in found
            found[key] = float(match["value"])
    return found


@pytest.fixture
def ask(store: StoreBuilder) -> Ask:
    def make(name: str = "/var/lib/registry") -> Series:
        local = open_local(str(store.v2))
        index = ReferenceIndex(local, str(store.v2), None, ttl=float("inf"))
        try:
            with index.snapshot(*NEEDS) as snapshot:
                return read("".join(metrics(snapshot, Look(name, "1.2.3", 1_800_000_000.5, 0.25))))
        finally:
            index.close()
            local.close()

    return make


def test_metrics_say_what_the_store_holds(store: StoreBuilder, ask: Ask) -> None:
    base, own = store.layer({"base": b"x" * 5000}), store.layer({"own": b"y" * 100})
    config = store.config(author="a")
    image = store.image("team/app", "1.0", [base, own], config, mtime=1_700_000_000)
    store.tag("team/app", "stable", image)
    loose = store.image("other", None, [base], store.config(author="loose"))
    orphan = store.blob(b"orphan" * 100)
    size = len("2020-01-01T00:00:00Z") + 1234
    store.upload("team/app", b"z" * 1234, started="2020-01-01T00:00:00Z")
    found = ask()
    tagged = image.size + base.size + own.size + config.size
    assert found["regfs_blob_bytes", "tagged"] == tagged
    assert found["regfs_blob_bytes", "orphaned"] == orphan.size
    assert found["regfs_blobs", "untagged"] == 2
    assert found["regfs_blobs", "unknown"] == found["regfs_gaps",] == found["regfs_unpullable_tags",] == 0
    assert found["regfs_upload_bytes",] == found["regfs_reclaimable_bytes", "upload_purge"] == size
    assert found["regfs_reclaimable_bytes", "garbage_collect"] == orphan.size
    assert found["regfs_repository_bytes", "team/app"] == tagged
    assert found["regfs_repository_exclusive_bytes", "team/app"] == tagged - base.size
    assert found["regfs_repository_tags", "team/app"] == found["regfs_tags",] == 2
    assert ("regfs_repository_last_push_timestamp_seconds", "other") not in found
    assert found["regfs_index_timestamp_seconds",] == 1_800_000_000.5
    assert found["regfs_build_info", "1.2.3"] == 1
    store.data(own.digest).unlink()
    store.data(loose.digest).unlink()
    found = ask()
    assert found["regfs_unpullable_tags",] == 2
    assert found["regfs_findings", "damage"] > 0


def test_what_was_not_read_is_unknown_in_metrics_and_never_0(store: StoreBuilder, ask: Ask) -> None:
    layer = store.layer({"own": b"y" * 100})
    store.image("app", "1.0", [layer], store.config(author="a"))
    store.image("app", "2.0", [layer], store.config(author="b"))
    store.tag_link("app", "1.0").write_text("")
    found = ask()
    assert found["regfs_gaps",] > 0
    assert found["regfs_blobs", "unknown"] == 2
    assert found["regfs_blobs", "untagged"] == found["regfs_blobs", "orphaned"] == 0
    shard = store.data(layer.digest).parent.parent
    shutil.move(shard, store.root.parent / "shard")
    shard.symlink_to(store.root.parent / "shard")
    found = ask()
    assert math.isnan(found["regfs_blob_bytes", "unknown"])
    assert math.isnan(found["regfs_reclaimable_unknown_bytes", "garbage_collect"])
    assert found["regfs_unknown_tags",] == 1


def test_the_documentation_names_each_metric(store: StoreBuilder, ask: Ask) -> None:
    store.image("app", "1.0")
    text = (TOP / "regfs/docs/monitoring.md").read_text()
    row = "regfs_repository"
    named = {
        *re.findall(r"\bregfs_[a-z_]+", text),
        *(row + found for found in re.findall(r"`…(_[a-z_]+)`", text)),
    }
    assert named == {name for name, *_ in ask()}
    for expression in re.findall(r"expr: (.*)", (TOP / "scripts/prometheus/regfs.rules.yml").read_text()):
        assert expression in re.sub(r" *#.*\n *|\n +", " ", text)


def test_names_that_would_break_a_line_are_escaped(store: StoreBuilder, ask: Ask) -> None:
    store.image("app", "1.0")
    assert ask('/a"b\\c\nd\udcff')["regfs_tags",] == 1


def test_the_command_prints_all_of_it_or_nothing(store: StoreBuilder, tmp_path: Path) -> None:
    store.image("app", "1.0")
    text = output(*REGFS, "report", "metrics", "registry", cwd=tmp_path)
    assert read(text)["regfs_tags",] == 1
    assert f'{{store="{store.root}"}}' in text
    done = run(*REGFS, "report", "metrics", tmp_path / "nothing")
    assert (done.returncode, done.stdout) == (2, "")


def test_the_units_of_systemd_are_sound(tmp_path: Path) -> None:
    analyze = need("systemd-analyze")
    program = tmp_path / "regfs"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = sorted((TOP / "scripts/systemd").iterdir())
    assert len(units) == 7
    for unit in units:
        text = unit.read_text()
        assert unit.suffix == ".timer" or "/usr/local/bin/regfs " in text
        (tmp_path / unit.name).write_text(text.replace("/usr/local/bin/regfs", str(program)))
    done = run(analyze, "verify", "--man=no", *(tmp_path / unit.name for unit in units))
    assert (done.returncode, [line for line in done.stderr.splitlines() if "regfs" in line]) == (0, [])
    (tmp_path / "regfs-index.service").write_text("[Service]\nType=oneshot\nExecStrat=/bin/true\n")
    done = run(analyze, "verify", "--man=no", tmp_path / "regfs-index.service")
    assert "regfs-index" in done.stderr
