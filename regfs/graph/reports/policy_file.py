"""A policy as a person writes it down: a TOML file.

    keep = ["*:release-*"]             # never, whatever a rule selects
    keep-from = ["deployed.txt"]       # nor the images that this file names; beside the policy

    [[rule]]
    name = "pull requests"             # what the answer says of a tag that goes
    match = ["*:pr-*", "*:mr-*"]
    older-than = "14d"

    [[rule]]
    name = "last ten builds"
    match = ["*:build-*"]
    keep-last = 10
    by = "version"

Each rule has the command line's options; those that are no flags take a list where they may be repeated.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from regfs.errors import PolicyError, RuleError
from regfs.graph.reports.policy import Policy
from regfs.graph.reports.rules import By, Pattern, Rules, read_age, read_pattern

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_Read = TypeVar("_Read")

#: Reads the images that a file named in a policy names. Raises RuleError.
ReadKeepList = Callable[[str], tuple[Pattern, ...]]

_KEEPING = ("keep", "keep-from")
_TOP = ("rule", *_KEEPING)
_RULE = ("name", "match", *_KEEPING, "keep-last", "by", "older-than", "untagged", "stale-signatures")


def read_policy(name: str, text: bytes, read_keep_list: ReadKeepList, now: int) -> Policy:
    """Read a policy. `name` is the file's, for errors; ages count to `now`, in nanoseconds since 1970.

    Raises PolicyError, which says where it is wrong.
    """
    try:
        document = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(name, f"is no TOML: {error}") from error
    top = _Section(name, document, _TOP)
    sections = document.get("rule")
    if not isinstance(sections, list) or not sections:
        raise PolicyError(name, "there is no rule: give one or more, each below a line [[rule]]")
    keep = list(top.keep(read_keep_list))
    rules: list[Rules] = []
    for number, section in enumerate(sections, 1):
        if not isinstance(section, dict):
            raise PolicyError(name, "a rule is to be written [[rule]], with its keys below it")
        given = section.get("name")
        named = f"{name}, rule {number}" + (f" ({given!r})" if isinstance(given, str) else "")
        rule = _Section(named, section, _RULE)
        keep.extend(rule.keep(read_keep_list))
        rules.append(_rule(rule, number, now))
    for rule_name, times in Counter(rule.name for rule in rules).items():
        if times > 1:
            raise PolicyError(
                name, f"two rules have the name {rule_name!r}, and the answer names rules by it"
            )
    return Policy(tuple(replace(rule, keep=tuple(keep)) for rule in rules))


def _rule(section: _Section, number: int, now: int) -> Rules:
    by = section.word("by", [by.value for by in By])
    older = section.text("older-than")
    rules = Rules(
        match=section.patterns("match"),
        before=None if older is None else max(now - section.read(read_age, older), 0),
        keep_last=section.number("keep-last"),
        by=By(by) if by else None,
        untagged=section.flag("untagged"),
        stale_signatures=section.flag("stale-signatures"),
        name=section.text("name") or f"rule {number}",
    )
    if wrong := rules.mistake(""):
        raise PolicyError(section.name, wrong)
    return rules


class _Section:
    """The keys of a table in the file, each of which has to be one of `known`. `name` is for errors."""

    def __init__(self, name: str, keys: Mapping[str, Any], known: Iterable[str]) -> None:
        self.name = name
        self._keys = keys
        for key in keys:
            if key not in known:
                raise PolicyError(name, f"there is no key {key!r}; there are {', '.join(known)}")

    def keep(self, read_keep_list: ReadKeepList) -> Iterable[Pattern]:
        """Give what `keep` and `keep-from` keep."""
        yield from self.patterns("keep")
        for file in self.texts("keep-from"):
            yield from self.read(read_keep_list, file)

    def patterns(self, key: str) -> tuple[Pattern, ...]:
        """Read patterns."""
        return tuple(self.read(lambda text: read_pattern(key, text), text) for text in self.texts(key))

    def texts(self, key: str) -> list[str]:
        """Give a list of texts; one that is alone may stand without the list."""
        found = self._keys.get(key, [])
        texts = [found] if isinstance(found, str) else found
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise PolicyError(self.name, f'{key} is to be a list of texts: {key} = ["…", "…"]')
        return texts

    def text(self, key: str) -> str | None:
        """Give a text that may be left out, and is not empty."""
        found = self._keys.get(key)
        if found is not None and not (isinstance(found, str) and found):
            raise PolicyError(self.name, f'{key} is to be a text: {key} = "…"')
        return found

    def word(self, key: str, words: list[str]) -> str | None:
        """Give one of some words."""
        found = self.text(key)
        if found is not None and found not in words:
            raise PolicyError(self.name, f"{key} is to be {' or '.join(words)}, not {found!r}")
        return found

    def number(self, key: str) -> int:
        """Give a number; 0 where there is none."""
        found = self._keys.get(key, 0)
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise PolicyError(self.name, f"{key} is to be a number: {key} = 10")
        return found

    def flag(self, key: str) -> bool:
        """Tell whether a flag is set."""
        found = self._keys.get(key, False)
        if not isinstance(found, bool):
            raise PolicyError(self.name, f"{key} is to be true or false")
        return found

    def read(self, reader: Callable[[str], _Read], text: str) -> _Read:
        """Read a text; an error says where it stands."""
        try:
            return reader(text)
        except RuleError as error:
            raise PolicyError(self.name, str(error)) from error
