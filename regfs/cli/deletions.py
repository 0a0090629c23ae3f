"""The commands that delete manifests from a registry through its API. regfs prints them, and runs none."""

from __future__ import annotations

import enum
import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from regfs.errors import UsageError, printable
from regfs.oci.names import read_registry

_PORTS = {"http": 80, "https": 443}


class Tool(enum.Enum):
    """Who deletes. The values are what a person types."""

    CURL = "curl"
    SKOPEO = "skopeo"
    CRANE = "crane"


class RegistryUrl(NamedTuple):
    """Where a registry answers: `host` with its port, if one was given, `path` for one behind a prefix."""

    scheme: str
    host: str
    path: str = ""

    @property
    def name(self) -> str:
        """HOST[:PORT] as it begins the name of an image: a word alone would be a part of Docker Hub's."""
        try:
            return read_registry(self.host)
        except ValueError:
            return f"{self.host}:{_PORTS[self.scheme]}"


def read_url(text: str) -> RegistryUrl:
    """Read a registry's URL; HOST[:PORT] alone means https. Raises UsageError."""
    wrong = f"{text!r} is no URL of a registry such as https://reg.example.com or http://127.0.0.1:5000"
    try:
        url = urlsplit(text if "://" in text else f"https://{text}")
        fits = url.scheme in _PORTS and url.hostname and (url.port is None or url.port)
    except ValueError as error:
        raise UsageError(f"{wrong}: {error}") from error
    if not fits or url.query or url.fragment or not text.isprintable() or " " in text:
        raise UsageError(wrong)
    if "@" in url.netloc:
        raise UsageError(
            "the commands would show the password: leave it out, and log in by ~/.netrc (curl), "
            "skopeo login or crane auth login"
        )
    return RegistryUrl(url.scheme, url.netloc, url.path.rstrip("/"))


def commands(manifests: Iterable[tuple[str, str]], registry: RegistryUrl, tool: Tool) -> Iterator[str]:
    """Give the command that deletes each manifest, of repository and digest. Raises UsageError."""
    if registry.path and tool is not Tool.CURL:
        raise UsageError(f"{tool.value} reaches no registry below a path ({registry.path}); curl does")
    plain = registry.scheme == "http"
    for repository, digest in manifests:
        name = f"{registry.name}/{repository}@{digest}"
        if tool is Tool.CURL:
            path = f"{registry.path}/v2/{quote(repository)}/manifests/{digest}"
            words = ["curl", "-fsS", "--netrc-optional", "-X", "DELETE"]
            words.append(f"{registry.scheme}://{registry.host}{path}")
        elif tool is Tool.SKOPEO:
            words = ["skopeo", "delete", *["--tls-verify=false"] * plain, f"docker://{name}"]
        else:
            words = ["crane", "delete", *["--insecure"] * plain, name]
        yield shlex.join(words)


def comment(lines: Iterable[str]) -> Iterator[str]:
    """Write lines as comments of a shell, whatever they quote."""
    return (f"# {printable(line)}" for line in lines)
