"""A connection to a Qdrant server, and what can be done with whole collections.

What the server acknowledged lies in its own write-ahead log. A request that fails for a passing
reason (no connection, overload, a time-out) is sent again, with exponentially growing pauses, to
the next node where there are several; every request made here may arrive twice without harm.
"""

from __future__ import annotations

import logging
import random
import re
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final, Self, TypeVar

import grpc  # type: ignore[import-untyped]
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.conversions.conversion import RestToGrpc
from qdrant_client.grpc import QueryBatchPoints
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from twinlens.catalog.errors import StoreError, StoreUnavailable
from twinlens.stores.address import ServerAddress
from twinlens.stores.breaker import Breaker
from twinlens.stores.certificates import read_certificates

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

Version = tuple[int, int]

# The first that knows conditions on vectors, which all counting here needs.
OLDEST_SERVER: Final = (1, 13)
# Qdrant tests its client with servers two minor versions older, and one newer.
_TESTED_OLDER: Final = 2
_TESTED_NEWER: Final = 1

_POLL_S: Final = 0.5
# Of a large segment the server says nothing until its graph is whole.
STALLED_AFTER_S: Final = 3600.0
# A wait is said once it is longer than a server that is busy for a moment would take.
_SAID_AFTER_S: Final = 3.0
# A channel that can't connect fails every request until it tries again. By default these pauses
# grow to two minutes, a connection that hangs is waited for for 20 seconds, and a name is looked up
# every 30: for so long would a server that is back look as if it were away.
_CHANNEL: Final = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
    "grpc.min_reconnect_backoff_ms": 2000,
    "grpc.dns_min_time_between_resolutions_ms": 1000,
}
_TRANSIENT_GRPC: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        # What a cluster answers while too few replicas of a shard are there.
        grpc.StatusCode.INTERNAL,
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

    ``clients`` are for one node each; one is asked until it fails for a passing reason, then the
    next. ``address`` only stands in messages. A request counts as failed once ``patience_s`` have
    passed, or, where that is 0, once it was sent ``attempts`` times, and to each node; ``sleep``
    takes seconds.
    """

    def __init__(
        self,
        clients: Sequence[QdrantClient],
        *,
        address: ServerAddress,
        timeout_s: int = 30,
        attempts: int = 6,
        patience_s: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clients = clients
        # Processes that begin at different nodes share the work out among them.
        self._at = random.randrange(len(clients))
        self._version: Version | None = None
        self._address = address
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._said_at: float | None = None
        self._sleep = sleep
        self._breaker: Breaker | None = None
        self._retrying = Retrying(
            retry=retry_if_exception(self._may_pass),
            stop=(
                stop_after_delay(patience_s)
                if patience_s
                else stop_after_attempt(max(attempts, len(clients)))
            ),
            wait=wait_random_exponential(multiplier=0.2, max=3.0),
            sleep=sleep,
            before_sleep=self._say_that_it_waits,
            reraise=True,
        )

    @classmethod
    def connect(
        cls,
        address: ServerAddress,
        *,
        timeout_s: int = 30,
        prefer_grpc: bool = True,
        **options: Any,
    ) -> Self:
        """Connect to the server at ``address``, which is first asked something by a request.

        ``options`` are the further arguments of the class.

        Raises:
            StoreError: a file with a certificate or a key can't be read.
        """
        for_grpc, for_rest = read_certificates(address)
        with warnings.catch_warnings():
            # Within a compose network plain http with a key is what an operator means.
            warnings.filterwarnings("ignore", message="Api key is used with an insecure")
            clients = [
                QdrantClient(
                    url=url,
                    api_key=address.api_key,
                    timeout=timeout_s,
                    prefer_grpc=prefer_grpc,
                    grpc_port=address.grpc_port,
                    grpc_options=_CHANNEL | for_grpc,
                    # The check would ask at once, and only warn where nobody answers.
                    check_compatibility=False,
                    **for_rest,
                )
                for url in address.urls
            ]
        return cls(clients, address=address, timeout_s=timeout_s, **options)

    @property
    def address(self) -> ServerAddress:
        """Where the server is, and what it is asked with."""
        return self._address

    @property
    def url(self) -> str:
        """Where the server is; with commas where it has several nodes."""
        return self._address.url

    @property
    def timeout_s(self) -> int:
        """Seconds after which the server is to give up what it was asked."""
        return self._timeout_s

    def request(self, ask: Callable[[QdrantClient], ResultT]) -> ResultT:
        """Return what ``ask`` returns; ask again while the server fails for a passing reason.

        Raises:
            StoreUnavailable: the server didn't answer, for as often as it was asked.
            StoreError: it answered that it would not.
        """
        self.check()
        try:
            answer: ResultT = self._retrying(self._ask, ask)
        except REQUEST_FAILURES as error:
            raise self.explain(error) from error
        said_at, self._said_at = self._said_at, None  # of several threads one says it
        if said_at is not None:
            logger.warning("%s answers again, after %.0f s", self.url, time.monotonic() - said_at)
        return answer

    def _ask(self, ask: Callable[[QdrantClient], ResultT]) -> ResultT:
        at = self._at
        try:
            return ask(self._clients[at])
        except REQUEST_FAILURES as error:
            if _is_transient(error):
                self._at = (at + 1) % len(self._clients)
            raise

    def require_version(self, oldest: Version = OLDEST_SERVER, *, to: str = "be used") -> None:
        """Return if the server is not older than ``oldest``, which it has to be ``to`` something.

        Raises:
            StoreError: it is.
        """
        if self._version is None:
            self._version = self._ask_version()
        if self._version < oldest:
            raise StoreError(
                f"{self.url}: this is Qdrant {_join(self._version)}; it has to be {_join(oldest)} "
                f"or newer to {to}"
            )

    def _ask_version(self) -> Version:
        said = self.request(lambda client: client.info()).version
        ours = version("qdrant-client")
        logger.info("%s is Qdrant %s, asked by client %s", self.url, said, ours)
        found, (major, minor) = _parse_version(said), _parse_version(ours)
        if found[0] != major or not -_TESTED_OLDER <= found[1] - minor <= _TESTED_NEWER:
            logger.warning(
                "%s is Qdrant %s, with which the client %s is not tested: change either",
                self.url,
                said,
                ours,
            )
        return found

    def rank(
        self, collection: str, requests: Sequence[models.QueryRequest]
    ) -> list[list[tuple[str, float]]]:
        """Return the point ids and scores that each request finds, asked in one call, by gRPC.

        Not by the client's own method: it makes an object, and checks it, for each of 600 hits.
        """
        asked = QueryBatchPoints(
            collection_name=collection,
            query_points=[RestToGrpc.convert_query_request(one, collection) for one in requests],
            timeout=self._timeout_s,
        )
        for one in asked.query_points:
            # By itself Qdrant scores by what it has quantised to eight or four bits, and no more.
            one.params.quantization.rescore = True
        answer = self.request(
            lambda client: client.grpc_points.QueryBatch(asked, timeout=self._timeout_s)
        )
        return [[(hit.id.uuid, hit.score) for hit in one.result] for one in answer.result]

    def watch(self, probe: Callable[[QdrantClient], object]) -> None:
        """Ask ``probe`` every second from now on; while it fails, requests fail at once."""

        def ask() -> None:
            for left in reversed(range(len(self._clients))):
                try:
                    self._ask(probe)
                    return
                except REQUEST_FAILURES as error:
                    if not left:
                        raise self.explain(error) from error

        self._breaker = Breaker(ask, name=self.url)

    def check(self) -> None:
        """Return at once, unless it is known that the server doesn't answer.

        Raises:
            StoreUnavailable: it is.
        """
        if self._breaker is not None:
            self._breaker.check()

    def _may_pass(self, error: BaseException) -> bool:
        return _is_transient(error) and not (self._breaker and self._breaker.is_open)

    def _say_that_it_waits(self, state: RetryCallState) -> None:
        waited = time.monotonic() - state.start_time
        if self._said_at is None and _SAID_AFTER_S < waited < self._patience_s:
            self._said_at = state.start_time
            error = state.outcome and state.outcome.exception()
            logger.warning(
                "%s doesn't answer (%s); waiting for it for up to %g s",
                self.url,
                _take_first_line(error) if isinstance(error, Exception) else error,
                self._patience_s,
            )

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

    def wait_until_indexed(
        self, collection: str, *, stalled_after_s: float = STALLED_AFTER_S
    ) -> models.CollectionInfo:
        """Return ``collection`` once the server has built what it wants to build for it.

        Raises:
            StoreError: its optimizer failed, or nothing changed for ``stalled_after_s``.
        """
        before, changed_at = None, time.monotonic()
        woken = False
        # A write may be acknowledged a moment before its optimization is planned: look twice.
        calm = 0
        while True:
            info = self.request(lambda client: client.get_collection(collection))
            if info.status == models.CollectionStatus.RED:
                raise StoreError(
                    f"{self.url}: collection {collection}: the optimizer failed:"
                    f" {info.optimizer_status}"
                )
            calm = calm + 1 if info.status == models.CollectionStatus.GREEN else 0
            if calm == 2:
                return info
            now = info.status, info.indexed_vectors_count, info.segments_count
            if now != before:
                before, changed_at = now, time.monotonic()
                logger.info(
                    "%s: %s is %s: %s vectors are indexed, in %s segments",
                    self.url,
                    collection,
                    *now,
                )
            if time.monotonic() - changed_at >= stalled_after_s:
                raise StoreError(
                    f"{self.url}: collection {collection}: the optimizer is not done, and nothing"
                    f" changed for {stalled_after_s:g} s: status {info.status},"
                    f" {info.indexed_vectors_count} vectors of {info.points_count} videos are"
                    " indexed; see the server's log"
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
        if self._breaker is not None:
            self._breaker.close()
        for client in self._clients:
            client.close()

    def explain(self, error: Exception) -> StoreError:
        """Return the error that says what one of ``REQUEST_FAILURES`` means, and what to do."""
        text = _take_first_line(error)
        if isinstance(error, grpc.RpcError):
            text = f"gRPC port {self._address.grpc_port}: {text}"
        if _is_transient(error):
            return StoreUnavailable(
                f"{self.url}: the Qdrant server doesn't answer ({text}); is it running, and is"
                " this its address? `docker compose up -d qdrant` starts one"
            )
        if _is_refused(error):
            return StoreError(f"{self.url}: the Qdrant server refused the API key ({text})")
        return StoreError(f"{self.url}: {text}")


def _parse_version(said: str) -> Version:
    """Return the first two numbers of a version; (0, 0) where it has none."""
    found = re.match(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _join(version: Version) -> str:
    return ".".join(map(str, version))


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


def _take_first_line(error: Exception) -> str:
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}: {error.details()}"
    return (str(error) or repr(error)).splitlines()[0]
