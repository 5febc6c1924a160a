"""Where a Qdrant server is, and how it is to keep collections.

Knows no client, so that settings load quickly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

Quantization = Literal["none", "int8", "binary", "turbo"]


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
        """The URLs of the nodes."""
        return self.url.split(",")


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
