"""The command line as a whole: help, exit statuses, and `regfs mount` refusing what cannot be mounted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from regfs import __version__
from tests.builder import StoreBuilder
from tests.conftest import REGFS, output, run

pytestmark = pytest.mark.long


def refused(*arguments: str | Path, status: int) -> str:
    """Run regfs, which must say what is wrong in one line, and never with a traceback."""
    done: subprocess.CompletedProcess[str] = run(*REGFS, *arguments)
    assert done.returncode == status, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("regfs: ")
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


@pytest.fixture
def mountpoint(tmp_path: Path) -> Path:
    (tmp_path / "mnt").mkdir()
    return tmp_path / "mnt"


def test_it_tells_its_version() -> None:
    assert output(*REGFS, "--version") == f"regfs, version {__version__}\n"


@pytest.mark.parametrize("command", [[], ["mount"], ["umount"], ["ls"], ["cat"]])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(command: list[str], option: str) -> None:
    assert "Usage: regfs" in output(*REGFS, *command, option)


def test_the_help_teaches_by_examples_each_on_a_line_of_its_own() -> None:
    lines = [line.split("  ")[0] for line in map(str.strip, output(*REGFS, "--help").splitlines())]
    assert "regfs mount /var/lib/registry /mnt/reg" in lines
    assert "du -sh /mnt/reg/*" in lines
    assert "grep -rl --include=config.json log4j /mnt/reg" in lines


def test_every_help_fits_a_terminal_of_80_columns_with_each_example_on_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main = output(*REGFS, "--help")
    names = re.findall(r"^  ([a-z]+)  +[A-Z]", main.partition("Commands:")[2], re.MULTILINE)
    assert {"history", "index", "reclaim", "tree"} < set(names)
    for name, text in [("", main)] + [(name, output(*REGFS, name, "--help")) for name in names]:
        assert "\\b" not in text, name
        assert "\b" not in text, name
        assert [line for line in text.splitlines() if len(line) > 80] == [], name
        for line in text.splitlines():
            assert not re.search(r"\S.* regfs [a-z]+ /var", line), line


def test_the_help_of_mount_names_every_option_of_its_own() -> None:
    text = output(*REGFS, "mount", "--help")
    for option in ("ttl=", "platform=", "uid=", "gid=", "umask=", "allow_other", "nonempty"):
        assert option in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["mount"],
        ["mount", "/tmp"],
        ["umount"],
        ["mount", "a", "b", "c"],
        ["mount", "--nosuch", "a", "b"],
    ],
)
def test_a_wrong_command_line_is_answered_with_the_usage(arguments: list[str]) -> None:
    done = run(*REGFS, *arguments)
    assert done.returncode == 2
    assert "Usage: regfs" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", [["mount"], []])
def test_without_a_verb_a_path_means_mount(store: StoreBuilder, mountpoint: Path, verb: list[str]) -> None:
    text = refused(*verb, store.root, mountpoint, "-o", "tll=5", status=2)
    assert text == "regfs: option tll: unknown; did you mean ttl?\n"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("ttl=soon", "ttl"),
        ("uid=nosuchuser", "uid"),
        ("umask=9", "umask"),
        ("platform=linux", "platform"),
        ("subtype=x", "subtype"),
        ("kernel_cache", "kernel_cache"),
        ("defaults,_netdev,x-systemd.automount,qqqqqq", "qqqqqq"),
    ],
)
def test_a_wrong_mount_option_is_named(
    store: StoreBuilder, mountpoint: Path, options: str, named: str
) -> None:
    assert f"option {named}: " in refused("mount", store.root, mountpoint, "-o", options, status=2)


def test_a_wrong_platform_is_named(store: StoreBuilder, mountpoint: Path) -> None:
    assert "linux/arm/v7" in refused("mount", "--platform", "arm", store.root, mountpoint, status=2)


def test_a_directory_without_a_store_is_refused(tmp_path: Path, mountpoint: Path) -> None:
    (tmp_path / "other").mkdir()
    assert "no registry storage" in refused("mount", tmp_path / "other", mountpoint, status=2)
    assert "no such directory" in refused("mount", tmp_path / "nothing", mountpoint, status=2)


@pytest.mark.usefixtures("fuse")
@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("nothing", "does not exist"),
        ("file", "not a directory"),
        ("full", "not empty"),
        ("registry", "overlaps the store"),
        ("registry/docker/registry/v2/blobs", "overlaps the store"),
        (".", "overlaps the store"),
    ],
)
def test_a_mountpoint_that_cannot_be_used_is_refused_by_name(
    store: StoreBuilder, tmp_path: Path, place: str, reason: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "full/file").mkdir(parents=True)
    text = refused("mount", store.root, tmp_path / place, status=2)
    assert f"mountpoint {tmp_path / place}: " in text
    assert reason in text


@pytest.mark.usefixtures("fuse")
def test_a_log_file_that_cannot_be_written_is_refused(store: StoreBuilder, mountpoint: Path) -> None:
    text = refused("mount", "--log-file", "/no/such/dir/log", store.root, mountpoint, status=2)
    assert "/no/such/dir/log" in text


def test_to_unmount_what_is_no_mount_is_refused(mountpoint: Path) -> None:
    assert str(mountpoint) in refused("umount", mountpoint, status=2)
    assert str(mountpoint) in refused("umount", "--lazy", mountpoint, status=2)


def test_what_draws_in_a_terminal_is_loaded_only_for_one() -> None:
    """rich takes a tenth of a second, and a mount would hold it for all its time."""
    modules = "mounting", "browse", "reporting", "checking", "reclaiming", "indexing", "serving"
    imports = "; ".join(f"import regfs.cli.{name}" for name in ("main", *modules))
    script = f"{imports}; import sys; print([name for name in sys.modules if name.startswith('rich')])"
    assert output(sys.executable, "-c", script) == "[]\n"
