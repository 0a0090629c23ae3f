"""What `regfs reclaim` says that a deletion frees, against a real registry that deletes and collects."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import REGFS, Mount, output, run
from tests.registry.api import Api, Blob
from tests.registry.collector import collect, stored
from tests.registry.images import BASE, Files
from tests.registry.pushes import AMD64, ARM64, push_image, push_index
from tests.registry.server import Registry
from tests.registry.shown import read_image, repositories, tag_directory

pytestmark = [pytest.mark.registry, pytest.mark.fuse]

DAY = 86_400

EVERYTHING = ["--match", "*:*", "--match", "*:latest", "--untagged", "--stale-signatures"]

#: Rules, and how many tags and manifests of the store they select.
RULES = [
    (["--match", "app:pr-*"], 5, 5),
    (["--match", "multi:first"], 1, 2),
    (["--match", "app:1.0"], 0, 0),
    (["--match", "*:*", "--keep", "*:stable", "--keep", "multi*:*"], 20, 23),
    (["--match", "cosigned:*", "--keep", "cosigned:2.1"], 7, 8),
    (["--untagged"], 1, 7),
    (["--untagged", "--match", "app:*", "--older-than", "30d"], 0, 3),
    (["--stale-signatures"], 1, 1),
    (["--keep-last", "2"], 11, 13),
    (["--keep-last", "1", "--untagged", "--older-than", "3d"], 13, 18),
    (EVERYTHING, 31, 40),
]


def push_all(api: Api) -> None:
    """Push images that share layers, configs, children and whole images, within a repository and across."""
    for number in range(3):
        tag = f"1.{number}"
        image = push_image(api, "app", tag, [BASE, {"version": tag.encode() * 500}])
        push_again(api, "app", "latest", image)
    push_again(api, "app", "stable", push_image(api, "app", "1.0", [BASE, {"version": b"1.0" * 500}]))
    for number in range(5):
        own: Files = {"request": b"%d" % number * 3000}
        push_image(api, "app", f"pr-{number}", [BASE, {"shared by": b"all requests" * 800}, own])
    for number in range(4):  # what was pushed before is untagged since
        push_image(api, "app", "nightly", [BASE, {"night": b"%d" % number * 1000}])

    push_image(api, "app/tool", "latest", [BASE, {"tool": b"t" * 700}])
    push_image(api, "app/tool", "1.2", [BASE, {"version": b"1.2" * 500}])  # the image app:1.2
    push_image(api, "copy", "pr", [BASE, {"shared by": b"all requests" * 800}])

    one, both, other = (
        push_image(api, "multi", tag, [BASE, {"child": name}])
        for tag, name in ((None, b"one" * 900), (None, b"both" * 900), ("other", b"other" * 900))
    )
    push_index(api, "multi", "first", children(one, both))
    push_index(api, "multi", "second", children(both, other))
    push_index(api, "multi", None, children(push_image(api, "multi", None, [{"child": b"loose" * 900}])))

    signed = push_image(api, "signed", "1.0", [BASE, {"signed": b"s" * 900}])
    sign(api, "signed", sign(api, "signed", signed))
    push_image(api, "signed", "stable", [BASE])

    push_signed(api)

    # Nothing refers to them.
    api.push_blob("app", b"orphan" * 2000, "application/octet-stream")
    api.push_blob("only/blobs", b"orphan too" * 2000, "application/octet-stream")
    gone = push_image(api, "signed", "gone", [{"gone": b"g" * 900}])
    api.delete_manifest("signed", gone.digest)


def push_again(api: Api, repository: str, tag: str, image: Blob) -> None:
    """Give an image another tag."""
    found = api.manifest(repository, image.digest)
    assert api.push_manifest(repository, tag, found.document, found.media_type).digest == image.digest


def push_signed(api: Api) -> None:
    """Push images with what cosign and others push beside them, under tags named after the images."""
    images = [
        push_image(api, "cosigned", tag, [BASE, {"image": str(tag).encode() * 300}])
        for tag in ("2.0", "2.1", "pr-7", None, "gone")
    ]
    for image, endings in zip(images, (("sig", "att"),) * 3 + (("sig",),) * 2, strict=True):
        for ending in endings:
            tag = f"{image.digest.replace(':', '-')}.{ending}"
            push_image(api, "cosigned", tag, [{ending: tag.encode() * 20}])
    listed = sign(api, "cosigned", images[0])
    push_index(api, "cosigned", images[0].digest.replace(":", "-"), [listed.descriptor()])
    api.delete_manifest("cosigned", images[-1].digest)


def sign(api: Api, repository: str, image: Blob) -> Blob:
    signature: Files = {"signature": image.digest.encode()}
    return push_image(api, repository, None, [signature], subject=image.descriptor())


def children(*images: Blob) -> list[dict[str, object]]:
    platforms = (AMD64, ARM64)
    return [image.descriptor(platform=platform) for image, platform in zip(images, platforms, strict=False)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that was pushed; its registry has ended. Tests only read it.

    The tags are a day apart, the latest by name in each repository the newest. What has no tag in two of the
    repositories is older than all of them.
    """
    directory = tmp_path_factory.mktemp("pushed")
    registry = Registry(directory / "root", directory)
    try:
        push_all(registry.api)
    finally:
        registry.end()
    now = time.time()
    for repository in registry.root.glob("docker/registry/v2/repositories/**/_manifests"):
        for days, tag in enumerate(sorted((repository / "tags").iterdir(), reverse=True)):
            pushed = now - (days + 0.5) * DAY
            os.utime(tag / "current" / "link", (pushed, pushed))
        if repository.parent.name in ("app", "cosigned"):
            tagged = {link.read_text() for link in repository.glob("tags/*/current/link")}
            for link in repository.glob("revisions/*/*/link"):
                if link.read_text() not in tagged:
                    os.utime(link, (now - 100 * DAY, now - 100 * DAY))
    return registry.root


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Iterator[Registry]:
    """A registry that runs on a copy of it."""
    shutil.copytree(root, tmp_path / "root")
    registry = Registry(tmp_path / "root", tmp_path)
    yield registry
    registry.end()


def reclaim(root: Path, rules: list[str], show: str) -> list[dict[str, object]]:
    return json.loads(output(*REGFS, "reclaim", root, *rules, "--format", "json", "--show", show))


@pytest.mark.parametrize(
    ("rules", "tags", "manifests"),
    RULES,
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_store_shrinks_by_what_reclaim_said_and_the_rest_is_as_it_was(
    copy: Registry,
    root: Path,
    mount: Callable[..., Mount],
    mount_once: Callable[[Path], Path],
    rules: list[str],
    tags: int,
    manifests: int,
) -> None:
    goes = {
        (row["repository"], row["tag"]) for row in reclaim(copy.root, rules, "tags") if row["goes"] == "yes"
    }
    lines = output(*REGFS, "reclaim", copy.root, *rules, "--show", "digests").splitlines()
    told = {row["repository"]: row for row in reclaim(copy.root, rules, "repositories")}
    assert (len(goes), len(lines)) == (tags, manifests)
    assert told["(total)"]["tags"] == tags

    before = stored(copy.root)
    for line in lines:
        copy.api.delete_manifest(*line.split("@"))
    deleted = collect(copy.root, really=True)
    after = stored(copy.root)
    assert sum(before.values()) - sum(after.values()) == told["(total)"]["freed"]
    assert len(before) - len(after) == told["(total)"]["blobs"] == len(deleted.blobs)
    assert (
        sum(int(str(row["freed"])) for name, row in told.items() if name != "(total)")
        == told["(total)"]["freed"]
    )

    whole, rest = mount_once(root), mount(copy.root, "platform=linux/amd64").path
    everything = {(repository, tag) for repository, found in repositories(whole).items() for tag in found}
    assert goes < everything or goes == everything
    left = {(repository, tag) for repository, found in repositories(rest).items() for tag in found}
    assert left == everything - goes
    assert left == {(name, tag) for name in copy.api.catalog() for tag in copy.api.tags(name)}
    for repository, tag in left:
        here, there = (tag_directory(top, repository, tag) for top in (rest, whole))
        assert read_image(here) == read_image(there), (repository, tag)
    done = run(*REGFS, "check", "--digests", copy.root)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{len(left)} of {len(left)} tags can be pulled\n")


def test_when_everything_was_selected_nothing_is_left(root: Path) -> None:
    total = reclaim(root, EVERYTHING, "repositories")[-1]
    sizes = stored(root)
    assert (total["blobs"], total["freed"]) == (len(sizes), sum(sizes.values()))


def test_without_any_deletion_a_collection_frees_what_is_orphaned(copy: Registry) -> None:
    told = {row["repository"]: row for row in reclaim(copy.root, ["--match", "no:tag"], "repositories")}
    before = sum(stored(copy.root).values())
    collect(copy.root, really=True)
    assert (
        before - sum(stored(copy.root).values())
        == told["(total)"]["freed"]
        == told["(orphaned already)"]["freed"]
    )


def test_what_one_tag_has_exclusively_is_what_goes_with_it(root: Path) -> None:
    rows = json.loads(output(*REGFS, "report", "tags", root, "--format", "json"))
    chosen = [row for row in rows if row["tag"] in ("1.1", "first", "pr")]
    assert len(chosen) == 3
    for row in chosen:
        told = {
            found["repository"]: found
            for found in reclaim(root, ["--match", f"{row['repository']}:{row['tag']}"], "repositories")
        }
        freed = int(str(told["(total)"]["freed"])) - int(str(told["(orphaned already)"]["freed"]))
        assert row["exclusive"] == freed, row
