"""Spans for OpenTelemetry, where its environment variables ask for them; else they cost nothing.

The extra ``otel`` brings what this needs, and nothing of it is imported before ``set_up_tracing``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from twinlens.catalog.errors import UsageError

# Where spans go, as OpenTelemetry names it.
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

_tracer: Any = None


def set_up_tracing() -> bool:
    """Send this process's spans to where OpenTelemetry's variables say; return whether they do.

    Requests to Qdrant, and others by HTTP, carry the context on: to be called before a connection
    is opened, and after the last fork. A second call does nothing.

    Raises:
        UsageError: they say so, and the extra is not installed.
    """
    global _tracer
    if _tracer is not None:
        return True
    if not any(map(os.environ.get, _ENDPOINTS)) or os.environ.get("OTEL_SDK_DISABLED") == "true":
        return False
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise UsageError(
            f"{_ENDPOINTS[1]} is set, which takes the extra: pip install 'twinlens[otel]'"
        ) from error
    os.environ.setdefault("OTEL_SERVICE_NAME", "twinlens")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    GrpcInstrumentorClient().instrument()  # type: ignore[no-untyped-call]
    HTTPXClientInstrumentor().instrument()
    _tracer = trace.get_tracer("twinlens")
    return True


def is_tracing() -> bool:
    """Return whether this process sends spans."""
    return _tracer is not None


def trace_stage(name: str) -> AbstractContextManager[Any]:
    """Return a span around a ``with`` block, if the block is part of a trace."""
    if _tracer is None:
        return nullcontext()
    from opentelemetry import trace

    # Threads of the job decode pictures one by one: they are in no trace, and would fill it.
    if not trace.get_current_span().get_span_context().is_valid:
        return nullcontext()
    span: AbstractContextManager[Any] = _tracer.start_as_current_span(name)
    return span


@contextmanager
def trace_run(name: str) -> Iterator[None]:
    """Put a span around a run of a command, within the trace that ``TRACEPARENT`` names."""
    if not set_up_tracing():
        yield
        return
    from opentelemetry import propagate

    parent = propagate.extract({"traceparent": os.environ.get("TRACEPARENT", "")})
    try:
        with _tracer.start_as_current_span(name, context=parent):
            yield
    finally:
        end_tracing()


def end_tracing() -> None:
    """Send the spans that wait, for some seconds at most."""
    if _tracer is not None:
        from opentelemetry import trace

        provider: Any = trace.get_tracer_provider()
        provider.shutdown()
