"""A server of several nodes, of which one dies; TLS; and versions."""

from __future__ import annotations

import logging
import random
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread

import pytest
from grpc import RpcError
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException

from tests.stores.catalogue import DIMS, catalogue, query
from tests.stores.conftest import contents
from tests.stores.qdrant_node import QdrantNode
from tests.stores.qdrant_process import QdrantProcess
from twinlens.catalog.errors import StoreError, StoreUnavailable
from twinlens.stores.address import CollectionLayout, ServerAddress
from twinlens.stores.server import ServerStore
from twinlens.stores.server_client import ServerClient

NEEDS_ADDRESSES = pytest.mark.skipif(
    sys.platform != "linux", reason="every node needs an address of its own on this machine"
)
NEEDS_OPENSSL = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def nodes(qdrant: QdrantProcess) -> Iterator[list[QdrantNode]]:
    nodes = [QdrantNode(qdrant).start(), QdrantNode(qdrant).start()]
    yield nodes
    for node in nodes:
        node.kill()


@pytest.fixture
def address(qdrant: QdrantProcess, nodes: list[QdrantNode]) -> ServerAddress:
    return ServerAddress(",".join(node.url for node in nodes), grpc_port=qdrant.grpc_port)


@NEEDS_ADDRESSES
@pytest.mark.parametrize("prefer_grpc", [True, False], ids=["gRPC", "REST"])
def test_a_job_goes_on_by_another_node_when_one_dies_while_it_uploads(
    nodes: list[QdrantNode], address: ServerAddress, name: str, prefer_grpc: bool
) -> None:
    videos = catalogue(60)
    with closing(ServerClient.connect(address, prefer_grpc=prefer_grpc)) as client:
        store = ServerStore.create(client, name, DIMS)
        for number, video in enumerate(videos):
            if number in (20, 40):  # and the other, once the first is back
                dying = nodes[client._at]
                uploading = Thread(target=store.upsert, args=(videos[:20],))
                uploading.start()
                dying.kill()
                uploading.join()
            elif number == 30:
                dying.start()
            store.upsert([video])
        assert store.count() == 60
        assert set(contents(store)) == {video.video_id for video in videos}


def answers(node: QdrantClient) -> bool:
    try:
        node.get_collections()
    except (ResponseHandlingException, RpcError):
        return False
    return True


@NEEDS_ADDRESSES
def test_no_search_fails_while_one_node_after_the_other_dies_and_is_back(
    qdrant: QdrantProcess, nodes: list[QdrantNode], address: ServerAddress, name: str
) -> None:
    with closing(qdrant.client()) as direct:
        ServerStore.create(direct, name, DIMS).upsert(catalogue(30))
    # As the backend's: two attempts at each request, of three seconds, and the circuit is watched.
    client = ServerClient.connect(address, timeout_s=3, attempts=2)
    failed: list[StoreError] = []
    answered, ended = [0, 0, 0, 0], Event()
    with closing(ServerStore.open(client, name, owns_server=True)) as reader:
        reader.watch()
        expected = reader.search([query()])

        def search(caller: int) -> None:
            while not ended.is_set():
                try:
                    assert reader.search([query()]) == expected
                    answered[caller] += 1
                except StoreError as error:
                    failed.append(error)

        callers = [Thread(target=search, args=(caller,)) for caller in range(len(answered))]
        for caller in callers:
            caller.start()
        for _ in range(3):
            at, before = client._at, list(answered)
            dying = nodes[at]
            dying.kill()
            # Each asks again a few times, by the node that is left.
            while callers[0].is_alive() and any(
                now < then + 3 for now, then in zip(answered, before, strict=True)
            ):
                ended.wait(0.01)
            assert nodes[client._at] is not dying
            dying.start()
            # A node is back once this client has met it again: a channel that was refused waits
            # up to a second before it tries anew, and the other node dies next.
            while not answers(client._clients[at]):
                ended.wait(0.05)
        ended.set()
        for caller in callers:
            caller.join()
        assert failed == []


@NEEDS_ADDRESSES
def test_two_processes_need_not_begin_with_the_same_node_and_all_dead_is_said(
    nodes: list[QdrantNode], address: ServerAddress
) -> None:
    random.seed(1)
    clients = [ServerClient.connect(address, attempts=1) for _ in range(6)]
    assert {client._at for client in clients} == {0, 1}
    for node in nodes:
        node.kill()
    with pytest.raises(StoreUnavailable, match=nodes[1].host):
        clients[0].list_collections()
    for client in clients:
        client.close()


def test_a_server_is_named_with_its_version_once(
    qdrant: QdrantProcess, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="twinlens.stores.server_client")
    ours = version("qdrant-client")
    with closing(qdrant.client()) as client:
        ServerStore.create(client, name, DIMS)
        ServerStore.open(client, name)
    assert qdrant.asked().count("HealthCheck") == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{qdrant.url} is Qdrant 1.20.0, asked by client {ours}"
    ]


@pytest.mark.parametrize(
    ("minors", "is_tested"), [(1, True), (0, True), (-2, True), (2, False), (-3, False)]
)
def test_a_version_that_the_client_is_not_tested_with_is_said_and_used(
    qdrant: QdrantProcess, caplog: pytest.LogCaptureFixture, minors: int, is_tested: bool
) -> None:
    major, minor = (int(part) for part in version("qdrant-client").split(".")[:2])
    qdrant.order(version=f"{major}.{minor + minors}.3")
    with closing(qdrant.client()) as client:
        client.require_version()
    assert [record.levelname for record in caplog.records] == ([] if is_tested else ["WARNING"])
    assert is_tested or f"{major}.{minor + minors}.3" in caplog.text


def test_a_server_that_is_too_old_is_refused_by_name(qdrant: QdrantProcess, name: str) -> None:
    qdrant.order(version="1.12.6")
    turbo = CollectionLayout(quantization="turbo")
    with closing(qdrant.client()) as client:
        for ask in (ServerStore.open, partial(ServerStore.create, dims=DIMS)):
            with pytest.raises(StoreError, match=r"Qdrant 1\.12; it has to be 1\.13 or newer"):
                ask(client, name)
    qdrant.order(version="1.17.1")
    with closing(qdrant.client()) as client:
        with pytest.raises(StoreError, match=r"1\.18 or newer to quantise by TurboQuant"):
            ServerStore.create(client, name, DIMS, layout=turbo)
        ServerStore.create(client, name, DIMS)


def openssl(*arguments: str, cwd: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and what it signed for a server on this machine and for a client."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    made = ("req", "-x509", *key, "-days", "2")
    openssl(*made, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem", cwd=folder)
    for whose in ("server", "client"):
        openssl(
            *made,
            *("-subj", f"/CN={whose}", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-keyout", f"{whose}.key", "-out", f"{whose}.pem"),
            cwd=folder,
        )
    return folder


@pytest.fixture(scope="module")
def guarded(certificates: Path) -> Iterator[QdrantProcess]:
    with QdrantProcess(tls=certificates) as process:
        yield process


@NEEDS_OPENSSL
@pytest.mark.parametrize("prefer_grpc", [True, False], ids=["gRPC", "REST"])
def test_a_server_over_tls_is_asked_by_its_authority_and_with_a_certificate(
    guarded: QdrantProcess, certificates: Path, tmp_path: Path, name: str, prefer_grpc: bool
) -> None:
    def connect(how: ServerAddress) -> ServerClient:
        return ServerClient.connect(how, prefer_grpc=prefer_grpc, attempts=1, timeout_s=5)

    both = tmp_path / "both.pem"
    both.write_text(
        (certificates / "client.pem").read_text() + (certificates / "client.key").read_text()
    )
    ca_file, cert_file = certificates / "ca.pem", certificates / "client.pem"
    where = partial(ServerAddress, guarded.url, "key", guarded.grpc_port)
    for how in (where(ca_file, cert_file, certificates / "client.key"), where(ca_file, both)):
        with closing(connect(how)) as client:
            collection = f"{name}-{how.cert_file}".replace("/", "-")
            ServerStore.create(client, collection, DIMS).upsert(catalogue(3))
            assert ServerStore.open(client, collection).count() == 3
    for how in (where(), where(ca_file), where(None, both)):
        with closing(connect(how)) as client, pytest.raises(StoreUnavailable):
            client.list_collections()


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    for where in (partial(ServerAddress, ca_file=file), partial(ServerAddress, cert_file=file)):
        with pytest.raises(StoreError, match=r"can't be read: .*ca\.pem"):
            ServerClient.connect(where("https://127.0.0.1:1"))
    file.write_text("nothing of the kind")
    with pytest.raises(StoreError, match=r"ca\.pem") as caught:
        ServerClient.connect(ServerAddress("https://127.0.0.1:1", ca_file=file))
    assert isinstance(caught.value.__cause__, ssl.SSLError)


@NEEDS_OPENSSL
def test_nobody_is_asked_for_the_passphrase_of_a_key(certificates: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    openssl(
        *("pkey", "-in", "client.key", "-aes256", "-passout", "pass:abc", "-out", str(locked)),
        cwd=certificates,
    )
    address = ServerAddress(
        "https://127.0.0.1:1", cert_file=certificates / "client.pem", key_file=locked
    )
    with pytest.raises(StoreError, match=r"locked\.key") as caught:
        ServerClient.connect(address)
    assert isinstance(caught.value.__cause__, ssl.SSLError)  # by itself OpenSSL opens /dev/tty
