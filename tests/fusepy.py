"""The command `regfs`, whose mounts are answered through fusepy: for `pytest --session fusepy`."""

from __future__ import annotations

import sys

from regfs.cli import main

if __name__ == "__main__":
    if sys.argv[1:2] == ["mount"]:
        sys.argv += ["-o", "session=fusepy"]
    main()
