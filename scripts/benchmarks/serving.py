"""A layer of 1 GB over HTTP beside nginx and docker-registry, and `image.tar` beside the same on a disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from scripts.benchmarks.contestants import OURS, PLAIN, Contestant, mounted
from scripts.benchmarks.measuring import Bench
from scripts.benchmarks.processes import REGFS, FailedError, seconds_of
from scripts.benchmarks.results import Table
from tests.builder import StoreBuilder
from tests.builder.media_types import OCI_LAYER
from tests.interop.images import image
from tests.interop.serving import Serving
from tests.registry.server import Registry, free_port

ONE, FOUR = "one client", "four at once"
SECONDS = "seconds"
NGINX, DISTRIBUTION = "nginx", "docker-registry"

_NAME = "bench/large"


def serving(bench: Bench) -> None:
    """Serve a layer, and load an archive."""
    store = StoreBuilder(bench.work / "registry")
    layer = store.blob(os.urandom(bench.sizes.layer), OCI_LAYER)
    store.image(_NAME, "1", [layer])
    image(store, "bench/archive", "1", [{"data": os.urandom(bench.sizes.layer * 3 // 20)}], "none")
    title = f"a layer of {bench.sizes.layer / 1e9:g} GB over HTTP, in memory, to curl"
    table = Table("serving", "serving", title, "s", (ONE, FOUR), (NGINX, DISTRIBUTION))
    with ExitStack() as stack:
        sources = _sources(bench, store, layer.digest, stack)
        for turn in range(bench.sizes.rounds + 1):
            first = turn % len(sources)
            for name in [*sources][first:] + [*sources][:first]:
                memory = sources[name][1].memory() / 1e6 if sources[name][1] else 0.0
                one, four = _pull(sources[name][0], 1), _pull(sources[name][0], 4)
                if turn:  # the first one brings all into memory
                    table.add(name, ONE, one, memory)
                    table.add(name, FOUR, four, memory)
    bench.results.add(table)
    _load(bench, store)


def _sources(
    bench: Bench, store: StoreBuilder, digest: str, stack: ExitStack
) -> dict[str, tuple[str, Serving | None]]:
    """Start each server; gives where each has the layer, and regfs's own process."""
    ours = Serving(store.root, bench.work)
    stack.callback(ours.end)
    ours.api.ask("GET", f"/v2/{_NAME}/manifests/1")  # as each client does
    found: dict[str, tuple[str, Serving | None]] = {
        OURS: (f"http://{ours.address}/v2/{_NAME}/blobs/{digest}", ours)
    }
    if shutil.which("docker-registry"):
        registry = Registry(store.root, bench.work)
        stack.callback(registry.end)
        found[DISTRIBUTION] = (f"http://{registry.address}/v2/{_NAME}/blobs/{digest}", None)
    else:
        bench.results.note(f"left out: {DISTRIBUTION}: it is not installed")
    try:
        found[NGINX] = (stack.enter_context(_nginx(bench.work, store.data(digest))), None)
    except FailedError as error:
        bench.results.note(f"left out: {NGINX}: {error}")
    return found


@contextmanager
def _nginx(work: Path, file: Path) -> Iterator[str]:
    """Serve one file by nginx, as this user, on a free port of 127.0.0.1."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise FailedError("it is not installed")
    port, config = free_port(), work / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {work}/{kind};" for kind in kinds)
    config.write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off;\n"
        f"pid {work}/nginx.pid; error_log {work}/nginx.log;\n"
        f"events {{}} http {{ access_log off; sendfile on; tcp_nopush on; {paths}\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ root {file.parent}; }} }} }}\n"
    )
    process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        if process.poll() is not None:
            raise FailedError("it did not start")
        yield f"http://127.0.0.1:{port}/{file.name}"
    finally:
        process.terminate()
        process.wait(10)


def _pull(url: str, clients: int) -> float:
    command = (
        f"for n in $(seq {clients}); do curl -sSf -o /dev/null {url} & pids+=($!); done; wait ${{pids[@]}}"
    )
    return seconds_of(["bash", "-c", command])


def _load(bench: Bench, store: StoreBuilder) -> None:
    """Let skopeo read `image.tar` as Docker does, from the mount and from a disk."""
    if not shutil.which("skopeo"):
        bench.results.note("left out: image.tar: skopeo is not installed")
        return
    table = Table("serving", "loading", "skopeo copy docker-archive:image.tar", "s", (SECONDS,), (PLAIN,))
    command = [*REGFS, "mount", "-f", str(store.root), str(bench.mountpoint)]
    with mounted(Contestant(OURS, command, bench.mountpoint), bench.mountpoint):
        archive, copy = bench.mountpoint / "bench/archive/1/image.tar", bench.work / "image.tar"
        shutil.copyfile(archive, copy)
        places = ((OURS, archive), (PLAIN, copy))
        for turn in range(bench.sizes.rounds + 1):
            for name, path in places[:: 1 if turn % 2 else -1]:
                seconds = seconds_of(_skopeo(path, bench.work / "unpacked"))
                if turn:
                    table.add(name, SECONDS, seconds)
    bench.results.add(table)


def _skopeo(archive: Path, to: Path) -> Sequence[str]:
    shutil.rmtree(to, ignore_errors=True)
    return ["skopeo", "copy", "--quiet", f"docker-archive:{archive}", f"dir:{to}"]
