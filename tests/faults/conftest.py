"""How often to kill, where, and who is told."""

from __future__ import annotations

import os
import random
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.changing import ChangingSource
from tests.faults.nodes import CommandedNode, Node, find_commands
from tests.faults.places import Place
from tests.stores.conftest import NEEDS_SERVER, SERVER_URL, shard_path
from tests.stores.qdrant_kept import KeptQdrant
from twinlens.stores.address import ServerAddress
from twinlens.stores.engines import EmbeddedEngine, ServerEngine
from twinlens.stores.generations import DataDir
from twinlens.stores.server_client import ServerClient

__all__ = ["shard_path"]  # a fixture

KILLS = int(os.environ.get("TWINLENS_TEST_KILLS", "5"))
SEED = int(os.environ.get("TWINLENS_TEST_SEED", "11"))
VIDEOS = 300
NEEDS_COMMANDS = pytest.mark.skipif(
    SERVER_URL is None or len(find_commands()) < 2,
    reason="needs a Qdrant server, and commands that kill and start it: set "
    "TWINLENS_TEST_QDRANT_URL, TWINLENS_TEST_QDRANT_KILL and TWINLENS_TEST_QDRANT_START",
)


@pytest.fixture
def rng() -> random.Random:
    return random.Random(SEED)


@pytest.fixture
def source(tmp_path: Path, rng: random.Random) -> ChangingSource:
    return ChangingSource(tmp_path / "source", rng, VIDEOS)


@pytest.fixture
def temporary(shard_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the processes that a test starts have their temporary files."""
    folder = shard_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Writes a line to the terminal, where there is one: not when several test at once."""
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def write(line: str) -> None:
        if terminal is not None and os.environ.get("PYTEST_XDIST_WORKER") is None:
            with capture.global_and_fixture_disabled():
                terminal.ensure_newline()
                terminal.write_line(line)

    return write


def named_address() -> ServerAddress:
    assert SERVER_URL is not None
    return ServerAddress(SERVER_URL, os.environ.get("TWINLENS_TEST_QDRANT_API_KEY"))


@pytest.fixture(params=["process", pytest.param("server", marks=NEEDS_COMMANDS)])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A server that can be killed: the process that stands in for one, or the one that is named."""
    if request.param == "server":
        yield CommandedNode(named_address(), **find_commands())
        return
    with tempfile.TemporaryDirectory() as kept, KeptQdrant(Path(kept)) as process:
        yield process


def place_in(address: ServerAddress, data: DataDir, kept: ExitStack) -> Place:
    """An index on this server, whose collections are removed afterwards."""
    client = ServerClient.connect(address)
    kept.callback(client.close)
    alias = f"twinlens-test-{uuid.uuid4().hex}"

    def remove() -> None:
        for collection in client.list_collections(alias):
            client.delete_collection(collection)

    kept.callback(remove)
    settings = {
        "qdrant_url": address.url,
        "qdrant_grpc_port": str(address.grpc_port),
        "collection": alias,
    }
    if address.api_key is not None:
        settings["qdrant_api_key"] = address.api_key
    return Place(data, ServerEngine(client, collection=alias), settings, client, alias)


@pytest.fixture(params=["embedded", "process", pytest.param("server", marks=NEEDS_SERVER)])
def place(request: pytest.FixtureRequest, shard_path: Path) -> Iterator[Place]:
    """Where an index is to lie: here, or on a server, of which nothing is left afterwards."""
    data = DataDir(shard_path / "data")
    with ExitStack() as kept:
        if request.param == "embedded":
            yield Place(data, EmbeddedEngine(data))
        elif request.param == "server":
            yield place_in(named_address(), data, kept)
        else:
            yield place_in(request.getfixturevalue("qdrant").address, data, kept)


@pytest.fixture
def node_place(node: Node, shard_path: Path) -> Iterator[Place]:
    """An index on a server that can be killed."""
    with ExitStack() as kept:
        yield place_in(node.address, DataDir(shard_path / "data"), kept)
