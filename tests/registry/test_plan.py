"""From a policy to the proof, against a real registry that deletes and collects: the night's work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.builder.sample import build_sample
from tests.conftest import REGFS, need, run
from tests.readme import README, run_block
from tests.registry.api import Api
from tests.registry.collector import collect, stored
from tests.registry.images import BASE
from tests.registry.pushes import AMD64, ARM64, push_image, push_index
from tests.registry.server import Registry

pytestmark = pytest.mark.registry

DAY = 86_400

POLICY = """
keep = ["app:release-*"]
keep-from = ["deployed.txt"]

[[rule]]
name = "pull requests"
match = ["app:pr-*"]
older-than = "10d"

[[rule]]
name = "last two builds"
match = ["*:build-*"]
keep-last = 2
by = "version"

[[rule]]
name = "no tag"
untagged = true
match = "*@*"
older-than = "10d"
"""


def push_all(api: Api) -> None:
    """Push images that share a layer, some of them signed, by index or without a tag."""
    for tag in ("release-1", "pr-1", "pr-2", "pr-3", "pr-4", "pr-release", "latest"):
        image = push_image(api, "app", tag, [BASE, {"own": tag.encode() * 500}])
        if tag in ("pr-1", "release-1"):
            push_image(api, "app", f"{image.digest.replace(':', '-')}.sig", [{"sig": tag.encode() * 20}])
        if tag == "pr-release":  # the same image is deployed as release-2
            api.push_manifest("app", "release-2", api.manifest("app", tag).document, image.media_type)
    for number in (1, 2, 9, 10):
        children = [
            push_image(api, "multi", None, [BASE, {platform["architecture"]: b"%d" % number * 800}])
            for platform in (AMD64, ARM64)
        ]
        push_index(api, "multi", f"build-{number}", [child.descriptor() for child in children])
    for number in range(3):
        push_image(api, "app", "nightly", [BASE, {"night": b"%d" % number * 900}])


class Night(NamedTuple):
    """A registry that runs on a copy of the store, and the directory with the policy."""

    registry: Registry
    work: Path

    def regfs(self, *arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = run(*REGFS, "reclaim", self.registry.root, *arguments, cwd=self.work)
        assert done.returncode == status, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def save(self) -> dict[str, Any]:
        self.regfs("--policy", "night.toml", "--save", "plan.json")
        return json.loads((self.work / "plan.json").read_bytes())

    def commands(self, *more: str, status: int = 0) -> str:
        url = f"http://{self.registry.address}"
        return self.regfs(
            "--verify", "plan.json", "--show", "commands", "--registry", url, *more, status=status
        ).stdout

    def outcomes(self, status: int = 0) -> dict[str, dict[str, Any]]:
        done = self.regfs("--verify", "plan.json", "--format", "json", status=status)
        return {row["outcome"]: row for row in json.loads(done.stdout)}

    def why(self) -> dict[str, str]:
        """Tell of each tag of the plan why it stays, if it does."""
        done = self.regfs("--verify", "plan.json", "--show", "tags", "--format", "json", status=1)
        return {row["tag"]: row["why"] for row in json.loads(done.stdout) if row["why"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store, all of it twenty days old. Tests only read it."""
    directory = tmp_path_factory.mktemp("planned")
    registry = Registry(directory / "root", directory)
    try:
        push_all(registry.api)
    finally:
        registry.end()
    old = time.time() - 20 * DAY
    for link in registry.root.rglob("link"):
        os.utime(link, (old, old))
    return registry.root


@pytest.fixture
def night(root: Path, tmp_path: Path) -> Any:
    shutil.copytree(root, tmp_path / "root")
    (tmp_path / "night.toml").write_text(POLICY)
    (tmp_path / "deployed.txt").write_text("app:pr-4\n")
    registry = Registry(tmp_path / "root", tmp_path)
    yield Night(registry, tmp_path)
    registry.end()


def served(api: Api) -> dict[str, set[str]]:
    return {name: set(api.tags(name)) for name in api.catalog()}


def run_all(commands: str) -> None:
    done = subprocess.run(
        ["sh", "-e"], input=commands, text=True, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, (done.stdout, done.stderr)


@pytest.mark.parametrize("tool", ["curl", "skopeo", "crane"])
def test_what_the_plan_promised_is_freed_by_its_commands_and_a_collection(night: Night, tool: str) -> None:
    if tool == "crane" and not shutil.which(tool):
        pytest.skip("crane is not installed, and Debian has no package of it")
    need(tool)
    plan = night.save()
    tags = {f"{image['repository']}:{image['tag']}" for image in plan["images"] if image["tag"]}
    signature = {name for name in tags if name.endswith(".sig")}
    assert tags - signature == {"app:pr-1", "app:pr-2", "app:pr-3", "multi:build-1", "multi:build-2"}
    assert len(signature) == 1
    by = {image["tag"]: image["selected_by"] for image in plan["images"]}
    assert (by["pr-2"], by["build-1"], by[""]) == ("pull requests", "last two builds", "no tag")
    assert len(plan["manifests"]) == 3 + 1 + 2 * 3 + 2

    before, whole = stored(night.registry.root), served(night.registry.api)
    commands = night.commands("--tool", tool)
    lines = [line for line in commands.splitlines() if not line.startswith("#")]
    assert len(lines) == len(plan["manifests"])
    # An index goes before its children.
    order = {manifest["digest"]: number for number, manifest in enumerate(plan["manifests"])}
    for number in (1, 2):
        index = night.registry.api.manifest("multi", f"build-{number}")
        for child in index.document["manifests"]:
            assert order[index.digest] < order[child["digest"]]
    waiting = night.outcomes(status=1)
    assert waiting["to delete"]["size"] == waiting["promised"]["size"] == plan["promised_size"]

    run_all(commands)
    deleted = night.outcomes(status=1)
    assert deleted["gone"]["manifests"] == len(plan["manifests"])
    assert deleted["to collect"]["size"] == plan["promised_size"]
    collect(night.registry.root, really=True)
    after = stored(night.registry.root)
    freed = sum(before.values()) - sum(after.values())
    assert freed == plan["promised_size"]
    assert before.keys() - after.keys() == {blob["digest"] for blob in plan["blobs"]}

    done = night.regfs("--verify", "plan.json", "--format", "json")
    found = {row["outcome"]: row for row in json.loads(done.stdout)}
    assert found["gone"] == {**found["promised"], "outcome": "gone"}
    assert f"({freed} bytes) promised, all of it freed" in done.stderr
    left = served(night.registry.api)
    gone = {f"{name}:{tag}" for name, some in whole.items() for tag in some - left.get(name, set())}
    assert gone == tags
    assert [line for line in night.commands().splitlines() if not line.startswith("#")] == []


def test_what_is_pushed_after_the_plan_is_in_no_command_and_the_proof_says_why(night: Night) -> None:
    plan, api = night.save(), night.registry.api
    # One is tagged anew, one is pushed again as it was, one is signed; a build is deployed by a child.
    digests = {tag: api.manifest("app", tag).digest for tag in ("pr-1", "pr-2", "pr-3")}
    pr2 = api.manifest("app", "pr-2")
    api.push_manifest("app", "prod", api.manifest("app", "pr-1").document, pr2.media_type)
    api.push_manifest("app", "pr-2", pr2.document, pr2.media_type)
    push_image(api, "app", f"{digests['pr-3'].replace(':', '-')}.sig", [{"sig": b"late" * 20}])
    index = api.manifest("multi", "build-1")
    child = api.manifest("multi", index.document["manifests"][0]["digest"])
    api.push_manifest("multi", "prod", child.document, child.media_type)

    commands = night.commands(status=1)
    needed = {*digests.values(), child.digest}
    assert not [digest for digest in needed if digest in commands]
    assert index.digest in commands
    why = night.why()
    assert why["pr-1"].startswith("app:prod names it since the plan, ")
    assert why["pr-2"].startswith("app:pr-2 was pushed again since the plan, ")
    assert why["pr-3"].endswith(" belongs to it, which was pushed since the plan")

    again = night.regfs("--policy", "night.toml", "--save", "plan.json")
    for digest in needed:
        assert f"@{digest} does not go any more: " in again.stderr
    second = json.loads((night.work / "plan.json").read_bytes())
    images = {image["tag"] for image in second["images"]}
    assert {"pr-1", "pr-2"}.isdisjoint(images)
    assert not {digests["pr-1"], digests["pr-2"], child.digest} & {
        one["digest"] for one in second["manifests"]
    }

    (night.work / "plan.json").write_text(json.dumps(plan))
    run_all(commands)
    collect(night.registry.root, really=True)
    found = night.outcomes(status=1)
    for column in ("manifests", "blobs", "size"):
        parts = ("gone", "to delete", "to collect", "stays", "unknown")
        assert sum(found[part][column] or 0 for part in parts) == found["promised"][column]
    assert found["stays"]["manifests"] == len(needed) + 1  # and the signature of pr-1
    assert found["gone"]["size"] > 0
    assert found["to collect"]["size"] == found["unknown"]["size"] == 0
    checked = run(*REGFS, "check", "--digests", night.registry.root)
    assert checked.returncode == 0, checked.stderr


def test_a_plan_is_of_one_store_and_whole(
    night: Night, start_registry: Callable[[], Registry], tmp_path: Path
) -> None:
    night.save()
    text = (night.work / "plan.json").read_text()
    other = start_registry()
    push_image(other.api, "app", "release-1", [{"another": b"store"}])
    done = run(*REGFS, "reclaim", other.root, "--verify", "plan.json", cwd=night.work)
    assert done.returncode == 2
    assert "plan.json: is no plan of " in done.stderr
    assert done.stdout == ""
    # A copy is another place with the same images.
    copy = shutil.copytree(night.registry.root, tmp_path / "copy")
    done = run(*REGFS, "reclaim", copy, "--verify", "plan.json", "--show", "digests", cwd=night.work)
    assert done.returncode == 0, done.stderr
    assert "believed to be a copy" in done.stderr
    (night.work / "plan.json").write_text(text[: len(text) // 2])
    done = night.regfs("--verify", "plan.json", status=2)
    assert done.stdout == ""
    assert done.stderr.startswith("regfs: plan.json: is no whole plan")
    # What is no plan is not written over, and nothing is written below a store.
    done = night.regfs("--untagged", "--save", "plan.json", status=2)
    assert "--save writes over plans alone" in done.stderr
    done = night.regfs("--untagged", "--save", night.registry.root / "plan.json", status=2)
    assert "below the store" in done.stderr


def test_the_readme_goes_from_a_policy_to_the_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("docker-registry")
    (block,) = re.findall(r"^```console registry\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    (policy,) = re.findall(r"^\$ cat night.toml\n(.*?)^\$", block, re.MULTILINE | re.DOTALL)
    build_sample(tmp_path / "store")
    (tmp_path / "night.toml").write_text(policy)
    monkeypatch.chdir(tmp_path)
    registry = Registry(tmp_path / "store", tmp_path)
    try:
        printed = run_block(block.replace("127.0.0.1:5000", registry.address), tmp_path)
    finally:
        registry.end()
    assert printed.replace(registry.address, "127.0.0.1:5000") == block
