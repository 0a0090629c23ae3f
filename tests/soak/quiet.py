"""What must be equal when nobody writes any more: mount, reports, store, and what the collector says."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from tests.conftest import REGFS, output, run
from tests.registry.collector import collect, digest_of, stored
from tests.soak.pushing import ChronicledPushes


def unpullable(root: Path, pushes: ChronicledPushes) -> list[str]:
    """Compare which tags `regfs check` says cannot be pulled with those that a collection did harm to."""
    done = run(*REGFS, "check", "--by-tag", root, "--format", "csv")
    said = {f"{row['repository']}:{row['tag']}" for row in csv.DictReader(io.StringIO(done.stdout))}
    harmed = pushes.harmed()
    tags = {f"{name}:{tag}" for (name, tag), digest in pushes.tags.items() if (name, digest) in harmed}
    found = (
        [] if said == tags else [f"regfs check: {sorted(said)} cannot be pulled, and it is {sorted(tags)}"]
    )
    if done.returncode != bool(harmed):
        found.append(f"regfs check: {done.returncode} with {len(harmed)} images harmed: {done.stderr[-300:]}")
    return found


def differences(top: Path, root: Path, pushes: ChronicledPushes) -> list[str]:
    """Compare a mount of a registry's store, and regfs's commands, with the truth; tells what differs."""
    found = []

    def same(what: str, got: set[str], want: set[str]) -> None:
        if got != want:
            more, less = sorted(got - want)[:3], sorted(want - got)[:3]
            found.append(f"{what}: {len(got)} for {len(want)}; too many: {more}, lacking: {less}")

    truth = pushes.states()
    same("the store", set(stored(root)), set(pushes.stored))
    orphans = {f"sha256:{name.partition('.')[0]}" for name in _listed(top / "@orphans/sha256")}
    same("@orphans beside what was pushed", orphans, truth.orphaned)
    same("@orphans beside garbage-collect --dry-run", orphans, collect(root).blobs)
    same("@blobs", {f"sha256:{name}" for name in _listed(top / "@blobs/sha256")}, set(stored(root)))
    rows = [*csv.DictReader(io.StringIO(output(*REGFS, "report", "blobs", root, "--format", "csv")))]
    same("regfs report blobs", {row["digest"] for row in rows}, set(stored(root)))
    for state, digests in truth._asdict().items():
        named = {row["digest"] for row in rows if row["state"] == state}
        same(f"regfs report blobs: {state}", named, digests)
    tags = {f"{repository}:{tag}={digest}" for (repository, tag), digest in pushes.tags.items()}
    same("the tags", {_tag(top, *name) for name in pushes.tags}, tags)
    rows = [*csv.DictReader(io.StringIO((top / "@reports/tags.csv").read_text()))]
    same("@reports/tags.csv", {f"{row['repository']}:{row['tag']}={row['digest']}" for row in rows}, tags)
    checked = run(*REGFS, "check", "--digests", root)
    if checked.returncode:
        found.append(
            f"regfs check --digests: {checked.returncode}: {checked.stdout[-500:]}{checked.stderr[-500:]}"
        )
    return found


def _listed(directory: Path) -> list[str]:
    return os.listdir(directory) if directory.exists() else []


def _tag(top: Path, repository: str, tag: str) -> str:
    try:
        return f"{repository}:{tag}={digest_of((top / repository / f':{tag}/manifest.json').read_bytes())}"
    except OSError as error:
        return f"{repository}:{tag}: {error.strerror}"
