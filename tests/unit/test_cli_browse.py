"""`regfs ls` and `regfs cat`, run as a person runs them."""

from __future__ import annotations

import fcntl
import io
import json
import os
import struct
import subprocess
import tarfile
import termios
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, output, run

pytestmark = pytest.mark.long


def regfs(*arguments: str | Path, **keywords: object) -> subprocess.CompletedProcess[str]:
    """Run regfs; whatever goes wrong, nobody must see a traceback."""
    done = run(*REGFS, *arguments, **keywords)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


def failed(*arguments: str | Path, status: int = 1, **keywords: object) -> str:
    done = regfs(*arguments, **keywords)
    assert done.returncode == status, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("regfs: ")
    return done.stderr


def listed(*arguments: str | Path) -> list[str]:
    return output(*REGFS, "ls", *arguments).splitlines()


def test_ls_lists_the_top_or_any_path_in_the_order_of_names(store: StoreBuilder) -> None:
    store.image("team/app", "1.0")
    store.image("app", "2.0")
    assert listed(store.root) == listed(store.root, "/") == ["app", "team"]
    assert listed(store.root, "team/app") == ["1.0"]
    assert listed(store.root, "/team/app/1.0/") == ["config.json", "layers", "manifest.json"]
    assert listed(store.root, "app/2.0/config.json") == ["app/2.0/config.json"]


def test_ls_of_several_paths_names_each(store: StoreBuilder) -> None:
    store.image("app", "1.0")
    store.image("team", "2.0")
    assert listed(store.root, "app", "team") == ["app:", "1.0", "", "team:", "2.0"]


def test_ls_long_shows_mode_links_size_time_and_target(store: StoreBuilder) -> None:
    image = store.image("app", "1.0", mtime=1_700_000_000)
    platform = {"os": "linux", "architecture": "amd64"}
    store.index("app", "multi", [image.descriptor(platform=platform)])
    environment = {**os.environ, "TZ": "UTC"}
    tags = output(*REGFS, "ls", "-l", store.root, "app", env=environment).splitlines()
    assert tags[0].split() == ["dr-xr-xr-x", "1", "0", "2023-11-14", "22:13", "+0000", "1.0"]
    files = [line.split() for line in listed("-l", store.root, "app/1.0")]
    assert [(line[0], line[1], line[-1]) for line in files] == [
        ("-r--r--r--", "2", "config.json"),
        ("dr-xr-xr-x", "1", "layers"),
        ("-r--r--r--", "2", "manifest.json"),
    ]
    assert int(files[2][2]) == image.size
    links = listed("-l", "--platform", "linux/amd64", store.root, "app/multi")
    assert links[0].startswith("lrwxrwxrwx 1 ")
    assert links[0].endswith(" config.json -> platforms/linux-amd64/config.json")


def test_the_platform_can_be_chosen(store: StoreBuilder) -> None:
    image = store.image("app", None)
    children = [image.descriptor(platform={"os": "linux", "architecture": name}) for name in ("s390x", "arm")]
    store.index("app", "multi", children)
    for name, shown in (("s390x", "linux-s390x"), ("arm/v7", "linux-arm")):
        lines = listed("-l", "--platform", f"linux/{name}", store.root, "app/multi/config.json")
        assert lines[0].endswith(f"-> platforms/{shown}/config.json")
    assert "linux/arm/v7" in regfs("ls", "--platform", "arm", store.root).stderr


def test_cat_writes_the_bytes_of_each_path(store: StoreBuilder) -> None:
    image = store.image("app", "1.0", [store.blob(os.urandom(3_000_000), "x/y")])
    done = subprocess.run(
        [*REGFS, "cat", store.root, "app/1.0/manifest.json", "app/1.0/layers/00.bin"],
        capture_output=True,
        check=True,
    )
    manifest = store.data(image.digest).read_bytes()
    layer = store.data(json.loads(manifest)["layers"][0]["digest"]).read_bytes()
    assert done.stdout == manifest + layer


def test_an_error_names_the_path_and_the_others_are_shown_all_the_same(store: StoreBuilder) -> None:
    store.image("app", "1.0")
    done = regfs("ls", store.root, "nothing", "app")
    assert (done.returncode, done.stderr) == (1, "regfs: nothing: no such file or directory\n")
    assert "1.0" in done.stdout.splitlines()
    done = regfs("cat", store.root, "nothing", "app/1.0/config.json", "app")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "regfs: nothing: no such file or directory",
        "regfs: app: is a directory",
    ]
    assert done.stdout.startswith("{")


def test_what_cannot_be_shown_is_told_in_one_line(store: StoreBuilder, tmp_path: Path) -> None:
    layer = store.layer({"f": b"x"})
    pushed = store.image("app", "1.0", [layer])
    store.data(layer.digest).unlink()
    store.image("app", "broken")
    store.tag_link("app", "broken").write_bytes(b"")
    assert "is not stored" in failed("cat", store.root, "app/1.0/layers/00.tar.gz")
    assert "current/link" in failed("ls", store.root, "app/broken")
    assert "not a directory" in failed("ls", store.root, "app/1.0/config.json/x")
    assert "no such file" in failed("ls", store.root, "app/@sha256:x")
    store.data(pushed.digest).write_bytes(b"{}")
    assert "is damaged" in failed("ls", store.root, "app/1.0")
    assert "below: give" in failed("ls", tmp_path, status=2)
    (tmp_path / "empty").mkdir()
    assert "no registry storage" in failed("ls", tmp_path / "empty", status=2)
    assert "no such directory" in failed("cat", tmp_path / "nothing", "x", status=2)


def test_one_damaged_thing_does_not_end_a_long_listing(store: StoreBuilder) -> None:
    layer = store.layer({"f": b"x"})
    store.image("app", "1.0", [layer])
    store.data(layer.digest).unlink()
    store.image("app", "broken")
    store.tag_link("app", "broken").unlink()
    (store.repository("app") / "@odd").mkdir()
    (store.repository("app") / "Odd Name").mkdir()
    done = regfs("ls", "-l", store.root, "app")
    assert {"1.0", "broken"} <= {line.split()[-1] for line in done.stdout.splitlines()}
    assert str(layer.size) in output(*REGFS, "ls", "-l", store.root, "app/1.0/layers")


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\nb", "a\u202eb", "a\udcff"])
def test_a_name_cannot_disturb_the_terminal(store: StoreBuilder, name: str) -> None:
    (store.repository(name)).mkdir(parents=True)
    done = run(*REGFS, "ls", store.root, encoding="utf-8", errors="surrogateescape")
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert line.isprintable()
    assert line.startswith("a\\")


def test_what_an_error_quotes_from_the_store_cannot_disturb_the_terminal(store: StoreBuilder) -> None:
    layer = {
        "mediaType": "x/y",
        "digest": "sha256:" + "0" * 64,
        "size": 1,
        "urls": ["https://x/\x1b]0;title\x07"],
    }
    document = {"schemaVersion": 2, "config": store.config().descriptor(), "layers": [layer]}
    store.manifest("app", "1.0", json.dumps(document).encode(), "")
    assert "\x1b" not in output(*REGFS, "ls", "-l", store.root, "app/1.0/layers")
    assert "\x1b" not in failed("cat", store.root, "app/1.0/layers/00.bin")


def test_what_an_error_quotes_from_a_directory_cannot_disturb_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J\nb").mkdir()
    assert "\x1b" not in failed("ls", tmp_path, status=2)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8:strict"])
def test_a_terminal_that_cannot_show_a_name_gets_it_escaped(store: StoreBuilder, encoding: str) -> None:
    store.repository("ü\udcff").mkdir(parents=True)
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for arguments in (
        ("ls", store.root),
        ("ls", store.root, b"ab\xff".decode(errors="surrogateescape"), "/"),
    ):
        done = regfs(*arguments, env=environment)
        assert "\\udcff" in done.stdout


@pytest.mark.parametrize("command", ["cat {store} app/1.0/layers/0000.bin", "ls -l {store} app/1.0/layers"])
def test_a_reader_that_goes_away_is_no_error_to_talk_about(store: StoreBuilder, command: str) -> None:
    store.image("app", "1.0", [store.blob(b"x" * 3_000_000, "x/y")] * 3000)
    line = f"{' '.join(REGFS)} {command.format(store=store.root)} | head -c 1"
    done = run("sh", "-c", line)
    assert (len(done.stdout), done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("command", "to"),
    [
        ("cat {store} app/1.0/config.json", "> /dev/full"),
        ("cat {store} app/1.0/config.json", ">&-"),
        ("ls {store} app", "> /dev/full"),
        ("ls -l {store} app", "> /dev/full"),
    ],
)
def test_output_that_cannot_be_written_is_an_error_in_one_line(
    store: StoreBuilder, command: str, to: str
) -> None:
    store.image("app", "1.0")
    done = run("sh", "-c", f"{' '.join(REGFS)} {command.format(store=store.root)} {to}")
    assert done.returncode not in (0, 120)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_wrong_command_line_is_told_with_the_usage() -> None:
    for arguments in (["ls"], ["cat"], ["cat", "/tmp"], ["ls", "--nosuch", "/tmp"]):
        done = regfs(*arguments)
        assert done.returncode == 2
        assert "Usage: regfs" in done.stderr


def test_cat_of_an_archive_is_what_the_mount_shows(store: StoreBuilder) -> None:
    store.image("team/app", "1.0")
    command = (*REGFS, "cat", store.root, "team/app/1.0/image.tar")
    plain, named = (
        subprocess.run([*map(str, command), *more], capture_output=True, check=True).stdout
        for more in ([], ["--registry", "reg.example.com"])
    )
    with tarfile.open(fileobj=io.BytesIO(named)) as archive:
        described = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
    assert described[0]["RepoTags"] == ["reg.example.com/team/app:1.0"]
    assert b"reg.example.com" not in plain
    refused = regfs("cat", store.root, "team/app/1.0/image.tar", "--registry", "a b")
    assert refused.returncode == 2
    assert "HOST[:PORT]" in refused.stderr


def test_cat_of_several_images_is_one_archive_with_each_layer_once(store: StoreBuilder) -> None:
    shared = store.layer({"shared": b"s"})
    store.image("app", "1.0", [shared])
    store.image("app", "2.0", [shared, store.layer({"own": b"o"})])
    store.image("db", "latest", [shared])
    done = subprocess.run(
        [*REGFS, "cat", str(store.root), "app", "db:latest", "--archive"], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        names = archive.getnames()
        described = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
    assert [entry["RepoTags"] for entry in described] == [["app:1.0"], ["app:2.0"], ["db:latest"]]
    assert len(names) == len(set(names))
    assert f"blobs/{shared.digest.replace(':', '/')}" in names
    assert "no such image" in failed("cat", store.root, "app:3", "--archive")
    assert "schema 1" in _schema1(store)


def _schema1(store: StoreBuilder) -> str:
    store.schema1("old", "1.0", [store.layer({"a": b"1"})], [{"id": "a"}], signed=False)
    return failed("cat", store.root, "old:1.0", "--archive")


def test_nothing_is_written_of_a_damaged_image(store: StoreBuilder) -> None:
    layers = [store.layer({"a": b"1"}), store.layer({"b": os.urandom(3000)})]
    store.image("app", "1.0", layers)
    path = store.data(layers[1].digest)
    content = path.read_bytes()
    for damage in (path.unlink, lambda: path.write_bytes(content[:-1])):
        damage()
        for arguments in (["app/1.0/image.tar"], ["app:1.0", "--archive"]):
            done = regfs("cat", store.root, *arguments)
            assert (done.returncode, done.stdout) == (1, "")
            assert layers[1].digest in done.stderr
            assert "nothing is written" in done.stderr


def test_a_flipped_bit_ends_an_archive_before_the_layer_is_whole(store: StoreBuilder) -> None:
    layer = store.blob(os.urandom(3_000_000), "application/vnd.oci.image.layer.v1.tar")
    store.image("app", "1.0", [layer])
    path = store.data(layer.digest)
    content = bytearray(path.read_bytes())
    content[1_500_000] ^= 1
    path.write_bytes(content)
    done = subprocess.run([*REGFS, "cat", str(store.root), "app/1.0/image.tar"], capture_output=True)
    assert done.returncode == 1
    assert layer.digest.encode() in done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive, pytest.raises(tarfile.ReadError):
        archive.getmembers()


def test_what_no_loader_takes_is_said_on_standard_error(store: StoreBuilder) -> None:
    store.image("app", "zstd", [store.layer({"a": b"1"}, "zstd")])
    done = subprocess.run(
        [*REGFS, "cat", str(store.root), "app/zstd/image.tar"], capture_output=True, check=True
    )
    assert b"app:zstd: docker load: no: its layers are zstd" in done.stderr


def test_an_archive_is_not_written_to_a_terminal_and_one_that_is_quick_shows_no_progress(
    store: StoreBuilder,
) -> None:
    store.image("app", "1.0")
    terminal, ours = os.openpty()
    os.set_blocking(terminal, False)
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [*REGFS, "cat", str(store.root), "app/1.0/image.tar"]
    try:
        assert subprocess.run(command, stdout=ours, stderr=subprocess.DEVNULL).returncode == 2
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=ours, check=True)
        with pytest.raises(BlockingIOError):
            os.read(terminal, 1 << 16)
    finally:
        os.close(terminal)
        os.close(ours)
    assert len(done.stdout) > 1024
