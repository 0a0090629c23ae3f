"""How much hypothesis tries: little in each run of all tests, much with `-m slow`.

What it tries is other each time, so many short runs try as much as a long one.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

for name, count in (("little", 50), ("much", 400)):
    settings.register_profile(
        name, deadline=None, max_examples=count, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )


def much(config: pytest.Config) -> bool:
    return bool(config.getoption("markexpr") == "slow")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("much" if much(config) else "little")


def pytest_itemcollected(item: pytest.Item) -> None:
    if much(item.config) and isinstance(item, pytest.Function) and is_hypothesis_test(item.function):
        item.add_marker(pytest.mark.slow)


def tried(share: float) -> settings:
    """Try more or fewer examples than the others: `@tried(0.5)` half as many."""
    return settings(max_examples=round(settings.default.max_examples * share))
