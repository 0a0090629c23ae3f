"""The operations of a mount, called as `find -ls` makes the kernel call them; prints seconds, twice.

The second walk finds in memory what there is room for.
"""

from __future__ import annotations

import sys
import time

from regfs.cli.opening import Choices, cache_directory, opened_tree
from regfs.machine import collect_cycles_seldom
from regfs.mount.operations import Lifetimes, Operations
from regfs.mount.options import this_machine
from regfs.registry import locate, open_local
from regfs.tree import NodeType


def walk(operations: Operations) -> None:
    """List each directory, and look at each name."""
    waiting = [b"/"]
    while waiting:
        path = waiting.pop()
        above = path.rstrip(b"/") + b"/"
        below = []
        for child in operations.children(path):
            name = above + operations.name(child.name)
            if operations.attributes(name).type is NodeType.DIRECTORY:
                below.append(name)
        waiting.extend(reversed(below))


def main(store: str) -> None:
    """Walk over a store twice."""
    collect_cycles_seldom()
    lifetimes = Lifetimes.of(10)
    storage = open_local(locate(store))
    with opened_tree(storage, cache_directory(), this_machine(), Choices(lifetimes.graph)) as tree:
        operations = Operations(tree, lifetimes)
        for _ in range(2):
            began = time.perf_counter()
            walk(operations)
            print(time.perf_counter() - began)


if __name__ == "__main__":
    main(sys.argv[1])
