"""What `regfs serve` says, without a server: ranges, passwords, places, printed configuration."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import bcrypt
import pytest

from regfs.errors import OptionError, PasswordFileError
from regfs.serve.mirrors import PROGRAMS
from regfs.serve.passwords import Passwords
from regfs.serve.ranges import RangePart, is_range, names, wanted
from regfs.serve.server import Listening, Server
from tests.builder import StoreBuilder
from tests.conftest import REGFS, run


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-9", RangePart(0, 10)),
        ("bytes=0-", RangePart(0, 100)),
        ("bytes=99-99", RangePart(99, 100)),
        ("bytes=90-200", RangePart(90, 100)),
        ("bytes=-1", RangePart(99, 100)),
        ("bytes=-1000", RangePart(0, 100)),
        (f"bytes=5-{10**30}", RangePart(5, 100)),
        (f"bytes=-{10**30}", RangePart(0, 100)),
        (f"bytes={'9' * 9000}-", None),
        ("bytes=100-", None),
        ("bytes=100-100", None),
        ("bytes=-0", None),
        ("Bytes = 1 - 2", RangePart(1, 3)),
    ],
)
def test_a_range_is_one_of_rfc_9110(header: str, part: RangePart | None) -> None:
    assert is_range(header)
    assert wanted(header, 100) == part


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=-", "bytes=9-1", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=٣-"],
)
def test_what_is_no_single_range_means_the_whole(header: str) -> None:
    assert not is_range(header)
    assert wanted(header, 100) == RangePart(0, 100)


def test_an_empty_blob_has_no_parts() -> None:
    assert wanted("bytes=0-", 0) is None
    assert wanted("", 0) == RangePart(0, 0)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ('"x"', True),
        ('W/"x"', True),
        ('"y", "x"', True),
        ("*", True),
        ('"y"', False),
        ("", False),
        ("x", False),
    ],
)
def test_entity_tags_are_compared(header: str, told: bool) -> None:
    assert names(header, '"x"') is told


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def test_who_is_in_the_file_is_let_in(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(
        f"# people\nanna:{hashed('secret')}\n\nbert:{hashed('with:colon').replace('$2b$', '$2y$')}\n"
    )
    passwords = Passwords(path)
    for _ in range(2):
        assert passwords.let_in(basic("anna", "secret"))
        assert passwords.let_in(basic("bert", "with:colon"))
        for header in (
            "",
            basic("anna", "Secret"),
            basic("anna", ""),
            basic("anna", "secret\0"),
            basic("carl", "secret"),
            basic("", ""),
            "Basic",
            "Basic !!!",
            "Bearer " + basic("anna", "secret")[6:],
            basic("anna", "secret").replace("Basic ", "Basic x"),
        ):
            assert not passwords.let_in(header)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"anna:{hashed('old')}\n")
    passwords = Passwords(path)
    assert passwords.let_in(basic("anna", "old"))
    path.write_text(f"anna:{hashed('new')}\n")
    os.utime(path, (1, 1))
    assert not passwords.let_in(basic("anna", "old"))
    assert passwords.let_in(basic("anna", "new"))
    path.unlink()
    with pytest.raises(PasswordFileError):
        passwords.let_in(basic("anna", "new"))


@pytest.mark.parametrize(
    "content",
    ["", "# nobody\n", "anna\n", "anna:secret\n", "anna:$apr1$x$y\n", "anna:{SHA}x\n", "anna:$2y$05$short\n"],
)
def test_another_file_of_passwords_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(content)
    with pytest.raises(PasswordFileError, match="htpasswd"):
        Passwords(path)


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:5000", "127.0.0.1:5000", True),
        ("127.9.9.9:1", "127.9.9.9:1", True),
        ("localhost:5000", "localhost:5000", True),
        ("[::1]:5000", "[::1]:5000", True),
        ("0.0.0.0:5000", "0.0.0.0:5000", False),
        ("[::]:5000", "[::]:5000", False),
        ("reg.example.com:443", "reg.example.com:443", False),
    ],
)
def test_a_place_is_a_host_and_a_port(text: str, address: str, loopback: bool) -> None:
    place = Listening.parse(text)
    assert (place.address, place.loopback, place.url) == (address, loopback, f"http://{address}")
    assert Listening.parse(text, "cert", "key").url == f"https://{address}"


@pytest.mark.parametrize(
    "text", ["", "5000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:5000"]
)
def test_another_place_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="listen"):
        Listening.parse(text)


def test_configurations_name_the_registry_that_is_stood_in_for() -> None:
    plain, secret = Listening.parse("127.0.0.1:5000"), Listening.parse("cold.example.com:443", "cert", "key")
    podman = PROGRAMS["podman"]
    assert podman(plain, "reg.example.com").splitlines()[1:] == [
        "[[registry]]",
        'location = "reg.example.com"',
        "[[registry.mirror]]",
        'location = "127.0.0.1:5000"',
        "insecure = true",
    ]
    assert "insecure" not in podman(secret, "reg.example.com")
    assert 'server = "https://cold.example.com:443"' in PROGRAMS["containerd"](secret, "reg.example.com")
    assert "docker tag 127.0.0.1:5000/team/app:1.0 reg:5000/team/app:1.0" in PROGRAMS["docker"](
        plain, "reg:5000"
    )
    assert "insecure-registries" not in PROGRAMS["docker"](plain, "reg.example.com")
    assert "insecure-registries" in PROGRAMS["docker"](Listening.parse("10.0.0.1:5000"), "reg.example.com")


def test_files_are_sent_by_the_kernel_and_nobody_else_says_how() -> None:
    server = Server(Listening.parse("127.0.0.1:5000"), lambda: pytest.fail("made"), lambda: None)
    assert server.cfg.sendfile
    assert not server.cfg.is_ssl
    assert server.cfg.threads > 16


def serve(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run(*REGFS, "serve", *arguments)


@pytest.mark.long
def test_who_may_pull_must_be_said(store: StoreBuilder, tmp_path: Path) -> None:
    done = serve(store.root)
    assert done.returncode == 2
    assert "--anonymous" in done.stderr
    done = serve(store.root, "--auth", tmp_path / "nothing")
    assert (done.returncode, done.stderr) == (2, f"regfs: {tmp_path}/nothing: No such file or directory\n")


@pytest.mark.long
def test_what_cannot_be_served_is_said(store: StoreBuilder, tmp_path: Path) -> None:
    done = serve(tmp_path / "nowhere", "--anonymous")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert serve(store.root, "--anonymous", "--cert", tmp_path / "c").returncode == 2
    done = serve(store.root, "--anonymous", "--cert", tmp_path / "c", "--key", tmp_path / "k")
    assert done.returncode == 2
    assert "TLS" in done.stderr


@pytest.mark.long
def test_a_configuration_is_printed(store: StoreBuilder) -> None:
    done = serve(
        store.root, "--print-config", "podman", "--registry", "r.example.com", "--listen", "127.0.0.1:1"
    )
    assert done.returncode == 0
    assert 'location = "r.example.com"' in done.stdout
