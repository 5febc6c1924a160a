"""Where the application stands: at the root of a host, or below a prefix that its callers see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flask import Flask, has_request_context, redirect, request
from werkzeug.exceptions import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.wrappers import Response

# Of one of these the proxy takes its prefix away itself: the paths below it are the server's own.
_OWN: Final = re.compile(r"/(?:api|docs|static|healthz|readyz|metrics|openapi\.json)(?:/|$)")
_PREFIX: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+){1,16}")
_MOST_CHARACTERS: Final = 200


def read_prefix(written: str) -> str:
    """Return a prefix as it is put before paths: `/twin`, or nothing for the root.

    Raises:
        ValueError: it is none.
    """
    prefix = written.strip().rstrip("/")
    if prefix and not (len(prefix) <= _MOST_CHARACTERS and _PREFIX.fullmatch(prefix)):
        raise ValueError("a path like /twin: letters, digits and . _ ~ - between slashes")
    return prefix


def choose_prefix(fixed: str, forwarded: str | None, *, trusted: bool) -> str:
    """Return the prefix of a request: the operator's, else what the proxy says, if it is trusted.

    ``forwarded`` is the field `X-Forwarded-Prefix`; of several values the last is the proxy's.
    """
    if fixed or not trusted or forwarded is None:
        return fixed
    try:
        return read_prefix(forwarded.rpartition(",")[2])
    except ValueError:
        return ""


def prefix_of_request() -> str:
    """Return what callers put before the paths of this server, for the request under way."""
    return request.script_root if has_request_context() else ""


def mount(app: Flask, path_prefix: str, *, trusted: bool) -> None:
    """Route by the whole path as it was written, but for the operator's ``path_prefix``.

    Servers take ``SCRIPT_NAME``, the prefix that an application is mounted at, from a header of the
    request; a caller who sent one could reach `/metrics` by another name, or get a redirect. So
    that prefix is put back. What a ``trusted`` proxy says takes nothing away from a path, for the
    same reason: it stands before the addresses in answers only. A path that begins with two slashes
    is refused, though Werkzeug would merge them: a proxy's rule for the path would not match it.
    """
    app.wsgi_app = _Mounted(app.wsgi_app, path_prefix, trusted)  # type: ignore[method-assign]

    @app.before_request
    def refuse_two_slashes() -> Response | None:
        # Some servers make one of them before the application sees the path.
        asked, path = request.environ.get("REQUEST_URI", ""), request.environ["PATH_INFO"]
        if asked.startswith("//") or path.startswith("//"):
            raise NotFound
        # The page's addresses are relative to the slash.
        return None if path else redirect(f"{request.script_root}/", 308)


class _Mounted:
    """The WSGI application ``application``, asked for whole paths."""

    def __init__(self, application: WSGIApplication, path_prefix: str, trusted: bool) -> None:
        self._application = application
        self._prefix = path_prefix
        self._stays = not path_prefix or _OWN.match(path_prefix) is not None
        self._trusted = trusted

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")) or "/"
        if not self._stays and f"{path}/".startswith(f"{self._prefix}/"):
            path = path.removeprefix(self._prefix)
        environ["PATH_INFO"] = path
        environ["SCRIPT_NAME"] = choose_prefix(
            self._prefix, environ.get("HTTP_X_FORWARDED_PREFIX"), trusted=self._trusted
        )
        return self._application(environ, start_response)
