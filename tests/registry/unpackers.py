"""umoci and buildah, which unpack the images of a registry."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import need, output
from tests.registry.server import Registry


def umoci(registry: Registry, repository: str, tag: str, directory: Path) -> Path:
    """Unpack an image below a directory by umoci; Debian 12's knows no zstd."""
    program, layout = need("umoci"), directory / f"layout-{tag}:latest"
    options = ("--insecure-policy", "--quiet", "--src-tls-verify=false")
    output(need("skopeo"), "copy", *options, registry.reference(repository, tag), f"oci:{layout}")
    bundle = directory / f"bundle-{tag}"
    output(program, "unpack", "--image", layout, bundle)
    return bundle / "rootfs"


class Buildah:
    """Mounts images with a storage driver of buildah; `end` takes all of it away."""

    def __init__(self, registry: Registry, directory: Path) -> None:
        self._registry = registry
        self._directory = directory
        self._policy = directory / "policy.json"
        self._policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self._made: list[tuple[str, ...]] = []

    def mount(self, repository: str, tag: str, driver: str) -> Path:
        """Mount an image; gives the place."""
        place = self._directory / f"{driver}-{tag}"
        stored = (f"--root={place}/root", f"--runroot={place}/run", f"--storage-driver={driver}")
        command = (need("buildah"), *stored)
        pull = ("from", "--quiet", "--tls-verify=false", f"--signature-policy={self._policy}")
        name = output(*command, *pull, self._registry.reference(repository, tag)).strip()
        self._made.append((*command, "rm", name))
        return Path(output(*command, "mount", name).strip())

    def end(self) -> None:
        """Unmount and remove all."""
        for command in self._made:
            output(*command)
