"""What a Qdrant server says to what ``twinlens bench`` asks, over real connections.

Behind it is the client library's local mode, which scans: it shows that requests are understood and
answers read, and nothing of a server's index.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as messages
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

TOOK_S = 0.00025


class StandIn:
    """``requests`` are method, path and body of what came by REST; ``refuses`` says which fail."""

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        self.lock = threading.Lock()
        self.requests: list[tuple[str, str, Any]] = []
        self.url = ""
        self.grpc_port = 0
        self.indexes = True
        self.fails_at: str | None = None

    def answer(self, method: str, path: str, body: Any) -> Any:
        self.requests.append((method, path, body))
        if self.fails_at is not None and self.fails_at in path:
            raise ValueError("out of order")
        parts = path.strip("/").split("/")
        if parts == ["aliases"]:
            return {"aliases": [a.model_dump() for a in self.client.get_aliases().aliases]}
        if parts == ["collections", "aliases"]:
            actions = models.ChangeAliasesOperation(**body).actions
            return self.client.update_collection_aliases(actions)
        if parts == ["telemetry"]:
            return {}
        name, rest = parts[1], parts[2:]
        if rest == ["exists"]:
            return {"exists": self.client.collection_exists(name)}
        if rest == ["points"]:
            self.client.upsert(name, models.PointsList(**body).points)
        elif rest == ["points", "delete"]:
            self.client.delete(name, models.PointIdsList(**body))
        elif rest == ["points", "query"]:
            return self.query(name, models.QueryRequest(**body)).model_dump()
        elif rest == ["points", "query", "batch"]:
            searches = models.QueryRequestBatch(**body).searches
            return [self.query(name, one).model_dump() for one in searches]
        elif not rest and method == "GET":
            return self.info(name).model_dump(mode="json")
        elif not rest and method == "PUT":
            vectors = models.CreateCollection(**body).vectors
            return self.client.create_collection(name, vectors_config=vectors)
        elif not rest and method == "DELETE":
            return self.client.delete_collection(name)
        if rest[:1] in (["points"], ["index"]):
            return {"operation_id": 1, "status": "completed"}
        return True

    def query(self, name: str, request: models.QueryRequest) -> models.QueryResponse:
        prefetch = request.prefetch
        for part in [request, *(prefetch if isinstance(prefetch, list) else [])]:
            # Of no use to local mode, which warns of them.
            part.params = None
        with self.lock:
            [answer] = self.client.query_batch_points(name, [request])
        return answer

    def info(self, name: str) -> models.CollectionInfo:
        info = self.client.get_collection(name)
        vectors = info.config.params.vectors
        assert isinstance(vectors, dict)
        indexed = (info.points_count or 0) * len(vectors) if self.indexes else 0
        return info.model_copy(update={"indexed_vectors_count": indexed})

    # By gRPC only what a search asks, and whoever finds a collection there.
    def by_grpc(self, request: Any) -> Any:
        if isinstance(request, messages.ListAliasesRequest):
            return messages.ListAliasesResponse(
                aliases=[
                    messages.AliasDescription(
                        alias_name=alias.alias_name, collection_name=alias.collection_name
                    )
                    for alias in self.client.get_aliases().aliases
                ]
            )
        if isinstance(request, messages.GetCollectionInfoRequest):
            info = self.info(request.collection_name)
            return messages.GetCollectionInfoResponse(
                result=RestToGrpc.convert_collection_info(info), time=TOOK_S
            )
        if isinstance(request, messages.QueryBatchPoints):
            return messages.QueryBatchResponse(
                result=[
                    messages.BatchResult(result=self.hits(one)) for one in request.query_points
                ],
                time=TOOK_S,
            )
        return messages.QueryResponse(result=self.hits(request), time=TOOK_S)

    def hits(self, asked: Any) -> list[Any]:
        request = models.QueryRequest(
            query=GrpcToRest.convert_query(asked.query),
            using=asked.using or None,
            prefetch=[GrpcToRest.convert_prefetch_query(one) for one in asked.prefetch] or None,
            filter=GrpcToRest.convert_filter(asked.filter) if asked.HasField("filter") else None,
            limit=asked.limit,
            with_payload=False,
            with_vector=False,
        )
        return [
            messages.ScoredPoint(id=messages.PointId(num=int(point.id)), score=point.score)
            for point in self.query(asked.collection_name, request).points
        ]


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Or header and body go as two packets, and the second waits for an acknowledgement.
    wbufsize = -1

    def _answer(self) -> None:
        stand_in: StandIn = self.server.stand_in  # type: ignore[attr-defined]
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        try:
            result = stand_in.answer(self.command, urlsplit(self.path).path, body)
            status, told = 200, {"result": result, "status": "ok", "time": TOOK_S}
        except ValueError as error:
            status, told = 400, {"status": {"error": str(error)}, "time": TOOK_S}
        sent = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def serving() -> Iterator[StandIn]:
    stand_in = StandIn()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    http.stand_in = stand_in  # type: ignore[attr-defined]
    # The handler threads end with their connections, which the test closes.
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    rpc = grpc.server(ThreadPoolExecutor(2))
    for service, methods in (
        (
            "qdrant.Collections",
            {"ListAliases": messages.ListAliasesRequest, "Get": messages.GetCollectionInfoRequest},
        ),
        ("qdrant.Points", {"Query": messages.QueryPoints, "QueryBatch": messages.QueryBatchPoints}),
    ):
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                lambda request, _: stand_in.by_grpc(request),
                request_deserializer=of.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
            for name, of in methods.items()
        }
        rpc.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    stand_in.grpc_port = rpc.add_insecure_port("127.0.0.1:0")
    stand_in.url = f"http://127.0.0.1:{http.server_port}"
    rpc.start()
    try:
        yield stand_in
    finally:
        rpc.stop(None).wait()
        http.shutdown()
        thread.join()
        http.server_close()
        stand_in.client.close()
