"""Answers that are no table, for programs: objects of json, one after the other or in one list."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from regfs.cli.progress import clear
from regfs.graph.reports.formats import encoded
from regfs.graph.reports.table import Value

F = TypeVar("F", bound=Callable[..., Any])


class DocumentForm(enum.Enum):
    """The forms of such answers. The values are what a person types."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


def format_option(default: enum.Enum) -> Callable[[F], F]:
    """Give the option --format, as the argument `form`: one of the forms of which this is the default."""
    forms = type(default)
    return click.option(
        "--format",
        "form",
        type=click.Choice([form.value for form in forms]),
        default=default.value,
        show_default=True,
        callback=lambda _ctx, _param, value: forms(value),
        help="For people, or with exact values for programs.",
    )


document_option = format_option(DocumentForm.TEXT)


def print_documents(objects: Iterable[Mapping[str, Value]], form: DocumentForm) -> None:
    """Print objects: a list of them in json, one a line in jsonl."""
    clear()
    if form is DocumentForm.JSONL:
        for found in objects:
            sys.stdout.write(encoded(found) + "\n")
        return
    between = "[\n"
    for found in objects:
        sys.stdout.write(between + encoded(found))
        between = ",\n"
    sys.stdout.write(("\n" if between == ",\n" else "[\n") + "]\n")
