"""The command and its subcommands, and how their errors reach a person."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys

import click

from regfs import __version__
from regfs.errors import RegfsError, StoreNotFoundError, UsageError

#: Exit statuses; 2 is also click's for a wrong command line.
FAILED = 1
MISUSED = 2
#: As shells have it for a program that SIGINT ended.
INTERRUPTED = 130


#: How a shell asks what can stand at a place (completion.py).
_COMPLETE = "_REGFS_COMPLETE"

#: Each subcommand, and the module of this package that has it: loaded when it is called, for to load all
#: takes longer than many of them run.
_MODULES = {
    "cat": "browse",
    "check": "checking",
    "completion": "completion",
    "diff": "checking",
    "explain": "reporting",
    "find": "finding",
    "history": "inside",
    "index": "indexing",
    "ls": "browse",
    "man": "manual",
    "mount": "mounting",
    "reclaim": "reclaiming",
    "report": "reporting",
    "serve": "serving",
    "tree": "inside",
    "umount": "mounting",
}


class Commands(click.Group):
    """Subcommands; `regfs STORE MOUNTPOINT` without one means mount, as mount(8) calls its helpers."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the subcommands."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a subcommand."""
        if cmd_name not in _MODULES:
            return None
        module = importlib.import_module(f"regfs.cli.{_MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        if _COMPLETE in os.environ:
            from regfs.cli.completion import teach

            teach(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a subcommand; say of one that is none what was probably meant."""
        name = args[0]
        if name not in _MODULES and not name.startswith("-"):
            raise click.UsageError(f"there is no command {name!r}{_meant(name)}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put in `mount` where the first word is a path."""
        if args and args[0] not in _MODULES and ("/" in args[0] or os.path.isdir(args[0])):
            args = ["mount", *args]
        return super().parse_args(ctx, args)


def _meant(name: str) -> str:
    """Guess what was meant by a command that is none: another one, or a report."""
    from regfs.graph.reports.catalogue import REPORTS  # only now: it takes a while to load

    if name in REPORTS:
        return f"; did you mean regfs report {name} STORE?"
    close = difflib.get_close_matches(name, _MODULES, 1)
    return f"; did you mean {close[0]}?" if close else "; regfs --help names them"


_HELP = """Show the storage of a Docker/OCI registry as files: repo/tag/manifest.json, config.json, layers/.

STORE is the registry's root directory (often /var/lib/registry), or any directory from there down to
docker/registry/v2. Nothing is ever written to it, and no registry needs to run.

\b
  regfs mount /var/lib/registry /mnt/reg
  ls -lt /mnt/reg/team/app                     tags, the last pushed first
  du -sh /mnt/reg/*                            sizes; shared layers once
  du -shc /mnt/reg /mnt/reg/@{untagged,orphans,unknown,uploads}
                                               what is in use, what could go
  grep -rl --include=config.json log4j /mnt/reg
                                               what the images' configs say
  cat /mnt/reg/team/app/1.0/rootfs/etc/os-release
                                               a file as a container sees it
  regfs umount /mnt/reg

Without a mount:

\b
  regfs report summary /var/lib/registry       what is in use, on one page
  regfs explain /var/lib/registry sha256:1f3e  who holds a blob
  regfs reclaim /var/lib/registry --older-than 90d
                                               what deleting old tags frees
  regfs history /var/lib/registry team/app:1.0 what each step of a build did
  regfs find /var/lib/registry 'log4j-core-*'  a file in all images
  regfs check /var/lib/registry                whether all can be pulled
  regfs cat /var/lib/registry team/app/1.0/image.tar | docker load
                                               an image, with no registry
  regfs serve /var/lib/registry --anonymous    all images, as a registry
"""

_EPILOG = """`regfs STORE MOUNTPOINT [-o OPTIONS]` is short for `regfs mount`, and what mount(8) calls for
the type fuse.regfs. `regfs COMMAND --help` tells more of each.

Exit status of each command: 0 done; 1 something is wrong or differs, or a part could not be read; 2 nothing
was done: a wrong option, no store; 130 interrupted. Sizes are 500M, 1.5G, 5GB (K is 1024); durations 10s,
5min, 12h, 90d, 6w, 6M (months of 30 days), 1y.
"""


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=_HELP,
    epilog=_EPILOG,
)
@click.version_option(__version__, prog_name="regfs")
def regfs() -> None:
    """Run one of the subcommands."""


def main() -> None:
    """Run the command; every error that regfs knows becomes one line and an exit status."""
    _open_standard_streams()
    if _COMPLETE in os.environ:
        importlib.import_module("regfs.cli.completion")  # it registers what is ours of bash's
    try:
        try:
            regfs.main(prog_name="regfs", standalone_mode=False)
        finally:
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # all is closed: a thread that waits for an object store holds up nobody
    except (UsageError, StoreNotFoundError) as error:
        _fail(error, MISUSED)
    except RegfsError as error:
        _fail(error, FAILED)
    except BrokenPipeError:
        _drop_output()
        sys.exit(FAILED)
    except OSError as error:
        _drop_output()
        _fail(error, FAILED)


def _fail(error: Exception, status: int) -> None:
    print(f"regfs: {error}", file=sys.stderr)
    sys.exit(status)


def _open_standard_streams() -> None:
    """See that 0, 1 and 2 are taken, by something that cannot be written if they were closed.

    Else the next file that is opened would become standard output.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Let what could not be written go, so that Python does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
