"""Builds stores as registries write them, for tests, the demo and benchmarks.

Knows the layout by itself, from distribution's paths.go, and shares no code with regfs: a mistake there
cannot hide here.
"""

from tests.builder.layers import make_layer
from tests.builder.store import Blob, StoreBuilder

__all__ = ["Blob", "StoreBuilder", "make_layer"]
