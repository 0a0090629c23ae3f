"""`scripts/fuzz`: fuzzes the parsers for some minutes, or damages stores; prints what it found."""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import EACH_MOUNTED, EACH_TRACED, Base, Result, Trial, usual_files

#: Which store a seed damages. The first is what a registry wrote, with 177 tags; the others are small.
_STORES = ("registry", "library", "sample")

#: Fuzzers, or damaged stores, at a time.
_JOBS = 2


def main() -> int:
    """Do what was asked for; gives the exit status: 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="for all parsers together (20)")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this parser")
    parser.add_argument("--stores", type=int, help="damage so many stores instead")
    parser.add_argument("--seed", type=int, help="of the first store or fuzzer; a new one each time")
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(1, 10**6) if asked.seed is None else asked.seed
    directory = Path(tempfile.mkdtemp(prefix="regfs-fuzz-"))
    tell(f"seed {seed}, in {directory}")
    if asked.stores:
        return damage_stores(directory, range(seed, seed + asked.stores))
    return fuzz(directory, asked.target or list(TARGETS), asked.minutes * 60, seed)


def fuzz(directory: Path, names: list[str], seconds: float, seed: int) -> int:
    """Fuzz each parser for its share of the time, in processes of their own."""

    def run(name: str) -> tuple[str, int, str]:
        share = max(round(seconds / len(names)), 1)
        command = [sys.executable, "-m", "tests.fuzz.engine", name, str(share), str(seed), str(directory)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
        return name, done.returncode, done.stderr

    found = 0
    with ThreadPoolExecutor(_JOBS) as pool:
        for name, status, said in pool.map(run, names):
            count = re.search(r"number_of_executed_units:\s*(\d+)", said)
            tell(f"{name:12} {count[1] if count else '?':>9} inputs, {'fault' if status else 'sound'}")
            if status:
                found += 1
                tell(said[-3000:])
    tell(f"{found} faults" + (f"; the inputs are in {directory}/faults" if found else ""))
    return int(found > 0)


def damage_stores(directory: Path, seeds: range) -> int:
    """Damage a store for each seed, and look at it; those with a fault stay, for a person to look at."""
    began, found = time.monotonic(), 0
    for number, result in enumerate(trials(directory, seeds), 1):
        if result.wrong:
            found += 1
            tell(result)
        if number % 20 == 0:
            tell(f"{number} stores in {time.monotonic() - began:.0f} s, {found} with faults")
    tell(f"{len(seeds)} stores, {found} with faults" + (f"; they are in {directory}" if found else ""))
    return int(found > 0)


def trials(directory: Path, seeds: range) -> Iterator[Result]:
    """Run the trials of some seeds, two at a time. What a seed does depends on nothing else."""
    bases = {name: Base(name, directory) for name in sorted({_STORES[seed % len(_STORES)] for seed in seeds})}
    usual = usual_files(directory / "usual")
    can_mount = os.path.exists("/dev/fuse")

    def run(seed: int) -> Result:
        trial = Trial(bases[_STORES[seed % len(_STORES)]], directory, seed)
        traced = usual if seed % EACH_TRACED == 5 else None
        return trial.run(mounted=can_mount and seed % EACH_MOUNTED == 0, usual=traced)

    with ThreadPoolExecutor(_JOBS) as pool:
        yield from pool.map(run, seeds)


def tell(line: object) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
