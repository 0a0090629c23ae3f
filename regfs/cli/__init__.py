"""The command `regfs`: the only part that reads arguments and the environment, and talks to people."""

from regfs.cli.main import main

__all__ = ["main"]
