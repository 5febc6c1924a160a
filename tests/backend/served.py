"""Commands in processes of their own, with the tests' small encoders; above all ``serve``."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from tests.backend.catalogue import Catalogue
from tests.stores.qdrant_process import QdrantProcess
from twinlens.stores.edge import EdgeStore
from twinlens.stores.flat import FlatStore
from twinlens.stores.generations import DataDir
from twinlens.stores.server import ServerStore

ROOT = Path(__file__).parents[2]
# What the real command is, with the tests' small encoders in place of the models.
PROGRAM = textwrap.dedent(
    """
    import os
    import time

    from tests.fakes import ColourEncoder, OtherWordEncoder, WordEncoder
    from twinlens.catalog.errors import EncoderUnavailable
    from twinlens.encoders import load

    # What an operator can't set, and a test won't wait for. (Imported before the metrics have their
    # folder, the server has none of other processes.)
    if patience := os.environ.get("TWINLENS_TEST_HEAD_TIMEOUT_S"):
        from twinlens.backend import server

        server.HEAD_TIMEOUT_S = float(patience)

    class Titles(WordEncoder):
        def encode_queries(self, texts):
            if any("slowly" in text for text in texts):
                time.sleep(3)
            return super().encode_queries(texts)

    def load_title_encoder(name, **_):
        if name == "test:absent":
            raise EncoderUnavailable("test:absent is nowhere")
        return OtherWordEncoder() if name == "test:other" else Titles()

    load.load_title_encoder = load_title_encoder
    OTHER_COLOURS = ColourEncoder(name="test:other-colours", fingerprint="00000000000000ee")
    load.load_thumbnail_encoder = lambda name, **_: (
        OTHER_COLOURS if name == OTHER_COLOURS.name else ColourEncoder()
    )
    from twinlens.cli import main

    main()
    """
)
SMALL = [sys.executable, "-c", PROGRAM]
TWINLENS = [sys.executable, "-m", "twinlens"]


def start(
    *arguments: object,
    command: Sequence[str] = SMALL,
    packages: Sequence[Path] = (),
    stderr: int | IO[str] = subprocess.PIPE,
    **settings: str,
) -> subprocess.Popen[str]:
    """A command, which finds the checkout and the packages in these folders."""
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *packages))),
            **{f"TWINLENS_{name.upper()}": value for name, value in settings.items()},
        },
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def wait_until(holds: Callable[[], object], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def publish_embedded(catalogue: Catalogue, path: Path, generation: str = "g1") -> DataDir:
    """A data directory that has the catalogue as a real embedded generation."""
    data = DataDir(path)
    shard = data.locate_generation(generation) / "qdrant"
    store = EdgeStore.create(shard, catalogue.manifest(generation).dims)
    store.upsert(catalogue.stored())
    store.close()
    catalogue.publish(data, generation)
    return data


def publish_in_server(
    catalogue: Catalogue, path: Path, qdrant: QdrantProcess, generation: str = "g1"
) -> DataDir:
    """The same in a server; with its mirror."""
    data, collection = DataDir(path), f"videos-{uuid.uuid4()}"
    manifest = replace(catalogue.manifest(generation), engine="server", collection=collection)
    with closing(qdrant.client()) as client:
        ServerStore.create(client, collection, manifest.dims).upsert(catalogue.stored())
    with closing(FlatStore.create(data.locate_mirror(generation), manifest.dims)) as mirror:
        mirror.upsert(catalogue.stored())
    data.publish(manifest)
    return data


class Served:
    """A running ``serve``, of one process by default: its port, and its last line of output."""

    def __init__(self, data: DataDir, *options: str, **more: Any) -> None:
        # A file rather than a pipe, which would be full at some point, and hold the server.
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed in __exit__
        given = ("--data-dir", data.path, "--port", 0, "--workers", 1, *options)
        self.process = start("serve", *given, stderr=self._log, **more)
        self.line = self.process.stdout.readline()
        found = re.search(r":(\d+)$", self.line)
        if found is None:
            self.process.communicate(timeout=30)  # its output has ended
            said = self.log()
            self._log.close()
            pytest.fail(f"not ready: {self.line!r}, ended with {self.process.returncode}: {said}")
        self.port = int(found[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, dict]:
        status, _, body = self.ask("GET", path)
        return status, json.loads(body)

    def post(self, path: str, **fields: Any) -> tuple[int, dict]:
        headers = {"Content-Type": "application/json"}
        status, _, body = self.ask("POST", path, body=json.dumps(fields), headers=headers)
        return status, json.loads(body)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Message, bytes]:
        """Status, header fields and body of the answer, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def log(self) -> str:
        """What it has written to standard error so far."""
        with Path(f"/proc/self/fd/{self._log.fileno()}").open(encoding="utf-8") as log:
            return log.read()

    def stop(self) -> tuple[int, str, str]:
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        return self.process.returncode, out, self.log()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            # With its workers, which would first finish what is under way.
            for one in (self.process, *self.workers()):
                one.kill()
        self.process.communicate()
        self._log.close()
