"""What a store is to hold."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

SECOND = 1_000_000_000

#: Builds are spread over two years, more of them towards the end. In nanoseconds.
SPAN = 730 * 86_400 * SECOND

#: How fast repositories get smaller: of 200, the largest has 6 % of all tags, and half of them 20 %.
_SKEW = 0.9


@dataclass(frozen=True)
class Plan:
    """Sizes and shares; everything else follows from `seed`.

    `layers` is the mean number in an image, `layer_size` their mean size in bytes. `untagged` is the share of
    images whose tag moved on or went, `orphaned` of those that were deleted, `indexes` of pushes that
    are for two platforms. `now` is the end of the time that the pushes are spread over, in nanoseconds.
    `real`: layers are tars of a few KiB with files in them; else they are holes of their true size.
    """

    tags: int
    repositories: int
    uploads: int
    layers: int = 8
    layer_size: int = 20 << 20
    untagged: float = 0.1
    orphaned: float = 0.03
    indexes: float = 0.05
    seed: int = 1
    now: int = int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()) * SECOND
    real: bool = False

    def chance(self, of: str) -> random.Random:
        """Give the random numbers for one thing; no other thing changes them."""
        return random.Random(f"{self.seed} {of}")

    def tags_each(self) -> Sequence[int]:
        """Tell how many tags each repository has: few have many, many have few, and each has one."""
        weights = [(number + 3) ** -_SKEW for number in range(self.repositories)]
        spare, total, so_far, given = self.tags - self.repositories, sum(weights), 0.0, 0
        shares = []
        for weight in weights:
            so_far += weight
            upto = round(spare * so_far / total)
            shares.append(1 + upto - given)
            given = upto
        return shares

    def uploads_each(self) -> Sequence[int]:
        """Tell how many unfinished uploads each repository has."""
        chance, counts = self.chance("uploads"), [0] * self.repositories
        for _ in range(self.uploads):
            counts[chance.randrange(self.repositories)] += 1
        return counts
