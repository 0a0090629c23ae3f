"""Programs that build on a mount: overlays, containers' namespaces, databases, odd ways to read, backups."""

from __future__ import annotations

import json
import mmap
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder, layer
from tests.conftest import Mount, need, output, run
from tests.mount.conftest import clear, processes_with, regfs

pytestmark = pytest.mark.fuse
