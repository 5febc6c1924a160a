"""Qdrant's REST and gRPC, as much as TwinLens asks: from messages to what is stored, and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from qdrant_client import grpc as messages
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc import collections_service_pb2, points_service_pb2, qdrant_pb2

Work = Callable[[], Any]


class Refused(Exception):
    """A request is answered with an error: gRPC's status, and a sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


NAMED = "/collections/([^/]+)"
POINTS = NAMED + "/points"
# Requests by gRPC's names: where they lie in REST, and the model of what is sent there.
REST: dict[str, tuple[str, str, Any]] = {
    "List": ("GET", "/collections", None),
    "ListAliases": ("GET", "/aliases", None),
    "HealthCheck": ("GET", "/", None),
    "Telemetry": ("GET", "/telemetry", None),
    "UpdateAliases": ("POST", "/collections/aliases", models.ChangeAliasesOperation),
    "CollectionExists": ("GET", NAMED + "/exists", None),
    "Get": ("GET", NAMED, None),
    "Create": ("PUT", NAMED, models.CreateCollection),
    "Update": ("PATCH", NAMED, models.UpdateCollection),
    "Delete": ("DELETE", NAMED, None),
    "CreateFieldIndex": ("PUT", NAMED + "/index", models.CreateFieldIndex),
    "Upsert": ("PUT", POINTS, models.PointsList),
    "GetPoints": ("POST", POINTS, models.PointRequest),
    "DeletePoints": ("POST", POINTS + "/delete", models.PointIdsList),
    "Scroll": ("POST", POINTS + "/scroll", models.ScrollRequest),
    "Count": ("POST", POINTS + "/count", models.CountRequest),
    "Query": ("POST", POINTS + "/query", models.QueryRequest),
    "QueryBatch": ("POST", POINTS + "/query/batch", models.QueryRequestBatch),
    "Facet": ("POST", NAMED + "/facet", models.FacetRequest),
}
# What carries them out, given the server, the collection and what was sent, for REST's answer.
WORK: dict[str, Callable[[Any, str, Any], Any]] = {
    "List": lambda server, *_: server.local.get_collections(),
    "ListAliases": lambda server, *_: server.local.get_aliases(),
    "HealthCheck": lambda server, *_: {"title": "qdrant", "version": server.orders.version},
    "Telemetry": lambda *_: {},
    "UpdateAliases": lambda server, _, asked: server.local.update_collection_aliases(asked.actions),
    "CollectionExists": lambda server, name, _: {"exists": server.local.collection_exists(name)},
    "Get": lambda server, name, _: server.info(name),
    "Create": lambda server, name, asked: server.create(name, asked),
    "Update": lambda server, name, asked: server.update(name, asked),
    "Delete": lambda server, name, _: server.drop(name),
    "CreateFieldIndex": lambda server, name, asked: complete(server.index(name, asked)),
    "Upsert": lambda server, name, asked: complete(server.local.upsert(name, asked.points)),
    "GetPoints": lambda server, name, asked: server.local.retrieve(
        name, asked.ids, **server.selected(asked)
    ),
    "DeletePoints": lambda server, name, asked: complete(server.local.delete(name, asked.points)),
    "Scroll": lambda server, name, asked: server.scroll(name, asked),
    "Count": lambda server, name, asked: {"count": server.count(name, asked.filter)},
    "Query": lambda server, name, asked: server.query(name, [asked])[0],
    "QueryBatch": lambda server, name, asked: server.query(name, asked.searches),
    "Facet": lambda server, name, asked: server.facet(name, asked),
}


def complete(_: object) -> models.UpdateResult:
    return models.UpdateResult(operation_id=1, status=models.UpdateStatus.COMPLETED)


def rest_request(server: Any, method: str, path: str, body: Any) -> tuple[str, Work]:
    """The request's name in gRPC, and what carries it out."""
    for name, (given, pattern, model) in REST.items():
        found = re.fullmatch(pattern, path)
        if given == method and found is not None:
            return name, partial(carry_out, server, name, "".join(found.groups()), model, body)
    raise Refused("NOT_FOUND", f"Not found: {method} {path}")


def carry_out(server: Any, name: str, collection: str, model: Any, body: Any) -> Any:
    return work_on(server, name, collection, model and model(**body))


def work_on(server: Any, name: str, collection: str, asked: Any) -> Any:
    server.check_strictness(collection, asked)
    return WORK[name](server, collection, asked)


def grpc_handlers(server: Any) -> list[grpc.GenericRpcHandler]:
    """The services `Collections` and `Points`, for a gRPC server."""

    def handler(name: str, response: Any) -> Callable[..., Any]:
        def answer(message: Any, context: grpc.ServicerContext) -> Any:
            def work() -> Any:
                collection = getattr(message, "collection_name", "")
                asked = to_model(message, REST[name][-1])
                answered = work_on(server, name, collection, asked)
                named = FIELDS.get(name, lambda result: {"result": result})(answered)
                return response(**to_message(named))

            body = body_of(name, message)
            try:
                if server.orders.canned:
                    return server.repeat((name, message.SerializeToString()), work, body)
                return server.answer(name, work, body)
            except Refused as error:
                return context.abort(grpc.StatusCode[error.code], error.text)

        return answer

    services = (
        qdrant_pb2.DESCRIPTOR.services_by_name["Qdrant"],
        collections_service_pb2.DESCRIPTOR.services_by_name["Collections"],
        points_service_pb2.DESCRIPTOR.services_by_name["Points"],
    )
    return [
        grpc.method_handlers_generic_handler(
            service.full_name,
            {
                method.name: grpc.unary_unary_rpc_method_handler(
                    handler(name, GetMessageClass(method.output_type)),
                    request_deserializer=GetMessageClass(method.input_type).FromString,
                    response_serializer=lambda message: message.SerializeToString(),
                )
                for method in service.methods
                for name in [RENAMED.get((service.name, method.name), method.name)]
                if name in REST
            },
        )
        for service in services
    ]


def body_of(name: str, message: Any) -> dict[str, Any]:
    """What is sent, without points and queries, which are long."""
    if name in ("Create", "Update"):
        found: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
        return found
    return {field.name: value for field, value in message.ListFields() if not field.message_type}


# Two methods of points have a namesake among those of collections.
RENAMED = {("Points", "Get"): "GetPoints", ("Points", "Delete"): "DeletePoints"}
# Where an answer lies in a message, if not in "result" alone.
FIELDS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "List": lambda found: {"collections": found.collections},
    "ListAliases": lambda found: {"aliases": found.aliases},
    "Scroll": lambda found: {
        "result": found["points"],
        "next_page_offset": (following := found["next_page_offset"])
        and RestToGrpc.convert_extended_point_id(following),
    },
    "Query": lambda found: {"result": found.points, "time": 0.00025},
    "QueryBatch": lambda found: {
        "result": [{"result": one.points} for one in found],
        "time": 0.00025,
    },
    "Facet": lambda found: found,
    "HealthCheck": lambda found: found,
}
TO_MESSAGE: dict[type, Callable[[Any], Any]] = {
    dict: lambda found: {name: to_message(one) for name, one in found.items()},
    list: lambda found: [to_message(one) for one in found],
    models.AliasDescription: RestToGrpc.convert_alias_description,
    models.CollectionDescription: lambda found: {"name": found.name},
    models.CollectionInfo: RestToGrpc.convert_collection_info,
    models.FacetValueHit: RestToGrpc.convert_facet_value_hit,
    models.Record: RestToGrpc.convert_record,
    models.ScoredPoint: RestToGrpc.convert_scored_point,
    models.UpdateResult: RestToGrpc.convert_update_result,
}
TO_MODEL: dict[type, Callable[[Any], Any]] = {
    messages.AliasOperations: GrpcToRest.convert_alias_operations,
    messages.Filter: GrpcToRest.convert_filter,
    messages.HnswConfigDiff: GrpcToRest.convert_hnsw_config_diff,
    messages.OrderBy: GrpcToRest.convert_order_by,
    messages.PointId: GrpcToRest.convert_point_id,
    messages.PointStruct: GrpcToRest.convert_point_struct,
    messages.PointsSelector: lambda asked: GrpcToRest.convert_points_selector(asked).points,
    messages.QuantizationConfig: GrpcToRest.convert_quantization_config,
    messages.QueryPoints: GrpcToRest.convert_query_points,
    messages.SparseVectorConfig: GrpcToRest.convert_sparse_vector_config,
    messages.StrictModeConfig: GrpcToRest.convert_strict_mode_config,
    messages.VectorsConfig: GrpcToRest.convert_vectors_config,
    messages.WithPayloadSelector: GrpcToRest.convert_with_payload_selector,
    messages.WithVectorsSelector: GrpcToRest.convert_with_vectors_selector,
}
# Fields of messages that REST calls otherwise.
RENAMED_FIELDS = {
    "field_type": "field_schema",
    "query_points": "searches",
    "sparse_vectors_config": "sparse_vectors",
    "vectors_config": "vectors",
    "with_vectors": "with_vector",
}


def to_message(found: Any) -> Any:
    return TO_MESSAGE.get(type(found), lambda as_it_is: as_it_is)(found)


def to_model(message: Any, model: Any) -> Any:
    """What is sent, as REST's model, where it has one: whatever that and `TO_MODEL` know."""
    if model is None:
        return None
    if convert := TO_MODEL.get(type(message)):
        return convert(message)
    fields = {}
    for field, value in message.ListFields():
        name = RENAMED_FIELDS.get(field.name, field.name)
        if name not in model.model_fields:
            continue
        if name == "metadata":
            fields[name] = GrpcToRest.convert_payload(value)
        elif field.enum_type is not None:
            value = field.enum_type.values_by_number[value].name
            fields[name] = value.removeprefix(field.enum_type.name).lower()
        elif field.message_type is None:
            fields[name] = value
        elif convert := TO_MODEL.get(GetMessageClass(field.message_type)):
            is_many = not isinstance(value, GetMessageClass(field.message_type))
            fields[name] = [convert(one) for one in value] if is_many else convert(value)
    return model(**fields)
