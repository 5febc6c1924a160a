"""Where a Qdrant server is; knows no client, so that settings load quickly."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A Qdrant server: the URL of its REST port, its gRPC port on the same host, and a key."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    grpc_port: int = 6334
