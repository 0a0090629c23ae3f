"""Makes a whole store: repositories side by side in processes, then what they share."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from scripts.generator.bases import Bases
from scripts.generator.blobs import BLOBS, Blobs
from scripts.generator.images import Images
from scripts.generator.layers import Maker, real, sparse
from scripts.generator.names import repository_names
from scripts.generator.plan import SECOND, Plan
from scripts.generator.pushes import State, pushes
from scripts.generator.repository import REPOSITORIES, Repository
from scripts.generator.tally import Tally
from scripts.generator.writing import set_times

#: Below the directory that a registry calls its root.
BELOW = "docker/registry/v2"

#: How long before `now` an upload may have been cut short, in seconds.
_UPLOADS_SINCE = 30 * 86_400


class Task(NamedTuple):
    """One repository to fill."""

    name: str
    tags: int
    uploads: int


class Part(NamedTuple):
    """What filling a repository has led to: counts, times of directories, and how bases are used."""

    tally: Tally
    changed: dict[str, int]
    bases: dict[str, State]


Fill = Callable[[Task], Part]


def generate(root: Path, plan: Plan, processes: int, progress: Callable[[int], object]) -> Tally:
    """Fill an empty directory. `progress` is told of tags as they are made."""
    v2 = root / BELOW
    for part in (BLOBS, REPOSITORIES):
        (v2 / part).mkdir(parents=True)
    names = repository_names(plan.chance("names"), plan.repositories)
    bases = Bases(plan, _maker(plan))
    tasks = list(map(Task, names, plan.tags_each(), plan.uploads_each()))
    total, changed, used = Tally(), dict[str, int](), dict[str, State]()
    for filled in _side_by_side(partial(_fill, v2, plan, bases), tasks, processes):
        progress(filled.tally.tags)
        total.add(filled.tally)
        _latest(changed, filled.changed)
        for digest, state in filled.bases.items():
            used[digest] = min(state, used.get(digest, state))
    blobs = Blobs(v2, total)
    for digest, state in used.items():
        blobs.layer(bases.layers[digest])
        blobs.led_to(bases.layers[digest], state)
    blobs.close()
    _latest(changed, blobs.writer.changed)
    set_times(root, {f"{BELOW}/{below}": time for below, time in changed.items()})
    return total


def _maker(plan: Plan) -> Maker:
    return real if plan.real else sparse(plan.layer_size)


def _fill(v2: Path, plan: Plan, bases: Bases, task: Task) -> Part:
    """Fill one repository. Its random numbers are its own: the order of the repositories changes nothing."""
    chance = plan.chance(task.name)
    tally = Tally()
    blobs, repository = Blobs(v2, tally), Repository(v2, task.name, tally)
    images = Images(plan, chance, task.name, bases, _maker(plan), blobs, repository)
    first = plan.now
    for push in pushes(plan, chance, task.tags):
        first = min(first, push.time)
        images.push(push)
    for _ in range(task.uploads):
        name = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        size = 1 + int(chance.random() * plan.layer_size)
        repository.upload(name, size, plan.now - chance.randrange(_UPLOADS_SINCE) * SECOND)
    images.close()
    repository.close(first)
    blobs.close()
    return Part(tally, {**blobs.writer.changed, f"{REPOSITORIES}/{task.name}": first}, images.bases)


def _side_by_side(fill: Fill, tasks: Sequence[Task], processes: int) -> Iterator[Part]:
    if processes == 1 or len(tasks) == 1:
        yield from map(fill, tasks)
        return
    # Forked: what `fill` holds is inherited, and never sent.
    with multiprocessing.get_context("fork").Pool(processes, _INHERITED.append, (fill,)) as pool:
        yield from pool.imap_unordered(_inherited, tasks)


#: In a process of the pool: what it is for.
_INHERITED: list[Fill] = []


def _inherited(task: Task) -> Part:
    return _INHERITED[-1](task)


def _latest(times: dict[str, int], others: dict[str, int]) -> None:
    for name, time in others.items():
        times[name] = max(time, times.get(name, 0))
