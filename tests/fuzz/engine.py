"""Fuzzes one target in a process of its own: `python -m tests.fuzz.engine TARGET SECONDS SEED DIRECTORY`.

With atheris (libFuzzer for Python, guided by the coverage of regfs's lines) where it is installed; else by
mutations of the corpus alone. Both end at the first fault, with the input in DIRECTORY/faults and a status
other than 0: an error that is not the documented one, more than 5 s, or more than 1.5 GB of memory.
"""

from __future__ import annotations

import importlib
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

#: For one input: seconds, bytes of memory, bytes of the input itself.
SECONDS = 5
MEMORY = 1500 << 20
LONGEST = 24 << 10

#: What is put into an input: numbers at edges, marks of the formats, ends of JSON.
_PARTS = (
    b"\0",
    b"\xff" * 8,
    b"\x80",
    b"9" * 19,
    b"-1",
    b'"',
    b"{",
    b"}",
    b"[",
    b"null",
    b"1e999",
    b"\\ud800",
)


def main(name: str, seconds: str, seed: str, directory: str) -> None:
    """Fuzz a target for some seconds."""
    place = Path(directory)
    faults, grown = place / "faults", place / "corpus" / name
    for path in (faults, grown):
        path.mkdir(parents=True, exist_ok=True)
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        mutate(name, float(seconds), int(seed), faults)
        return
    with atheris.instrument_imports(include=["regfs"]):
        targets = importlib.import_module("tests.fuzz.targets")
    options = {
        "max_total_time": seconds,
        "seed": seed,
        "timeout": SECONDS,
        "rss_limit_mb": MEMORY >> 20,
        "max_len": LONGEST,
        "artifact_prefix": f"{faults}/{name}-",
        "verbosity": 0,
        "print_final_stats": 1,
    }
    flags = [f"-{key}={value}" for key, value in options.items()]
    atheris.Setup(["fuzz", *flags, str(grown), str(targets.CORPUS / name)], targets.TARGETS[name])
    atheris.Fuzz()


def mutate(name: str, seconds: float, seed: int, faults: Path) -> None:
    """Try mutations of the corpus, one after the other."""
    from tests.fuzz.targets import CORPUS, TARGETS

    inputs = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    chance, ends, tried = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        content = mutated(chance, inputs)
        tried += 1
        try:
            bounded(TARGETS[name], content)
        except BaseException:
            fault = faults / f"{name}-{seed}-{tried}"
            fault.write_bytes(content)
            sys.stderr.write(f"fault: {fault}\n")
            raise
    sys.stderr.write(f"stat::number_of_executed_units: {tried}\n")


def bounded(target: Callable[[bytes], None], content: bytes) -> None:
    """Run a target on one input, with bounds to its time and to the memory of the process."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, most))
    try:
        target(content)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _too_long(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TimeoutError(f"more than {SECONDS} s for one input")


def mutated(chance: random.Random, inputs: list[bytes]) -> bytes:
    """Change one of the inputs in one to eight places."""
    content = bytearray(chance.choice(inputs)[:LONGEST])
    for _ in range(chance.randint(1, 8)):
        at = chance.randint(0, len(content))
        match chance.randrange(6):
            case 0 if content:
                content[at - 1] ^= 1 << chance.randrange(8)
            case 1:
                content[at : at + chance.choice((1, 4, 512))] = b""
            case 2:
                part = chance.choice(_PARTS)
                content[at : at + len(part)] = part
            case 3:
                content[at:at] = chance.choice(_PARTS)
            case 4:
                other = chance.choice(inputs)
                start = chance.randint(0, len(other))
                content[at:] = other[start : start + LONGEST]
            case _:
                content[at:at] = content[max(at - chance.choice((8, 512)), 0) : at]
    return bytes(content[:LONGEST])


if __name__ == "__main__":
    main(*sys.argv[1:])
