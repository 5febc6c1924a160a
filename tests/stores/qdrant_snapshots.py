"""Snapshots of the stand-in's collections: JSON, where the real ones are archives."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from pydantic_core import to_jsonable_python
from qdrant_client import models

from tests.stores.qdrant_protocol import Refused

NAMED = "/collections/([^/]+)"


def find_work(server: Any, method: str, path: str, body: bytes) -> Callable[[], Any] | None:
    """What carries out a request about snapshots; it gives bytes, or the result for an answer."""
    routes: list[tuple[str, str, Callable[..., Any]]] = [
        ("GET", "/cluster", lambda: {"peers": {str(n): {} for n in range(server.orders.peers)}}),
        ("GET", f"{NAMED}/cluster", lambda _: {"remote_shards": server.orders.remote_shards}),
        ("POST", f"{NAMED}/snapshots", lambda name: make(server, name)),
        ("GET", f"{NAMED}/snapshots/([^/]+)", lambda _, name: find(server, name)),
        ("DELETE", f"{NAMED}/snapshots/([^/]+)", lambda _, name: bool(server.snapshots.pop(name))),
        ("POST", f"{NAMED}/snapshots/upload", lambda name: load(server, name, body)),
    ]
    for given, pattern, work in routes:
        found = re.fullmatch(pattern, path)
        if given == method and found is not None:
            return lambda: work(*found.groups())
    return None


def make(server: Any, collection: str) -> dict[str, Any]:
    params = server.local.get_collection(collection).config.params
    points, _ = server.local.scroll(collection, limit=10**9, with_payload=True, with_vectors=True)
    content = json.dumps(
        {
            "config": to_jsonable_python(params),
            "kinds": server.kinds.get(collection, {}),
            "points": to_jsonable_python(points),
        }
    ).encode()
    name = f"{collection}-{len(server.snapshots)}.snapshot"
    server.snapshots[name] = content
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "size": len(content), "checksum": digest}


def find(server: Any, name: str) -> bytes:
    if name not in server.snapshots:
        raise Refused("NOT_FOUND", f"Not found: snapshot {name}")
    return bytes(server.snapshots[name])


def load(server: Any, collection: str, body: bytes) -> bool:
    """From a form with one part."""
    _, content = body.split(b"\r\n\r\n", 1)
    held = json.loads(content[: content.rindex(b"\r\n--")])
    if server.local.collection_exists(collection):
        server.drop(collection)
    config = held["config"]
    server.create(
        collection,
        models.CreateCollection(vectors=config["vectors"], sparse_vectors=config["sparse_vectors"]),
    )
    server.kinds[collection] = held["kinds"]
    for one in held["points"]:
        point = models.PointStruct(id=one["id"], payload=one["payload"], vector=one["vector"])
        server.local.upsert(collection, [point])
    return True
