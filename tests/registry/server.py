"""A real registry: Debian's docker-registry with the filesystem driver, on a free port of 127.0.0.1."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import need
from tests.registry.api import Api


class Registry:
    """One running registry. `root` is its rootdirectory, `directory` holds its config and log.

    `storage`, if given, is the driver's part of the config: it keeps all elsewhere.
    """

    def __init__(
        self, root: Path, directory: Path, storage: Mapping[str, Mapping[str, object]] | None = None
    ) -> None:
        self.root = root
        # With that set, the S3 driver of 2.8 panics at the start.
        environment = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
        self._log = directory / "registry.log"
        while True:
            # The port is free now; another process may still take it before the registry does.
            self.port = free_port()
            self.address = f"127.0.0.1:{self.port}"
            self.config = write_config(directory / "config.yml", root, self.address, storage)
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [need("docker-registry"), "serve", str(self.config)],
                    stdout=log,
                    stderr=log,
                    env=environment,
                )
            try:
                if self._listens():
                    break
            except BaseException:
                self.end()
                raise
        self.api = Api(self.address)

    def _listens(self) -> bool:
        """Wait until it listens; False if another process has its port."""
        deadline = time.monotonic() + 20
        while f"listening on {self.address}" not in self.log():
            if self._process.poll() is not None and "address already in use" in self.log():
                return False
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        return True

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def reference(self, repository: str, tag: str) -> str:
        """Name a tag as skopeo wants it."""
        return f"docker://{self.address}/{repository}:{tag}"

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def write_config(
    path: Path, root: Path, address: str, storage: Mapping[str, Mapping[str, object]] | None = None
) -> Path:
    """Write a registry's configuration: JSON is YAML as well."""
    config = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            **(storage or {"filesystem": {"rootdirectory": str(root)}}),
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": address},
        "compatibility": {"schema1": {"enabled": True}},
        # Without this a registry takes no manifest with a foreign layer.
        "validation": {"manifests": {"urls": {"allow": ["^https://"]}}},
    }
    path.write_text(json.dumps(config))
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
