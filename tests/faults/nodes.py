"""Servers of Qdrant that can be killed and started again."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from typing import Protocol

from twinlens.stores.address import ServerAddress
from twinlens.stores.server_client import ServerClient

READY_WITHIN_S = 60


class Node(Protocol):
    """A server, or one node of a cluster."""

    @property
    def address(self) -> ServerAddress: ...

    def kill(self) -> None:
        """SIGKILL, at whatever it is doing."""
        ...

    def start(self) -> None:
        """Start it again; it answers when this returns."""
        ...


class CommandedNode:
    """The server at ``address``, killed and started by commands of the shell."""

    def __init__(self, address: ServerAddress, *, kill: str, start: str) -> None:
        self.address, self._kill, self._start = address, kill, start

    def kill(self) -> None:
        subprocess.run(self._kill, shell=True, check=True)

    def start(self) -> None:
        subprocess.run(self._start, shell=True, check=True)
        with closing(ServerClient.connect(self.address, patience_s=READY_WITHIN_S)) as client:
            client.list_collections()


def find_commands() -> dict[str, str]:
    """The commands that the environment names for the server of TWINLENS_TEST_QDRANT_URL."""
    named = {name: f"TWINLENS_TEST_QDRANT_{name.upper()}" for name in ("kill", "start")}
    return {name: os.environ[key] for name, key in named.items() if key in os.environ}
