"""A policy: several rules, of which each selects as on the command line, and keeps for all.

What a rule selects goes, unless some rule keeps it: by `keep`, or as one of its `keep-last`. So a policy of
one rule is that rule. Pure: nothing here asks the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from regfs.graph.reports.rules import Patterns, Rules
from regfs.graph.reports.selection import Candidate, Selected, select


@dataclass(frozen=True)
class Policy:
    """Rules, at least one. Each has the `keep` of all, and all say the same of `ignore_no_tags`."""

    rules: tuple[Rules, ...]

    @property
    def untagged(self) -> bool:
        """Whether any rule selects images that no tag leads to."""
        return any(rules.untagged for rules in self.rules)

    @property
    def ignore_no_tags(self) -> bool:
        """Whether a store without any tag is believed to have none."""
        return self.rules[0].ignore_no_tags

    @property
    def need_created(self) -> bool:
        """Whether a rule asks when images were built."""
        return any(rules.need_created for rules in self.rules)

    @cached_property
    def keeping(self) -> Patterns:
        """What is kept, whatever selects it."""
        return Patterns(pattern for rules in self.rules for pattern in rules.keep)

    def select(self, candidates: Sequence[Candidate]) -> tuple[Selected, list[Selected]]:
        """Part what one repository has; gives that, and what each rule alone makes of it."""
        each = [select(candidates, rules) for rules in self.rules]
        return (each[0] if len(each) == 1 else self._together(candidates, each)), each

    def _together(self, candidates: Iterable[Candidate], each: Sequence[Selected]) -> Selected:
        """Put together what each rule makes of it. What is in neither part of one is so in all."""
        found = Selected(last=set().union(*(selected.last for selected in each)))
        stays, unknown, spared = (
            set().union(*parts)
            for parts in zip(*((one.stays, one.unknown, one.spared) for one in each), strict=True)
        )
        for candidate in candidates:
            by = [
                rules.name or selected.goes[candidate]
                for rules, selected in zip(self.rules, each, strict=True)
                if candidate in selected.goes
            ]
            if candidate in found.last:
                found.stays.append(candidate)
            elif by:
                found.goes[candidate] = ", ".join(by)
            elif candidate in stays:
                found.stays.append(candidate)
                if candidate in unknown:
                    found.unknown.append(candidate)
                elif candidate in spared:
                    found.spared.append(candidate)
        return found
