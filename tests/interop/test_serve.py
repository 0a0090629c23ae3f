"""A real `regfs serve`: bytes, clients that misbehave, stores that change, damage, TLS, passwords."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import json
import os
import random
import signal
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from tests.builder import StoreBuilder
from tests.builder.media_types import OCI_LAYER
from tests.conftest import REGFS, need, output, run
from tests.interop.images import LARGE, Images
from tests.interop.serving import Serving, ask_raw
from tests.registry.server import free_port

Serve = Callable[..., Serving]

NESTED = "team/app/nested"


def large(images: Images) -> tuple[str, bytes]:
    """Give the path of the large layer and its bytes."""
    (digest,) = images.layers(NESTED, "large")
    return f"/v2/{NESTED}/blobs/{digest}", images.store.data(digest).read_bytes()


# --- bytes -----------------------------------------------------------------------------------------


def test_ranges_are_what_they_ask_for_to_the_byte(serving: Serving, images: Images) -> None:
    path, content = large(images)
    chosen = random.Random(7)
    size = len(content)
    spans = [(0, 1), (size - 1, size), (0, size), (1, size - 1)]
    for _ in range(20):
        start = chosen.randrange(size)
        spans.append((start, chosen.randrange(start, size) + 1))
    for start, end in spans:
        answer = serving.api.ask("GET", path, Range=f"bytes={start}-{end - 1}")
        assert (answer.status, answer.headers["Content-Length"]) == (206, str(end - start))
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert answer.body == content[start:end]
    assert serving.api.ask("GET", path, Range="bytes=-5").body == content[-5:]
    assert serving.api.ask("GET", path, Range="bytes=0-1,5-6").status == 200


def test_what_a_client_has_already_is_not_sent_again(serving: Serving, images: Images) -> None:
    path, content = large(images)
    etag = serving.api.ask("HEAD", path).headers["Etag"]
    answer = serving.api.ask("GET", path, If_None_Match=etag)
    assert (answer.status, answer.body) == (304, b"")
    assert serving.api.ask("GET", f"/v2/{NESTED}/manifests/large", If_None_Match="*").status == 304
    assert serving.api.ask("GET", path, Range="bytes=3-4", If_Range=etag).body == content[3:5]
    assert serving.api.ask("GET", path, Range="bytes=3-4", If_Range='"other"').status == 200


def test_sixteen_clients_at_once_get_what_one_gets(serving: Serving, images: Images) -> None:
    path, content = large(images)
    wanted = hashlib.sha256(content).hexdigest()
    tags = [("team/app", tag) for tag in ("gzip", "zstd", "none", "multi")]

    def pull(number: int) -> None:
        for repository, tag in tags:
            answer = serving.api.ask("GET", f"/v2/{repository}/manifests/{tag}")
            assert answer.body == images.raw(repository, tag)
        body = serving.api.ask("GET", path).body
        assert hashlib.sha256(body).hexdigest() == wanted, number

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(pull, range(32)))
    assert serving.memory() < 80_000_000


def test_one_connection_serves_many_requests(serving: Serving, images: Images) -> None:
    path, content = large(images)
    requests = b"".join(
        b"GET %b HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n" % (path.encode(), n, n + 9)
        for n in range(5)
    )
    last = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = ask_raw(serving, requests + last)
    assert answers.count(b"HTTP/1.1 206") == 5
    for n in range(5):
        assert content[n : n + 10] in answers
    assert answers.endswith(b"{}")


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(serving: Serving, method: str) -> None:
    answer = serving.api.ask(method, "/v2/team/app/blobs/uploads/", b"x")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    (error,) = json.loads(answer.body)["errors"]
    assert (error["code"], error["message"]) == ("UNSUPPORTED", "this registry is read-only")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/",
        "/v2/team/app",
        "/v2/team/app/manifests/",
        "/v2/../../etc/passwd",
        "/v2/..%2f..%2fetc/manifests/passwd",
        "/v2/team%2fapp%2f..%2f../manifests/x",
        "/v2/team/app/manifests/..%2f..%2f..%2ftags",
        "/v2/team/app/manifests/..",
        "/v2/team/app/manifests/_manifests",
        "/v2/team/app/blobs/sha256:..%2f..%2f",
        "/v2/team/app/blobs/%00",
        "/v2/team/app%00/tags/list",
        "/v2/%ff%fe/tags/list",
        "/v2/team/app%0d%0aX:1/tags/list",
        f"/v2/{'a' * 4000}/tags/list",
        f"/v2/{'a/' * 2000}b/manifests/latest",
        f"/v2/team/app/manifests/{'a' * 4000}",
        f"/v2/team/app/blobs/sha256:{'a' * 4000}",
    ],
)
def test_a_path_that_lies_leads_nowhere(serving: Serving, path: str) -> None:
    answer = serving.api.ask("GET", path)
    assert answer.status == 404
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert json.loads(answer.body)["errors"]


def test_a_line_without_end_is_refused(serving: Serving) -> None:
    assert ask_raw(serving, b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 414")
    assert serving.api.ask("GET", "/v2/").status == 200


def test_schema_1_is_refused_with_a_word(store: StoreBuilder, serve: Serve) -> None:
    store.schema1("old", "1.0", [store.layer({"a": b"1"})], [{"id": "a"}], signed=True)
    answer = serve(store).api.ask("GET", "/v2/old/manifests/1.0")
    assert answer.status == 404
    assert "schema 1" in json.loads(answer.body)["errors"][0]["message"]


# --- clients that misbehave ------------------------------------------------------------------------


def test_clients_that_read_nothing_hold_up_nobody(serving: Serving, images: Images) -> None:
    path, content = large(images)
    held = []
    for _ in range(24):
        connection = serving.connect()
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        held.append(connection)
    for _ in range(8):  # half a request
        connection = serving.connect()
        connection.sendall(b"GET /v2/ HT")
        held.append(connection)
    began = time.monotonic()
    assert serving.api.ask("GET", path).body == content
    assert time.monotonic() - began < 10
    for connection in held:
        connection.close()


@pytest.mark.slow
def test_half_a_request_is_given_up(serving: Serving) -> None:
    with serving.connect() as connection:
        connection.settimeout(60)
        connection.sendall(b"GET /v2/ HT")
        began = time.monotonic()
        assert connection.recv(100) == b""
        assert 20 < time.monotonic() - began < 50
    assert "Traceback" not in serving.log()


def test_clients_that_go_away_leave_nothing_behind(serving: Serving, images: Images) -> None:
    path, _ = large(images)
    serving.api.ask("GET", "/v2/")
    before = serving.descriptors()
    for _ in range(30):
        connection = serving.connect()
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        connection.recv(1000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()  # a reset
    deadline = time.monotonic() + 20
    while serving.descriptors() > before + 2:
        assert time.monotonic() < deadline, (serving.descriptors(), before)
        time.sleep(0.1)
    assert "Traceback" not in serving.log()


# --- a store that changes, and damage -----------------------------------------------------------------


def test_a_push_shows_and_a_deletion_too(store: StoreBuilder, serve: Serve) -> None:
    first = store.image("app", "1.0")
    api = serve(store, "--ttl", "0").api
    assert api.ask("GET", "/v2/app/manifests/1.0").headers["Docker-Content-Digest"] == first.digest
    second = store.image("app", "1.0", [store.layer({"b": b"2"})])
    store.image("new", "2.0")
    assert api.ask("GET", "/v2/app/manifests/1.0").headers["Docker-Content-Digest"] == second.digest
    assert json.loads(api.ask("GET", "/v2/_catalog").body)["repositories"] == ["app", "new"]
    (store.tag_link("app", "1.0").parents[1]).rename(store.root / "deleted")
    assert api.ask("GET", "/v2/app/manifests/1.0").status == 404
    assert api.ask("GET", f"/v2/app/manifests/{first.digest}").status == 200
    store.revision_link("app", first.digest).unlink()
    assert api.ask("GET", f"/v2/app/manifests/{first.digest}").status == 404


def test_damage_is_a_500_before_the_first_byte(store: StoreBuilder, serve: Serve) -> None:
    layers = [store.layer({f"file{n}": os.urandom(3000)}) for n in range(4)]
    config = store.config()
    store.image("app", "1.0", layers, config)
    lost = store.image("app", "lost", [store.layer({"x": b"x"})])
    torn = store.image("app", "torn", [store.layer({"y": b"y"})])
    short, missing, flipped, sound = (store.data(layer.digest) for layer in layers)
    short.write_bytes(short.read_bytes()[:-1])
    missing.unlink()
    content = bytearray(flipped.read_bytes())
    content[100] ^= 1
    flipped.write_bytes(content)
    store.data(lost.digest).write_bytes(b"{}")
    store.tag_link("app", "torn").write_bytes(b"")
    os.utime(store.tag_link("app", "torn"), (0, 0))
    serving = serve(store)
    # flipped: no manifest was asked for yet that tells its size, so that it is hashed
    for layer in layers[:3]:
        for method in ("GET", "HEAD"):
            answer = serving.api.ask(method, f"/v2/app/blobs/{layer.digest}")
            assert answer.status == 500, layer
            assert method == "HEAD" or json.loads(answer.body)["errors"][0]["code"] == "UNKNOWN"
    assert serving.api.ask("GET", f"/v2/app/blobs/{layers[3].digest}").body == sound.read_bytes()
    for reference in ("lost", lost.digest, "torn"):
        assert serving.api.ask("GET", f"/v2/app/manifests/{reference}").status == 500
    assert serving.api.ask("GET", f"/v2/app/manifests/{torn.digest}").status == 200
    assert serving.api.ask("GET", "/v2/app/manifests/1.0").status == 200
    assert serving.api.ask("GET", f"/v2/app/blobs/{layers[0].digest}").status == 500


def test_a_manifest_that_lies_about_a_size_spoils_no_other(store: StoreBuilder, serve: Serve) -> None:
    layer = store.layer({"a": os.urandom(3000)})
    store.image("app", "good", [layer])
    store.image("app", "liar", [layer._replace(size=7)])
    api = serve(store).api
    for tag in ("liar", "good"):
        assert api.ask("GET", f"/v2/app/manifests/{tag}").status == 200
        assert api.ask("GET", f"/v2/app/blobs/{layer.digest}").body == store.data(layer.digest).read_bytes()


def test_a_blob_cut_while_it_is_sent_ends_the_connection(store: StoreBuilder, serve: Serve) -> None:
    layer = store.blob(os.urandom(64 << 20), OCI_LAYER)
    store.image("app", "1.0", [layer])
    serving = serve(store)
    serving.api.ask("GET", "/v2/app/manifests/1.0")
    with serving.connect() as connection:
        connection.sendall(b"GET /v2/app/blobs/%b HTTP/1.1\r\nHost: x\r\n\r\n" % layer.digest.encode())
        got = connection.recv(1 << 16)
        assert got.startswith(b"HTTP/1.1 200")
        os.truncate(store.data(layer.digest), 40 << 20)
        connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        received = len(got)
        last = got
        while piece := connection.recv(1 << 20):
            received += len(piece)
            last = piece
    assert received < layer.size
    assert not last.endswith(b"{}")
    assert "hung up" in serving.log()


def test_a_store_that_is_gone_is_503(store: StoreBuilder, serve: Serve) -> None:
    store.image("app", "1.0")
    serving = serve(store, "--ttl", "0")
    assert serving.api.ask("GET", "/v2/app/tags/list").status == 200
    store.v2.rename(store.root / "moved")
    (store.root / "moved/blobs").rename(store.root / "blobs")
    (store.root / "moved/repositories").rename(store.root / "repositories")
    time.sleep(1)
    for path in ("/v2/_catalog", "/v2/app/tags/list"):
        answer = serving.api.ask("GET", path)
        assert answer.status == 503, (path, answer)
        assert json.loads(answer.body)["errors"][0]["code"] == "UNAVAILABLE"


# --- who may pull, TLS, the process ------------------------------------------------------------------


def test_only_who_has_a_password_may_pull(store: StoreBuilder, serve: Serve, tmp_path: Path) -> None:
    store.image("app", "1.0")
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (tmp_path / "htpasswd").write_text(f"anna:{hashed}\n")
    serving = serve(store, who=f"--auth {tmp_path}/htpasswd")
    for path in ("/v2/", "/v2/app/manifests/1.0", "/v2/_catalog", "/nowhere"):
        answer = serving.api.ask("GET", path)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="regfs"')
        assert json.loads(answer.body)["errors"][0]["code"] == "UNAUTHORIZED"
    given = {"Authorization": "Basic " + base64.b64encode(b"anna:secret").decode()}
    assert serving.api.ask("GET", "/v2/app/manifests/1.0", **given).status == 200
    source = f"docker://{serving.address}/app:1.0"
    skopeo = (need("skopeo"), "inspect", "--raw", "--tls-verify=false")
    assert run(*skopeo, source).returncode != 0
    assert "layers" in output(*skopeo, "--creds", "anna:secret", source)


def test_with_tls_the_same_bytes_come(images: Images, serve: Serve, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ("req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    output(need("openssl"), *made, *curve, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    serving = serve(images.root, "--cert", str(cert), "--key", str(key))
    context = ssl.create_default_context(cafile=str(cert))
    path, content = large(images)
    request = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode()
    headers, _, body = ask_raw(serving, request, context).partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 200")
    assert hashlib.sha256(body).digest() == hashlib.sha256(content).digest()
    request = request.replace(b"Host: x", b"Host: x\r\nRange: bytes=1000000-1999999")
    assert ask_raw(serving, request, context).partition(b"\r\n\r\n")[2] == content[1_000_000:2_000_000]


def test_a_place_beyond_this_machine_is_warned_of(store: StoreBuilder) -> None:
    port = free_port()
    command = [*REGFS, "serve", str(store.root), "--anonymous", "--listen", f"0.0.0.0:{port}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stderr.close()
    assert "--anonymous gives all images" in lines[0]
    assert "--cert" in lines[1]
    assert "answers at" in lines[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(store: StoreBuilder, serve: Serve, number: int) -> None:
    serving = serve(store)
    serving.process.send_signal(number)
    assert serving.process.wait(20) == 0
    with pytest.raises(OSError, match="refused"):
        serving.connect()


def test_a_taken_port_is_said(store: StoreBuilder, serving: Serving) -> None:
    done = run(*REGFS, "serve", str(store.root), "--anonymous", "--listen", serving.address)
    said = f"regfs: option listen: {serving.address}: Address already in use\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_the_large_layer_is_large() -> None:
    assert LARGE > 16 << 20
