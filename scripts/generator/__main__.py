"""The command line: `scripts/generate`."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from scripts.generator.plan import SECOND, Plan
from scripts.generator.store import generate

_UNITS = "KMGT"


def main() -> None:
    """Make a store as asked for, and tell what it holds."""
    parser = _parser()
    given = parser.parse_args()
    repositories = given.repositories or max(1, given.tags // 50)
    if given.tags < repositories:
        parser.error(f"{repositories} repositories need as many tags at least, not {given.tags}")
    plan = Plan(
        tags=given.tags,
        repositories=repositories,
        uploads=given.tags // 200 + 1 if given.uploads is None else given.uploads,
        layers=given.layers,
        layer_size=given.layer_size,
        untagged=given.untagged,
        orphaned=given.orphaned,
        indexes=given.indexes,
        seed=given.seed,
        now=int(given.now.timestamp()) * SECOND,
        real=given.real,
    )
    root: Path = given.directory
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        parser.error(f"{root} is not an empty directory")
    os.umask(0o022)
    began, done = time.monotonic(), 0

    def progress(tags: int) -> None:
        nonlocal done
        done += tags
        if sys.stderr.isatty():
            print(f"\r{done:,} of {plan.tags:,} tags", end="", file=sys.stderr)

    made = generate(root, plan, given.processes, progress)
    seconds = time.monotonic() - began
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if given.json:
        print(json.dumps(made.document()))
        return
    print(made)
    rates = f"{made.tags / seconds * 60:,.0f} tags a minute, {made.files / seconds:,.0f} files a second"
    print(f"in {seconds:.1f} s: {rates}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/generate",
        description="Make a registry's store with the proportions of a build server's. "
        "The same options give the same store, down to the times.",
    )
    add = parser.add_argument
    add("directory", type=Path, help="the registry's root: an empty directory, or none yet")
    add("--tags", type=_count, default=10_000, metavar="N", help="tags in all (10,000)")
    add(
        "--repositories",
        type=_count,
        metavar="N",
        help="repositories, few large and many small (one for 50 tags)",
    )
    add("--layers", type=_count, default=8, metavar="N", help="layers of an image, on average (8)")
    add("--layer-size", type=_size, default="20M", metavar="SIZE", help="size of a layer, on average (20M)")
    add(
        "--real", action="store_true", help="layers are tars of a few KiB, not holes under a digest at random"
    )
    add("--untagged", type=_share, default=0.1, metavar="SHARE", help="of images, that lost their tags (0.1)")
    add("--orphaned", type=_share, default=0.03, metavar="SHARE", help="of images, that were deleted (0.03)")
    add("--indexes", type=_share, default=0.05, metavar="SHARE", help="of pushes, for two platforms (0.05)")
    add("--uploads", type=int, metavar="N", help="unfinished uploads (one for 200 tags)")
    add("--seed", type=int, default=1, metavar="N", help="another seed, another store (1)")
    add(
        "--now",
        type=_date,
        default="2026-01-01",
        metavar="DATE",
        help="the end of its two years (2026-01-01)",
    )
    add("--processes", type=_count, default=min(2, os.cpu_count() or 1), metavar="N", help="that write (2)")
    add("--json", action="store_true", help="tell what was made as JSON")
    return parser


def _count(text: str) -> int:
    if (number := int(text.replace(",", ""))) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _share(text: str) -> float:
    if not 0 <= (share := float(text)) < 0.9:
        raise argparse.ArgumentTypeError("must be at least 0 and less than 0.9")
    return share


def _size(text: str) -> int:
    if not (match := re.fullmatch(rf"(\d+)([{_UNITS}]?)", text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 20M")
    return int(match[1]) << 10 * (1 + _UNITS.index(match[2]) if match[2] else 0)


def _date(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


if __name__ == "__main__":
    main()
