"""What `regfs reclaim` does with files: reads a policy, saves a plan, and compares one with the store."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from regfs import __version__
from regfs.cli.deletions import RegistryUrl, Tool, commands, comment
from regfs.cli.opening import OpenedIndex
from regfs.errors import PlanError, PolicyError, UsageError
from regfs.graph.index import Need, Snapshot
from regfs.graph.reports.check import verdict
from regfs.graph.reports.plan import Plan, decode, encode, make_plan
from regfs.graph.reports.policy import Policy
from regfs.graph.reports.policy_file import read_policy
from regfs.graph.reports.proof import Outcome, Proof, prove, see_that_it_is_of
from regfs.graph.reports.reclaim import Reclaim
from regfs.graph.reports.rules import Pattern, Patterns, read_keep_list
from regfs.graph.reports.table import readable_size
from regfs.graph.reports.words import counted
from regfs.graph.times import iso

#: What a plan needs of the index besides its facts: whether all can be pulled.
NEEDS = (Need.LINKS, Need.CONTENTS)

#: No policy and no plan of a registry is larger; a wrong file may be.
_LARGEST = 1 << 30


def keep_list(name: str, file: BinaryIO) -> tuple[Pattern, ...]:
    """Read the images that a file names. Raises RuleError."""
    return read_keep_list(name, file.read().decode(errors="backslashreplace").splitlines())


def policy_of(path: Path) -> Policy:
    """Read a policy. Files that it names lie beside it. Raises PolicyError, and RuleError."""

    def kept_by(name: str) -> tuple[Pattern, ...]:
        file = path.parent / name
        try:
            with file.open("rb") as opened:
                return keep_list(str(file), opened)
        except OSError as error:
            raise PolicyError(str(path), f"keep-from {name!r}: {error.strerror}") from error

    return read_policy(str(path), _content(path, PolicyError), kept_by, time.time_ns())


def _content(path: Path, error: type[PlanError | PolicyError]) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise error(str(path), "is too large to be one")
        return path.read_bytes()
    except OSError as reason:
        raise error(str(path), str(reason.strerror)) from reason


def read_plan(path: Path) -> Plan:
    """Read a plan. Raises PlanError."""
    return decode(str(path), _content(path, PlanError))


# --- saving -----------------------------------------------------------------------------------------


def see_that_it_can_be_saved(path: Path, store: str) -> Plan | None:
    """See that a plan may be written there; give the one that it takes the place of. Raises UsageError."""
    place = os.path.realpath(path)
    if os.path.commonpath([place, os.path.realpath(store)]) == os.path.realpath(store):
        raise UsageError(f"{path} is below the store, and regfs writes nothing there: name another place")
    if not os.path.lexists(path):
        return None
    try:
        return read_plan(path)
    except PlanError as error:
        raise UsageError(f"--save writes over plans alone, and {error}") from error


def place_of(it: OpenedIndex) -> tuple[str, int | None]:
    """Tell where a store is: its path, and its directory's inode where it has one."""
    inode = None
    with suppress(OSError):
        inode = os.stat(it.path).st_ino
    return it.path.encode(errors="backslashreplace").decode(), inode


def save_plan(
    path: Path,
    store: str,
    it: OpenedIndex,
    snapshot: Snapshot,
    answer: tuple[Reclaim, Policy],
    last: Plan | None,
) -> list[str]:
    """Write a plan of an answer whose blobs were listed. Gives notes, a line each; needs NEEDS.

    `last` is the plan that it takes the place of: what of that must not go any more is told. Raises PlanError
    if that is another store's.
    """
    notes: list[str] = []
    if last is not None:
        see_that_it_is_of(snapshot, str(path), last, place_of(it))
        left = prove(snapshot, last).left
        notes = [f"of the plan before, {name} does not go any more: {why}" for name, why in left.items()]
    plan = make_plan(snapshot, *answer, place_of(it), (time.time_ns(), __version__))
    _write(path, encode(plan))
    return [*notes, f"{path}: the plan; regfs reclaim {store} --verify {path} tells later what became of it"]


def _write(path: Path, text: Iterable[str]) -> None:
    """Write a file whole, or not at all. Raises UsageError."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with made.open("x", encoding="utf-8") as file:
            file.writelines(text)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    except OSError as error:
        with suppress(OSError):
            made.unlink()
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


# --- the commands that delete -----------------------------------------------------------------------


def commands_of(
    store: str, registry: RegistryUrl, tool: Tool, plan: str, manifests: list[tuple[str, str]], size: int
) -> Iterator[str]:
    """Give the commands that delete manifests, and what is to be known of them as comments of a shell.

    `size` are the bytes that they free; `plan` names the plan that tells later what went, "" for none.
    """
    yield from comment(
        [
            f"{counted(manifests, 'manifest')} of {store}, {size} bytes; as of {iso(time.time_ns())}.",
            "Run it at once: what is tagged after that time is not known here.",
            "The registry needs storage.delete.enabled (without it, 405).",
        ]
    )
    yield from commands(manifests, registry, tool)
    after = [
        "Then stop pushes (storage.maintenance.readonly), run registry garbage-collect (no -m on 2.x),",
        "and restart the registry.",
    ]
    if plan:
        after.append(f"At last: {shlex.join(['regfs', 'reclaim', store, '--verify', plan])}")
    yield from comment(after)


# --- the proof --------------------------------------------------------------------------------------


def proved(
    it: OpenedIndex, path: Path, keep: Iterable[Pattern], say: Callable[[str], None], *, briefly: bool
) -> Proof:
    """Compare a plan with the store, every file of which is looked at, and say what is to be said.

    What `keep` fits is not to go any more. `briefly`: say nothing of what was freed. Raises PlanError.
    """
    plan = read_plan(path)
    it.references.refresh(thorough=True)
    with it.references.snapshot(*NEEDS) as snapshot:
        if note := see_that_it_is_of(snapshot, str(path), plan, place_of(it)):
            say(note)
        proof = prove(snapshot, plan, Patterns(keep))
        pulled = verdict(snapshot)
    for name, why in proof.left.items():
        say(f"{name} stays: {why}")
    if briefly:
        return proof
    _say_what_was_freed(proof, say)
    unpullable = pulled.tags - pulled.sound
    before = f"; {plan.store.unpullable} could not when the plan was made" if unpullable else ""
    say(f"{pulled.sound} of {counted(pulled.tags, 'tag')} can be pulled{before}")
    return proof


def _say_what_was_freed(proof: Proof, say: Callable[[str], None]) -> None:
    plan = proof.plan
    *_, gone = proof.count(Outcome.GONE)
    promised = f"{readable_size(plan.promised_size)} ({plan.promised_size} bytes)"
    freed = "all of it" if gone == plan.promised_size else f"{readable_size(gone)} ({gone} bytes)"
    say(f"{promised} promised, {freed} freed")
    grown = proof.grown
    if grown is None:
        say("some blobs could not be read; see regfs report broken")
    elif grown < 0:
        say(f"{readable_size(-grown)} ({-grown} bytes) went besides, at least, that the plan does not have")
