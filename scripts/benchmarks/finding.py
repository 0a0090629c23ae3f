"""A file by its name in many images that share layers: `regfs find`, beside find(1) over each `rootfs/`."""

from __future__ import annotations

from scripts.benchmarks.contestants import unmount
from scripts.benchmarks.measuring import Bench
from scripts.benchmarks.processes import REGFS, run, seconds_of
from scripts.benchmarks.results import Table
from tests.builder import StoreBuilder
from tests.builder.layers import make_tar
from tests.inside import image, push_quickly

FIND, FOUND_EACH, _SECONDS = "regfs find", "find of each rootfs/", "seconds"

#: Images, and the files of the layers that all of them have, and of each one's own.
_IMAGES, _SHARED, _OWN = 50, (2_000, 1_000, 500), 20

_PATTERN = "log4j-core-*.jar"


def finding(bench: Bench) -> None:
    """Build the images and their indexes; look for a file that every image has, and one that a few have."""
    store = StoreBuilder(bench.work / "registry")
    shared = [
        push_quickly(store, make_tar({f"usr/{layer}/{n % 50}/file{n}": b"x" * 100 for n in range(files)}))
        for layer, files in enumerate(_SHARED)
    ]
    for number in range(_IMAGES):
        own = {f"srv/{number}/{n}": b"y" * 100 for n in range(_OWN)}
        if number % 10 == 0:
            own["srv/log4j-core-2.14.jar"] = b"jar"
        image(store, "app", f"v{number}", [*shared, push_quickly(store, make_tar(own))])
    run([*REGFS, "index", "--layers", str(store.root)])
    title = (
        f"finding a file in {_IMAGES} images of {len(_SHARED) + 1} layers, {sum(_SHARED) + _OWN:,} files each"
    )
    table = Table("finding", "finding", title, "s", (_SECONDS,), (FOUND_EACH,))
    tops = [f"{bench.mountpoint}/app/v{number}/rootfs/" for number in range(_IMAGES)]
    for _ in range(bench.sizes.slow_rounds):
        done = run([*REGFS, "find", str(store.root), _PATTERN])
        table.add(FIND, _SECONDS, done.seconds, done.memory)
        seconds_of([*REGFS, "mount", str(store.root), str(bench.mountpoint)])
        try:
            table.add(FOUND_EACH, _SECONDS, seconds_of(["find", *tops, "-name", _PATTERN]))
        finally:
            unmount(bench.mountpoint)
    bench.results.add(table)
