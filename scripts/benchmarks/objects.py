"""An object store (SeaweedFS on this machine), near and 40 ms away: regfs beside LIST, rclone and curl."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import obstore

from regfs.storage.objects import Address, Bucket
from scripts.benchmarks.contestants import OURS, unmount
from scripts.benchmarks.measuring import Bench
from scripts.benchmarks.processes import REGFS, FailedError, run, seconds_of
from scripts.benchmarks.results import Table
from tests.objects.server import KEY, SECRET, Seaweed, SlowProxy, slow

#: Milliseconds of a round trip.
_DELAYS = (0, 40)
_KINDS = tuple(f"{delay} ms" for delay in _DELAYS)

INDEX, REFRESH, LIST, RCLONE, CURL = "index", "refresh", "LIST of all", "rclone, then index", "curl"

_V2 = "docker/registry/v2"
_OCI = "application/vnd.oci.image"


def objects(bench: Bench) -> None:
    """Index, refresh, walk and read a store of 24,000 objects."""
    server = Seaweed(bench.work / "seaweed")
    try:
        os.environ.update(server.environment())
        tags = max(1, bench.sizes.images // 100)
        for bucket, found in (
            ("store", _store(100, tags, b"")),
            ("tags", _store(1, 500, os.urandom(bench.sizes.layer // 2))),
        ):
            server.make_bucket(bucket)
            asyncio.run(_fill(server, bucket, found))
        with slow(server.port, 0) as proxy:
            os.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
            _count(bench, proxy)
        for delay, kind in zip(_DELAYS, _KINDS, strict=True):
            with _away(server, delay) as endpoint:
                os.environ["AWS_ENDPOINT_URL"] = endpoint
                _measure(bench, endpoint, kind)
        bench.results.add(_INDEXING)
        bench.results.add(_READING)
    finally:
        server.end()


def objects_memory(bench: Bench) -> None:
    """Index a store of a million objects: it is no question of time."""
    server = Seaweed(bench.work / "seaweed")
    try:
        os.environ.update(server.environment())
        server.make_bucket("store")
        tags = bench.sizes.objects // _REPOSITORIES // _OBJECTS_OF_A_TAG + 1
        found = _store(_REPOSITORIES, tags, b"")
        count = len(found)
        asyncio.run(_fill(server, "store", found))
        del found
        table = Table("objects", "objects-memory", f"peak memory: {count:,} objects", "MB", ("peak",), ())
        for name in (INDEX, REFRESH):
            done = run([*REGFS, "index", "s3://store"])
            table.add(name, "peak", done.memory)
            bench.results.note(f"{name}, {count:,} objects: {done.seconds:.1f} s, {done.memory:.0f} MB")
        bench.results.add(table)
    finally:
        server.end()


#: Repositories of that store, and the objects that a tag has of its own.
_REPOSITORIES, _OBJECTS_OF_A_TAG = 100, 12

_INDEXING = Table("objects", "objects", "24,000 objects: an index, and beside it", "s", _KINDS, (LIST,))
_READING = Table("objects", "objects-cat", "cat of a layer of half the size", "s", _KINDS, (CURL,))


@contextmanager
def _away(server: Seaweed, milliseconds: int) -> Iterator[str]:
    """Give what reaches the server in so long: at 0 the server itself, for a proxy takes processor's time."""
    if not milliseconds:
        yield server.endpoint
        return
    with slow(server.port, milliseconds // 2) as proxy:
        yield proxy.endpoint


def _measure(bench: Bench, endpoint: str, kind: str) -> None:
    for _ in range(bench.sizes.slow_rounds):
        shutil.rmtree(bench.work / "cache", ignore_errors=True)
        for name in (INDEX, REFRESH):
            done = run([*REGFS, "index", "s3://store"])
            _INDEXING.add(name, kind, done.seconds, done.memory)
        _INDEXING.add(LIST, kind, _list_all(endpoint))
    for _ in range(bench.sizes.slow_rounds):
        _READING.add(CURL, kind, _curl(endpoint))
        with _mounted(bench, "s3://tags") as top:
            layers = top / "group0/app0/v0/layers"
            large = max(layers.iterdir(), key=lambda layer: layer.stat().st_size)
            _READING.add(OURS, kind, seconds_of(["cat", str(large)]))
    try:
        _INDEXING.add(RCLONE, kind, _by_rclone(bench, endpoint))
    except (FailedError, subprocess.SubprocessError) as error:
        bench.results.note(f"left out: {RCLONE}, {kind}: {error}")


def _count(bench: Bench, proxy: SlowProxy) -> None:
    """Count requests: of an index, of `find` over what is indexed, of `ls -l` where nothing is."""
    counts: list[int] = [proxy.requests()]

    def counted(*command: object) -> None:
        seconds_of([*map(str, command)])
        counts.append(proxy.requests())

    counted(*REGFS, "index", "s3://store")
    counted(*REGFS, "index", "s3://store")
    with _mounted(bench, "s3://store") as top:
        counts.append(proxy.requests())
        counted("find", top)
        counted("find", top)
    shutil.rmtree(bench.work / "cache", ignore_errors=True)
    with _mounted(bench, "s3://tags") as top:
        counts.append(proxy.requests())
        counted("ls", "-l", top / "group0/app0")
    index, refresh, _, found, again, _, listed = (after - before for before, after in pairwise(counts))
    bench.results.note(
        f"requests of an index {index}, of a refresh {refresh}; of find {found}, of a second one {again}; "
        f"of ls -l of 500 tags {listed}"
    )


@contextmanager
def _mounted(bench: Bench, store: str) -> Iterator[Path]:
    seconds_of([*REGFS, "mount", store, str(bench.mountpoint)])
    try:
        yield bench.mountpoint
    finally:
        unmount(bench.mountpoint)


def _list_all(endpoint: str) -> float:
    bucket = Bucket(Address.parse("s3://store").reached_by(endpoint))
    began = time.perf_counter()
    bucket.keys(_V2)
    return time.perf_counter() - began


def _curl(endpoint: str) -> float:
    """Read the largest object."""
    bucket = Bucket(Address.parse("s3://tags").reached_by(endpoint))
    largest = max(bucket.keys(f"{_V2}/blobs"), key=lambda key: key.size)
    signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{KEY}:{SECRET}"]
    return seconds_of(["curl", "-sf", "-o", "/dev/null", *signed, f"{endpoint}/tags/{largest.path}"])


def _by_rclone(bench: Bench, endpoint: str) -> float:
    """Index the store through an rclone mount, as one has to without this."""
    mountpoint = bench.work / "rclone"
    mountpoint.mkdir(exist_ok=True)
    remote = f":s3,provider=Other,env_auth=true,endpoint='{endpoint}':store"
    environment = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
    with ExitStack() as stack:
        command = ["rclone", "mount", "--read-only", "--daemon", remote, str(mountpoint)]
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=60)
        stack.callback(unmount, mountpoint)
        shutil.rmtree(bench.work / "cache", ignore_errors=True)
        return seconds_of([*REGFS, "index", str(mountpoint)])


async def _fill(server: Seaweed, bucket: str, found: dict[str, bytes]) -> None:
    store, left = server.objects(bucket), iter(found.items())

    async def put() -> None:
        for key, content in left:
            await obstore.put_async(store, key, content)

    await asyncio.gather(*(put() for _ in range(32)))


def _store(repositories: int, tags: int, large: bytes) -> dict[str, bytes]:
    """Make a store: each tag has a config and three layers of its own, and one that many share.

    The first tag's is `large`, if that is given.
    """
    found: dict[str, bytes] = {}

    def blob(content: bytes) -> dict[str, object]:
        name = hashlib.sha256(content).hexdigest()
        found[f"{_V2}/blobs/sha256/{name[:2]}/{name}/data"] = content
        return {"digest": f"sha256:{name}", "size": len(content)}

    for r in range(repositories):
        path = f"{_V2}/repositories/group{r % 10}/app{r}"
        for t in range(tags):
            own = [blob(f"layer {r} {t} {n}".encode()) for n in range(3)]
            stack = [
                {"mediaType": f"{_OCI}.layer.v1.tar", **layer}
                for layer in [blob(large if large and not t else f"base {r % 5}".encode()), *own]
            ]
            config = blob(json.dumps({"architecture": "amd64", "os": "linux", "n": [r, t]}).encode())
            config = {"mediaType": f"{_OCI}.config.v1+json", **config}
            body = {"schemaVersion": 2, "mediaType": f"{_OCI}.manifest.v1+json"}
            digest = str(blob(json.dumps({**body, "config": config, "layers": stack}).encode())["digest"])
            for part in (config, *stack):
                name = str(part["digest"])
                found[f"{path}/_layers/{name.replace(':', '/')}/link"] = name.encode()
            slashed = digest.replace(":", "/")
            for place in (f"revisions/{slashed}", f"tags/v{t}/current", f"tags/v{t}/index/{slashed}"):
                found[f"{path}/_manifests/{place}/link"] = digest.encode()
    return found
