"""Our own session, spoken to as the kernels of RHEL 7 to today's do, over a socket and with no mount."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from regfs.mount.kernel.insides import Insides
from regfs.mount.kernel.session import KernelTooOldError
from regfs.oci import Digest
from regfs.tree.inode import of_blob
from regfs.tree.tag import TagDirectory
from tests.adapter import kernels
from tests.adapter.kernels import KERNELS, NEWEST, AskedError, Entry, FakeKernel, KernelVersion
from tests.builder import StoreBuilder
from tests.unit.trees import opened_tree

Mounts = Callable[..., FakeKernel]


@pytest.fixture
def mounted(store: StoreBuilder) -> Iterator[Mounts]:
    """Mount the store; the answer to INIT is not looked at."""
    with opened_tree(store) as tree:
        made: list[FakeKernel] = []

        def mount(version: KernelVersion = NEWEST, **options: object) -> FakeKernel:
            kernel = FakeKernel(tree, version, **options)  # type: ignore[arg-type]
            kernel.mount()
            made.append(kernel)
            return kernel

        yield mount
        for kernel in made:
            kernel.unmount()


@pytest.mark.parametrize("name", KERNELS)
def test_a_walk_and_a_read_through_every_kernel(store: StoreBuilder, mounted: Mounts, name: str) -> None:
    content = os.urandom(300_000)
    pushed = store.image("team/app", "1.0", [store.blob(content, "x/y")])
    kernel = mounted(KERNELS[name])
    assert [one.name for one in kernel.children(1)] == ["team"]
    tag = kernel.walk("team/app/1.0")
    assert [one.name for one in kernel.children(tag.nodeid)] == ["manifest.json", "layers", "config.json"]
    layer = kernel.walk("team/app/1.0/layers/00.bin")
    assert (layer.attr.size, layer.attr.links) == (len(content), 2)
    assert stat.S_ISREG(layer.attr.mode)
    assert (layer.attr.uid, layer.attr.gid) == (1000, 1001)
    assert kernel.content(layer.nodeid) == content
    manifest = kernel.walk("team/app/1.0/manifest.json")
    assert kernel.content(manifest.nodeid) == store.data(pushed.digest).read_bytes()
    assert manifest.attr.ino == of_blob(Digest.parse(pushed.digest))
    assert kernel.getxattr(manifest.nodeid, b"user.regfs.digest").decode() == pushed.digest


#: Bits of flags, by what is wanted where it is offered (KERNEL.md of the project's notes).
WANTED = {0, 7, 8, 9, 12, 13, 18, 22, 23, 24, 30, 37}


@pytest.mark.parametrize("name", KERNELS)
def test_init_takes_what_is_offered_and_wanted_and_is_as_long_as_the_kernel_wants(
    store: StoreBuilder, name: str
) -> None:
    version = KERNELS[name]
    with opened_tree(store) as tree:
        kernel = FakeKernel(tree, version)
        body = kernel.mount()
        kernel.unmount()
    assert len(body) == (24 if version.minor < 23 else 64)
    major, minor, ahead, flags, background, congestion, most = struct.unpack_from("<IIIIHHI", body)
    assert (major, minor) == (7, version.minor)
    assert ahead == 128 << 10
    assert background > congestion >= 100
    assert most >= 4096
    if len(body) == 64:
        pages, _, high, stack = struct.unpack_from("<HHII", body, 28)
        flags |= high << 32
        assert pages == (256 if version.flags >> 22 & 1 else 0)
        assert stack == version.flags >> 37 & 1
    assert {bit for bit in range(64) if flags >> bit & 1} == {
        bit for bit in WANTED if version.flags >> bit & 1
    }


def test_a_kernel_that_is_too_old_is_refused(store: StoreBuilder) -> None:
    with opened_tree(store) as tree:
        kernel = FakeKernel(tree, KernelVersion(12, 16, 0))
        unique = kernel.send(kernels.INIT, 0, kernel.version.init)
        with pytest.raises(KernelTooOldError, match=r"7\.12"):
            kernel.session.begin()
        assert kernel.receive(unique)[0] == errno.EPROTO
        kernel.hang_up()


def test_a_newer_major_is_answered_with_ours_and_asks_again(store: StoreBuilder) -> None:
    with opened_tree(store) as tree:
        kernel = FakeKernel(tree)
        first = kernel.send(kernels.INIT, 0, struct.pack("<IIII", 8, 0, 0, 0))
        second = kernel.send(kernels.INIT, 0, kernel.version.init)
        kernel.session.begin()
        assert struct.unpack_from("<II", kernel.receive(first)[1]) == (7, 45)
        assert len(kernel.receive(second)[1]) == 64
        kernel.hang_up()


# --- identity and lifetimes ----------------------------------------------------------------------------


def test_names_in_an_image_are_for_ever_and_names_in_a_repository_have_the_ttl(
    store: StoreBuilder, mounted: Mounts
) -> None:
    store.image("app", "1.0")
    kernel = mounted(ttl=3.5)
    assert kernel.walk("app").entry_valid == 3.5
    tag = kernel.walk("app/1.0")
    assert (tag.entry_valid, tag.attr_valid) == (3.5, 3.5)
    for one in kernel.children(tag.nodeid):
        assert one.entry is not None
        assert one.entry.entry_valid >= 1 << 31
        assert one.entry.attr_valid >= 1 << 31
    nothing = kernel.lookup(tag.nodeid, "nothing")
    assert (nothing.nodeid, nothing.entry_valid) == (0, 3.5)


def test_a_tag_that_moves_is_another_inode_and_the_old_one_reads_on(
    store: StoreBuilder, mounted: Mounts
) -> None:
    old = store.image("app", "1.0", config=store.config(number=1))
    kernel = mounted()
    before = kernel.walk("app/1.0")
    (config,) = [one for one in kernel.children(before.nodeid) if one.name == "config.json"]
    assert kernel.walk("app/1.0").nodeid == before.nodeid
    new = store.image("app", "1.0", config=store.config(number=2))
    after = kernel.walk("app/1.0")
    assert after.nodeid != before.nodeid
    assert config.entry is not None
    assert b'"number": 1' in kernel.content(config.entry.nodeid)
    assert b'"number": 2' in kernel.content(kernel.walk("app/1.0/config.json").nodeid)
    for nodeid, pushed in ((before.nodeid, old), (after.nodeid, new)):
        found = kernel.lookup(nodeid, "manifest.json")
        assert kernel.content(found.nodeid) == store.data(pushed.digest).read_bytes()


def test_a_tag_pushed_again_in_the_same_second_is_another_inode(store: StoreBuilder, mounted: Mounts) -> None:
    """As where links were copied without their nanoseconds."""
    store.image("app", "1.0", config=store.config(number=1))
    link = store.v2 / "repositories/app/_manifests/tags/1.0/current/link"
    os.utime(link, ns=(10**18, 10**18))
    kernel = mounted()
    before = kernel.walk("app/1.0")
    kernel.children(before.nodeid)
    store.image("app", "1.0", config=store.config(number=2))
    os.utime(link, ns=(10**18, 10**18))
    assert kernel.walk("app/1.0").nodeid != before.nodeid
    assert b'"number": 2' in kernel.content(kernel.walk("app/1.0/config.json").nodeid)


def test_a_nodeid_is_never_used_again(store: StoreBuilder, mounted: Mounts) -> None:
    store.image("app", "1.0")
    kernel = mounted()
    seen: set[int] = set()
    for _ in range(20):
        entries = [kernel.walk("app"), kernel.walk("app/1.0"), kernel.walk("app/1.0/layers/00.tar.gz")]
        assert not seen & {entry.nodeid for entry in entries}
        seen |= set(kernel.known)
        kernel.forget_all()
        assert kernel.statfs()  # what was forgotten before is forgotten by now
        assert kernel.session.remembered == 0
    for nodeid in seen:
        with pytest.raises(AskedError) as refused:
            kernel.getattr(nodeid)
        assert refused.value.errno == errno.ESTALE


def test_what_is_forgotten_in_part_is_still_known(store: StoreBuilder, mounted: Mounts) -> None:
    store.image("app", "1.0")
    kernel = mounted()
    for _ in range(3):
        tag = kernel.walk("app/1.0")
    kernel.forget(tag.nodeid, 2)
    assert stat.S_ISDIR(kernel.getattr(tag.nodeid)[1].mode)
    kernel.forget(tag.nodeid, 1)
    with pytest.raises(AskedError):
        kernel.getattr(tag.nodeid)


def test_a_part_keeps_its_image_known(store: StoreBuilder, mounted: Mounts) -> None:
    store.image("app", "1.0")
    kernel = mounted()
    manifest = kernel.walk("app/1.0/manifest.json")
    tag = kernel.walk("app/1.0")
    kernel.forget(tag.nodeid)
    assert kernel.content(manifest.nodeid)
    kernel.forget(manifest.nodeid)
    with pytest.raises(AskedError):
        kernel.getattr(manifest.nodeid)


# --- listings ------------------------------------------------------------------------------------------


def test_a_directory_that_changes_between_two_calls_shows_nothing_twice(
    store: StoreBuilder, mounted: Mounts
) -> None:
    for number in range(100):
        store.image("app", f"t{number:03}")
    kernel = mounted()
    app = kernel.walk("app").nodeid
    found = kernel.listing(app, size=4096)
    assert 10 < len(found) < 60
    store.image("app", "a-new")
    store.image("app", "t500")
    while some := kernel.listing(app, size=4096, offset=found[-1].cookie):
        found += some
    names = [one.name for one in found]
    assert names == [".", "..", *(f"t{number:03}" for number in range(100))]
    assert {"a-new", "t500"} <= {one.name for one in kernel.children(app)}


@pytest.mark.parametrize("plus", [True, False])
def test_to_go_on_from_any_name_gives_what_is_behind_it(
    store: StoreBuilder, mounted: Mounts, plus: bool
) -> None:
    for number in range(30):
        store.image("app", f"t{number:03}")
    kernel = mounted()
    app = kernel.walk("app").nodeid
    everything = kernel.listing(app, size=1 << 16, plus=plus)
    for place in (3, 20, 7, 0, len(everything) - 1):
        rest = kernel.listing(app, size=1 << 16, offset=everything[place].cookie, plus=plus)
        assert [one.name for one in rest] == [one.name for one in everything[place + 1 :]]


def test_a_listing_that_the_kernel_may_have_cached_is_dropped_when_it_changed(
    store: StoreBuilder, mounted: Mounts
) -> None:
    store.image("app", "1.0")
    kernel = mounted()
    app = kernel.walk("app").nodeid
    kernel.children(app)
    kernel.getattr(app)
    kernel.walk("app")
    assert kernel.notices == []
    store.image("app/nested", "1.0")  # the time of the directory of tags stays
    kernel.getattr(app)
    assert kernel.notices == [(2, struct.pack("<Qqq", app, 0, 0))]


def test_opendir_is_left_out_where_the_kernel_can_do_without(store: StoreBuilder, mounted: Mounts) -> None:
    new, old = mounted(), mounted(KERNELS["RHEL 7"])
    with pytest.raises(AskedError) as refused:
        new.ask(kernels.OPENDIR, 1, bytes(8))
    assert refused.value.errno == errno.ENOSYS
    assert old.ask(kernels.OPENDIR, 1, bytes(8)) == bytes(16)
    assert old.ask(kernels.RELEASEDIR, 1, bytes(24)) == b""


# --- files ---------------------------------------------------------------------------------------------


def test_a_file_cut_short_is_eio_at_open_and_while_it_is_open(store: StoreBuilder, mounted: Mounts) -> None:
    layer = store.blob(os.urandom(10_000), "x/y")
    store.image("app", "1.0", [layer])
    kernel = mounted()
    nodeid = kernel.walk("app/1.0/layers/00.bin").nodeid
    handle, _ = kernel.open(nodeid)
    os.truncate(store.data(layer.digest), 5000)
    with pytest.raises(AskedError) as cut:
        kernel.read(nodeid, handle, 0, 10_000)
    assert cut.value.errno == errno.EIO
    assert len(kernel.read(nodeid, handle, 0, 4096)) == 4096
    kernel.release(nodeid, handle)
    with pytest.raises(AskedError) as short:
        kernel.open(nodeid)
    assert short.value.errno == errno.EIO


def test_lseek_finds_the_end_of_data(store: StoreBuilder, mounted: Mounts) -> None:
    layer = store.blob(b"x" * 5000, "x/y")
    store.image("app", "1.0", [layer])
    kernel = mounted()
    nodeid = kernel.walk("app/1.0/layers/00.bin").nodeid
    handle, _ = kernel.open(nodeid)

    def seek(offset: int, whence: int) -> int:
        answer = kernel.ask(kernels.LSEEK, nodeid, struct.pack("<QQII", handle, offset, whence, 0))
        (found,) = struct.unpack("<Q", answer)
        assert isinstance(found, int)
        return found

    assert seek(100, os.SEEK_DATA) == 100
    assert seek(100, os.SEEK_HOLE) == 5000
    with pytest.raises(AskedError) as behind:
        seek(6000, os.SEEK_DATA)
    assert behind.value.errno == errno.ENXIO


def test_statx_makes_the_kernel_ask_as_it_used_to(mounted: Mounts) -> None:
    with pytest.raises(AskedError) as refused:
        mounted().ask(kernels.STATX, 1, bytes(24))
    assert refused.value.errno == errno.ENOSYS


# --- stuck requests ------------------------------------------------------------------------------------


@pytest.fixture
def stuck(store: StoreBuilder, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Opens of blobs wait for this event."""
    from regfs.registry import Contents

    free = threading.Event()
    plain = Contents.open_blob

    def open_blob(self: Contents, digest: Digest, size: int | None = None) -> object:
        assert free.wait(30)
        return plain(self, digest, size)

    monkeypatch.setattr(Contents, "open_blob", open_blob)
    yield free
    free.set()


def test_what_is_stuck_holds_up_no_other_and_can_be_interrupted(
    store: StoreBuilder, mounted: Mounts, stuck: threading.Event
) -> None:
    store.image("app", "1.0")
    kernel = mounted()
    nodeid = kernel.walk("app/1.0/config.json").nodeid
    opens = [kernel.send(kernels.OPEN, nodeid, bytes(8)) for _ in range(5)]
    assert kernel.walk("app/1.0").nodeid
    kernel.send(kernels.INTERRUPT, 0, struct.pack("<Q", opens[2]))
    assert kernel.receive(opens[2]) == (errno.EINTR, b"")
    stuck.set()
    answered = {kernel_unique for kernel_unique in opens if kernel_unique != opens[2]}
    while answered:
        message = kernel.ours.recv(4096)
        _, error, unique = struct.unpack_from("<IiQ", message)
        assert error == 0
        answered.remove(unique)
    assert kernel.walk("app/1.0").nodeid


def test_with_all_threads_stuck_interrupts_are_still_read(
    store: StoreBuilder, mounted: Mounts, stuck: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regfs.mount.kernel.crew._MOST", 2)
    store.image("app", "1.0")
    kernel = mounted()
    nodeid = kernel.walk("app/1.0/config.json").nodeid
    opens = [kernel.send(kernels.OPEN, nodeid, bytes(8)) for _ in range(5)]
    kernel.send(kernels.INTERRUPT, 0, struct.pack("<Q", opens[4]))
    assert kernel.receive(opens[4]) == (errno.EINTR, b"")
    stuck.set()
    left = set(opens[:4])
    while left:
        _, error, unique = struct.unpack_from("<IiQ", kernel.ours.recv(4096))
        assert error == 0
        left.remove(unique)


# --- inside images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [True, False])
def test_what_is_inside_keeps_its_number_until_it_is_forgotten(
    store: StoreBuilder, mounted: Mounts, caches: object, monkeypatch: pytest.MonkeyPatch, room: bool
) -> None:
    """Where an image has more than a million names, each of the others is a thing of its own."""
    if not room:
        monkeypatch.setattr(Insides, "number", lambda *_: None)
    files = {f"d{number}/e/f{number}": b"%d" % number for number in range(300)}
    store.image("app", "1", [store.layer(files)], store.config(rootfs={"type": "layers"}))
    kernel = mounted()
    top = kernel.walk("app/1/rootfs").nodeid
    found = {one.name: one.entry for one in kernel.children(top)}
    assert set(found) == {f"d{number}" for number in range(300)}
    for number in (7, 299, 0, 7):
        below = kernel.walk(f"app/1/rootfs/d{number}/e")
        entry = found[f"d{number}"]
        assert entry
        assert kernel.walk(f"app/1/rootfs/d{number}").nodeid == entry.nodeid
        (file,) = kernel.children(below.nodeid)
        assert file.entry
        assert kernel.content(file.entry.nodeid) == b"%d" % number
        assert kernel.getattr(file.entry.nodeid)[1] == file.entry.attr
        assert kernel.session._requests.inodes.path(file.entry.nodeid) == (
            f"/app/1/rootfs/d{number}/e/f{number}"
        )
    kernel.forget_all()
    assert kernel.statfs()
    assert kernel.session.remembered == 0
    with pytest.raises(AskedError) as refused:
        kernel.getattr(below.nodeid)
    assert refused.value.errno == errno.ESTALE


# --- what is expected ----------------------------------------------------------------------------------


def test_a_walk_finds_the_next_listings_made_and_whoever_lists_one_directory_has_none_made(
    store: StoreBuilder, mounted: Mounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    plain = TagDirectory.entries

    def entries(self: TagDirectory) -> object:
        listed.append(self.tag)
        return plain(self)

    monkeypatch.setattr(TagDirectory, "entries", entries)
    for tag in "abcde":
        store.image("app", tag)
    kernel = mounted()
    expected = kernel.session._requests.expected  # while there is something, the leader is at it
    app = kernel.lookup(1, "app").nodeid
    for shown in kernel.children(app):
        assert shown.entry
        below = kernel.children(shown.entry.nodeid)
        assert (listed == ["a"]) is (shown.name == "a")
        for one in below:
            if one.entry and stat.S_ISDIR(one.entry.attr.mode):
                kernel.children(one.entry.nodeid)
        while expected() is not None:
            time.sleep(0.001)
    assert listed == list("abcde")  # each of them once
    kernel.forget_all()
    assert kernel.statfs()
    assert kernel.session.remembered == 0


# --- what a kernel would not send ----------------------------------------------------------------------


def test_hostile_requests_are_answered_with_an_error_and_nothing_else_happens(
    store: StoreBuilder, mounted: Mounts, caplog: pytest.LogCaptureFixture
) -> None:
    store.image("app", "1.0")
    kernel = mounted()
    tag = kernel.walk("app/1.0").nodeid
    nodeids = (0, 1, 2, 3, tag, tag + 1, tag + 15, tag + 500, 1 << 62, (1 << 64) - 1)
    bodies = (b"", b"\0", b"x", b"../x\0", b"a\0b\0", b"\xff" * 8, b"\xff" * 40, bytes(40), bytes(4096))
    unanswered = {kernels.FORGET, kernels.BATCH_FORGET, kernels.INTERRUPT}
    for opcode in (*range(60), 4095, 0xFFFFFFFF):
        for nodeid in nodeids:
            for body in bodies:
                unique = kernel.send(opcode, nodeid, body)
                if opcode not in unanswered:
                    kernel.receive(unique)
    kernel.ours.send(b"short")
    kernel.ours.send(struct.pack("<IIQQIIII", 99, kernels.GETATTR, 7, 1, 0, 0, 0, 0))
    assert [one.name for one in kernel.children(1)] == ["app"]
    assert "unexpected error" not in caplog.text


def test_each_way_to_write_is_erofs(store: StoreBuilder, mounted: Mounts) -> None:
    store.image("app", "1.0")
    kernel = mounted()
    manifest = kernel.walk("app/1.0/manifest.json").nodeid
    for opcode in (4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 47, 51):
        with pytest.raises(AskedError) as refused:
            kernel.ask(opcode, manifest, bytes(64))
        assert refused.value.errno == errno.EROFS
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_TRUNC):
        with pytest.raises(AskedError) as refused:
            kernel.open(manifest, flags)
        assert refused.value.errno == errno.EROFS


def test_other_users_are_refused_with_allow_root(store: StoreBuilder, mounted: Mounts) -> None:
    store.image("app", "1.0")
    kernel = mounted(only_for=frozenset({0, 1000}))
    for uid in (0, 1000):
        assert kernel.ask(kernels.LOOKUP, 1, b"app\0", uid=uid)
    with pytest.raises(AskedError) as refused:
        kernel.ask(kernels.LOOKUP, 1, b"app\0", uid=1001)
    assert refused.value.errno == errno.EACCES


def test_damage_is_logged_with_the_path_and_the_reason(
    store: StoreBuilder, mounted: Mounts, caplog: pytest.LogCaptureFixture
) -> None:
    layer = store.blob(b"x", "x/y")
    store.image("team/app", "1.0", [layer])
    store.data(layer.digest).unlink()
    kernel = mounted()
    found = kernel.walk("team/app/1.0/layers/00.bin")
    assert (found.attr.size, found.attr_valid) == (1, 10.0)
    with pytest.raises(AskedError) as damaged:
        kernel.open(found.nodeid)
    assert damaged.value.errno == errno.EIO
    assert f"/team/app/1.0/layers/00.bin: blob {layer.digest} is not stored" in caplog.text


def test_xattrs_are_sized_and_those_of_other_namespaces_are_not_supported(
    store: StoreBuilder, mounted: Mounts
) -> None:
    pushed = store.image("app", "1.0")
    kernel = mounted()
    tag = kernel.walk("app/1.0").nodeid
    assert kernel.getxattr(tag, b"user.regfs.digest", 0) == struct.pack("<II", len(pushed.digest), 0)
    for name, size, number in (
        (b"user.regfs.digest", 3, errno.ERANGE),
        (b"user.other", 100, errno.ENODATA),
        (b"security.selinux", 100, errno.ENOTSUP),
        (b"system.posix_acl_access", 0, errno.ENOTSUP),
    ):
        with pytest.raises(AskedError) as refused:
            kernel.getxattr(tag, name, size)
        assert refused.value.errno == number


def test_reports_are_listed_and_not_made(store: StoreBuilder, mounted: Mounts) -> None:
    store.image("app", "1.0")
    kernel = mounted()
    reports = kernel.walk("@reports").nodeid
    listed = kernel.children(reports)
    assert "summary.txt" in [one.name for one in listed]
    assert all(one.entry is None for one in listed)


@pytest.mark.parametrize("name", [b".\0", b"..\0"])
def test_no_kernel_is_told_that_it_may_look_for_a_forgotten_number(
    store: StoreBuilder, mounted: Mounts, name: bytes
) -> None:
    """EXPORT_SUPPORT (bit 4, see WANTED) is for NFS servers: LOOKUP of `.` would have to find any number."""
    store.image("app", "1.0")
    kernel = mounted()
    for nodeid in (1, kernel.walk("app/1.0").nodeid):
        with pytest.raises(AskedError) as refused:
            kernel.ask(kernels.LOOKUP, nodeid, name)
        assert refused.value.errno == errno.EINVAL


# --- nodes that are not kept ---------------------------------------------------------------------------


def all_below(kernel: FakeKernel, nodeid: int, path: str = "") -> dict[str, Entry]:
    """Walk; give what is told of each name that is told of."""
    found: dict[str, Entry] = {}
    for one in kernel.children(nodeid):
        entry = one.entry or kernel.lookup(nodeid, one.name)
        found[f"{path}/{one.name}"] = entry
        if stat.S_ISDIR(entry.attr.mode):
            found |= all_below(kernel, entry.nodeid, f"{path}/{one.name}")
    return found


def test_a_node_that_was_not_kept_is_found_again_by_its_name(
    store: StoreBuilder, mounted: Mounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel remembers all that anybody looked at, and the mount keeps the nodes that were used last."""
    monkeypatch.setattr("regfs.mount.kernel.inodes._KEPT", 1)
    for number in range(3):
        store.image("team/app", "1.0", config=store.config(number=number), mtime=1_700_000_000 + number)
    child = store.image("team/multi", None)
    store.index("team/multi", "1", [child.descriptor(platform={"os": "linux", "architecture": "amd64"})])
    kernel = mounted()
    found: dict[str, Entry] = {}
    for view in ("@untagged", "@history", "@blobs", "team"):
        top = kernel.lookup(1, view)
        assert top.nodeid
        found |= all_below(kernel, top.nodeid, view)
    assert {path.partition("/")[0] for path in found} == {"@untagged", "@history", "@blobs", "team"}
    assert [path for path in found if path.startswith("team/multi/1/platforms/linux-amd64/layers/")]
    for path, entry in sorted(found.items(), key=lambda item: hash(item[0])):
        assert kernel.getattr(entry.nodeid)[1] == entry.attr, path
        if stat.S_ISREG(entry.attr.mode):
            assert len(kernel.content(entry.nodeid)) == entry.attr.size, path


def test_a_name_that_stands_for_something_else_is_stale_and_what_is_open_stays(
    store: StoreBuilder, mounted: Mounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regfs.mount.kernel.inodes._KEPT", 1)
    pushed = store.image("app/x", "1.0")
    store.image("app", "1.0")
    kernel = mounted()
    nested = kernel.walk("app/x").nodeid
    data = kernel.walk(f"@blobs/sha256/{pushed.digest.removeprefix('sha256:')}/data")
    handle, _ = kernel.open(data.nodeid)
    before = store.data(pushed.digest).read_bytes()
    shutil.rmtree(store.repository("app/x"))
    store.image("app", "x")
    shutil.rmtree(store.data(pushed.digest).parent)
    with pytest.raises(AskedError) as refused:
        kernel.getattr(nested)
    assert refused.value.errno == errno.ESTALE
    assert kernel.read(data.nodeid, handle, 0, 1 << 16) == before
    kernel.release(data.nodeid, handle)
    with pytest.raises(AskedError) as refused:
        kernel.getattr(data.nodeid)
    assert refused.value.errno == errno.ENOENT
