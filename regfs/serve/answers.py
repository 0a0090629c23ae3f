"""What is answered to a request: a status, headers, and a body of bytes or of a file."""

from __future__ import annotations

import http
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from regfs.errors import printable
from regfs.serve.sending import Sending

JSON = "application/json"


class Request(NamedTuple):
    """What was asked. The path is decoded, `query` has the first of each key, headers are lower-case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def wants_body(self) -> bool:
        """Whether the answer has a body: HEAD is answered as GET, without one."""
        return self.method != "HEAD"


class Answer(NamedTuple):
    """One answer. `length` is the Content-Length, None for an answer that can have no body."""

    status: int
    headers: Mapping[str, str]
    body: bytes | Sending = b""
    length: int | None = None

    @property
    def reason(self) -> str:
        """The status as HTTP's first line has it."""
        return f"{self.status} {http.HTTPStatus(self.status).phrase}"


def document(value: object, headers: Mapping[str, str] | None = None, media_type: str = JSON) -> Answer:
    """Answer with a JSON document."""
    body = msgspec.json.encode(value)
    return Answer(200, {"Content-Type": media_type, **(headers or {})}, body, len(body))


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with an error (distribution-spec, "Error Codes")."""
    error = {"code": code, "message": printable(message), "detail": None}
    return document({"errors": [error]}, headers)._replace(status=status)
