"""The WSGI application: from a request's path to an endpoint, and from an answer to bytes."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from regfs.errors import RegfsError, StoreAwayError, printable
from regfs.serve.answers import Answer, Request, document, refusal
from regfs.serve.api import RegistryApi
from regfs.serve.passwords import Passwords
from regfs.serve.sending import Sending

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)

#: A name may have any of these words in it, so the last one counts.
_THING = re.compile(r"/v2/(?P<name>.+)/(?P<what>manifests|blobs|referrers)/(?P<reference>[^/]+)\Z", re.DOTALL)
_TAGS = re.compile(r"/v2/(?P<name>.+)/tags/list\Z", re.DOTALL)

_ALWAYS = (
    ("Docker-Distribution-Api-Version", "registry/2.0"),
    ("X-Content-Type-Options", "nosniff"),
)

#: Keys of a query that are read; more is no registry's client.
_MOST_FIELDS = 32

#: Bytes that are read at once where the server cannot have the kernel send a file.
_PIECE = 1 << 16


class Application:
    """Answers over one store. `passwords`: who may ask, None for everybody."""

    def __init__(self, api: RegistryApi, passwords: Passwords | None) -> None:
        self._api = api
        self._passwords = passwords

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 has it."""
        request = _request(environ)
        answer = self._answer(request)
        headers = [*answer.headers.items(), *_ALWAYS]
        if answer.length is not None:
            headers.append(("Content-Length", str(answer.length)))
        start_response(answer.reason, headers)
        if isinstance(answer.body, Sending):
            send: Callable[[Sending, int], Iterable[bytes]] = environ["wsgi.file_wrapper"]
            return send(answer.body, _PIECE)
        return [answer.body] if answer.body and request.wants_body else []

    def _answer(self, request: Request) -> Answer:
        try:
            if self._passwords and not self._passwords.let_in(request.headers.get("authorization", "")):
                asked = {"WWW-Authenticate": 'Basic realm="regfs"'}
                return refusal(401, "UNAUTHORIZED", "a name and a password are needed", asked)
            if request.method not in ("GET", "HEAD"):
                return refusal(405, "UNSUPPORTED", "this registry is read-only", {"Allow": "GET, HEAD"})
            return self._route(request)
        except StoreAwayError as error:
            _log.warning("%s: %s", printable(request.path), error)
            return refusal(503, "UNAVAILABLE", str(error))
        except RegfsError as error:
            _log.warning("%s: %s", printable(request.path), error)
            return refusal(500, "UNKNOWN", str(error))

    def _route(self, request: Request) -> Answer:
        if request.path in ("/v2/", "/v2"):
            return document({})
        if request.path == "/v2/_catalog":
            return self._api.catalog(request)
        if found := _TAGS.match(request.path):
            return self._api.tags(request, found["name"])
        if found := _THING.match(request.path):
            ask = {
                "manifests": self._api.manifest,
                "blobs": self._api.blob,
                "referrers": self._api.referrers,
            }[found["what"]]
            return ask(request, found["name"], found["reference"])
        return refusal(404, "UNSUPPORTED", "no such endpoint")


def _request(environ: WSGIEnvironment) -> Request:
    try:
        fields = parse_qsl(
            environ.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        fields = []
    return Request(
        environ["REQUEST_METHOD"],
        environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "surrogateescape"),
        dict(reversed(fields)),
        {
            key[5:].replace("_", "-").lower(): value
            for key, value in environ.items()
            if key.startswith("HTTP_") and isinstance(value, str)
        },
    )
