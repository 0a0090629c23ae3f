"""Policies: files of rules, and what several rules select together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from regfs.errors import PolicyError, RuleError
from regfs.graph.reports.policy import Policy
from regfs.graph.reports.policy_file import read_policy
from regfs.graph.reports.rules import By, Pattern, read_pattern
from regfs.graph.reports.selection import Candidate

DAY = 86_400 * 10**9
NOW = 20_000 * DAY
DOCS = Path(__file__).parents[2] / "regfs/docs"


def read(text: str, **lists: str) -> Policy:
    def keep_list(name: str) -> tuple[Pattern, ...]:
        if name not in lists:
            raise RuleError(name, "is not there")
        return (read_pattern(name, lists[name]),)

    return read_policy("night.toml", text.encode(), keep_list, NOW)


def test_a_policy_says_what_the_options_say() -> None:
    policy = read(
        """
        keep = "a:1"
        keep-from = ["deployed"]
        [[rule]]
        name = "one"
        match = ["*:pr-*", "*:mr-*"]
        older-than = "14d"
        keep = ["a:2"]
        [[rule]]
        match = "*@*"
        untagged = true
        stale-signatures = true
        keep-last = 3
        by = "version"
        """,
        deployed="a:3",
    )
    one, two = policy.rules
    assert (one.name, two.name) == ("one", "rule 2")
    assert [(found.repository, found.tag) for found in one.match] == [("*", "pr-*"), ("*", "mr-*")]
    assert one.before == NOW - 14 * DAY
    assert (two.untagged, two.stale_signatures, two.keep_last, two.by) == (True, True, 3, By.VERSION)
    for rules in policy.rules:  # what one keeps all keep
        assert [found.tag for found in rules.keep] == ["1", "3", "2"]
    assert policy.untagged


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "night.toml: there is no rule: give one or more, each below a line [[rule]]"),
        ("rule = 3", "there is no rule"),
        ("[rule]\nmatch = 'a:1'", "there is no rule"),
        ("rule = [3]", "is to be written [[rule]]"),
        ("[[rule]\n", "night.toml: is no TOML: "),
        ("\udcff", "is no TOML"),
        ("[[rule]]\nmatches = 'a:1'", "night.toml, rule 1: there is no key 'matches'; there are name, match"),
        ("max = 1\n[[rule]]", "there is no key 'max'; there are rule, keep, keep-from"),
        ("[[rule]]\nname = 'x'", "night.toml, rule 1 ('x'): give a rule: match, keep-last, older-than"),
        ("[[rule]]\nname = ''\nuntagged = true", 'name is to be a text: name = "…"'),
        ("[[rule]]\nmatch = 3", "match is to be a list of texts"),
        ("[[rule]]\nmatch = ['a:1', 2]", "match is to be a list of texts"),
        ("[[rule]]\nmatch = 'a'", "rule 1: 'a' is neither REPO:TAG nor REPO@DIGEST"),
        ("[[rule]]\nmatch = 'a@sha256:12*'", "give untagged as well"),
        ("[[rule]]\nkeep-last = -1", "keep-last is to be a number"),
        ("[[rule]]\nkeep-last = true", "keep-last is to be a number"),
        ("[[rule]]\nkeep-last = 3\nby = 'size'", "by is to be pushed or created or version, not 'size'"),
        ("[[rule]]\nmatch = 'a:1'\nby = 'version'", "by says which tags are the last: give keep-last"),
        ("[[rule]]\nolder-than = 'old'", "'old' is no duration"),
        ("[[rule]]\nolder-than = 90", "older-than is to be a text"),
        ("[[rule]]\nuntagged = 'yes'", "untagged is to be true or false"),
        ("keep-from = 'gone'\n[[rule]]\nuntagged = true", "night.toml: 'gone' is not there"),
        ("[[rule]]\nname='a'\nuntagged=true\n[[rule]]\nname='a'\nmatch='a:1'", "two rules have the name 'a'"),
    ],
)
def test_a_policy_that_is_wrong_says_where_and_what(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as raised:
        read_policy("night.toml", text.encode(errors="surrogateescape"), lambda name: _missing(name), NOW)
    assert said in str(raised.value)
    assert str(raised.value).startswith("night.toml")


def _missing(name: str) -> tuple[Pattern, ...]:
    raise RuleError(name, "is not there")


def candidate(tag: str, pushed: int, **more: Any) -> Candidate:
    digest = f"sha256:{pushed:064x}"
    return Candidate(1, "app", tag, digest, blob=pushed, pushed=NOW - pushed * DAY, **more)


def test_what_one_rule_selects_goes_unless_another_keeps_it() -> None:
    policy = read(
        """
        [[rule]]
        name = "builds"
        match = "*:build-*"
        keep-last = 2
        by = "pushed"
        [[rule]]
        name = "old"
        older-than = "5d"
        keep = "*:build-8"
        [[rule]]
        name = "pull requests"
        match = "*:pr-*"
        """
    )
    tags = [candidate(f"build-{days}", days) for days in (1, 6, 7, 8, 9)]
    tags += [candidate("pr-1", 3), candidate("pr-9", 12), candidate("latest", 99), candidate("1.0", 2)]
    tags += [candidate("unread", 40)._replace(doubt=True), candidate("build-5", 5)]
    selected, each = policy.select(tags)
    assert {tag.tag: why for tag, why in selected.goes.items()} == {
        "build-6": "builds, old",
        "build-7": "builds, old",
        "build-9": "builds, old",
        "pr-1": "pull requests",
        "pr-9": "old, pull requests",
    }
    assert {tag.tag for tag in selected.stays} == {"build-1", "build-5", "build-8", "latest", "1.0", "unread"}
    assert [tag.tag for tag in selected.unknown] == ["unread"]
    assert [tag.tag for tag in selected.spared] == ["latest"]
    assert {tag.tag for tag in selected.last} == {"build-1", "build-5"}
    assert len(each) == 3


def test_what_a_rule_keeps_as_one_of_the_last_no_other_selects() -> None:
    text = '[[rule]]\nmatch = "*:*"\nkeep-last = 1\nby = "pushed"\n[[rule]]\nmatch = "*:a"\n'
    selected, _ = read(text).select([candidate("a", 1), candidate("b", 2)])
    assert [tag.tag for tag in selected.goes] == ["b"]


def test_one_rule_selects_what_it_does_on_the_command_line() -> None:
    tags = [candidate("pr-1", 1), candidate("pr-2", 2)]
    policy = read('[[rule]]\nmatch = "*:pr-*"\nkeep-last = 1\nby = "pushed"\n')
    selected, (alone,) = policy.select(tags)
    assert selected is alone
    assert [tag.tag for tag in selected.goes] == ["pr-2"]


def test_the_policy_of_the_documentation_is_one() -> None:
    (text,) = re.findall(
        r"^```toml\n(.*?)^```$", (DOCS / "cleaning.md").read_text(), re.MULTILINE | re.DOTALL
    )
    policy = read(text, **{"deployed.txt": "a:1"})
    assert [rules.name for rules in policy.rules] == ["pull requests", "builds", "no tag"]
