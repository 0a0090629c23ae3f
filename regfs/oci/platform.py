"""Platforms of the images in an index, and which of them is a machine's own.

Sources: OCI image-spec, image-index.md ("platform"); containerd's `platforms` package for the
normal form of architectures and which variant of arm runs on which.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "armhf": "arm",
    "armel": "arm",
    "loongarch64": "loong64",
}

#: uname's machine for 32-bit arm carries the variant.
_ARM = re.compile(r"armv([5-8])\w*\Z")
_ARM_VARIANT = re.compile(r"v\d\Z")

#: What a directory name keeps of an untrusted string; the rest becomes an underscore.
_UNSAFE = re.compile(r"[^A-Za-z0-9._]")
_LONGEST_PART = 48  # five of these make a file name


@dataclass(frozen=True, slots=True)
class Platform:
    """os, architecture and variant in Go's terms (`linux`, `amd64`, `v7`); empty where not told."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `os/architecture[/variant]`. Raises ValueError with a text for a person."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise ValueError(f"{text!r} is not os/arch[/variant], as in linux/amd64 or linux/arm/v7")
        return cls(*parts).normal()

    @classmethod
    def of_machine(cls, system: str, machine: str) -> Platform:
        """Translate what uname(2) says into Go's terms."""
        arm = _ARM.match(machine)
        if arm:
            return cls(system.lower(), "arm", f"v{arm[1]}").normal()
        return cls(system.lower(), machine).normal()

    @property
    def text(self) -> str:
        """All of it in one text, which `stored` reads; never empty."""
        return "/".join(part.replace("/", "_") for part in (self.os, self.architecture, self.variant))

    @classmethod
    def stored(cls, text: str) -> Platform:
        """Read what `text` gave."""
        return cls(*text.split("/"))

    def normal(self) -> Platform:
        """Give the form in which equal platforms are equal: `arm64/v8` is arm64, `arm` is arm/v7."""
        architecture = _ARCHITECTURES.get(self.architecture.lower(), self.architecture.lower())
        variant = self.variant.lower() or ("v6" if self.architecture.lower() == "armel" else "")
        if variant.isdigit():
            variant = f"v{variant}"
        if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
            variant = ""
        if (architecture, variant) == ("arm", ""):
            variant = "v7"
        return Platform(self.os.lower(), architecture, variant, self.os_version)

    @property
    def unknown(self) -> bool:
        """Whether this is no platform at all, as attestations are marked (`unknown/unknown`)."""
        return self.os in ("", "unknown") and self.architecture in ("", "unknown")

    def runs(self, image: Platform) -> int | None:
        """Tell how well an image's platform suits this one: 0 is best, None is not at all."""
        mine, other = self.normal(), image.normal()
        if (mine.os, mine.architecture) != (other.os, other.architecture):
            return None
        if mine.variant == other.variant:
            return 0
        if not other.variant:
            return 1
        if (
            mine.architecture == "arm"
            and _ARM_VARIANT.match(mine.variant)
            and _ARM_VARIANT.match(other.variant)
        ):
            newer = int(mine.variant[1:]) - int(other.variant[1:])
            return 1 + newer if newer > 0 else None
        return None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def directory_names(platforms: Sequence[Platform | None]) -> list[str]:
    """Name a directory for each child of an index, in its order: `os-arch[-variant]`.

    Children that would share a name get their `os.version` appended where it tells them apart, and
    after that a number: `unknown-unknown`, `unknown-unknown-2`. The names depend on the index only.
    """
    bases = [_base(platform) for platform in platforms]
    uses = Counter(bases)
    numbers: Counter[str] = Counter()
    names: dict[str, None] = {}
    for base, platform in zip(bases, platforms, strict=True):
        if uses[base] > 1 and platform and platform.os_version:
            base = f"{base}-{_safe(platform.os_version)}"
        name = base
        while name in names:
            numbers[base] += 1
            name = f"{base}-{numbers[base] + 1}"
        names[name] = None
    return list(names)


def _base(platform: Platform | None) -> str:
    if platform is None:
        return "unknown-unknown"
    name = f"{_safe(platform.os) or 'unknown'}-{_safe(platform.architecture) or 'unknown'}"
    return f"{name}-{_safe(platform.variant)}" if platform.variant else name


def _safe(text: str) -> str:
    return _UNSAFE.sub("_", text[:_LONGEST_PART])


def choose(platforms: Sequence[Platform | None], wanted: Platform) -> int | None:
    """Choose the child of an index that a machine of platform `wanted` would pull.

    Where none suits, the only image of the index is chosen, if there is just one. Gives its position.
    """
    known = [
        (position, platform)
        for position, platform in enumerate(platforms)
        if platform is None or not platform.unknown
    ]
    suiting = [
        (fit, position)
        for position, platform in known
        if platform is not None and (fit := wanted.runs(platform)) is not None
    ]
    if suiting:
        return min(suiting)[1]
    return known[0][0] if len(known) == 1 else None
