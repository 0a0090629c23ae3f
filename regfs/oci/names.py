"""Names of repositories and tags.

The grammar is distribution's `reference` package (and distribution-spec, "Pulling manifests"). The
registry stores nothing under another name, so a directory with one was put there by something else.
"""

from __future__ import annotations

import re
from typing import NewType

from regfs.oci.digest import LENGTHS

RepositoryName = NewType("RepositoryName", str)
TagName = NewType("TagName", str)

#: reference.RepositoryNameTotalLengthMax, in characters.
LONGEST_REPOSITORY = 255

# reference: path-component := alpha-numeric [separator alpha-numeric]*, separator := [_.] | "__" | "-"+
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
# reference: domain := domain-component ["." domain-component]* [":" port]; may be a name's first part
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*(?::[0-9]+)?"
# reference: tag := /[\w][\w.-]{0,127}/
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"

# distribution makes UUIDs, v4 and later v7; other registries with this layout make ids of their own.
_UPLOAD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")

# distribution-spec, "Referrers Tag Schema": sha256-<hex>, the encoded part cut to 64 digits. cosign and
# regctl put a word behind that: sha256-<hex>.sig, .att, .sbom.
_NAMED_AFTER = re.compile(rf"({'|'.join(LENGTHS)})-([a-f0-9]{{64}})(?:\..+)?\Z")

_LATER = re.compile(rf"(?:{_PATH_COMPONENT})\Z")
_FIRST = re.compile(rf"(?:{_PATH_COMPONENT}|{_DOMAIN})\Z")
_WHOLE = re.compile(rf"(?:{_DOMAIN}/)?{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*\Z")
# reference: the first part of a name is a registry only with a dot or a port, or if it is "localhost".
_REGISTRY = re.compile(rf"(?:{_DOMAIN}|\[[0-9a-fA-F:]+\](?::[0-9]+)?)\Z")
_TAG_NAME = re.compile(rf"(?:{_TAG})\Z")


def is_tag(name: str) -> bool:
    """Tell whether `name` can be a tag."""
    return _TAG_NAME.match(name) is not None


def named_after(tag: str) -> str | None:
    """Give the digest that a tag is named after, as a signature's is; of sha512 its first 64 digits."""
    match = _NAMED_AFTER.match(tag)
    return f"{match[1]}:{match[2]}" if match else None


def is_repository(name: str) -> bool:
    """Tell whether `name` (components joined by slashes) can be a repository or lead to one."""
    if len(name) > LONGEST_REPOSITORY:
        return False
    first, *later = name.split("/")
    return _FIRST.match(first) is not None and all(_LATER.match(part) for part in later)


def is_whole_repository(name: str) -> bool:
    """Tell whether `name` can be a repository itself: a domain alone only leads to some."""
    return len(name) <= LONGEST_REPOSITORY and _WHOLE.match(name) is not None


def is_upload(name: str) -> bool:
    """Tell whether `name` can be the id of an upload."""
    return _UPLOAD.match(name) is not None


def read_registry(value: str) -> str:
    """Check the name of a registry, HOST[:PORT]. Raises ValueError with a text for a person."""
    if not _REGISTRY.match(value) or not ({".", ":"} & set(value) or value == "localhost"):
        raise ValueError(f"{value!r} is no HOST[:PORT] such as reg.example.com or 10.0.0.1:5000")
    return value
