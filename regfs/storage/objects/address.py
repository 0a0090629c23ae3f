"""What a person calls a place in an object store by: `s3://bucket/prefix`, `gs://…`, `az://…`.

Credentials are no part of it: they come from the environment, as other programs' do, and are kept nowhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from regfs.errors import RequirementError, UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

#: What regfs reads, each with what the names in it are called. Others that obstore takes are synonyms.
_FORMS = {
    "s3": "s3://BUCKET/PREFIX",
    "gs": "gs://BUCKET/PREFIX",
    "az": "az://CONTAINER/PREFIX",
    "abfss": "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX",
}

#: Seconds for one attempt, and for all of them; then the store is away. An attempt counts until the last byte
#: of its answer, which is 8 MiB at most.
_CONNECT, DEFAULT_TIMEOUT = 5.0, 20.0
_RETRIES = 8

#: Where the environment names an endpoint, in the order in which the ecosystem looks.
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    "abfss": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}

#: A profile of ~/.aws, which only boto3 reads.
_PROFILE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
_KEY = "AWS_ACCESS_KEY_ID"


def is_address(text: str) -> bool:
    """Tell whether a STORE names an object store, and not a directory."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


@dataclass(frozen=True)
class Address:
    """A place in an object store, and how it is reached.

    `timeout` is in seconds: how long a store that does not answer is waited for. `anonymous` signs nothing.
    """

    scheme: str
    host: str
    prefix: str
    endpoint: str = ""
    region: str = ""
    anonymous: bool = False
    timeout: float = DEFAULT_TIMEOUT

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read one. Raises UsageError, which never says what may be a password."""
        scheme, _, rest = text.partition("://")
        scheme = scheme.lower()
        form = _FORMS.get(scheme)
        if form is None:
            known = ", ".join(f"{name}://" for name in _FORMS)
            hint = ". That is a registry's address: give its storage" if scheme in ("http", "https") else ""
            raise UsageError(f"{scheme}:// is no store that regfs reads: a directory, {known}{hint}")
        host, _, prefix = rest.partition("/")
        if ":" in host or ("@" in host and scheme != "abfss"):
            raise UsageError(
                f"{scheme}://…: a store is named {form}, without a password or a port: credentials come from"
                " the environment, and a server of one's own from endpoint="
            )
        if re.search(r"[?#\s]", rest):
            raise UsageError(f"{scheme}://…: a store is named {form}; nothing comes behind that")
        parts = [part for part in prefix.split("/") if part]
        if not host:
            raise UsageError(f"{text}: a store is named {form}")
        if {".", ".."} & set(parts):
            raise UsageError(f"{text}: no part of a store's name can be . or ..")
        return cls(scheme, host, "/".join(parts))

    def at(self, prefix: str) -> Address:
        """Give the address of another prefix of the bucket."""
        return replace(self, prefix=prefix)

    def reached_by(
        self, endpoint: str = "", region: str = "", *, anonymous: bool = False, timeout: float | None = None
    ) -> Address:
        """Give the same place, reached as options or else the environment say. Raises UsageError."""
        named = next(filter(None, map(os.environ.get, _ENDPOINTS.get(self.scheme, ()))), "")
        address = replace(
            self,
            endpoint=(endpoint or named or "").rstrip("/"),
            region=region,
            anonymous=anonymous,
            timeout=DEFAULT_TIMEOUT if timeout is None else timeout,
        )
        if address.endpoint:
            parts = urlsplit(address.endpoint)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
                raise UsageError("endpoint: is written https://HOST[:PORT], and holds no password")
        return address

    def __str__(self) -> str:
        """Give what the person gave, for people."""
        return f"{self.scheme}://{self.host}/{self.prefix}".rstrip("/")

    @property
    def identity(self) -> str:
        """What no other store has: the same bucket elsewhere is another store."""
        return f"{self} {self.endpoint}".rstrip()

    def connect(self) -> ObjectStore:
        """Make what asks for keys of the whole bucket; nothing is asked yet.

        Raises RequirementError, UsageError.
        """
        try:
            from obstore.store import from_url
        except ImportError as error:
            raise RequirementError(
                "obstore",
                f"{self.scheme}:// needs obstore, which is not installed: pip install 'regfs[s3]'",
            ) from error
        attempt = f"{max(1.0, self.timeout / 2):g}s"
        keywords: dict[str, Any] = {}
        if self.scheme == "s3" and not self.anonymous and (provider := _profile()):
            keywords["credential_provider"] = provider
        keywords["client_options"] = {
            "allow_http": self.endpoint.startswith("http://"),
            "timeout": attempt,
            "connect_timeout": f"{min(_CONNECT, self.timeout / 2):g}s",
        }
        keywords["retry_config"] = {
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=self.timeout * 0.7),
            "backoff": {
                "init_backoff": timedelta(seconds=0.1),
                "max_backoff": timedelta(seconds=self.timeout / 6),
                "base": 2,
            },
        }
        config: Any = self._config()
        make: Callable[..., ObjectStore] = from_url
        try:
            return make(f"{self.scheme}://{self.host}", config=config, **keywords)
        except Exception as error:
            # Without the URL or the settings: nobody knows what stands in an environment.
            said = str(error).partition("\n")[0].rpartition("error: ")[2][:160]
            if self.scheme == "az" and "Account" in said:
                said = "name the account in $AZURE_STORAGE_ACCOUNT_NAME, or use abfss://"
            raise UsageError(f"{self}: cannot be reached as it is set up: {said}") from error

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if self.endpoint:
            config["endpoint"] = self.endpoint
        if self.scheme == "s3":
            region = self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
            config["region"] = region or "us-east-1"
        elif self.region:
            raise UsageError(f"region: {self.scheme}:// has none")
        if self.anonymous:
            config["skip_signature"] = True
        return config


def _profile() -> Any:
    """Give what reads a named profile of ~/.aws; None where none is named, or keys are."""
    name = next(filter(None, map(os.environ.get, _PROFILE)), "")
    if not name or os.environ.get(_KEY):
        return None
    try:
        import boto3  # type: ignore[import-untyped, import-not-found, unused-ignore]
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider(boto3.Session(profile_name=name))
    except ImportError as error:
        raise RequirementError(
            "boto3",
            f"the profile {name} of AWS is read by boto3, which is not installed: pip install boto3, or "
            "eval $(aws configure export-credentials --format env)",
        ) from error
    except Exception as error:
        raise UsageError(f"the profile {name} of AWS: {type(error).__name__}: {error}") from error
