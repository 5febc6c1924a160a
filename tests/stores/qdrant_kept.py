"""A stand-in for a Qdrant server that can be killed: the next one has all that it had answered.

    python -m tests.stores.qdrant_kept FOLDER HOST [PORT GRPC_PORT] [--alone]

It writes one line of JSON: where it listens. It ends when its input does; ``--alone`` it reads
none. Requests that change a collection lie in a file of its own, in ``FOLDER``, before they are
answered. A file's last one may be cut off, if the process was killed.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

from qdrant_client import models

from tests.stores import qdrant_protocol as protocol
from tests.stores.qdrant_process import Listeners, Server, own_address, say
from twinlens.stores.address import ServerAddress

CHANGES = (
    *("Create", "Update", "Delete", "UpdateAliases"),
    *("CreateFieldIndex", "Upsert", "DeletePoints"),
)


class Kept:
    """Does again what lies in the folder; from now on, what ``server`` is asked is added."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._folder, self._aliases = folder, folder / "aliases"
        for file in folder.glob("*.changes"):
            with file.open("r+b") as changes:
                whole = 0
                try:
                    while True:
                        name, collection, asked = pickle.load(changes)
                        protocol.WORK[name](server, collection, asked)
                        whole = changes.tell()
                except (EOFError, pickle.UnpicklingError):
                    changes.truncate(whole)
        if self._aliases.exists():
            for alias, collection in pickle.loads(self._aliases.read_bytes()):
                create = models.CreateAlias(collection_name=collection, alias_name=alias)
                operation = models.CreateAliasOperation(create_alias=create)
                server.local.update_collection_aliases([operation])
        for name in CHANGES:
            protocol.WORK[name] = partial(self._do, name, protocol.WORK[name])

    def _do(self, name: str, work: Callable[..., Any], *asked: Any) -> Any:
        server, named, message = asked
        change = pickle.dumps((name, collection := server.name(named), message))
        found = work(*asked)
        file = self._folder / f"{collection}.changes"
        if name not in ("Delete", "UpdateAliases"):
            with file.open("ab", buffering=0) as changes:
                changes.write(change)
            return found
        new = self._aliases.with_suffix(".new")
        aliases = server.local.get_aliases().aliases
        new.write_bytes(pickle.dumps([(one.alias_name, one.collection_name) for one in aliases]))
        new.replace(self._aliases)
        if name == "Delete":
            file.unlink(missing_ok=True)
        return found


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=Path)
    options.add_argument("host")
    options.add_argument("ports", type=int, nargs="*")
    options.add_argument("--alone", action="store_true")
    given = options.parse_args()
    server = Server()
    Kept(given.folder, server)
    listeners = Listeners(server)
    listeners.host = given.host
    listeners.rest_port, listeners.grpc_port = given.ports or (0, 0)
    listeners.start()
    say([listeners.rest_port, listeners.grpc_port])
    if given.alone:
        threading.Event().wait()
    sys.stdin.read()
    os._exit(0)  # whatever hangs


class KeptQdrant:
    """The process, started; it can be killed and started again, and ends with the block."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._host = folder, own_address()
        self._ports: list[int] = []
        self.start()

    @property
    def address(self) -> ServerAddress:
        rest_port, grpc_port = self._ports
        return ServerAddress(f"http://{self._host}:{rest_port}", grpc_port=grpc_port)

    def start(self) -> None:
        """Start it where it was before, with what it had."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", __name__, str(self._folder), self._host),
                *map(str, self._ports),
            ],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._ports = json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        """SIGKILL, at whatever it is doing."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


if __name__ == "__main__":
    main()
