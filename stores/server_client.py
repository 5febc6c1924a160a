"""A connection to a Qdrant server, and what can be done with whole collections.

What the server acknowledged lies in its own write-ahead log. A request that fails for a passing
reason (no connection, overload, a time-out) is sent again, with exponentially growing pauses;
every request made here may arrive twice without harm.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Final, Self, TypeVar

import grpc  # type: ignore[import-untyped]
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from twinlens.catalog.errors import StoreError, StoreUnavailable

ResultT = TypeVar("ResultT")

_POLL_S: Final = 0.5
INDEXING_LIMIT_S: Final = 6 * 3600.0
_TRANSIENT_GRPC: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
    }
)
_REFUSED_GRPC: Final = frozenset(
    {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
)
# What a request to the server may raise.
REQUEST_FAILURES: Final = (
    grpc.RpcError,
    ResponseHandlingException,
    UnexpectedResponse,
    ResourceExhaustedResponse,
    ValueError,
)


class ServerClient:
    """A connection to a Qdrant server, and what can be done with whole collections.

    ``url`` only stands in messages. ``attempts`` is how often a request is sent before it counts as
    failed; ``sleep`` takes seconds.
    """

    def __init__(
        self,
        client: QdrantClient,
        *,
        url: str,
        attempts: int = 6,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._url = url
        self._sleep = sleep
        self._retrying = Retrying(
            retry=retry_if_exception(_is_transient),
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=0.2, max=10.0),
            sleep=sleep,
            reraise=True,
        )

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: int = 30,
        prefer_grpc: bool = True,
        grpc_port: int = 6334,
        attempts: int = 6,
    ) -> Self:
        """Connect to the server at ``url``, which is first asked something by a request."""
        with warnings.catch_warnings():
            # Within a compose network plain http with a key is what an operator means.
            warnings.filterwarnings("ignore", message="Api key is used with an insecure")
            client = QdrantClient(
                url=url,
                api_key=api_key,
                timeout=timeout_s,
                prefer_grpc=prefer_grpc,
                grpc_port=grpc_port,
                # The check would ask the server at once, and only warn where it doesn't answer.
                check_compatibility=False,
            )
        return cls(client, url=url, attempts=attempts)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._url

    def request(self, ask: Callable[[QdrantClient], ResultT]) -> ResultT:
        """Return what ``ask`` returns; ask again while the server fails for a passing reason.

        Raises:
            StoreUnavailable: the server didn't answer, for as often as it was asked.
            StoreError: it answered that it would not.
        """
        try:
            return self._retrying(ask, self._client)
        except REQUEST_FAILURES as error:
            raise self.explain(error) from error

    def has_collection(self, collection: str) -> bool:
        """Return whether there is such a collection."""
        return self.request(lambda client: client.collection_exists(collection))

    def list_collections(self, prefix: str = "") -> list[str]:
        """Return the names of the collections that begin with ``prefix``, sorted."""
        answer = self.request(lambda client: client.get_collections())
        return sorted(c.name for c in answer.collections if c.name.startswith(prefix))

    def delete_collection(self, collection: str) -> None:
        """Remove a collection with all its videos; one that isn't there is ignored."""
        if self.has_collection(collection):
            self.request(lambda client: client.delete_collection(collection))

    def find_alias_target(self, alias: str) -> str | None:
        """Return the collection that ``alias`` stands for, or None."""
        answer = self.request(lambda client: client.get_aliases())
        return next((a.collection_name for a in answer.aliases if a.alias_name == alias), None)

    def move_alias(self, alias: str, collection: str) -> None:
        """Let ``alias`` stand for ``collection``: in one step, so that searches see old or new."""
        operations: list[models.AliasOperations] = [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=collection, alias_name=alias)
            )
        ]
        if self.find_alias_target(alias) is not None:
            operations.insert(
                0, models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
            )
        self.request(
            lambda client: client.update_collection_aliases(change_aliases_operations=operations)
        )

    def wait_until_indexed(self, collection: str, *, limit_s: float = INDEXING_LIMIT_S) -> None:
        """Return once the server has built what it wants to build for ``collection``.

        Raises:
            StoreError: its optimizer failed, or was not done after ``limit_s``.
        """
        deadline = time.monotonic() + limit_s
        woken = False
        # A write may be acknowledged a moment before its optimization is planned: look twice.
        calm = 0
        while True:
            info = self.request(lambda client: client.get_collection(collection))
            if info.status == models.CollectionStatus.RED:
                raise StoreError(
                    f"{self._url}: collection {collection}: the optimizer failed:"
                    f" {info.optimizer_status}"
                )
            calm = calm + 1 if info.status == models.CollectionStatus.GREEN else 0
            if calm == 2:
                return
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{self._url}: collection {collection}: the optimizer was not done after"
                    f" {limit_s:g} s: status {info.status}, {info.indexed_vectors_count} vectors"
                    f" of {info.points_count} videos are indexed; see the server's log"
                )
            if info.status == models.CollectionStatus.GREY and not woken:
                # A restarted server has things to build, but waits for a write to begin.
                self._wake_optimizer(collection)
                woken = True
            self._sleep(_POLL_S)

    def _wake_optimizer(self, collection: str) -> None:
        nothing = models.OptimizersConfigDiff()
        self.request(lambda client: client.update_collection(collection, optimizers_config=nothing))

    def close(self) -> None:
        """Let go of the connection; a second call does nothing."""
        self._client.close()

    def explain(self, error: Exception) -> StoreError:
        """Return the error that says what one of ``REQUEST_FAILURES`` means, and what to do."""
        text = _first_line(error)
        if _is_transient(error):
            return StoreUnavailable(
                f"{self._url}: the Qdrant server doesn't answer ({text}); is it running, and is"
                " this its address? `docker compose up -d qdrant` starts one"
            )
        if _is_refused(error):
            return StoreError(f"{self._url}: the Qdrant server refused the API key ({text})")
        return StoreError(f"{self._url}: {text}")


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, grpc.RpcError):
        return error.code() in _TRANSIENT_GRPC
    if isinstance(error, UnexpectedResponse):
        return error.status_code == 429 or (error.status_code or 0) >= 500
    return isinstance(error, ResponseHandlingException | ResourceExhaustedResponse)


def _is_refused(error: Exception) -> bool:
    if isinstance(error, grpc.RpcError):
        return error.code() in _REFUSED_GRPC
    return isinstance(error, UnexpectedResponse) and error.status_code in (401, 403)


def _first_line(error: Exception) -> str:
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}: {error.details()}"
    return (str(error) or repr(error)).splitlines()[0]
