"""What to write into the configuration of other programs, so that what is deployed pulls from here unchanged.

Sources: containers-registries.conf(5); containerd's docs/hosts.md; Docker's "Test an insecure registry".
"""

from __future__ import annotations

from collections.abc import Callable

from regfs.serve.server import Listening


def podman(place: Listening, registry: str) -> str:
    """For podman, buildah, skopeo and CRI-O."""
    lines = [
        f"# /etc/containers/registries.conf.d/{registry.replace(':', '-')}.conf",
        "[[registry]]",
        f'location = "{registry}"',
        "[[registry.mirror]]",
        f'location = "{place.address}"',
    ]
    return "\n".join(lines if place.certificate else [*lines, "insecure = true"]) + "\n"


def containerd(place: Listening, registry: str) -> str:
    """For containerd, and with it Kubernetes and nerdctl."""
    return (
        f"# /etc/containerd/certs.d/{registry}/hosts.toml, with that directory as the CRI's config_path\n"
        f'server = "{place.url}"\n'
        f'[host."{place.url}"]\n'
        '  capabilities = ["pull", "resolve"]\n'
    )


def docker(place: Listening, registry: str) -> str:
    """For Docker, which has mirrors of docker.io alone: pull by one name, and give another."""
    insecure = (
        ""
        if place.certificate or place.loopback
        else f'# /etc/docker/daemon.json: {{"insecure-registries": ["{place.address}"]}}\n'
    )
    return (
        f"{insecure}# Docker has mirrors of docker.io alone. For each image:\n"
        f"docker pull {place.address}/team/app:1.0\n"
        f"docker tag {place.address}/team/app:1.0 {registry}/team/app:1.0\n"
    )


PROGRAMS: dict[str, Callable[[Listening, str], str]] = {
    "podman": podman,
    "containerd": containerd,
    "docker": docker,
}
