"""Names of repositories and tags, as teams and their build servers choose them."""

from __future__ import annotations

import random
from collections.abc import Sequence


def _words(text: str) -> Sequence[str]:
    return text.split()


_TEAMS = _words(
    "billing catalog checkout core data delivery frontend identity infra insight legacy logistics mail "
    "media mobile ops orders partners payments platform pricing quality reporting risk search security "
    "shipping storage support warehouse"
)
_GROUPS = _words("batch edge internal jobs lab public tools v2")
_APPS = _words(
    "admin agent api archive audit auth broker cache collector consumer cron dashboard db-migrate export "
    "feed gateway graph importer indexer ingest jobs keeper ledger loader mailer metrics migrator mirror "
    "notifier parser planner portal producer proxy queue relay renderer router rules runner scheduler "
    "server session sync tracker ui uploader validator web webhook worker"
)
_BRANCHES = _words("cleanup fix-timeouts hotfix new-parser refactor retry-policy spike upgrade-deps")

#: Tags that follow the builds; those of a small repository are fewer.
_MOVING = (("latest", 2), ("stable", 40))


def repository_names(chance: random.Random, count: int) -> list[str]:
    """Give different names of one to three parts; some lie below others."""
    names: dict[str, None] = {}
    while len(names) < count:
        parts = [chance.choice(_TEAMS), chance.choice(_APPS)]
        shape = chance.random()
        if shape < 0.1:
            parts = parts[1:]
        elif shape < 0.3:
            parts.insert(1, chance.choice(_GROUPS))
        if shape > 0.95:
            parts.append("worker")
        name = "/".join(parts)
        # The words are used up some day; numbers are not.
        names[f"{name}-{len(names)}" if name in names else name] = None
    return list(names)


def moving_tags(count: int) -> list[str]:
    """Name the tags that move from build to build, in a repository of `count` tags."""
    return [name for name, least in _MOVING if count >= least]


class TagNames:
    """Names the tags of one repository, each once."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._given: set[str] = set()
        self._version = [1, 0, 0]
        self._request = chance.randrange(1, 500)

    def next(self) -> tuple[str, bool]:
        """Give a name, and whether it is of the main line: only those become `latest`."""
        kind = self._chance.random()
        if kind < 0.15:
            return self._release(), True
        if kind < 0.4:
            self._request += self._chance.randrange(1, 4)
            return f"pr-{self._request}", False
        main = kind < 0.85
        branch = "main" if main else self._chance.choice(_BRANCHES)
        while (name := f"{branch}-{self._chance.getrandbits(28):07x}") in self._given:
            pass
        self._given.add(name)
        return name, main

    def _release(self) -> str:
        part = self._chance.choice((0, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2))
        self._version[part] += 1
        self._version[part + 1 :] = [0] * (2 - part)
        return "v" + ".".join(map(str, self._version))
