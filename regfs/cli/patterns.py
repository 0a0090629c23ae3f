"""Options that take names with wildcards: REPO:TAG and REPO@DIGEST."""

from __future__ import annotations

from collections.abc import Callable

import click

from regfs.errors import RuleError
from regfs.graph.reports.rules import Pattern, read_pattern


def read_patterns(_ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[Pattern, ...]:
    """Read the patterns of an option that may be repeated. Raises click.BadParameter."""
    return checked(lambda: tuple(read_pattern(param.opts[0], text) for text in value))


def checked(reader: Callable[[], tuple[Pattern, ...]]) -> tuple[Pattern, ...]:
    """Read patterns; what can match nothing is a wrong option."""
    try:
        return reader()
    except RuleError as error:
        raise click.BadParameter(str(error)) from error
