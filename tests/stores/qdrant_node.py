"""A node of a cluster, as a process that can be killed: it passes on to the stand-in of a server.

    python -m tests.stores.qdrant_node HOST TARGET PORT...

All that is stored is behind it, as if the others had copies. Whatever is under way at the kill may
have been done, or not.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from tests.stores.qdrant_process import QdrantProcess


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def listen(host: str, target: str, ports: list[int]) -> None:
    for port in ports:

        async def answer(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port
        ) -> None:
            there = await asyncio.open_connection(target, port)
            await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

        await asyncio.start_server(answer, host, port)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


class QdrantNode:
    """The process, which can be killed and started again at its address."""

    def __init__(self, behind: QdrantProcess) -> None:
        from tests.stores.qdrant_process import own_address  # loads what the process needs not

        self.host = own_address()
        self._ports = behind.rest_port, behind.grpc_port
        self._target = behind.host
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self._ports[0]}"

    def start(self) -> Self:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.stores.qdrant_node"),
                *(self.host, self._target, *map(str, self._ports)),
            ],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"
        return self

    def kill(self) -> None:
        """SIGKILL, once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1], sys.argv[2], [int(port) for port in sys.argv[3:]]))
