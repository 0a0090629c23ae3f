"""Completion in bash, zsh and fish: of commands and options by click; of repositories, tags and paths here.

Loaded only for `regfs completion`, and where a shell asks ($_REGFS_COMPLETE). What is offered is read from
the store itself, a directory at a time; no index is made. What cannot be read is not offered.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from itertools import islice

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
)

from regfs.cli.opening import Choices, cache_directory, is_object_store, open_store, opened_tree
from regfs.errors import RegfsError
from regfs.graph.reports import lists, summary
from regfs.mount.options import this_machine
from regfs.tree import Directory, Tree
from regfs.tree.names import NamesDirectory
from regfs.tree.node import NodeType
from regfs.tree.tag import TagDirectory

#: The variable by which a shell asks: click's own, of the program's name.
VARIABLE = "_REGFS_COMPLETE"

#: Names that are offered at once, and looked into for what is below them.
_MOST = 500

#: Behind these, more is to be typed: no space.
_OPEN_ENDS = ("/", ":", "=")


class SpacedBash(BashComplete):
    """click's completion for bash, but that a word is ended by a space only where it is whole."""

    def source(self) -> str:
        """Give the script. Colons part words in bash, and tags stand behind one."""
        script = super().source().replace("complete -o nosort -F", "complete -o nosort -o nospace -F")
        return f"COMP_WORDBREAKS=${{COMP_WORDBREAKS//:/}}\n{script}"

    def format_completion(self, item: CompletionItem) -> str:
        """Give one word."""
        whole = item.type == "plain" and not item.value.endswith(_OPEN_ENDS)
        return f"{item.type},{item.value}{' ' if whole else ''}"


add_completion_class(SpacedBash)


@click.command(short_help="Print what makes a shell complete regfs's words.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options, repositories, tags, columns and paths.

    \b
      regfs completion bash > /etc/bash_completion.d/regfs
      regfs completion zsh > /usr/local/share/zsh/site-functions/_regfs
      regfs completion fish > ~/.config/fish/completions/regfs.fish
    """
    made = get_completion_class(shell)
    if made is None:  # pragma: no cover - the choices are click's own
        raise click.UsageError(f"no completion for {shell}")
    script = made(click.get_current_context().find_root().command, {}, "regfs", VARIABLE).source()
    sys.stdout.write(
        script.replace("completions_with_descriptions -U", "completions_with_descriptions -U -S ''")
    )


#: What an argument or option takes, by its name.
Offer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def teach(command: click.Command) -> None:
    """Have the arguments and options of a command offer what they take."""
    for parameter in command.params:
        offer = _OFFERS.get(parameter.name or "")
        if offer:
            parameter._custom_shell_complete = offer


def _directories(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(begun, type="dir")]


def _columns(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the columns of the report that is named; behind the last comma.

    click has read no argument where the last word is an option that lacks its value: so the words are looked
    at as the shell gives them.
    """
    reports = {"summary": summary.COLUMNS, **lists.COLUMNS}
    words = os.environ.get("COMP_WORDS", "").split()
    shown = next((reports[word] for word in words if word in reports), ())
    before = begun[: begun.rfind(",") + 1]
    return [
        CompletionItem(before + column.name, help=column.help)
        for column in shown
        if (before + column.name).startswith(begun)
    ]


def _references(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer repositories and tags: team/app:1.0."""
    return _read(ctx, lambda tree: _names(tree, begun))


def _paths(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer paths of the tree."""
    return _read(ctx, lambda tree: _children(tree, begun))


def _things(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer both."""
    return _read(ctx, lambda tree: dict.fromkeys([*_names(tree, begun), *_children(tree, begun)]))


def _read(ctx: click.Context, found: Callable[[Tree], object]) -> list[CompletionItem]:
    store = ctx.params.get("store")
    if not store or is_object_store(store):
        return []
    try:
        with (
            redirect_stderr(StringIO()),
            opened_tree(open_store(store), cache_directory(), this_machine(), Choices(float("inf"))) as tree,
        ):
            return [CompletionItem(name) for name in islice(found(tree), _MOST)]  # type: ignore[call-overload]
    except (RegfsError, OSError):
        return []


def _names(tree: Tree, begun: str) -> Iterator[str]:
    repository, colon, tag = begun.partition(":")
    above, _, name = repository.rpartition("/")
    here = tree.walk(f"{repository}/" if colon else f"{above}/")
    if not isinstance(here, NamesDirectory):
        return
    if colon:
        yield from (f"{repository}:{found}" for found in _tags(here) if found.startswith(tag))
        return
    for child in sorted(here.children()):
        if child.name.startswith(name):
            node = here.lookup(child.name)
            if isinstance(node, NamesDirectory):
                yield from _ends(node, f"{above}/{child.name}".lstrip("/"))


def _ends(repository: NamesDirectory, path: str) -> Iterator[str]:
    """Give what can stand behind a repository: a colon if it has tags, a slash if there are others in it."""
    if next(_tags(repository), None) is not None:
        yield f"{path}:"
    if any(isinstance(repository.lookup(child.name), NamesDirectory) for child in repository.children()):
        yield f"{path}/"


def _tags(repository: NamesDirectory) -> Iterator[str]:
    for child in sorted(repository.children()):
        if isinstance(repository.lookup(child.name), TagDirectory):
            yield child.name.removeprefix(":")


def _children(tree: Tree, begun: str) -> Iterator[str]:
    above, slash, name = begun.rpartition("/")
    here = tree.walk(above or "/")
    if isinstance(here, Directory):
        for child in sorted(here.children()):
            if child.name.startswith(name):
                yield f"{above}{slash}{child.name}{'/' if child.type is NodeType.DIRECTORY else ''}"


_OFFERS: dict[str, Offer] = {
    "store": _directories,
    "first": _directories,
    "second": _directories,
    "mountpoint": _directories,
    "paths": _paths,
    "path": lambda _ctx, _param, _begun: [],
    "ref": _references,
    "images": _references,
    "things": _things,
    "sort": _columns,
    "columns": _columns,
    "match": _references,
    "keep": _references,
}
