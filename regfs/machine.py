"""What regfs asks of the machine it runs on."""

from __future__ import annotations

import secrets
from pathlib import Path


def boot() -> str:
    """Name this run of the machine (proc(5), /proc/sys/kernel/random/boot_id).

    What was written without waiting for the disk is whole as long as the machine has not gone down since.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return secrets.token_hex(8)  # cannot be told: each call is another


def make_private(directory: Path) -> None:
    """Make a directory, and those above it that are missing, for their owner alone. Raises OSError.

    Not by `parents`: those would get modes by the umask, and the XDG Base Directory Specification wants 0700
    for all.
    """
    for each in (*reversed(directory.parents), directory):
        each.mkdir(mode=0o700, exist_ok=True)
