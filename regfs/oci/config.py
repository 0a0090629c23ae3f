"""Image configs: what an image says of itself. Source: OCI image-spec, config.md."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from regfs.errors import ConfigError
from regfs.oci.document import Form
from regfs.oci.platform import Platform

#: RFC 3339 with nanoseconds has 35 characters; what is longer is no date.
_LONGEST_DATE = 64


class ConfigJSON(msgspec.Struct):
    """The keys of an image config that regfs reads, as JSON has them."""

    created: str | None = None
    architecture: str | None = None
    os: str | None = None
    variant: str | None = None
    os_version: str | None = msgspec.field(default=None, name="os.version")
    rootfs: msgspec.Raw = msgspec.Raw(b"null")
    history: msgspec.Raw = msgspec.Raw(b"null")


class StepJSON(msgspec.Struct):
    """One entry of `history`, as JSON has it."""

    created: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class RootfsJSON(msgspec.Struct):
    """`rootfs` of an image config, as JSON has it."""

    diff_ids: list[str] | None = None


_CONFIG = Form(ConfigJSON, ConfigError, mended=True)
_ROOTFS = Form(RootfsJSON, ConfigError, mended=True)
_HISTORY = Form(list[StepJSON], ConfigError, mended=True)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a build, as the builder noted it. `empty`: it made no layer."""

    created: str
    command: str
    comment: str
    empty: bool


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """`created` is RFC 3339, as the builder wrote it, or empty; it may be any date.

    `diff_ids` are the digests of the layers uncompressed, base first, and `history` the steps of the build;
    none where the config has no such list.
    """

    created: str
    platform: Platform
    diff_ids: tuple[str, ...] = ()
    history: tuple[Step, ...] = ()

    @classmethod
    def parse(cls, raw: bytes) -> ImageConfig:
        """Parse an image config. Raises ConfigError, and nothing else, for any bytes."""
        value = _CONFIG.decode(raw)
        return cls(
            created=(value.created or "")[:_LONGEST_DATE],
            platform=Platform(
                value.os or "", value.architecture or "", value.variant or "", value.os_version or ""
            ),
            diff_ids=_diff_ids(value.rootfs),
            history=_history(value.history),
        )


def _diff_ids(rootfs: msgspec.Raw) -> tuple[str, ...]:
    """Read the DiffIDs. What is no such list tells none, and spoils nothing else."""
    try:
        return tuple(_ROOTFS.decode(bytes(rootfs)).diff_ids or ())
    except ConfigError:
        return ()


def _history(history: msgspec.Raw) -> tuple[Step, ...]:
    """Read the steps of the build, in the same way."""
    try:
        steps = _HISTORY.decode(bytes(history))
    except ConfigError:
        return ()
    return tuple(
        Step(
            (step.created or "")[:_LONGEST_DATE],
            step.created_by or "",
            step.comment or "",
            bool(step.empty_layer),
        )
        for step in steps
    )
