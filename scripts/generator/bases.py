"""Base images: what the images of many repositories start with, rebuilt every eight weeks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from scripts.generator.layers import Layer, Maker
from scripts.generator.plan import SPAN, Plan

ARCHITECTURES = ("amd64", "arm64")

_RELEASES = 13
_SYSTEMS = ("alpine", "debian", "ubi")
_RUNTIMES = ("go", "java", "node", "php", "python", "ruby")

#: How heavy a layer is, in mean layers.
_SYSTEM_WEIGHT = 2.0
_RUNTIME_WEIGHT = 1.0


class Base(NamedTuple):
    """One release of a base image, for one architecture."""

    runtime: str
    version: str
    layers: Sequence[Layer]


class Bases:
    """All releases of all base images: a system's layer, which several share, and a runtime's layers."""

    def __init__(self, plan: Plan, maker: Maker) -> None:
        self._start = plan.now - SPAN
        self._chance, self._maker = plan.chance("bases"), maker
        #: All layers by digest.
        self.layers: dict[str, Layer] = {}
        systems = {
            of: self._layer(_SYSTEM_WEIGHT, "ADD {}-{}.{}.tar /".format(*of), of[-1])
            for of in itertools.product(_SYSTEMS, ARCHITECTURES, range(_RELEASES))
        }
        #: For each base image its releases, by architecture.
        self.all: list[dict[str, Sequence[Base]]] = []
        for number in range(min(4 + plan.repositories // 25, 24)):
            system, runtime = _SYSTEMS[number % len(_SYSTEMS)], _RUNTIMES[number % len(_RUNTIMES)]
            # An image has its own layers and its dependencies besides: see images.py.
            steps = max(plan.layers - 3 + self._chance.choice((-1, 0, 0, 1)), 0)
            self.all.append(
                {
                    architecture: [
                        self._base(systems[system, architecture, release], runtime, number, release, steps)
                        for release in range(_RELEASES)
                    ]
                    for architecture in ARCHITECTURES
                }
            )

    def _base(self, system: Layer, runtime: str, number: int, release: int, steps: int) -> Base:
        version = f"{number + 3}.{release}"
        made = [
            self._layer(_RUNTIME_WEIGHT, f"RUN install {runtime} {version} part {step}", release)
            for step in range(steps)
        ]
        return Base(runtime, version, [system, *made])

    def _layer(self, weight: float, made: str, release: int) -> Layer:
        # A release is somewhat older than the builds upon it.
        time = self._start + release * SPAN // _RELEASES - SPAN // 100
        layer = self._maker(self._chance, weight, made, time)
        self.layers[layer.digest] = layer
        return layer

    def release_at(self, time: int) -> int:
        """Tell which release was the last before a time."""
        return min(max(0, (time - self._start) * _RELEASES // SPAN), _RELEASES - 1)
