"""`regfs report metrics`: a store for Prometheus."""

from __future__ import annotations

import os
import sys
import time

from regfs import __version__
from regfs.cli.opening import opened_index
from regfs.graph.reports.metrics import NEEDS, Look, metrics


def print_metrics(store: str) -> None:
    """Print the metrics of a store: all or none, so that a file of them is whole. Raises StoreError."""
    with opened_index(store) as it:
        done = it.references.refresh()
        name = os.path.abspath(store) if os.path.exists(store) else store
        about = Look(name, __version__, time.time(), done.seconds)
        with it.references.snapshot(*NEEDS) as snapshot:
            lines = list(metrics(snapshot, about))
    for line in lines:
        sys.stdout.write(line)
