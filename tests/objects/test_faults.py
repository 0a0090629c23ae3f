"""An object store that goes away, refuses, or is not there: nothing is concluded from that."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import obstore
import pytest

from regfs.errors import StoreAwayError, StoreGoneError, StoreNotFoundError, UnreadableError
from regfs.registry.locate_objects import open_objects
from regfs.storage.objects import Address, Bucket
from tests.conftest import REGFS, Mount, run
from tests.objects.pair import Pair, opened, push_to_both
from tests.objects.server import NOBODY, READER, Seaweed, slow
from tests.registry.told import Told

pytestmark = [pytest.mark.objects, pytest.mark.registry]

STORE = "docker/registry/v2"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Seaweed, Pair]]:
    """A server of this module's own, which tests stop and go on."""
    directory = tmp_path_factory.mktemp("own")
    server = Seaweed(directory / "server")
    try:
        server.make_bucket()
        yield server, push_to_both(server, "reg", directory)
    finally:
        with suppress(ProcessLookupError):
            server.go_on()
        server.end()


@pytest.fixture
def ours(own: tuple[Seaweed, Pair], monkeypatch: pytest.MonkeyPatch) -> tuple[Seaweed, Pair]:
    for name, value in own[0].environment().items():
        monkeypatch.setenv(name, value)
    return own


def test_a_server_that_stands_still_ends_a_pass_which_changes_nothing(
    ours: tuple[Seaweed, Pair], tmp_path: Path
) -> None:
    server, pair = ours
    storage = opened(server, pair.prefix, timeout=3.0)
    told = Told(storage, tmp_path / "cache")
    before = told.everything()
    server.stop()
    began = time.monotonic()
    try:
        with pytest.raises(StoreAwayError, match="away"):
            told.index.refresh(thorough=True)
        assert time.monotonic() - began < 10
        # Others do not wait as long again.
        began = time.monotonic()
        with pytest.raises(StoreAwayError):
            storage.list("")
        assert time.monotonic() - began < 3
    finally:
        server.go_on()
    time.sleep(2.1)  # for so long the store is believed to be away
    assert told.everything() == before


@pytest.mark.fuse
def test_a_mount_says_so_while_the_server_is_away_and_reads_on_when_it_is_back(
    ours: tuple[Seaweed, Pair], mount: Callable[..., Mount]
) -> None:
    server, pair = ours
    mounted = mount(pair.address, "ttl=0.1,timeout=3")
    path = mounted.path / "by-skopeo/app/2.0"
    names = sorted(os.listdir(mounted.path / "by-skopeo/app"))
    large = max((path / "layers").iterdir(), key=lambda layer: layer.stat().st_size)
    content = large.read_bytes()
    time.sleep(0.3)
    server.stop()
    try:
        began = time.monotonic()
        with pytest.raises(OSError, match="Input/output error"):
            os.listdir(mounted.path / "by-skopeo/app")
        with pytest.raises(OSError, match="Input/output error"):
            large.read_bytes()
        assert time.monotonic() - began < 15
    finally:
        server.go_on()
    time.sleep(2.1)
    assert sorted(os.listdir(mounted.path / "by-skopeo/app")) == names
    assert large.read_bytes() == content
    assert "answers again" in mounted.log.read_text()
    assert mounted.end() == 0


@pytest.mark.fuse
def test_a_mount_of_a_store_far_away_begins_in_the_background_as_any(
    ours: tuple[Seaweed, Pair], tmp_path: Path
) -> None:
    server, pair = ours
    place = tmp_path / "mnt"
    place.mkdir()
    with slow(server.port, 80) as proxy:
        environment = {**os.environ, "AWS_ENDPOINT_URL": proxy.endpoint}
        done = run(*REGFS, "mount", pair.address, place, env=environment)
        try:
            assert (done.returncode, os.path.ismount(place)) == (0, True), done.stderr
            assert sorted(os.listdir(place / "by-skopeo/app")) == ["1.0", "2.0"]
        finally:
            run(*REGFS, "umount", place)


@pytest.mark.fuse
def test_a_reader_who_waits_can_be_interrupted_and_a_mount_unmounted(
    ours: tuple[Seaweed, Pair], mount: Callable[..., Mount]
) -> None:
    server, pair = ours
    mounted = mount(pair.address, "ttl=0.1,timeout=20")
    os.listdir(mounted.path)
    time.sleep(0.3)
    server.stop()
    try:
        reader = subprocess.Popen(["ls", str(mounted.path / "by-skopeo")], stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        began = time.monotonic()
        reader.send_signal(signal.SIGINT)
        reader.wait(5)
        assert time.monotonic() - began < 3
    finally:
        server.go_on()
    assert mounted.end() == 0


def ends_by_ctrl_c(index: subprocess.Popen[str]) -> None:
    began = time.monotonic()
    index.send_signal(signal.SIGINT)
    _, said = index.communicate(timeout=15)
    assert time.monotonic() - began < 3
    assert (index.returncode, "Traceback" in said) == (130, False)


def test_ctrl_c_ends_an_index_that_waits(ours: tuple[Seaweed, Pair]) -> None:
    server, pair = ours
    server.stop()
    try:
        index = subprocess.Popen([*REGFS, "index", pair.address], stderr=subprocess.PIPE, text=True)
        time.sleep(1.5)
        ends_by_ctrl_c(index)
    finally:
        server.go_on()


def test_ctrl_c_ends_a_pass_that_waits_in_many_threads(ours: tuple[Seaweed, Pair], tmp_path: Path) -> None:
    server, pair = ours
    with slow(server.port, 200) as proxy:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": proxy.endpoint,
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }
        command = [*REGFS, "index", pair.address]
        index = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        while proxy.requests() < 12:  # the shards are being listed
            assert index.poll() is None
            time.sleep(0.02)
        server.stop()
        try:
            time.sleep(1)
            ends_by_ctrl_c(index)
        finally:
            server.go_on()


def test_whoever_may_list_and_get_needs_no_more(ours: tuple[Seaweed, Pair]) -> None:
    server, pair = ours
    reader = {**os.environ, **server.environment(*READER)}
    done = run(*REGFS, "index", pair.address, env=reader)
    assert (done.returncode, done.stderr) == (0, "")


def test_who_may_nothing_is_told_so_and_no_key_is_shown(ours: tuple[Seaweed, Pair]) -> None:
    server, pair = ours
    for key, secret in (NOBODY, ("registry", "a-wrong-secret"), ("unknown", "unknown-secret")):
        done = run(*REGFS, "index", pair.address, env={**os.environ, **server.environment(key, secret)})
        assert done.returncode == 2
        assert done.stderr.startswith(f"regfs: {pair.address}: the store ")
        assert done.stderr.count("\n") == 1
        assert secret not in done.stderr
        assert key == "registry" or key not in done.stderr


def test_rights_that_end_in_the_middle_make_gaps_and_no_garbage(
    ours: tuple[Seaweed, Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, pair = ours
    storage = opened(server, pair.prefix)
    whole = Told(opened(server, pair.prefix), tmp_path / "whole").states()
    keys, names, asked = storage.bucket.keys, storage.bucket.names, threading.Event()

    def refused(path: str) -> bool:
        return path.endswith("repositories/app") or "/repositories/app/_manifests" in path

    def some_keys(path: str, *more: str) -> object:
        if refused(path):
            asked.set()
            raise UnreadableError(path, "the store denies it (403)", 13, denied=True)
        return keys(path, *more)

    def some_names(path: str) -> object:
        if refused(path):
            raise UnreadableError(path, "the store denies it (403)", 13, denied=True)
        return names(path)

    monkeypatch.setattr(storage.bucket, "keys", some_keys)
    monkeypatch.setattr(storage.bucket, "names", some_names)
    told = Told(storage, tmp_path / "cache")
    seen = told.states()
    # What cannot be told is unknown: nothing that was needed is called anything less.
    assert seen.orphaned <= whole.orphaned
    assert seen.untagged <= whole.untagged
    assert seen.unknown
    assert told.alarms()
    monkeypatch.undo()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    again = told.states()
    assert (again.tagged, again.untagged, again.orphaned) == whole[:3]


def test_a_bucket_or_prefix_that_is_not_there_is_told_apart(ours: tuple[Seaweed, Pair]) -> None:
    server, _ = ours
    with pytest.raises(StoreNotFoundError, match="no registry storage found"):
        opened(server, "nothing/here")
    done = run(*REGFS, "index", "s3://no-such-bucket")
    assert (done.returncode, done.stderr) == (2, "regfs: s3://no-such-bucket: there is no such bucket\n")


def test_a_bucket_that_is_deleted_is_gone_and_not_empty(ours: tuple[Seaweed, Pair], tmp_path: Path) -> None:
    server, _ = ours
    assert server.curl("-X", "PUT", "/gone") == "200"
    key = f"{STORE}/repositories/a/_manifests/tags/1/current/link"
    obstore.put(server.objects("gone"), key, b"x")
    storage = open_objects(Bucket(Address.parse("s3://gone").reached_by(server.endpoint)))
    told = Told(storage, tmp_path / "cache")
    before = told.tags()
    assert before == {("a", "1"): None}
    obstore.delete(server.objects("gone"), key)
    assert server.curl("-X", "DELETE", "/gone") == "204"
    with pytest.raises(StoreGoneError, match="no store is there any more"):
        told.tags()
    with pytest.raises(StoreGoneError):
        storage.stat("repositories/a/_manifests/tags/1/current/link")
    assert server.curl("-X", "PUT", "/gone") == "200"
    obstore.put(server.objects("gone"), key, b"x")
    assert told.tags() == before


def refresh_for_ever(told: Told) -> None:
    while True:
        told.index.refresh(thorough=True)


@pytest.mark.parametrize("after", [0.3, 0.8])
def test_a_connection_that_breaks_in_the_middle_of_a_pass_changes_nothing(
    ours: tuple[Seaweed, Pair], tmp_path: Path, after: float
) -> None:
    server, pair = ours
    with slow(server.port, 60) as proxy:
        address = Address.parse(pair.address).reached_by(proxy.endpoint, timeout=2.0)
        told = Told(open_objects(Bucket(address)), tmp_path / "cache")
        before = told.everything()
        dying = threading.Timer(after, proxy.process.kill)
        dying.start()
        with pytest.raises(StoreAwayError):
            refresh_for_ever(told)
        dying.join()
    # What was under way gives up within `timeout`; for two seconds after that, all others fail at once.
    time.sleep(2.0 + 2.1)
    with slow(server.port, 0, proxy.port):
        assert told.everything() == before
