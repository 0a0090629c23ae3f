"""`regfs reclaim`: what certain rules select, and what deleting that frees."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click

from regfs.cli.deletions import RegistryUrl, Tool, read_url
from regfs.cli.opening import follow_symlinks_option, opened_index
from regfs.cli.patterns import checked, read_patterns
from regfs.cli.planning import (
    NEEDS,
    commands_of,
    keep_list,
    policy_of,
    proved,
    save_plan,
    see_that_it_can_be_saved,
)
from regfs.cli.progress import complain, note, quiet_option
from regfs.cli.tables import Output, table_options, tell
from regfs.errors import RuleError, UsageError
from regfs.graph.index import Need
from regfs.graph.index.doubt import has_no_tags
from regfs.graph.reports.contents import BlobContents
from regfs.graph.reports.policy import Policy
from regfs.graph.reports.proof import Outcome
from regfs.graph.reports.reclaim import by_tag
from regfs.graph.reports.reclaim import reclaim as compute
from regfs.graph.reports.rules import By, Pattern, Rules, read_age
from regfs.graph.reports.table import Column, Table, Type, readable_size
from regfs.graph.reports.words import counted


def _read_before(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Read an age, as the time before which something must have been pushed, in nanoseconds."""
    if value is None:
        return None
    try:
        return max(time.time_ns() - read_age(value), 0)
    except RuleError as error:
        raise click.BadParameter(str(error)) from error


def _read_keep_lists(
    _ctx: click.Context, _param: click.Parameter, value: tuple[BinaryIO, ...]
) -> tuple[Pattern, ...]:
    return tuple(
        pattern
        for file in value
        for pattern in checked(
            lambda file=file: keep_list(file.name, file)  # type: ignore[misc]
        )
    )


_FILE = click.Path(path_type=Path)


@click.command(short_help="Tell what deleting certain tags would free. Deletes nothing.")
@click.argument("store")
@click.option(
    "--match", multiple=True, metavar="PATTERN", callback=read_patterns, help="Only what is like this."
)
@click.option(
    "--keep", multiple=True, metavar="PATTERN", callback=read_patterns, help="Never what is like this."
)
@click.option(
    "--keep-from",
    multiple=True,
    type=click.File("rb"),
    metavar="FILE",
    callback=_read_keep_lists,
    help="Never the images that FILE names, one a line; - is standard input.",
)
@click.option(
    "--keep-last", type=click.IntRange(0), default=0, metavar="N", help="Not the last N tags of a repository."
)
@click.option(
    "--by",
    type=click.Choice([by.value for by in By]),
    callback=lambda _ctx, _param, value: value and By(value),
    help="What makes a tag one of the last.",
)
@click.option(
    "--older-than", "before", callback=_read_before, metavar="AGE", help="Pushed longer ago: 90d, 12h."
)
@click.option("--untagged", is_flag=True, help="Images that no tag leads to as well.")
@click.option("--stale-signatures", is_flag=True, help="Signatures whose image is gone as well.")
@click.option(
    "--ignore",
    type=click.Choice(["no-tags"]),
    help="Believe a store that has manifests and no tag at all, as where tags are kept elsewhere.",
)
@click.option(
    "--show",
    type=click.Choice(["repositories", "tags", "digests", "commands"]),
    default="repositories",
    show_default=True,
    help="The bytes by repository; the selected tags; repository@digest; or the commands that delete.",
)
@click.option("--policy", type=_FILE, metavar="FILE", help="The rules, from a file of TOML.")
@click.option("--save", type=_FILE, metavar="PLAN", help="Write what is to go to PLAN, for --verify.")
@click.option("--verify", type=_FILE, metavar="PLAN", help="Tell what became of PLAN, and what is left.")
@click.option("--registry", metavar="URL", help="Where the commands delete: https://reg.example.com.")
@click.option(
    "--tool",
    type=click.Choice([tool.value for tool in Tool]),
    default=Tool.CURL.value,
    show_default=True,
    callback=lambda _ctx, _param, value: Tool(value),
    help="What the commands call.",
)
@table_options
@quiet_option
@follow_symlinks_option
def reclaim(
    store: str,
    match: tuple[Pattern, ...],
    keep: tuple[Pattern, ...],
    keep_from: tuple[Pattern, ...],
    keep_last: int,
    by: By | None,
    before: int | None,
    untagged: bool,
    stale_signatures: bool,
    ignore: str | None,
    show: str,
    policy: Path | None,
    save: Path | None,
    verify: Path | None,
    registry: str | None,
    tool: Tool,
    output: Output,
) -> None:
    """Tell what the rules select in STORE, and the bytes that deleting it frees. Deletes nothing.

    The bytes are exact: what the store shrinks by when the images are deleted by digest and garbage is
    collected. Layers that something else needs are not counted.

    Whatever is selected, all rules that are given select it. --match and --keep may be repeated; one that
    fits is enough. A PATTERN is REPO:TAG or REPO@DIGEST, where * and ? stand for anything, also for slashes.

    \b
      --match REPO:TAG     tags; if TAG is just *, untagged images, too
      --match REPO@DIGEST  untagged images
      --keep REPO:TAG      tags; if TAG is just *, all of REPO
      --keep REPO@DIGEST   the image, tagged or not

    A line of --keep-from is repository:tag, repository@digest, or an image as kubectl and docker ps print
    it (reg.example.com:5000/team/app:1.0; no tag means latest). Lines that begin with # are passed over.

    --keep-last counts the tags of each repository that --match selects, and no untagged images. It keeps
    those that are among the last N by push, and those that are by the date that their images were built: a
    copy of a store may have lost the one, and a build may not tell the other. Where nothing tells which of
    several is the last, it keeps all. --by takes one order alone; version is as people read them: 1.10 after
    1.9, 2.0-rc1 before 2.0. A tag without a date, or that is no version, is kept and not counted.

    `latest` is spared, and not counted, unless a --match names it: '*:latest'.

    Signatures, attestations and SBOMs (tags such as sha256-….sig, and what has a `subject`) go and stay with
    their image, and no rule counts or selects them. Where that is gone, --stale-signatures does.

    An untagged image is as old as its link in the repository.

    What may be in use, for something could not be read, is neither selected nor counted. Exit status: 0, 1 if
    the answer leaves such things out, 2 if there is none.

    --policy FILE has several rules, each with these options as keys; beside it go --keep and --keep-from. A
    tag goes if one of them selects it, and none keeps it, by `keep` or as one of its `keep-last`.

    \b
      keep = ["*:release-*"]         # whatever selects it
      keep-from = ["deployed.txt"]   # beside the policy
      [[rule]]
      name = "pull requests"
      match = ["*:pr-*"]
      older-than = "14d"

    --save PLAN writes down what is to go and why, the bytes, and the store's state. --show commands prints
    how curl, skopeo or crane delete it from the registry at URL, which needs storage.delete.enabled.

    --verify PLAN compares a plan with the store, instead of any rule: what is gone, is still to be deleted or
    collected, or stays, for something tags, pushes or signs it since, or --keep and --keep-from keep it now.
    With --show tags it says that of each image; digests and commands are what is still to be deleted. Exit
    status: 0 if all that the plan promised is gone (with digests and commands: or is among them), 1 if not.

    \b
      regfs reclaim STORE --keep-last 10 --older-than 90d --keep '*:release-*'
      regfs reclaim STORE --match 'team/*:pr-*' --show digests
      regfs reclaim STORE --untagged --match '*@*' --older-than 30d
      kubectl get pods -A -o jsonpath='{..image}' | tr ' ' '\\n' |
        regfs reclaim STORE --older-than 90d --keep-from -
      regfs reclaim STORE --policy night.toml --save plan.json
      regfs reclaim STORE --verify plan.json --show commands \\
        --registry https://reg.example.com | sh
    """
    rules = Rules(
        match, keep + keep_from, before, keep_last, by, untagged, stale_signatures, ignore == "no-tags"
    )
    url = _read_url(registry, show)
    if verify:
        if rules != Rules(keep=rules.keep) or policy or save:
            raise click.UsageError(
                "--verify compares a plan with the store: beside it go --keep, --keep-from"
            )
        commands = partial(commands_of, store, url, tool, str(verify))
        _verify(store, verify, rules.keep, show, output, commands)
        return
    asked = _with_policy(policy, rules) if policy else _alone(rules)
    last = see_that_it_can_be_saved(save, store) if save else None
    with opened_index(store) as it:
        if save:
            see_that_it_can_be_saved(save, it.path)
        if asked.need_created:
            BlobContents(it.references, it.contents).read_configs()
        needs = [*([Need.WEIGHTS] if show == "tags" else ()), *(NEEDS if save else ())]
        with it.references.snapshot(*needs) as snapshot:
            if asked.untagged and not asked.ignore_no_tags and has_no_tags(snapshot):
                raise UsageError(
                    f"{store} has manifests and not one tag: Harbor from 2.15 and OpenShift keep tags in a "
                    "database of their own, and what is in use cannot be told from here. Where you know "
                    "that there are none, --ignore no-tags says so"
                )
            found = compute(snapshot, asked, listed=save is not None)
            table = by_tag(snapshot, found, time.time_ns()) if show == "tags" else found.by_repository()
            if save:
                found.notes += save_plan(save, store, it, snapshot, (found, asked), last)
    if show == "commands":
        _print_lines(commands_of(store, url, tool, str(save or ""), found.manifests, found.size))
    elif show == "digests":
        _print_digests(found.digests, output)
    else:
        output.print(table)
    if output.for_people:
        selected = f"{counted(found.tags, 'tag')}, {counted(found.digests, 'manifest')}"
        orphaned = readable_size(found.freed.orphaned[1])
        note(
            f"{selected}; with a garbage collection {readable_size(found.size)} ({found.size} bytes) "
            f"go, of which {orphaned} without any deletion"
        )
    tell(found.notes)
    if found.leaves_out:
        size = readable_size(found.freed.unknown[1])
        complain(
            f"not everything could be read: {found.withheld} that the rules match may be in use, and "
            f"{size} besides; see regfs report broken"
        )
        sys.exit(1)


def _read_url(registry: str | None, show: str) -> RegistryUrl:
    """Read where the commands delete."""
    if registry is None:
        if show == "commands":
            raise click.UsageError("--show commands wants to know where: --registry https://reg.example.com")
        return RegistryUrl("https", "")
    if show != "commands":
        raise click.UsageError("--registry says where --show commands deletes: give that as well")
    return read_url(registry)


def _alone(rules: Rules) -> Policy:
    """Take the rules of the command line."""
    if wrong := rules.mistake():
        raise click.UsageError(wrong if rules.tags else f"{wrong}; or --policy or --verify")
    return Policy((rules,))


def _with_policy(path: Path, rules: Rules) -> Policy:
    """Read a policy, beside which the command line may keep more."""
    if rules != Rules(keep=rules.keep, ignore_no_tags=rules.ignore_no_tags):
        raise click.UsageError(
            f"the rules stand in {path}: beside --policy go --keep, --keep-from and --ignore"
        )
    found = policy_of(path)
    keep = found.rules[0].keep + rules.keep
    return Policy(
        tuple(replace(rule, keep=keep, ignore_no_tags=rules.ignore_no_tags) for rule in found.rules)
    )


def _verify(
    store: str,
    path: Path,
    keep: Iterable[Pattern],
    show: str,
    output: Output,
    commands: Callable[[list[tuple[str, str]], int], Iterable[str]],
) -> None:
    """Compare a plan with the store, and print what became of it; `commands` gives those for the rest."""
    with opened_index(store) as it:
        proof = proved(it, path, keep, note, briefly=show in ("commands", "digests"))
    *_, to_delete = proof.count(Outcome.TO_DELETE)
    if show == "commands":
        _print_lines(commands(proof.to_delete, to_delete))
    elif show == "digests":
        _print_digests([f"{repository}@{digest}" for repository, digest in proof.to_delete], output)
    else:
        output.print(proof.by_image() if show == "tags" else proof.summary())
    if proof.left if show in ("commands", "digests") else not proof.whole:
        sys.exit(1)


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


_DIGESTS = (
    Column("repository", help="from which it is to be deleted"),
    Column("digest", Type.DIGEST, "of the manifest that is to be deleted"),
)


def _print_digests(digests: Iterable[str], output: Output) -> None:
    if output.for_people:
        for digest in digests:
            print(digest)
        return
    output.print(Table(_DIGESTS, [digest.split("@") for digest in digests]))
