"""What is inside layers, through a real mount, with the tools that people use."""

from __future__ import annotations

import errno
import itertools
import os
import random
import stat
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, need, output, run
from tests.inside import BASE, CAPABILITY, Item, Library, image, push, tar_of
from tests.mount.conftest import NOBODY, as_nobody

pytestmark = pytest.mark.fuse

#: A directory that takes many calls to list, and files of some blocks.
MANY = [f"many/file-{number:04}" for number in range(5000)]
NOISE = {f"noise/{number}": random.Random(number).randbytes(300_000 + number * 4097) for number in range(8)}


class Shown(NamedTuple):
    """A store with what the tests know inside, mounted."""

    library: Library
    top: Path
    large: bytes

    @property
    def image(self) -> Path:
        return self.top / "team/app/1.0"

    @property
    def rootfs(self) -> Path:
        return self.image / "rootfs"

    @property
    def base(self) -> Path:
        return self.image / "layers/00"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, mount_module: Callable[..., Mount]) -> Shown:
    library = Library.build(tmp_path_factory.mktemp("store") / "registry")
    large = tar_of([*(Item(name) for name in MANY), *(Item(*item) for item in NOISE.items())])
    image(library.store, "large", "1.0", [push(library.store, large)])
    return Shown(library, mount_module(library.store.root, "platform=linux/amd64").path, large)


def below(top: Path) -> set[str]:
    """List all below a directory, by relative paths, and follow no symlink."""
    return {
        os.path.relpath(os.path.join(directory, name), top)
        for directory, directories, files in os.walk(top)
        for name in (*directories, *files)
    }


def facts(path: Path) -> tuple[object, ...]:
    """Tell what a copy of a node should have alike."""
    found = path.lstat()
    content: object = None
    if stat.S_ISREG(found.st_mode):
        content = path.read_bytes()
    elif stat.S_ISLNK(found.st_mode):
        content = os.readlink(path)
    size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False) for name in listed_xattrs(path)}
    owner = (found.st_uid, found.st_gid)
    return found.st_mode, owner, size, found.st_mtime_ns, found.st_rdev, content, xattrs


def listed_xattrs(path: Path) -> list[str]:
    return os.listxattr(path, follow_symlinks=False)


def linked(top: Path) -> set[frozenset[str]]:
    """Give the names of each file that has several."""
    by_inode: dict[int, set[str]] = {}
    for name in below(top):
        by_inode.setdefault((top / name).lstat().st_ino, set()).add(name)
    return {frozenset(names) for names in by_inode.values() if len(names) > 1}


# --- listings --------------------------------------------------------------------------------------------


def test_tools_that_walk_the_whole_mount_read_no_layer(
    store: StoreBuilder, mount: Callable[..., Mount], cache: Path
) -> None:
    image(store, "app", "1.0", [push(store, tar_of(BASE))])
    made = mount(store)
    found = output("find", made.path).splitlines()
    assert {Path(line).name for line in found} >= {"manifest.json", "config.json", "layers", "00.tar.gz"}
    assert not [line for line in found if "rootfs" in line or line.endswith(("/00", "/00.tar"))]
    total = int(output("du", "-s", "-b", "--apparent-size", made.path).split()[0])
    assert total == sum(path.stat().st_size for path in store.v2.glob("blobs/sha256/*/*/data"))
    assert run("grep", "-r", "root:x:0:0", made.path).returncode == 1  # it is there, but compressed
    output("ls", "-lR", made.path)
    assert not (cache / "regfs" / "layers").exists()
    output("ls", made.path / "app/1.0/rootfs")
    assert (cache / "regfs" / "layers").exists()


def test_a_wrong_name_is_no_entry(shown: Shown) -> None:
    names = ("layers/0", "layers/000", "layers/00.tar.zst", "layers/99", "layers/99.tar", "rootfs.tar")
    for path in (*(shown.image / name for name in names), shown.top / "chart/1.0/rootfs"):
        with pytest.raises(FileNotFoundError):
            path.lstat()


def test_an_index_leads_to_its_default_platforms_rootfs(shown: Shown) -> None:
    index = shown.top / "multi/1.0"
    assert os.readlink(index / "rootfs") == "platforms/linux-amd64/rootfs"
    assert (index / "rootfs/etc/arch").read_text() == "amd64"
    assert (index / "platforms/linux-arm64/rootfs/etc/arch").read_text() == "arm64"


def test_a_directory_of_five_thousand_is_listed_whole(shown: Shown) -> None:
    many = shown.top / "large/1.0/rootfs/many"
    assert sorted(f"many/{name}" for name in os.listdir(many)) == MANY
    assert len(output("find", many, "-type", "f", "-empty").splitlines()) == len(MANY)


# --- attributes ------------------------------------------------------------------------------------------


def test_stat_tells_what_the_tar_says(shown: Shown) -> None:
    for item in BASE:
        found = os.lstat(shown.base / item.name)
        if item.target.startswith("usr/lib"):  # a hard link: its attributes are the file's that it names
            continue
        assert stat.S_IMODE(found.st_mode) == item.mode, item.name
        assert (found.st_uid, found.st_gid) == item.owner
        assert found.st_mtime_ns == item.mtime_ns, item.name
        assert found.st_rdev == os.makedev(*item.device)
        if stat.S_ISREG(found.st_mode):
            assert (found.st_size, (shown.base / item.name).read_bytes()) == (len(item.content), item.content)


def test_each_type_is_what_stat_and_a_listing_tell(shown: Shown) -> None:
    dev = shown.rootfs / "dev"
    assert {path.name: stat.S_IFMT(path.lstat().st_mode) for path in dev.iterdir()} == {
        "null": stat.S_IFCHR,
        "disk": stat.S_IFBLK,
        "pipe": stat.S_IFIFO,
    }
    for letter, name in (("c", "null"), ("b", "disk"), ("p", "pipe")):
        assert output("find", dev, "-type", letter).splitlines() == [str(dev / name)]
    assert output("stat", "-c", "%t %T", dev / "disk").split() == ["103", "12c"]


def test_a_device_cannot_be_opened(shown: Shown) -> None:
    """Not even by root: the mount is nodev."""
    for name in ("null", "disk"):
        with pytest.raises(PermissionError):
            os.open(shown.rootfs / "dev" / name, os.O_RDONLY)


def test_a_named_pipe_is_the_kernels(shown: Shown) -> None:
    reading = os.open(shown.rootfs / "dev/pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_a_setuid_program_changes_nobodys_user(shown: Shown) -> None:
    assert (shown.rootfs / "usr/bin/su").stat().st_mode & stat.S_ISUID
    line = next(line for line in Path("/proc/mounts").read_text().splitlines() if f" {shown.top} " in line)
    assert {"ro", "nosuid", "nodev"} <= set(line.split()[3].split(","))


def test_all_names_of_a_file_have_one_inode(shown: Shown) -> None:
    tops = [*(shown.top / "team/app" / tag / "rootfs" for tag in ("1.0", "1.1")), shown.base]
    found = [os.stat(top / "usr/lib" / name) for top in tops for name in ("one", "two", "three")]
    assert len({each.st_ino for each in found}) == 1
    assert {each.st_nlink for each in found} == {3}
    assert os.stat(shown.rootfs / "srv/passwd").st_ino == os.stat(shown.rootfs / "etc/passwd").st_ino
    listed = {entry.name: entry.inode() for entry in os.scandir(shown.rootfs / "usr/lib")}
    assert set(listed.values()) == {found[0].st_ino}


def test_symlinks_point_to_what_the_image_says(shown: Shown) -> None:
    assert os.readlink(shown.rootfs / "etc/mtab") == "/proc/mounts"
    assert os.readlink(shown.rootfs / "bin") == "/usr/bin"
    assert (shown.rootfs / "usr/relative").read_text() == "#!/bin/sh\necho tool\n"


def test_a_name_that_is_no_utf_8_is_found_and_listed(shown: Shown) -> None:
    path = os.fsencode(shown.rootfs) + b"/var/caf\xe9"
    with open(path, "rb") as file:
        assert file.read() == b"latin\n"
    assert b"caf\xe9" in os.listdir(os.fsencode(shown.rootfs) + b"/var")


def test_getfattr_dumps_the_images_attributes(shown: Shown) -> None:
    for top in (shown.rootfs, shown.base):
        path = top / "var/noted"
        dump = output(need("getfattr"), "-d", "-m", "-", "-e", "hex", "--absolute-names", path)
        told = dict(line.split("=", 1) for line in dump.splitlines() if "=" in line)
        assert told == {"user.note": "0x610062ff", "security.capability": f"0x{CAPABILITY.hex()}"}


def test_what_is_no_attribute_is_told_by_its_errno(shown: Shown) -> None:
    def failure(path: Path, name: str) -> int:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - which is what the test is about
            os.getxattr(path, name)
        return caught.value.errno or 0

    assert failure(shown.rootfs / "var/noted", "user.other") == errno.ENODATA
    assert failure(shown.rootfs / "etc/passwd", "security.capability") == errno.ENODATA
    assert failure(shown.image / "config.json", "user.other") == errno.ENODATA
    for name in ("security.capability", "trusted.overlay.opaque"):
        assert failure(shown.image / "config.json", name) == errno.ENOTSUP


# --- contents --------------------------------------------------------------------------------------------


def test_what_a_later_layer_hides_is_gone_from_rootfs_alone(shown: Shown) -> None:
    assert (shown.rootfs / "etc/os-release").read_text() == "ID=demo\nVERSION_ID=2\n"
    assert (shown.base / "etc/os-release").read_text() == "ID=demo\nVERSION_ID=1\n"
    assert not (shown.rootfs / "var/gone").exists()
    assert (shown.base / "var/gone").exists()
    assert os.listdir(shown.rootfs / "opt") == ["own"]
    assert sorted(os.listdir(shown.image / "layers/01/opt")) == [".wh..wh..opq", "own"]
    assert (shown.image / "layers/01/var/.wh.gone").stat().st_size == 0


def test_the_same_file_reads_alike_in_its_layer_and_merged(shown: Shown) -> None:
    for path in ("etc/passwd", "usr/lib/two", "var/noted"):
        assert (shown.rootfs / path).read_bytes() == (shown.base / path).read_bytes()
        assert (shown.rootfs / path).stat().st_ino == (shown.base / path).stat().st_ino


def test_the_tar_is_a_tar_to_tar(shown: Shown) -> None:
    names = output("tar", "-tf", shown.image / "layers/00.tar").splitlines()
    assert len(names) == len(BASE)
    assert run("sha256sum", shown.image / "layers/00.tar").stdout.split()[0] in shown.library.base.diff_id


def test_random_reads_of_the_tar_are_slices_of_it(shown: Shown) -> None:
    noise = random.Random(7)
    descriptor = os.open(shown.top / "large/1.0/layers/00.tar", os.O_RDONLY)
    try:
        assert os.fstat(descriptor).st_size == len(shown.large)
        for _ in range(300):
            offset, size = noise.randrange(len(shown.large) + 1000), noise.randrange(1, 300_000)
            assert os.pread(descriptor, size, offset) == shown.large[offset : offset + size], (offset, size)
    finally:
        os.close(descriptor)


def test_eight_threads_at_once_each_get_their_own_bytes(shown: Shown) -> None:
    noise = random.Random(8)
    top = shown.top / "large/1.0"
    asked = list(itertools.product(range(4), NOISE))
    noise.shuffle(asked)

    def wrong(what: tuple[int, str]) -> str | None:
        turn, name = what
        where = top / ("rootfs" if turn % 2 else "layers/00") / name
        with where.open("rb", buffering=0) as file:
            for offset in range(0, len(NOISE[name]), 65_521):
                if os.pread(file.fileno(), 65_521, offset) != NOISE[name][offset : offset + 65_521]:
                    return f"{where} at {offset}"
        return None

    with ThreadPoolExecutor(8) as threads:
        assert [found for found in threads.map(wrong, asked) if found] == []


# --- tools -----------------------------------------------------------------------------------------------


def test_tar_packs_all_of_rootfs(shown: Shown) -> None:
    packed = subprocess.run(["tar", "-C", shown.rootfs, "-c", "."], capture_output=True, check=True)
    assert packed.stderr == b""
    listing = subprocess.run(["tar", "-t"], input=packed.stdout, capture_output=True, check=True).stdout
    names = {line.rstrip(b"/") for line in listing.splitlines()} - {b"."}
    assert len(names) == len(below(shown.rootfs))


@pytest.mark.parametrize("command", ["cp -a --", "rsync -aHX"])
def test_a_copy_is_the_image(as_root: None, shown: Shown, tmp_path: Path, command: str) -> None:
    program, *options = command.split()
    copy = tmp_path / "copy"
    output(need(program), *options, f"{shown.rootfs}/" if program == "rsync" else shown.rootfs, copy)
    assert below(copy) == below(shown.rootfs)
    for name in below(copy):
        assert facts(copy / name) == facts(shown.rootfs / name), name
    assert linked(copy) == linked(shown.rootfs)


def test_diff_tells_two_tags_apart(shown: Shown) -> None:
    other = shown.top / "team/app/1.1/rootfs"
    done = run("diff", "-r", "--no-dereference", shown.rootfs, other)
    assert done.stdout.splitlines() == [f"Only in {other}/etc: new"]
    layers = run("diff", "-r", "--no-dereference", "-q", shown.base, shown.rootfs)
    told = set(layers.stdout.splitlines())
    assert f"Files {shown.base}/etc/os-release and {shown.rootfs}/etc/os-release differ" in told
    assert {f"Only in {shown.rootfs}: srv", f"Only in {shown.base}/var: gone"} <= told


@pytest.mark.parametrize("program", ["gzip", "zstd", "xz", "cat"])
def test_a_tree_packed_by_tar_shows_as_it_was(
    as_root: None, store: StoreBuilder, mount: Callable[..., Mount], tmp_path: Path, program: str
) -> None:
    """All that GNU tar packs from a real file system: holes, devices, links, capabilities, odd times."""
    top = tmp_path / "tree"
    real_tree(top)
    command = ["tar", "--format=pax", "--sparse", "--xattrs", "--xattrs-include=*", "--numeric-owner"]
    packed = subprocess.run([*command, "-C", top, "-c", "."], capture_output=True, check=True)
    image(store, "app", "1.0", [push(store, packed.stdout, program)])
    made = mount(store)
    for name in ("rootfs", "layers/00"):
        found = made.path / "app/1.0" / name
        assert below(found) == below(top)
        for path in below(top):
            want = list(facts(top / path))
            if name == "rootfs":  # as unpackers have it
                want[3] = max((top / path).lstat().st_mtime_ns, 0)
            assert list(facts(found / path)) == want, path
        assert linked(found) == linked(top)
    holes = made.path / "app/1.0/rootfs/holes"
    with holes.open("rb") as file:
        assert os.pread(file.fileno(), 8, (5 << 20) - 4) == bytes(4) + b"midd"
    assert (made.path / "app/1.0/layers/00.tar").read_bytes() == packed.stdout


def real_tree(top: Path) -> None:
    for directory in ("a/deep/directory", "empty"):
        (top / directory).mkdir(parents=True)
    with (top / "holes").open("wb") as file:
        for offset, content in ((1 << 20, b"begin"), (5 << 20, b"middle"), ((9 << 20) + 17, b"end")):
            file.seek(offset)
            file.write(content)
        file.truncate(12 << 20)
    (top / "all-hole").touch()
    os.truncate(top / "all-hole", 3 << 20)
    (top / "a/plain").write_bytes(random.Random(3).randbytes(100_001))
    os.link(top / "a/plain", top / "a/deep/same")
    os.link(top / "a/plain", top / "a/deep/directory/same")
    (top / "a" / ("long-" * 48)).write_bytes(b"a name of 240 bytes")
    with open(os.fsencode(top) + b"/\xff\xfe \n", "wb") as odd:
        odd.write(b"odd")
    os.symlink("x" * 300, top / "a/points-far")
    os.symlink(b"\xffnowhere", os.fsencode(top) + b"/a/points-oddly")
    os.mkfifo(top / "pipe")
    os.mknod(top / "zero", stat.S_IFCHR | 0o622, os.makedev(1, 5))
    os.mknod(top / "loop", stat.S_IFBLK | 0o660, os.makedev(7, 3))
    os.chown(top / "loop", 0, 6)
    os.chown(top / "a/plain", 123_456, 654_321)  # which clears setuid: the mode comes later
    os.chmod(top / "a/plain", 0o6711)
    os.chmod(top / "empty", 0o1777)
    os.setxattr(top / "a/plain", "user.kind", b"\0\xff\n=")
    os.setxattr(top / "a/plain", "security.capability", CAPABILITY)
    os.utime(top / "holes", ns=(0, -1_234_567_891_234_567_891 // 1000))
    os.utime(top / "a/deep", ns=(0, 1_234_567_890_000_000_007))
    os.utime(top / "a", ns=(0, 4_102_444_800_999_999_999))


# --- options ---------------------------------------------------------------------------------------------


def test_owner_me_shows_all_as_the_mounting_users(shown: Shown, mount: Callable[..., Mount]) -> None:
    rootfs = mount(shown.library.store, "owner=me,uid=1234,gid=4321").path / "team/app/1.0/rootfs"
    want = {
        "etc/shadow": 0o444,
        "home/user/file": 0o444,
        "usr/bin/tool": 0o555,
        "usr/bin/su": 0o555,
        "home/user": 0o555,
        "tmp": 0o555,
        ".": 0o555,
    }
    assert {name: stat.S_IMODE((rootfs / name).lstat().st_mode) for name in want} == want
    found = {((rootfs / name).lstat().st_uid, (rootfs / name).lstat().st_gid) for name in below(rootfs)}
    assert found == {(1234, 4321)}


def test_umask_takes_bits_from_what_the_image_says(shown: Shown, mount: Callable[..., Mount]) -> None:
    rootfs = mount(shown.library.store, "umask=027").path / "team/app/1.0/rootfs"
    want = {"etc/passwd": 0o640, "usr/bin/su": 0o4750, "home/user/file": 0o640, "tmp": 0o1750, "etc": 0o750}
    assert {name: stat.S_IMODE((rootfs / name).lstat().st_mode) for name in want} == want
    rootfs = mount(shown.library.store, "umask=077,owner=me").path / "team/app/1.0/rootfs"
    assert stat.S_IMODE((rootfs / "usr/bin/su").stat().st_mode) == 0o500


def test_the_images_modes_hold_for_other_users(
    as_root: None, fuse: None, shown: Shown, public: Path, store: StoreBuilder
) -> None:
    made = Mount(shown.library.store.root, public / "mnt", "allow_other")
    try:
        rootfs = made.path / "team/app/1.0/rootfs"
        assert as_nobody("cat", rootfs / "etc/passwd").stdout == BASE[1].content.decode()
        for name in ("etc/shadow", "home/user/file", "home/user"):
            done = as_nobody("ls" if name.endswith("user") else "cat", rootfs / name)
            assert (done.returncode != 0, "Permission denied" in done.stderr) == (True, True), name
        ids = ("--reuid=1000", f"--regid={NOBODY}", "--clear-groups")
        assert run(need("setpriv"), *ids, "--", "cat", rootfs / "home/user/file").stdout == "mine\n"
    finally:
        made.end()


def test_a_small_cache_keeps_what_was_used_last(
    store: StoreBuilder, mount: Callable[..., Mount], cache: Path
) -> None:
    for number in range(4):
        image(store, "app", f"{number}", [push(store, tar_of([Item(f"file-{number}", b"x")]))])
    top = mount(store, "cache_size=1").path / "app"
    for turn in (*range(4), *range(4)):
        assert os.listdir(top / str(turn) / "rootfs") == [f"file-{turn}"]
        assert (top / str(turn) / "rootfs" / f"file-{turn}").read_bytes() == b"x"
    assert len(list((cache / "regfs/layers").glob("*.sqlite"))) == 1
