"""Spans, as a collector gets them from the real commands; and the context that goes in and out."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.backend.served import Served, publish_embedded, start
from tests.http_server import serving

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch):
    """The spans that a collector on this machine has got so far."""
    got, lock = [], threading.Lock()

    def collect(request):
        sent = ExportTraceServiceRequest()
        sent.ParseFromString(request.rfile.read(int(request.headers["Content-Length"])))
        with lock:
            got.extend(
                span
                for resource in sent.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            )
        request.send_response(200)
        request.send_header("Content-Length", "0")
        request.end_headers()

    with serving(collect) as port:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield lambda: list(got)


def in_trace(spans, trace=TRACE):
    return {span.name: span for span in spans if span.trace_id.hex() == trace}


def wait_for(spans, name):
    deadline = time.monotonic() + 20
    while name not in in_trace(spans()):
        assert time.monotonic() < deadline, [span.name for span in spans()]
        time.sleep(0.05)
    return in_trace(spans())


def test_a_request_is_a_span_with_its_stages_in_its_caller_s_trace(spans, catalogue, tmp_path):
    with Served(publish_embedded(catalogue, tmp_path / "data")) as served:
        headers = {"traceparent": PARENT}
        assert served.ask("GET", "/api/v1/search?q=beach", headers=headers)[0] == 200
        assert served.ask("GET", "/healthz", headers=headers)[0] == 200
        found = wait_for(spans, "GET /api/v1/search")
    request = found["GET /api/v1/search"]
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    stages = {name for name, span in found.items() if span.parent_span_id == request.span_id}
    assert {"wait", "encode", "search", "fuse", "fetch", "serialise"} <= stages
    assert "GET /healthz" not in found


def test_a_job_is_a_span_with_its_stages(spans, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", PARENT)
    (tmp_path / "videos.csv").write_text("video_id,title\n1,one\n2,two\n")
    given = ("index", tmp_path / "videos.csv", "--data-dir", tmp_path / "data")
    job = start(*given)
    _, said = job.communicate(timeout=60)
    assert job.returncode == 0, said
    job = wait_for(spans, "index")["index"]
    stages = {span.name for span in spans() if span.parent_span_id == job.span_id}
    assert {"store", "mirror", "optimize", "publish"} <= stages


ASKING = """
from twinlens.catalog.tracing import trace_run
from twinlens.stores.address import ServerAddress
from twinlens.stores.server_client import ServerClient

with trace_run("asking"):
    client = ServerClient.connect(ServerAddress("http://127.0.0.1:1", grpc_port={port}))
    try:
        client.has_collection("any")
    except Exception as error:
        print(error)
"""


class Listening(grpc.GenericRpcHandler):
    """Implements nothing, and keeps what comes beside a request."""

    def __init__(self):
        self.heard = {}

    def service(self, call):
        self.heard[call.method] = dict(call.invocation_metadata)


@pytest.mark.slow
def test_qdrant_is_told_the_trace(spans, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", PARENT)
    listening = Listening()
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([listening])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        asking = start(command=[sys.executable, "-c", ASKING.format(port=port)])
        said = asking.communicate(timeout=60)
    finally:
        server.stop(None).wait()
    assert asking.returncode == 0, said
    [told] = listening.heard.values()
    [called] = listening.heard
    span = wait_for(spans, called)[called]
    assert told["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
