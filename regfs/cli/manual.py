"""`regfs man`: the manual pages, made of what `--help` says (man(7))."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from regfs import __version__
from regfs.errors import UsageError


@click.command(short_help="Print a manual page, or write all of them.")
@click.argument("name", default="", metavar="[COMMAND]")
@click.option(
    "--write",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Write all pages there: regfs.1, regfs-report.1, …",
)
def man(name: str, write: Path | None) -> None:
    """Print the manual page of regfs, or of one of its commands.

    \b
      regfs man report | man -l -
      regfs man --write /usr/local/share/man/man1
    """
    top = click.get_current_context().find_root()
    if write:
        try:
            for page, text in pages(top).items():
                (write / f"{page}.1").write_text(text)
        except OSError as error:
            raise UsageError(f"{error.filename}: {error.strerror}") from error
        return
    page = f"regfs-{name}" if name else "regfs"
    made = pages(top)
    if page not in made:
        raise UsageError(f"no command {name!r}: regfs --help names them")
    sys.stdout.write(made[page])


def pages(top: click.Context) -> dict[str, str]:
    """Give all pages by their names."""
    group = top.command
    if not isinstance(group, click.Group):  # pragma: no cover - it is one
        return {}
    commands = {name: group.get_command(top, name) for name in group.list_commands(top)}
    found = {name: command for name, command in commands.items() if command}
    made = {"regfs": "".join(_page(top, "regfs", sorted(f"regfs-{name}" for name in found)))}
    for name, command in found.items():
        ctx = click.Context(command, info_name=name, parent=top)
        made[f"regfs-{name}"] = "".join(_page(ctx, f"regfs-{name}", ["regfs"]))
    return made


def _page(ctx: click.Context, title: str, related: list[str]) -> Iterator[str]:
    command = ctx.command
    short = command.get_short_help_str(200).rstrip(".") if title != "regfs" else _ABOUT
    yield f'.TH "{title.upper()}" "1" "" "regfs {__version__}" "regfs"\n'
    yield f".SH NAME\n{title} \\- {_escaped(short)}\n"
    usage = " ".join(command.collect_usage_pieces(ctx))
    yield f".SH SYNOPSIS\n.B {_escaped(title.replace('-', ' ', 1))}\n{_escaped(usage)}\n"
    yield f".SH DESCRIPTION\n{_text(command.help or '')}"
    records = [parameter.get_help_record(ctx) for parameter in command.get_params(ctx)]
    if any(record and record[1] for record in records):
        yield ".SH OPTIONS\n"
    for names, meaning in filter(None, records):
        if meaning:
            yield f".TP\n.B {_escaped(names)}\n{_escaped(meaning)}\n"
    if isinstance(command, click.Group):
        yield ".SH COMMANDS\n"
        for name in command.list_commands(ctx):
            sub = command.get_command(ctx, name)
            if sub:
                yield f".TP\n.BR regfs\\-{_escaped(name)} (1)\n{_escaped(sub.get_short_help_str(200))}\n"
    if command.epilog:
        yield f".SH NOTES\n{_text(command.epilog)}"
    yield ".SH SEE ALSO\n" + ",\n".join(f".BR {_escaped(page)} (1)" for page in related) + "\n"


_ABOUT = "show the storage of a Docker/OCI registry as files"


def _text(help_text: str) -> str:
    """Give paragraphs; what begins with \\b stays as it is, line by line."""
    made = []
    for paragraph in re.split(r"\n\s*\n", help_text.strip("\n")):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == "\b":
            indent = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
            body = "\n".join(_escaped(line[indent:]) for line in lines[1:])
            made.append(f".PP\n.nf\n.RS 2\n{body}\n.RE\n.fi\n")
        else:
            made.append(f".PP\n{_escaped(' '.join(line.strip() for line in lines))}\n")
    return "".join(made)


def _escaped(text: str) -> str:
    """Write a text so that roff shows it as it is: backslashes, hyphens, dots at a line's start."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)
