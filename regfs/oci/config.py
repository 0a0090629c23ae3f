"""Image configs: what an image says of itself. Source: OCI image-spec, config.md."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from regfs.errors import ConfigError
from regfs.oci.document import decode
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


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """`created` is RFC 3339, as the builder wrote it, or empty; it may be any date."""

    created: str
    platform: Platform

    @classmethod
    def parse(cls, raw: bytes) -> ImageConfig:
        """Parse an image config. Raises ConfigError, and nothing else, for any bytes."""
        value = decode(raw, ConfigJSON, ConfigError)
        return cls(
            created=(value.created or "")[:_LONGEST_DATE],
            platform=Platform(
                value.os or "", value.architecture or "", value.variant or "", value.os_version or ""
            ),
        )
