"""Snapshots of a server's collections: made, fetched and put back, by REST.

Not by the client, which can't fetch one, and gives every request the same short time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from twinlens.catalog.errors import StoreCorrupt, StoreError, StoreUnavailable
from twinlens.stores.address import ServerAddress
from twinlens.stores.certificates import read_certificates

# The server says nothing while it writes or reads one.
_TIMEOUT: Final = httpx.Timeout(30, read=3600, write=3600)
_CHUNK_BYTES: Final = 1024 * 1024


def save_snapshot(server: ServerAddress, collection: str, file: Path) -> bool:
    """Write a snapshot of ``collection`` to ``file``; none is left on the server.

    Returns False, and writes nothing, where the collection lies on several nodes: a snapshot holds
    what one of them has. Of several addresses the first that answers is asked.

    Raises:
        StoreCorrupt: what arrived is not what the server made.
        StoreUnavailable, StoreError: the server doesn't answer, or refuses.
    """
    path = f"/collections/{quote(collection, safe='')}"
    with _connect(server) as client:
        if _read(client.get(f"{path}/cluster"))["remote_shards"]:
            return False
        made = _read(client.post(f"{path}/snapshots", params={"wait": "true"}))
        name = quote(made["name"], safe="")
        try:
            digest = hashlib.sha256()
            with client.stream("GET", f"{path}/snapshots/{name}") as answer, file.open("wb") as to:
                answer.raise_for_status()
                for chunk in answer.iter_bytes(_CHUNK_BYTES):
                    digest.update(chunk)
                    to.write(chunk)
        finally:
            client.delete(f"{path}/snapshots/{name}")
    if made.get("checksum") not in (None, digest.hexdigest()):
        raise StoreCorrupt(f"{file}: the snapshot of {collection} did not arrive whole")
    return True


def load_snapshot(server: ServerAddress, collection: str, file: Path) -> bool:
    """Make ``collection`` hold what a snapshot holds.

    Returns False, and changes nothing, where the server has several nodes: each would load it for
    itself.

    Raises:
        StoreUnavailable, StoreError: the server doesn't answer, or refuses it.
    """
    path = f"/collections/{quote(collection, safe='')}/snapshots/upload"
    with _connect(server) as client, file.open("rb") as opened:
        if len(_read(client.get("/cluster")).get("peers", {})) > 1:
            return False
        asked = {"wait": "true", "priority": "snapshot"}
        _read(client.post(path, params=asked, files={"snapshot": opened}))
    return True


@contextmanager
def _connect(server: ServerAddress) -> Iterator[httpx.Client]:
    headers = {"api-key": server.api_key} if server.api_key else {}
    _, certificates = read_certificates(server)
    try:
        with httpx.Client(headers=headers, timeout=_TIMEOUT, **certificates) as client:
            client.base_url = httpx.URL(_find_well(client, server.urls))
            yield client
    except httpx.HTTPStatusError as error:
        raise StoreError(
            f"{server.url}: {error.response.status_code} for {error.request.url.path}"
        ) from error
    except httpx.HTTPError as error:
        raise StoreUnavailable(f"{server.url}: the server doesn't answer: {error}") from error


def _find_well(client: httpx.Client, urls: Sequence[str]) -> str:
    """Return the first that answers, or the last."""
    for url in urls[:-1]:
        with suppress(httpx.HTTPError):
            client.get(f"{url}/readyz").raise_for_status()
            return url
    return urls[-1]


def _read(answer: httpx.Response) -> Any:
    """Return the result of an answer, or raise httpx's error."""
    answer.raise_for_status()
    return answer.json()["result"]
