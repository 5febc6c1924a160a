"""Where a Qdrant server is, and how it is to keep collections.

Knows no client, so that settings load quickly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

Quantization = Literal["none", "int8", "binary", "turbo"]

_REST_PORT: Final = 6333


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A Qdrant server: the URL of its REST port, its gRPC port on the same host, and a key.

    Several nodes of a cluster are several URLs in ``url``, with commas. The files are PEM: the
    authority that signed the server's certificate, and what this side proves itself with.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    grpc_port: int = 6334
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def urls(self) -> list[str]:
        """The URLs of the nodes, each with its port.

        Raises:
            ValueError: one is no URL of a server.
        """
        return [_add_port(url) for url in self.url.split(",")]


@dataclass(frozen=True, slots=True)
class CollectionLayout:
    """How the server keeps a new collection; None leaves it to the server's own settings."""

    shards: int | None = None
    replicas: int | None = None
    write_consistency: int | None = None
    on_disk: bool = False
    quantization: Quantization = "none"
    strict: bool = False


SERVERS_OWN: Final = CollectionLayout()


def _add_port(url: str) -> str:
    parts = urlsplit(url.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in url:
        raise ValueError(f"{url!r} is no URL of a server, such as http://localhost:{_REST_PORT}")
    if parts.port is None:  # which raises a ValueError as well
        parts = parts._replace(netloc=f"{parts.netloc}:{_REST_PORT}")
    return parts.geturl()
