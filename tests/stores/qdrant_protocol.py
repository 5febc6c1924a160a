"""Qdrant's REST and gRPC, as much as TwinLens asks: from messages to what is stored, and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from qdrant_client import grpc as messages
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

Work = Callable[[], Any]


class Refused(Exception):
    """A request is answered with an error: gRPC's status, and a sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


COMPLETED = models.UpdateResult(operation_id=1, status=models.UpdateStatus.COMPLETED)


def rest_request(server: Any, method: str, path: str, body: Any) -> tuple[str, Work]:
    """The request's name in gRPC, and what carries it out."""
    for (given, pattern), (name, work) in REST.items():
        found = re.fullmatch(pattern, path)
        if given == method and found is not None:
            return name, partial(work, server, body, *found.groups())
    raise Refused("NOT_FOUND", f"Not found: {method} {path}")


def _rest_create(server: Any, body: Any, name: str) -> bool:
    asked = models.CreateCollection(**body)
    sparse = asked.sparse_vectors
    return bool(server.create(name, vectors_config=asked.vectors, sparse_vectors_config=sparse))


def _rest_index(server: Any, body: Any, name: str) -> models.UpdateResult:
    server.index(name, body["field_name"], body["field_schema"])
    return COMPLETED


def _rest_upsert(server: Any, body: Any, name: str) -> models.UpdateResult:
    server.local.upsert(name, models.PointsList(**body).points)
    return COMPLETED


def _rest_delete(server: Any, body: Any, name: str) -> models.UpdateResult:
    server.local.delete(name, models.PointIdsList(**body))
    return COMPLETED


def _rest_get(server: Any, body: Any, name: str) -> Any:
    asked = models.PointRequest(**body)
    return server.local.retrieve(
        name,
        asked.ids,
        with_payload=True if asked.with_payload is None else asked.with_payload,
        with_vectors=asked.with_vector or False,
    )


def _rest_scroll(server: Any, body: Any, name: str) -> dict[str, Any]:
    points, offset = server.scroll(name, models.ScrollRequest(**body))
    return {"points": points, "next_page_offset": offset}


def _rest_count(server: Any, body: Any, name: str) -> dict[str, int]:
    return {"count": server.count(name, models.CountRequest(**body).filter)}


_POINTS = "/collections/([^/]+)/points"
REST: dict[tuple[str, str], tuple[str, Callable[..., Any]]] = {
    ("GET", "/collections"): ("List", lambda s, _: s.local.get_collections()),
    ("GET", "/aliases"): ("ListAliases", lambda s, _: s.local.get_aliases()),
    ("GET", "/telemetry"): ("Telemetry", lambda _, __: {}),
    ("POST", "/collections/aliases"): (
        "UpdateAliases",
        lambda s, body: s.local.update_collection_aliases(
            models.ChangeAliasesOperation(**body).actions
        ),
    ),
    ("GET", "/collections/([^/]+)/exists"): (
        "CollectionExists",
        lambda s, _, name: {"exists": s.local.collection_exists(name)},
    ),
    ("GET", "/collections/([^/]+)"): ("Get", lambda s, _, name: s.info(name)),
    ("PUT", "/collections/([^/]+)"): ("Create", _rest_create),
    ("PATCH", "/collections/([^/]+)"): ("Update", lambda s, _, name: s.update(name)),
    ("DELETE", "/collections/([^/]+)"): ("Delete", lambda s, _, name: s.drop(name)),
    ("PUT", "/collections/([^/]+)/index"): ("CreateFieldIndex", _rest_index),
    ("PUT", _POINTS): ("Upsert", _rest_upsert),
    ("POST", _POINTS): ("GetPoints", _rest_get),
    ("POST", _POINTS + "/delete"): ("DeletePoints", _rest_delete),
    ("POST", _POINTS + "/scroll"): ("Scroll", _rest_scroll),
    ("POST", _POINTS + "/count"): ("Count", _rest_count),
    ("POST", _POINTS + "/query"): (
        "Query",
        lambda s, body, name: s.query(name, [models.QueryRequest(**body)])[0],
    ),
    ("POST", _POINTS + "/query/batch"): (
        "QueryBatch",
        lambda s, body, name: s.query(name, models.QueryRequestBatch(**body).searches),
    ),
    ("POST", "/collections/([^/]+)/facet"): (
        "Facet",
        lambda s, body, name: {"hits": s.facet(name, models.FacetRequest(**body))},
    ),
}


def grpc_handlers(server: Any) -> list[grpc.GenericRpcHandler]:
    """The services `Collections` and `Points`, for a gRPC server."""

    def handler(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def answer(asked: Any, context: grpc.ServicerContext) -> Any:
            try:
                return server.answer(name, lambda: work(server, asked))
            except Refused as error:
                return context.abort(grpc.StatusCode[error.code], error.text)

        return answer

    return [
        grpc.method_handlers_generic_handler(
            service,
            {
                method: grpc.unary_unary_rpc_method_handler(
                    # Two methods of points have a namesake among those of collections.
                    handler(RENAMED.get((service, method), method), work),
                    request_deserializer=request.FromString,
                    response_serializer=lambda message: message.SerializeToString(),
                )
                for method, (request, work) in methods.items()
            },
        )
        for service, methods in GRPC.items()
    ]


def _part(asked: Any, name: str, convert: Callable[[Any], Any]) -> Any:
    return convert(getattr(asked, name)) if asked.HasField(name) else None


def _filter(asked: Any) -> Any:
    return _part(asked, "filter", GrpcToRest.convert_filter)


def _payload(asked: Any) -> Any:
    return _part(asked, "with_payload", GrpcToRest.convert_with_payload_selector)


def _vectors(asked: Any) -> Any:
    return _part(asked, "with_vectors", GrpcToRest.convert_with_vectors_selector) or False


def _points(records: Any) -> list[Any]:
    return [RestToGrpc.convert_record(record) for record in records]


def _operation(*_: Any) -> Any:
    return messages.PointsOperationResponse(result=RestToGrpc.convert_update_result(COMPLETED))


def _done(result: bool) -> Any:
    return messages.CollectionOperationResponse(result=result)


def _list(server: Any, _: Any) -> Any:
    names = [one.name for one in server.local.get_collections().collections]
    return messages.ListCollectionsResponse(
        collections=[messages.CollectionDescription(name=name) for name in names]
    )


def _list_aliases(server: Any, _: Any) -> Any:
    aliases = server.local.get_aliases().aliases
    return messages.ListAliasesResponse(
        aliases=[RestToGrpc.convert_alias_description(alias) for alias in aliases]
    )


def _exists(server: Any, asked: Any) -> Any:
    exists = server.local.collection_exists(asked.collection_name)
    return messages.CollectionExistsResponse(result=messages.CollectionExists(exists=exists))


def _create(server: Any, asked: Any) -> Any:
    vectors = GrpcToRest.convert_vectors_config(asked.vectors_config)
    sparse = _part(asked, "sparse_vectors_config", GrpcToRest.convert_sparse_vector_config)
    return _done(
        server.create(asked.collection_name, vectors_config=vectors, sparse_vectors_config=sparse)
    )


def _update_aliases(server: Any, asked: Any) -> Any:
    actions = [GrpcToRest.convert_alias_operations(action) for action in asked.actions]
    return _done(server.local.update_collection_aliases(actions))


def _get_info(server: Any, asked: Any) -> Any:
    info = RestToGrpc.convert_collection_info(server.info(asked.collection_name))
    return messages.GetCollectionInfoResponse(result=info)


def _create_index(server: Any, asked: Any) -> Any:
    kind = messages.FieldType.Name(asked.field_type).removeprefix("FieldType").lower()
    return _operation(server.index(asked.collection_name, asked.field_name, kind))


def _upsert(server: Any, asked: Any) -> Any:
    points = [GrpcToRest.convert_point_struct(point) for point in asked.points]
    return _operation(server.local.upsert(asked.collection_name, points))


def _delete_points(server: Any, asked: Any) -> Any:
    selector = GrpcToRest.convert_points_selector(asked.points)
    return _operation(server.local.delete(asked.collection_name, selector))


def _get_points(server: Any, asked: Any) -> Any:
    records = server.local.retrieve(
        asked.collection_name,
        [GrpcToRest.convert_point_id(one) for one in asked.ids],
        with_payload=_payload(asked),
        with_vectors=_vectors(asked),
    )
    return messages.GetResponse(result=_points(records))


def _scroll(server: Any, asked: Any) -> Any:
    request = models.ScrollRequest(
        filter=_filter(asked),
        limit=asked.limit if asked.HasField("limit") else None,
        offset=_part(asked, "offset", GrpcToRest.convert_point_id),
        order_by=_part(asked, "order_by", GrpcToRest.convert_order_by),
        with_payload=_payload(asked),
        with_vector=_vectors(asked),
    )
    records, offset = server.scroll(asked.collection_name, request)
    following = None if offset is None else RestToGrpc.convert_extended_point_id(offset)
    return messages.ScrollResponse(result=_points(records), next_page_offset=following)


def _query(server: Any, asked: Any) -> Any:
    return messages.QueryResponse(result=_hits(server, [asked])[0], time=0.00025)


def _query_batch(server: Any, asked: Any) -> Any:
    answers = _hits(server, asked.query_points, asked.collection_name)
    return messages.QueryBatchResponse(
        result=[messages.BatchResult(result=hits) for hits in answers], time=0.00025
    )


def _hits(server: Any, asked: Any, name: str | None = None) -> list[list[Any]]:
    requests = [GrpcToRest.convert_query_points(one) for one in asked]
    answers = server.query(name or asked[0].collection_name, requests)
    return [
        [RestToGrpc.convert_scored_point(point) for point in answer.points] for answer in answers
    ]


def _count(server: Any, asked: Any) -> Any:
    count = server.count(asked.collection_name, _filter(asked))
    return messages.CountResponse(result=messages.CountResult(count=count))


def _facet(server: Any, asked: Any) -> Any:
    request = models.FacetRequest(key=asked.key, limit=asked.limit or None, filter=_filter(asked))
    hits = server.facet(asked.collection_name, request)
    return messages.FacetResponse(hits=[RestToGrpc.convert_facet_value_hit(hit) for hit in hits])


RENAMED = {("qdrant.Points", "Get"): "GetPoints", ("qdrant.Points", "Delete"): "DeletePoints"}
GRPC: dict[str, dict[str, tuple[Any, Callable[..., Any]]]] = {
    "qdrant.Collections": {
        "List": (messages.ListCollectionsRequest, _list),
        "ListAliases": (messages.ListAliasesRequest, _list_aliases),
        "UpdateAliases": (messages.ChangeAliases, _update_aliases),
        "CollectionExists": (messages.CollectionExistsRequest, _exists),
        "Get": (messages.GetCollectionInfoRequest, _get_info),
        "Create": (messages.CreateCollection, _create),
        "Update": (
            messages.UpdateCollection,
            lambda server, asked: _done(server.update(asked.collection_name)),
        ),
        "Delete": (
            messages.DeleteCollection,
            lambda server, asked: _done(server.drop(asked.collection_name)),
        ),
    },
    "qdrant.Points": {
        "CreateFieldIndex": (messages.CreateFieldIndexCollection, _create_index),
        "Upsert": (messages.UpsertPoints, _upsert),
        "Delete": (messages.DeletePoints, _delete_points),
        "Get": (messages.GetPoints, _get_points),
        "Scroll": (messages.ScrollPoints, _scroll),
        "Query": (messages.QueryPoints, _query),
        "QueryBatch": (messages.QueryBatchPoints, _query_batch),
        "Count": (messages.CountPoints, _count),
        "Facet": (messages.FacetCounts, _facet),
    },
}
