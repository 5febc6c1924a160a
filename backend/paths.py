"""Video ids in paths: any text, percent-encoded as one segment, slashes included."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_to_bytes

from werkzeug.routing import UnicodeConverter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_KEPT: Final = re.compile(rb"%(?=25|2[fF])")


class EncodedSegments:
    """WSGI middleware: an encoded slash stays a part of its segment until routing is over.

    WSGI servers decode a path before an application sees it, after which ``a%2Fb`` can't be told
    from ``a/b``. They also hand over the path as it came; from it ``PATH_INFO`` is made anew with
    ``%2F`` and ``%25`` left as they are, for ``SegmentConverter`` to decode.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request with the wrapped application."""
        path = environ.get("RAW_URI", "").partition("?")[0]
        if path.startswith("/") and not environ.get("SCRIPT_NAME"):
            kept = _KEPT.sub(b"%25", path.encode("latin-1", "replace"))
            environ["PATH_INFO"] = unquote_to_bytes(kept).decode("latin-1")
        else:
            environ["PATH_INFO"] = environ.get("PATH_INFO", "").replace("%", "%25")
        return self._app(environ, start_response)


class SegmentConverter(UnicodeConverter):
    """One path segment, decoded in full: ``a%2Fb`` becomes ``a/b``."""

    def to_python(self, value: str) -> str:
        """The text that the segment stands for."""
        return unquote(value)
