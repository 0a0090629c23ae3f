"""A mount under a registry at work: pushes, deletions and a garbage collection while it is read."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Mount, need, output
from tests.registry.conftest import Filled
from tests.registry.images import BASE
from tests.registry.pushes import push_image
from tests.registry.served import serve_image
from tests.registry.server import Registry, write_config
from tests.registry.shown import Failure, digest_of, files_of, read_image, repositories, tag_directory
from tests.registry.snapshot import snapshot

pytestmark = pytest.mark.registry

TTL = 1.0
#: How long a machine under load may take beyond what is promised.
SLACK = 2.0

StartRegistry = Callable[[], Registry]
MakeMount = Callable[..., Mount]


def await_change(condition: Callable[[], bool]) -> None:
    """Wait until something holds, for no longer than `ttl` allows."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < TTL + SLACK
        time.sleep(0.02)


def test_a_new_tag_shows_when_ttl_has_passed(start_registry: StartRegistry, mount: MakeMount) -> None:
    registry = start_registry()
    push_image(registry.api, "app", "one")
    root = mount(registry.root, f"ttl={TTL}").path
    assert os.listdir(root / "app") == ["one"]
    assert not (root / "app/two").exists()
    push_image(registry.api, "app", "two", [{"two": b"2"}])
    push_image(registry.api, "new/app", "three")
    await_change(lambda: sorted(os.listdir(root / "app")) == ["one", "two"])
    await_change((root / "app/two/manifest.json").exists)
    await_change((root / "new/app/three").exists)
    assert read_image(root / "app/two") == serve_image(registry.api, "app", "two")


def test_a_moved_tag_shows_its_new_image_when_ttl_has_passed(
    start_registry: StartRegistry, mount: MakeMount
) -> None:
    registry = start_registry()
    old = push_image(registry.api, "app", "latest", [{"old": b"old"}])
    root = mount(registry.root, f"ttl={TTL}").path
    tag = root / "app/latest"
    before = read_image(tag)
    assert before.manifest.digest == old.digest
    with (tag / "layers/00.tar.gz").open("rb") as opened:
        first = opened.read(10)
        # Longer, so that old sizes with new bytes could not go unnoticed.
        new = push_image(registry.api, "app", "latest", [{"new": bytes(range(256)) * 999}, {"more": b"more"}])
        seen = set()

        def moved() -> bool:
            seen.add(digest_of((tag / "manifest.json").read_bytes()))
            return new.digest in seen

        await_change(moved)
        assert seen <= {old.digest, new.digest}
        assert first + opened.read() == before.layers[0].content
    served = serve_image(registry.api, "app", "latest")
    await_change(lambda: read_image(tag) == served)


def test_a_deleted_tag_goes_when_ttl_has_passed(start_registry: StartRegistry, mount: MakeMount) -> None:
    registry = start_registry()
    push_image(registry.api, "app", "kept", [{"kept": b"1"}])
    gone = push_image(registry.api, "app", "gone", [{"gone": b"1"}])
    root = mount(registry.root, f"ttl={TTL}").path
    assert sorted(os.listdir(root / "app")) == ["gone", "kept"]
    assert (root / "app/gone/manifest.json").exists()
    registry.api.delete_manifest("app", gone.digest)
    await_change(lambda: os.listdir(root / "app") == ["kept"])
    await_change(lambda: not (root / "app/gone").exists())
    await_change(lambda: not (root / f"app/@{gone.digest}").exists())


class Pushing(threading.Thread):
    """Pushes without a pause until it is stopped: new tags, moved tags, new repositories, deletions."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry
        self._stop_asked = threading.Event()
        self.digests: set[str] = set()
        self.pushes = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self._stop_asked.is_set():
                self._push(self.pushes)
        except (AssertionError, OSError) as failure:
            self.failure = failure

    def _push(self, number: int) -> None:
        api = self._registry.api
        layers = [BASE, *({"n": b"%d.%d" % (number, layer)} for layer in range(number % 4))]
        for repository, tag in (("app", "latest"), ("app", f"t{number % 7}"), (f"new/n{number % 5}", "v")):
            self.digests.add(push_image(api, repository, tag, layers).digest)
            self.pushes += 1
        if number % 2:
            api.delete_manifest("app", api.manifest("app", f"t{number % 7}").digest)

    def end(self) -> None:
        self._stop_asked.set()
        self.join(30)
        assert not self.is_alive()
        if self.failure:
            raise self.failure


@pytest.fixture
def pushing(start_registry: StartRegistry) -> Iterator[tuple[Registry, Pushing]]:
    registry = start_registry()
    push_image(registry.api, "app", "latest")
    thread = Pushing(registry)
    thread.digests.add(registry.api.manifest("app", "latest").digest)
    thread.start()
    try:
        yield registry, thread
    finally:
        thread.end()


@pytest.mark.parametrize("ttl", ["0", "0.2"])
def test_reading_while_the_registry_writes_meets_no_error_but_vanished_names(
    ttl: str, pushing: tuple[Registry, Pushing], mount: MakeMount
) -> None:
    registry, thread = pushing
    mounted = mount(registry.root, f"ttl={ttl}")
    rounds, complaints, manifests = 0, [], set()
    deadline = time.monotonic() + 40
    while rounds < 8 or thread.pushes < 90:
        assert time.monotonic() < deadline, (rounds, thread.pushes)
        assert thread.failure is None
        for command in (["-ls"], ["-type", "f", "-exec", "cat", "{}", "+"]):
            _, errors = find(mounted.path, *command)
            complaints += errors
        found, errors = find(mounted.path, "-name", "manifest.json", "-exec", "sha256sum", "{}", "+")
        manifests |= {f"sha256:{line.split()[0]}" for line in found.splitlines()}
        complaints += errors
        rounds += 1
    thread.end()
    assert [line for line in complaints if not line.endswith("No such file or directory")] == []
    # Each manifest that was read is one that was pushed: none is torn, or of two at once.
    assert len(manifests) > 8
    assert manifests <= thread.digests
    assert "Traceback" not in mounted.log.read_text()


def find(where: Path, *arguments: str) -> tuple[str, list[str]]:
    """Run find; gives what it printed, and the lines of its complaints."""
    done = subprocess.run(
        ["find", str(where), *arguments],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "LC_ALL": "C"},
    )
    return done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace").splitlines()


def test_a_garbage_collection_leaves_every_tagged_image_as_it_was(
    filled: Filled, mount: MakeMount, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(filled.registry.root, root)
    config = write_config(tmp_path / "config.yml", root, "127.0.0.1:0")
    orphan = root / "docker/registry/v2/blobs/sha256" / _orphan_in(filled)
    mounted = mount(root, f"ttl={TTL},platform=linux/amd64").path
    tags = [(repository, tag) for repository, tags in filled.pushed.tags.items() for tag in sorted(tags)]
    before = {tag: read_image(tag_directory(mounted, *tag)) for tag in tags}
    assert orphan.exists()
    printed = output(need("docker-registry"), "garbage-collect", config)
    assert "eligible for deletion" in printed
    assert not orphan.exists()
    # The one that the collector does harm to: see the next test.
    harmed = before.pop(("odd/sha512", "v1"))
    await_change(lambda: read_image(mounted / "odd/sha512/v1") != harmed)
    assert repositories(mounted) == filled.pushed.tags
    for tag, image in before.items():
        assert read_image(tag_directory(mounted, *tag)) == image, tag
    assert len(before) == len(tags) - 1 > 30


def _orphan_in(filled: Filled) -> str:
    """Name the blob of a deleted manifest, below `blobs/sha256`."""
    digest = filled.pushed.deleted[0][1].removeprefix("sha256:")
    return f"{digest[:2]}/{digest}"


def test_a_layer_pushed_as_sha512_is_damage_after_the_collector_took_it(
    filled: Filled, mount: MakeMount, tmp_path: Path
) -> None:
    """The collector of every version looks for it under the name it was pushed by, and deletes it."""
    root = tmp_path / "root"
    shutil.copytree(filled.registry.root, root)
    output(need("docker-registry"), "garbage-collect", write_config(tmp_path / "c.yml", root, "127.0.0.1:0"))
    before = serve_image(filled.registry.api, "odd/sha512", "v1")
    after = read_image(mount(root).path / "odd/sha512/v1")
    assert (after.manifest, after.config) == (before.manifest, before.config)
    assert [layer.size for layer in after.layers] == [layer.size for layer in before.layers]
    assert [layer.content for layer in after.layers] == [Failure(errno.EIO)]


def test_reading_everything_changes_nothing_in_the_store(filled: Filled, mount: MakeMount) -> None:
    need("getfattr")
    before = snapshot(filled.registry.root)
    assert len(before) > 1000
    mounted = mount(filled.registry.root)
    read = 0
    for repository, tags in filled.pushed.tags.items():
        for tag in tags:
            read += sum(1 for _ in files_of(read_image(tag_directory(mounted.path, repository, tag))))
    assert read > 100
    for command in (
        ["-ls"],
        ["-type", "f", "-exec", "cat", "{}", "+"],
        ["-exec", "getfattr", "--absolute-names", "-d", "{}", "+"],
    ):
        _, complaints = find(mounted.path, *command)
        assert [line for line in complaints if "odd/foreign" not in line] == []
    assert mounted.end() == 0
    assert snapshot(filled.registry.root) == before
