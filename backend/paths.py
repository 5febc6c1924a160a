"""Which path was asked for: all that the caller wrote, whatever the server made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, request
from werkzeug.exceptions import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def take_paths_literally(app: Flask) -> None:
    """Route by the whole path as it was written.

    Servers take ``SCRIPT_NAME``, the part that an application is mounted at, from a field of the
    request's head; a caller who sends one got `/metrics` by another name, or a redirect. This
    application stands at the root, so the part is put back. And two slashes at the beginning are
    not one, as they are to Werkzeug: a proxy's rule for a path would not see them as that path.
    """
    app.wsgi_app = _AtTheRoot(app.wsgi_app)  # type: ignore[method-assign]

    @app.before_request
    def refuse_two_slashes() -> None:
        # Some servers make one of them before the application sees the path.
        asked = request.environ.get("REQUEST_URI", "")
        if asked.startswith("//") or request.environ["PATH_INFO"].startswith("//"):
            raise NotFound


class _AtTheRoot:
    """The WSGI application ``application``, asked for whole paths."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        mounted_at = environ.get("SCRIPT_NAME", "")
        environ["PATH_INFO"] = (mounted_at + environ.get("PATH_INFO", "")) or "/"
        environ["SCRIPT_NAME"] = ""
        return self._application(environ, start_response)
