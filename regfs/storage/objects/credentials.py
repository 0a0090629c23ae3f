"""Credentials in a file, for whoever has no environment to put them into: fstab, autofs.

The file sets what the environment would: a line NAME=VALUE each, as systemd's EnvironmentFile= and
`aws configure export-credentials --format env` write it, or as ~/.aws/credentials does below [default].
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from regfs.errors import UsageError

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_SECTION = re.compile(r"\[(.*)\]")

#: Names that object stores are told by. No others are set: a file of credentials is nothing else.
_NAMES = re.compile(r"(AWS|AZURE|GOOGLE)_[A-Z0-9_]+")

#: Credentials that are no whole without each other: of what the file does not give, nothing else does.
_TOGETHER = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

#: A file of credentials is a page at most.
_LONGEST = 64 << 10


def take_credentials(path: str) -> None:
    """Set in this process's environment what a file says. Raises UsageError, which quotes nothing of it."""
    try:
        with open(path, encoding="utf-8", errors="strict") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise UsageError(f"{path}: credentials that others can read or write are none: chmod 600")
            text = file.read(_LONGEST)
    except OSError as error:
        raise UsageError(f"{path}: the credentials cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise UsageError(f"{path}: is no file of credentials") from error
    found = dict(_settings(path, text))
    if any(name in found for name in _TOGETHER):
        for name in _TOGETHER:
            os.environ.pop(name, None)
    os.environ.update(found)


def _settings(path: str, text: str) -> Iterator[tuple[str, str]]:
    ours = True
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line[0] in "#;":
            continue
        if section := _SECTION.fullmatch(line):
            ours = section[1].strip() == "default"
            continue
        if not ours:
            continue
        match = _LINE.fullmatch(line)
        name = match["name"].upper() if match else ""
        if match is None or not _NAMES.fullmatch(name):
            wanted = "NAME=VALUE, with a name that begins with AWS_, AZURE_ or GOOGLE_"
            raise UsageError(f"{path}: line {number} is not {wanted}")
        value = match["value"]
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        yield name, value
