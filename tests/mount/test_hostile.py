"""A hostile store, walked through a real mount while strace looks at what regfs opens."""

from __future__ import annotations

import os
import re
import signal
import site
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Mount, cannot_run, need, output, run
from tests.mount.conftest import lines, until
from tests.mount.hostile import NOT_UTF8, SECRET, HostileStore, build

pytestmark = pytest.mark.fuse

#: What must be EIO, and a text that its line in the log must hold.
REFUSED = {
    "link-dots/bad": "link-dots/_manifests/tags/bad/current/link: not a digest",
    "link-absolute/bad": "link-absolute/_manifests/tags/bad/current/link: not a digest",
    "link-digest-dots/bad": "link-digest-dots/_manifests/tags/bad/current/link: not a digest",
    "link-digest-path/bad": "link-digest-path/_manifests/tags/bad/current/link: not a digest",
    "link-algorithm-dots/bad": "link-algorithm-dots/_manifests/tags/bad/current/link: not a digest",
    "link-upper/bad": "link-upper/_manifests/tags/bad/current/link: not a digest",
    "link-nul/bad": "link-nul/_manifests/tags/bad/current/link: not a digest",
    "link-huge/bad": "link-huge/_manifests/tags/bad/current/link: has 1073741824 bytes",
    "link-symlink/bad": "link-symlink/_manifests/tags/bad/current/link: is a symbolic link",
    "link-fifo/bad": "link-fifo/_manifests/tags/bad/current/link: is a FIFO, socket or device",
    "link-device/bad": "link-device/_manifests/tags/bad/current/link: is a FIFO, socket or device",
    "link-directory/bad": "link-directory/_manifests/tags/bad/current/link: is a directory",
    "data-symlink/bad/layers/00.tar": "/data: is a symbolic link",
    "data-relative/bad/layers/00.tar": "/data: is a symbolic link",
    "data-shadow/bad/layers/00.tar": "/data: is a symbolic link",
    "data-right-size/bad/layers/00.tar": "/data: is a symbolic link",
    "data-fifo/bad/layers/00.tar": "/data: is a FIFO, socket or device",
    "data-device/bad/layers/00.tar": "/data: is a FIFO, socket or device",
    "data-directory/bad/layers/00.tar": "/data: is a directory",
    "data-moved/bad/layers/00.tar": "not a directory; it is not followed",
    "repository-outside": "repository-outside: is a symbolic link, not a directory",
    "tag-outside/bad": "tag-outside/bad: is a symbolic link, not a directory",
    "current-outside/bad": "not a directory; it is not followed",
    "tags-outside": "not a directory; it is not followed",
    "manifests-outside": "manifests-outside",
    "loop/again": "loop/again: is a symbolic link, not a directory",
    "loop/up": "loop/up: is a symbolic link, not a directory",
    "loop/one": "loop/one: is a symbolic link, not a directory",
    "loop/other": "loop/other: is a symbolic link, not a directory",
    "large/bad": "bytes, at most 4194304 are possible here",
    "nested/json": "",
    "nested/deep" + "/platforms/linux-amd64" * 17: "is nested more than 16 deep",
    "digests/bad0": "layers[0]: not a digest",
    "digests/bad1": "layers[0]: not a digest",
    "digests/bad2": "layers[0]: not a digest",
    "deep" + "/abcdefghi" * 26: "no repository can have this name or form",
    "endless-x" + "/endless-x" * 25: "no repository can have this name or form",
    "new\nline": r"new\nline: no repository can have this name or form",
    "names/UPPER": "names/UPPER: no repository can have this name or form",
    "names/new\nline": r"names/new\nline: no tag can have this name or form",
    "names/-rf": "names/-rf: no tag can have this name or form",
    os.fsdecode(NOT_UTF8): "no repository can have this name or form",
    "names/" + os.fsdecode(NOT_UTF8): "no tag can have this name or form",
    "names/sp ace": "names/sp ace: no repository can have this name or form",
    "names/:sp ace": "names/sp ace: no tag can have this name or form",
    "names/" + "x" * 200: "no tag can have this name or form",
}


class Walk(NamedTuple):
    """A walk of the whole mount: what it read, its errors, regfs's log and what regfs opened meanwhile."""

    store: HostileStore
    top: Path
    status: int
    read: bytes
    errors: str
    log: str
    opened: list[str]
    trace: str
    #: Where the mount keeps what it read; each test has another place than this.
    cache: Path


@pytest.fixture(scope="module")
def walk(mount_module: Callable[..., Mount]) -> Iterator[Walk]:
    if os.geteuid() != 0:
        cannot_run("only root can make devices")
    directory = Path(tempfile.mkdtemp(prefix="regfs-test-", dir="/var/tmp"))
    store = HostileStore(directory / "registry", directory / "outside")
    build(store)
    cache = Path(os.environ["XDG_CACHE_HOME"])
    made = mount_module(store.root)
    trace = directory / "trace"
    tracer = trace_of(made.process.pid, trace)
    command = ["timeout", "100", "find", made.path, "-type", "f", "-exec", "cat", "{}", "+"]
    done = subprocess.run(command, capture_output=True, check=False, cwd="/")
    tracer.send_signal(signal.SIGINT)
    tracer.wait(20)
    text = trace.read_text()
    opened = re.findall(r"= \d+<(.*)>$", text, re.MULTILINE)
    errors = done.stderr.decode(errors="surrogateescape")
    yield Walk(
        store, made.path, done.returncode, done.stdout, errors, made.log.read_text(), opened, text, cache
    )
    made.end()
    output("rm", "-rf", directory)  # deeper than Python's rmtree goes


def trace_of(process: int, file: Path) -> subprocess.Popen[bytes]:
    """Have strace write down every open of a process and its threads, with the paths that they led to."""
    calls = "trace=open,openat,openat2,creat,open_by_handle_at"
    command = [need("strace"), "-f", "-y", "-s", "4096", "-e", calls, "-o", str(file), "-p", str(process)]
    with file.with_name("strace").open("wb") as said:
        tracer = subprocess.Popen(command, stderr=said)
    told = file.with_name("strace")
    until(lambda: "attached" in told.read_text() or tracer.poll() is not None, "strace is attached")
    if tracer.poll() is not None:
        cannot_run(f"strace: {told.read_text()}")
    return tracer


def test_the_walk_ends_and_fails_for_what_was_refused_alone(walk: Walk) -> None:
    assert walk.status not in (0, 124)  # 124: timeout(1) had to end it
    assert all("Input/output error" in line for line in lines(walk.errors))
    assert len(lines(walk.errors)) == len(REFUSED) + len(("foreign/path", "foreign/empty"))


@pytest.mark.parametrize("name", REFUSED, ids=lambda name: ascii(name)[1:-1][:60])
def test_each_oddity_is_an_error_of_its_own_and_named_in_the_log(walk: Walk, name: str) -> None:
    path = walk.top / name
    assert os.path.lexists(path)
    done = run("cat" if name.endswith(".tar") else "ls", "--", path, errors="surrogateescape")
    assert done.returncode != 0
    assert "Input/output error" in done.stderr
    shown = os.fsencode(f"/{name}").decode("utf-8", "backslashreplace").replace("\n", "\\n")
    told = [line for line in lines(walk.log) if line.startswith((f"regfs: {shown}:", f"regfs: {shown}/"))]
    assert any(REFUSED[name] in line for line in told), told


def test_no_name_breaks_a_line_of_the_log(walk: Walk) -> None:
    assert [line for line in lines(walk.log) if not line.startswith("regfs: ")] == []


def test_whatever_is_sound_is_shown_whole(walk: Walk) -> None:
    sound = [walk.top / name for name in os.listdir(walk.top) if has(walk.top / name, "sound")]
    assert len(sound) > 20
    for path in [
        *(path / "sound" for path in sound),
        walk.top / "sound" / "1.0",
        walk.top / ("fits/" * 40) / "1.0",
    ]:
        names = [path / "manifest.json", path / "config.json", path / "layers" / "00.tar.gz"]
        for name in names:
            digest = os.getxattr(name, "user.regfs.digest").decode()
            assert name.read_bytes() == walk.store.data(digest).read_bytes()
    assert b"sound" in output("tar", "-tzf", walk.top / "sound/1.0/layers/00.tar.gz").encode()


def has(directory: Path, name: str) -> bool:
    try:
        return name in os.listdir(directory)
    except OSError:
        return False


def test_the_rest_of_a_damaged_image_is_readable(walk: Walk) -> None:
    for name in REFUSED:
        if name.startswith("data-"):
            image = walk.top / name.split("/")[0] / "bad"
            assert (image / "manifest.json").read_bytes().startswith(b"{")
            assert (image / "config.json").read_bytes().startswith(b"{")


#: By which the index knows whether the machine has gone down since (proc(5)).
BOOT = Path("/proc/sys/kernel/random/boot_id")


def test_nothing_outside_the_store_was_opened(walk: Walk) -> None:
    own = (walk.store.v2, *map(os.path.realpath, (sysconfig.get_path("stdlib"), *site.getsitepackages())))
    # Python loads some of its modules when they are first used; what a mount has read it keeps, for which
    # SQLite wants random numbers once.
    places = [Path(place) for place in own] + [walk.cache / "regfs", BOOT, Path("/dev/urandom")]
    assert [path for path in walk.opened if not any(map(Path(path).is_relative_to, places))] == []
    assert str(walk.store.outside) not in walk.trace
    assert "/etc/" not in walk.trace
    assert "/.." not in walk.trace


def test_the_trace_would_have_shown_it(walk: Walk) -> None:
    for digest in (
        os.getxattr(walk.top / "sound/1.0" / name, "user.regfs.digest").decode() for name in FILES
    ):
        assert str(walk.store.data(digest)) in walk.opened
    assert str(walk.store.tag_link("sound", "1.0")) in walk.opened


FILES = ("manifest.json", "config.json", "layers/00.tar.gz")


def test_no_fifo_no_device_and_no_symlink_was_even_opened(walk: Walk) -> None:
    kinds = ["-type", "l", "-o", "-type", "p", "-o", "-type", "c"]
    odd = lines(output("find", walk.store.v2, *kinds))
    assert len(odd) > 12
    assert set(walk.opened).isdisjoint(odd)


def test_the_secret_is_nowhere_in_what_the_mount_gives(walk: Walk) -> None:
    assert SECRET not in walk.read
    assert b'"schemaVersion"' in walk.read
    command = ("grep", "-rlaF", SECRET.decode().strip())
    assert run(*command, walk.top, errors="surrogateescape").stdout == ""
    assert str(walk.store.secret) in output(*command, walk.store.outside)


def test_what_others_leave_in_the_store_is_passed_over(walk: Walk) -> None:
    left = {"_x", "_referrers", ".nfs0000001", ".nfs0000002", "lost+found", "x.tmp"}
    assert left < set(os.listdir(walk.store.v2 / "repositories"))
    assert left.isdisjoint(os.listdir(walk.top))
    shown = set(os.listdir(os.fsencode(walk.top / "names")))
    tags = {b"sound", b"new\nline", NOT_UTF8, b"-rf", b"x" * 200, b":sp ace"}
    assert shown == tags | {b"UPPER", b"sp ace"}


def test_a_foreign_layer_leads_to_a_url_and_never_to_a_path(walk: Walk) -> None:
    layers = {
        tag: walk.top / "foreign" / tag / "layers" / "00.tar.gz" for tag in os.listdir(walk.top / "foreign")
    }
    assert os.readlink(layers["url"]) == "https://example.com/layer"
    for tag in ("path", "empty", "long"):
        with pytest.raises(OSError, match=r"Input/output|too long|No such file"):
            layers[tag].read_bytes()
        assert not (layers[tag].is_symlink() and os.path.exists(layers[tag]))


def test_platforms_with_paths_for_names_stay_in_their_directory(walk: Walk) -> None:
    platforms = walk.top / "platforms" / "1.0" / "platforms"
    names = os.listdir(platforms)
    assert len(names) == 3
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,255}", name)
        assert (platforms / name / "manifest.json").read_bytes().startswith(b"{")


def test_a_name_that_is_a_path_leads_nowhere(walk: Walk) -> None:
    for name in (
        "@sha256:..",
        f"@{walk.store.escape}",
        ":..",
        "@sha256:" + "%2e" * 21 + "a",
        ":",
        "@",
        "sound/:../1.0",
    ):
        assert not (walk.top / "sound" / name).exists()
    assert not (walk.top / "_x").exists()
    assert not (walk.top / "sound" / "_manifests").exists()
