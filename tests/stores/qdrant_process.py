"""A process that answers as a Qdrant server does, over REST and gRPC, and fails as it is told.

    python -m tests.stores.qdrant_process [FOLDER]

With a folder of certificates it takes TLS alone, and a client's certificate. It writes one line of
JSON: where it listens. Then it reads orders, a line of JSON each, and answers each with what it was
asked since the last; `Orders` has what can be ordered, and `null` changes nothing. It ends when its
input does. `QdrantProcess` starts one.

The meaning of filters, scrolling, facets and queries comes from the client library's local mode,
which scans: this shows that requests are understood and answers read, and nothing of a server's
index. What is stored is lost with the process.
"""

from __future__ import annotations

import json
import os
import random
import ssl
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import grpc
from pydantic import ValidationError
from pydantic_core import to_jsonable_python
from qdrant_client import QdrantClient, models

from tests.stores import qdrant_protocol as protocol
from tests.stores.qdrant_snapshots import find_work
from twinlens.stores.address import ServerAddress
from twinlens.stores.server_client import ServerClient

HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}


@dataclass
class Orders:
    """How requests fail, from now on; nothing given is a server that is well.

    ``fault`` is a status of gRPC, whose counterpart REST answers, or "lost" (the connection closes
    without an answer), "hang" (none comes before other orders do) or "refuse" (nothing listens, as
    if the server had died, before other orders come). It strikes the requests named ``on``, by
    gRPC's names (None: all), after letting ``after`` of them pass, ``times`` times (None: always).
    Where ``done``, the request is carried out first.

    ``states`` are the collections' next states, one a look, the last for ever; "grey" lasts until a
    collection is updated. ``indexed`` is how many vectors graphs are said to hold (None: all), and
    ``remote_shards`` what other nodes, of ``peers``, are said to have of a collection.

    ``canned``: what was once asked by gRPC is answered as it was then, without any work.
    ``version`` is the server's; ``deaf`` says that updates of collections change nothing.
    """

    fault: str | None = None
    on: str | None = None
    after: int = 0
    times: int | None = None
    done: bool = False
    states: list[str] = field(default_factory=lambda: ["green"])
    indexed: int | None = None
    remote_shards: list[Any] = field(default_factory=list)
    peers: int = 1
    canned: bool = False
    version: str = "1.20.0"
    deaf: bool = False


class Server:
    """What is stored, and what was ordered. Local mode stands no two requests at once."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore")
        self.local = QdrantClient(location=":memory:")
        self.kinds: dict[str, dict[str, str]] = {}
        # How collections were made, and changed since.
        self.made: dict[str, models.CreateCollection] = {}
        self.lock = threading.Lock()
        self.orders = Orders()
        self.released = threading.Event()
        self.asked: list[tuple[str, Any]] = []
        self.snapshots: dict[str, bytes] = {}
        self.canned: dict[tuple[str, bytes], Any] = {}

    def give(self, orders: Orders) -> None:
        with self.lock:
            self.orders, released = orders, self.released
            self.released, self.asked, self.canned = threading.Event(), [], {}
        released.set()

    def repeat(self, key: tuple[str, bytes], work: Callable[[], Any], body: Any) -> Any:
        """The answer that there was to the same request, or what is now answered."""
        if key in self.canned:
            return self.answer(key[0], lambda: self.canned[key], body)
        found = self.canned[key] = self.answer(key[0], work, body)
        return found

    def answer(self, name: str, work: Callable[[], Any], body: Any = None) -> Any:
        """The result of ``work``, or what was ordered instead of it."""
        with self.lock:
            self.asked.append((name, body))
            orders, released = self.orders, self.released
            strikes = self._strikes(name)
        if not strikes:
            return self._work(work)
        if orders.done:
            self._work(work)
        if orders.fault == "hang":
            released.wait()
        code = orders.fault if orders.fault in HTTP_STATUS else "UNAVAILABLE"
        raise protocol.Refused(str(code), "lost" if orders.fault == "lost" else "as ordered")

    def _strikes(self, name: str) -> bool:
        orders = self.orders
        if orders.fault is None or orders.on not in (None, name) or orders.times == 0:
            return False
        if orders.after > 0:
            orders.after -= 1
            return False
        if orders.times is not None:
            orders.times -= 1
        return True

    def _work(self, work: Callable[[], Any]) -> Any:
        try:
            with self.lock:
                return work()
        except (ValueError, ValidationError, KeyError) as error:
            codes = {"not found": "NOT_FOUND", "already exists": "ALREADY_EXISTS"}
            code = next((codes[text] for text in codes if text in str(error)), "INVALID_ARGUMENT")
            raise protocol.Refused(code, str(error)) from error

    def name(self, collection: str) -> str:
        """The collection behind what may be an alias."""
        aliases = {one.alias_name: one.collection_name for one in self.local.get_aliases().aliases}
        return aliases.get(collection, collection)

    def create(self, collection: str, asked: models.CreateCollection) -> bool:
        self.kinds.pop(collection, None)
        done = self.local.create_collection(
            collection,
            vectors_config=asked.vectors,
            sparse_vectors_config=asked.sparse_vectors,
            metadata=asked.metadata,
        )
        self.made[collection] = asked
        return done

    def drop(self, collection: str) -> bool:
        self.kinds.pop(collection, None)
        return self.local.delete_collection(collection)

    def info(self, collection: str) -> models.CollectionInfo:
        info = self.local.get_collection(collection)
        states = self.orders.states
        state = states.pop(0) if len(states) > 1 and states[0] != "grey" else states[0]
        params = info.config.params
        indexed = sum(
            self.count(collection, models.Filter(must=[models.HasVectorCondition(has_vector=name)]))
            for name in [*(params.vectors or {}), *(params.sparse_vectors or {})]
            if isinstance(params.vectors, dict)
        )
        made = self.made[self.name(collection)]
        if made.hnsw_config is not None and made.hnsw_config.m is not None:
            info.config.hnsw_config.m = made.hnsw_config.m
        info.payload_schema = {
            name: models.PayloadIndexInfo(data_type=kind, points=info.points_count or 0)
            for name, kind in self.kinds.get(self.name(collection), {}).items()
        }
        info.status = models.CollectionStatus(state)
        told = self.orders.indexed
        info.indexed_vectors_count = indexed if told is None else told
        return info

    def update(self, collection: str, asked: models.UpdateCollection) -> bool:
        self.local.get_collection(collection)
        if asked.hnsw_config is not None and not self.orders.deaf:
            self.made[self.name(collection)].hnsw_config = asked.hnsw_config
        if self.orders.states[0] == "grey":
            self.orders.states.pop(0)
        return True

    def check_strictness(self, collection: str, asked: Any) -> None:
        """Refuse what a collection's strict mode does."""
        made = self.made.get(self.name(collection))
        strict = made and made.strict_mode_config
        if not strict or not strict.enabled:
            return
        for one in getattr(asked, "searches", [asked]):
            if (limit := getattr(one, "limit", None)) and limit > (strict.max_query_limit or limit):
                raise ValueError(f"Forbidden: Limit exceeded {limit} for limit")
            indexed = self.kinds.get(self.name(collection), {})
            for key in filtered_keys(getattr(one, "filter", None)):
                if strict.unindexed_filtering_retrieve is False and key not in indexed:
                    raise ValueError(f"Forbidden: Index required but not found for {key}")

    def index(self, collection: str, asked: models.CreateFieldIndex) -> None:
        self.local.get_collection(collection)
        kinds = self.kinds.setdefault(self.name(collection), {})
        kinds[asked.field_name] = str(asked.field_schema.value)

    def _needs_index(self, collection: str, name: str, kinds: Sequence[str], what: str) -> None:
        self.local.get_collection(collection)
        if self.kinds.get(self.name(collection), {}).get(name) not in kinds:
            raise ValueError(f"Bad request: No {what} index for key `{name}`: create one")

    def selected(self, asked: Any) -> dict[str, Any]:
        """What of the points that are asked for comes with them."""
        payload = True if asked.with_payload is None else asked.with_payload
        return {"with_payload": payload, "with_vectors": asked.with_vector or False}

    def scroll(self, collection: str, asked: models.ScrollRequest) -> dict[str, Any]:
        order = asked.order_by
        if order is not None:
            key = order if isinstance(order, str) else order.key
            self._needs_index(collection, key, ("integer", "float", "datetime"), "range")
        points, offset = self.local.scroll(
            collection,
            scroll_filter=asked.filter,
            limit=asked.limit or 10,
            offset=asked.offset,
            order_by=order,
            **self.selected(asked),
        )
        return {"points": points, "next_page_offset": offset}

    def query(self, collection: str, asked: Sequence[models.QueryRequest]) -> list[Any]:
        quantised = self.made[self.name(collection)].quantization_config is not None
        for request in asked:
            how = request.params and request.params.quantization
            if quantised and not (how and how.rescore):
                raise ValueError("as a test wants it: score what was found by the whole vectors")
            prefetch = request.prefetch
            for part in [request, *(prefetch if isinstance(prefetch, list) else [])]:
                part.params = None  # they say how to search an index
        return self.local.query_batch_points(collection, list(asked))

    def count(self, collection: str, filter: models.Filter | None) -> int:
        return self.local.count(collection, count_filter=filter, exact=True).count

    def facet(self, collection: str, asked: models.FacetRequest) -> dict[str, Any]:
        self._needs_index(collection, asked.key, ("keyword", "integer", "bool"), "map")
        limit = asked.limit or 10
        found = self.local.facet(collection, asked.key, facet_filter=asked.filter, limit=limit)
        return {"hits": found.hits}


def filtered_keys(condition: Any) -> Iterator[str]:
    """The fields that a filter asks about."""
    if isinstance(condition, list):
        for one in condition:
            yield from filtered_keys(one)
    elif isinstance(condition, models.Filter):
        yield from filtered_keys([condition.must, condition.should, condition.must_not])
    elif isinstance(condition, models.FieldCondition):
        yield condition.key
    elif isinstance(condition, models.IsEmptyCondition):
        yield condition.is_empty.key


class RestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Or header and body go as two packets, and the second waits for an acknowledgement.
    wbufsize = -1

    def answer(self) -> None:
        server: Server = self.server.answering  # type: ignore[attr-defined]
        length = int(self.headers.get("Content-Length") or 0)
        raw, path = self.rfile.read(length), urlsplit(self.path).path
        started = time.perf_counter()
        told: dict[str, Any] = {"status": "ok"}
        try:
            if (work := find_work(server, self.command, path, raw)) is not None:
                name, body = "Snapshots", None
            else:
                body = json.loads(raw) if raw else None
                name, work = protocol.rest_request(server, self.command, path, body)
            told["result"], status = server.answer(name, work, body), 200
            told |= told["result"] if name == "HealthCheck" else {}  # which alone wraps nothing
        except protocol.Refused as error:
            if error.text == "lost":
                self.close_connection = True
                return
            told["status"], status = {"error": error.text}, HTTP_STATUS[error.code]
        told["time"] = time.perf_counter() - started
        found = told.get("result")
        sent = found if isinstance(found, bytes) else json.dumps(to_jsonable_python(told)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the library's names

    def log_message(self, *_: Any) -> None:
        """Nothing: the output is for answers to orders."""


class RestServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


class Listeners:
    """Both, which close together and come back at the same ports."""

    def __init__(self, server: Server, tls: Path | None = None) -> None:
        self._server = server
        self._tls = tls
        host = own_address() if tls is None else "127.0.0.1"  # which the certificate names
        self.host, self.rest_port, self.grpc_port = host, 0, 0
        self._open: tuple[RestServer, Any] | None = None

    def start(self) -> Self:
        if self._open is None:
            rest = RestServer((self.host, self.rest_port), RestHandler)
            rest.answering = self._server  # type: ignore[attr-defined]
            # More threads than requests that hang at once.
            rpc = grpc.server(ThreadPoolExecutor(64), options=[("grpc.so_reuseport", 0)])
            rpc.add_generic_rpc_handlers(protocol.grpc_handlers(self._server))
            where = f"{self.host}:{self.grpc_port}"
            if self._tls is None:
                self.grpc_port = rpc.add_insecure_port(where)
            else:
                self.grpc_port = rpc.add_secure_port(where, grpc_credentials(self._tls))
                rest.socket = rest_context(self._tls).wrap_socket(rest.socket, server_side=True)
            self.rest_port = rest.server_port
            threading.Thread(target=rest.serve_forever, args=(0.01,), daemon=True).start()
            rpc.start()
            self._open = rest, rpc
        return self

    def stop(self) -> None:
        if self._open is not None:
            rest, rpc = self._open
            rest.shutdown()
            rest.server_close()
            rpc.stop(None).wait()
            self._open = None


def grpc_credentials(tls: Path) -> grpc.ServerCredentials:
    key, certificate, authority = (
        (tls / name).read_bytes() for name in ("server.key", "server.pem", "ca.pem")
    )
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=authority, require_client_auth=True
    )


def rest_context(tls: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls / "ca.pem")
    context.load_cert_chain(tls / "server.pem", tls / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def own_address() -> str:
    """Where nobody else takes a port while nothing listens, where the system has such addresses."""
    if sys.platform != "linux":
        return "127.0.0.1"
    one = random.SystemRandom().randrange(2**16, 2**24 - 2)
    return f"127.{one >> 16}.{one >> 8 & 255}.{one & 255}"


def main() -> None:
    server = Server()
    listeners = Listeners(server, *map(Path, sys.argv[1:])).start()
    say([listeners.host, listeners.rest_port, listeners.grpc_port])
    for line in sys.stdin:
        with server.lock:
            asked = list(server.asked)
        if (orders := json.loads(line)) is not None:
            server.give(Orders(**orders))
            (listeners.stop if server.orders.fault == "refuse" else listeners.start)()
        say(asked)
    os._exit(0)  # whatever hangs


def say(told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


class QdrantProcess:
    """The process, started; it ends with the block."""

    def __init__(self, tls: Path | None = None) -> None:
        self._scheme = "http" if tls is None else "https"
        folder = [] if tls is None else [str(tls)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.stores.qdrant_process", *folder],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.host, self.rest_port, self.grpc_port = self._line()

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.host}:{self.rest_port}"

    @property
    def address(self) -> ServerAddress:
        return ServerAddress(self.url, grpc_port=self.grpc_port)

    def client(self, **how: Any) -> ServerClient:
        """A connection as the product makes it."""
        return ServerClient.connect(self.address, **how)

    def order(self, **orders: Any) -> None:
        """Fail so from now on, and forget what was asked; without arguments, be well."""
        self._tell(asdict(Orders(**orders)))

    def asked(self) -> list[str]:
        """The requests since the last order, by the names that gRPC gives them."""
        return [name for name, _ in self.requests()]

    def requests(self) -> list[tuple[str, Any]]:
        """The same with their bodies; of those that came by gRPC what is no message in it."""
        return [(name, body) for name, body in self._tell(None)]

    def wait_for(self, name: str, times: int, *, of: BaseProcess) -> None:
        """Until the process has asked this so often."""
        while self.asked().count(name) < times:
            assert of.is_alive(), f"ended with {of.exitcode} before it asked {name}"
            time.sleep(0.01)

    def _tell(self, orders: Mapping[str, Any] | None) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(orders) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    main()
