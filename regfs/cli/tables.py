"""Tables on standard output: the options of each command that prints one, and what the terminal allows.

rich is loaded only for a terminal that shows colours.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import click

from regfs.cli.documents import format_option
from regfs.cli.progress import clear, note
from regfs.graph.reports.formats import Format, render
from regfs.graph.reports.lines import Lines, Paint, Screen
from regfs.graph.reports.table import Column, Table
from regfs.graph.reports.view import TableView, see

F = TypeVar("F", bound=Callable[..., Any])

#: rich's styles for the words of `lines`.
_STYLES = {"head": "bold", "bad": "bold red", "doubtful": "yellow"}


class Output(NamedTuple):
    """How a person wants a table: its form, what of it, and whether all of that or what fits."""

    form: Format = Format.TABLE
    view: TableView = TableView()
    wide: bool = False

    @property
    def for_people(self) -> bool:
        """Whether it is for people, and not for programs."""
        return self.form is Format.TABLE

    def text(self, table: Table, notes: list[str]) -> Iterator[str]:
        """Give the text of a table that was seen already, piece by piece; adds what is to be said of it."""
        if not self.for_people:
            yield from render(table, self.form)
            return
        lines = Lines(table, _screen(wide=self.wide))
        yield from lines
        if lines.left_out:
            notes.append(f"no room for {', '.join(lines.left_out)}: --wide shows all")

    def print(self, table: Table) -> None:
        """Print what is asked for of a table, piece by piece. Raises UsageError for a column it has not."""
        seen = see(table, self.view)
        clear()
        notes: list[str] = []
        for piece in self.text(seen.table, notes):
            sys.stdout.write(piece)
        sys.stdout.flush()
        tell([*seen.notes, *notes])

    def print_lines(self, name: str, texts: Iterable[str]) -> None:
        """Print texts, for people one on each line and nothing else; `name` is what they are."""
        if not self.for_people:
            self.print(Table((Column(name),), [(text,) for text in texts]))
            return
        clear()
        for text in texts:
            print(text)


def tell(notes: Iterable[str]) -> None:
    """Say several things beside the output."""
    for text in notes:
        note(text)


def _names(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(name for name in (value or "").split(",") if name)


_OPTIONS = (
    format_option(Format.TABLE),
    click.option("--wide", is_flag=True, help="All columns, whole digests: no matter how wide."),
    click.option("--columns", metavar="NAME,…", callback=_names, help="These columns, in this order."),
    click.option(
        "--sort",
        metavar="COLUMN",
        default="",
        help="In the order of a column: the largest, the newest first; names from a to z.",
    ),
    click.option("--reverse", is_flag=True, help="The other way round."),
    click.option("--top", type=click.IntRange(1), metavar="N", help="The first N rows."),
)


def table_options(command: F) -> F:
    """Give a command the options for its table, as one argument: `output`."""

    @functools.wraps(command)
    def called(
        *given: Any,
        form: Format,
        wide: bool,
        columns: tuple[str, ...],
        sort: str,
        reverse: bool,
        top: int | None,
        **others: Any,
    ) -> Any:
        view = TableView(columns, sort, reverse, top or 0)
        return command(*given, output=Output(form, view, wide), **others)

    for option in reversed(_OPTIONS):
        called = option(called)
    return called  # type: ignore[return-value]


def _screen(*, wide: bool) -> Screen:
    """Tell what standard output can show. What reads a pipe gets lines as long as they are."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return Screen(width, _paint(), wide)


def _paint() -> Paint | None:
    """Give what colours a text, as the terminal and $NO_COLOR, $FORCE_COLOR and $TERM allow; else None."""
    if not (sys.stdout.isatty() or os.environ.get("FORCE_COLOR")):
        return None
    from rich.console import Console  # only now: it takes a while to load
    from rich.text import Text

    console = Console(highlight=False)
    if console.color_system is None:
        return None
    around: dict[str, tuple[str, str]] = {}
    for name, style in _STYLES.items():
        with console.capture() as shown:
            console.print(Text("|", style), end="")
        before, _, behind = shown.get().partition("|")
        around[name] = before, behind
    return lambda text, name: f"{around[name][0]}{text}{around[name][1]}"
