"""What was pushed to a repository, in the order of time, and what has become of it."""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator
from typing import NamedTuple

from scripts.generator.names import TagNames, moving_tags
from scripts.generator.plan import SPAN, Plan

#: How often `latest` follows a build of the main line.
_FOLLOWS = 0.3

#: Of the images without a tag, those whose tag was deleted; the tag of the others names a later image.
_TAG_DELETED = 0.3


class State(enum.IntEnum):
    """What leads to a blob: a tag, a revision only, or nothing. The first that applies counts."""

    TAGGED = 0
    UNTAGGED = 1
    ORPHANED = 2


class Push(NamedTuple):
    """An image or index: when, under which tags, and what leads to it in the end."""

    time: int
    tags: tuple[str, ...]
    state: State
    platforms: int


class _Draft(NamedTuple):
    tags: tuple[str, ...]
    state: State


def pushes(plan: Plan, chance: random.Random, tags: int) -> Iterator[Push]:
    """Give all pushes that leave a repository with so many tags."""
    drafts = list(_drafts(plan, chance, tags))
    times = sorted(plan.now - int(SPAN * (1 - chance.random() ** 0.6)) for _ in drafts)
    for time, draft in zip(times, drafts, strict=True):
        several = draft.state is not State.ORPHANED and chance.random() < plan.indexes
        yield Push(time, draft.tags, draft.state, 2 if several else 1)


def _drafts(plan: Plan, chance: random.Random, tags: int) -> Iterator[_Draft]:
    moving = moving_tags(tags)
    names = TagNames(chance)
    for number in range(tags - len(moving)):
        name, of_main_line = names.next()
        while chance.random() < plan.untagged:
            gone = chance.random() < _TAG_DELETED
            yield _Draft(() if gone else (name,), State.UNTAGGED)
        while chance.random() < plan.orphaned:
            yield _Draft((), State.ORPHANED)
        # The first of all has them, or they would be missing.
        follow = [tag for tag in moving if not number or (of_main_line and chance.random() < _FOLLOWS)]
        yield _Draft((name, *follow), State.TAGGED)
