"""What the files that are served are, whatever the machine's own table says."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from flask import Flask, Response

CONTENT_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".ts": "text/plain",
}


class StaticFlask(Flask):
    """Flask, but for the types of its static files."""

    def send_static_file(self, filename: str) -> Response:
        """Answer a static file with the type that its name's end has here."""
        return with_own_type(super().send_static_file(filename), filename)


def with_own_type(response: Response, name: str) -> Response:
    """Return ``response`` with the type of a file of this name; one with no known end keeps its."""
    known = CONTENT_TYPES.get(PurePath(name).suffix)
    if known is not None:
        response.content_type = f"{known}; charset=utf-8"
    return response
