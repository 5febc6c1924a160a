"""The routes about events and people: they need no index, and wait for no turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from flask import Response, request
from werkzeug.exceptions import NotFound

from twinlens.backend import examples
from twinlens.backend.observing import Metrics, time_stage
from twinlens.backend.parsing import read_json_body, refuse_parameters
from twinlens.backend.people import PersonRights
from twinlens.backend.problem_kinds import Code
from twinlens.backend.problems import MOST_LISTED, FieldError, Problem, make_not_ready
from twinlens.backend.routes import Route
from twinlens.backend.schemas.base import API_ROOT
from twinlens.backend.schemas.events import (
    EventsAnswer,
    EventsBody,
    MergeBody,
    MergedAnswer,
    PersonAnswer,
    RejectedEventBody,
    RemovedAnswer,
)
from twinlens.catalog.errors import StoreError
from twinlens.events.event import Event, EventType
from twinlens.events.log import EventLog
from twinlens.events.validation import EventFault, EventRejected, is_id, parse_event

# A thousand events of a kilobyte each.
MAX_EVENTS_BYTES: Final = 1024 * 1024
_OF_A_PERSON: Final = frozenset({Code.NOT_FOUND, Code.FORBIDDEN})


def read_now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)


class EventViews:
    """The views about events that ``log`` keeps; searches are kept only with ``keep_searches``."""

    def __init__(
        self, log: EventLog, rights: PersonRights, metrics: Metrics, *, keep_searches: bool = False
    ) -> None:
        self._log = log
        self._rights = rights
        self._metrics = metrics
        self._keep_searches = keep_searches

    @Route(
        "post",
        f"{API_ROOT}/events",
        name="events",
        tag="events",
        summary="What people watched, saw, searched for and said",
        description="At most 1,000 events and 1 MiB. The same again changes nothing, late ones and "
        "any order are welcome, and those that are not valid are named while the others are kept. "
        "The answer comes when they are on disk.",
        body=EventsBody,
        answer=EventsAnswer,
        requests=examples.EVENTS,
        answers=examples.EVENTS_ANSWERS,
    )
    def events(self) -> Response:
        """Keep events."""
        body = read_json_body(EventsBody, request, max_bytes=MAX_EVENTS_BYTES)
        with time_stage("validate"):
            events, rejected = self._parse(body)
        kept = {
            index: event
            for index, event in events.items()
            if self._keep_searches or event.type is not EventType.SEARCH
        }
        with _keeping(), time_stage("append"):
            appended = self._log.append(list(kept.values()))
        places = list(kept)
        rejected += [
            RejectedEventBody(
                index=places[conflict],
                code=EventFault.EVENT_CONFLICT,
                field="event_id",
                message="event_id: known, of an event that says something else",
            )
            for conflict in appended.conflicts
        ]
        if len(rejected) == len(body.events):
            raise _to_problem(rejected)
        answer = EventsAnswer(
            accepted=appended.new,
            known=appended.known,
            not_kept=len(events) - len(kept),
            rejected=sorted(rejected, key=lambda one: one.index),
        )
        self._metrics.count_events(
            accepted=answer.accepted,
            known=answer.known,
            not_kept=answer.not_kept,
            rejected=len(rejected),
        )
        return _answer(answer.model_dump_json())

    def _parse(self, body: EventsBody) -> tuple[dict[int, Event], list[RejectedEventBody]]:
        events: dict[int, Event] = {}
        rejected: list[RejectedEventBody] = []
        now = read_now()
        given: list[object] = list(body.events)
        for index, fields in enumerate(given):
            try:
                if not isinstance(fields, Mapping):
                    raise EventRejected(EventFault.MALFORMED, None, "an event is an object")
                event = parse_event(fields, now=now, sent_at=body.sent_at)
            except EventRejected as error:
                rejected.append(
                    RejectedEventBody(
                        index=index, code=error.fault, field=error.field, message=error.detail
                    )
                )
            else:
                events[index] = event if event.at is not None else replace(event, at=now)
        return events, rejected

    @Route(
        "get",
        f"{API_ROOT}/people/<person_id>",
        name="person",
        tag="events",
        summary="All that is kept of a person",
        description="As their browser may show it, and as they may ask for it by law.",
        answer=PersonAnswer,
        problems=_OF_A_PERSON,
        answers=examples.PERSON_ANSWERS,
    )
    def person(self, person_id: str) -> Response:
        """Answer all events of a person."""
        refuse_parameters(request)
        self._require(person_id)
        with _keeping(), time_stage("read"):
            events = self._log.read_person(person_id)
        return _answer(PersonAnswer.of(person_id, events).model_dump_json(exclude_none=True))

    @Route(
        "delete",
        f"{API_ROOT}/people/<person_id>",
        name="forgetPerson",
        tag="events",
        summary="Forget a person",
        description="Every event and every feed of theirs is removed, and what took their place on "
        "disk is overwritten, before the answer comes.",
        answer=RemovedAnswer,
        problems=_OF_A_PERSON,
        answers=examples.REMOVED_ANSWERS,
    )
    def forget_person(self, person_id: str) -> Response:
        """Remove all that is kept of a person."""
        refuse_parameters(request)
        self._require(person_id)
        with _keeping(), time_stage("forget"):
            removed = self._log.forget(person_id)
        return _answer(RemovedAnswer(removed=removed).model_dump_json())

    @Route(
        "delete",
        f"{API_ROOT}/people/<person_id>/events/<event_id>",
        name="removeEvent",
        tag="events",
        summary="Remove one entry of a person's history",
        answer=RemovedAnswer,
        problems=_OF_A_PERSON,
        answers=examples.REMOVED_ANSWERS,
    )
    def remove_event(self, person_id: str, event_id: str) -> Response:
        """Remove one event of a person."""
        refuse_parameters(request)
        self._require(person_id)
        if not is_id(event_id):
            raise NotFound
        with _keeping():
            removed = self._log.remove(person_id, event_id)
        return _answer(RemovedAnswer(removed=int(removed)).model_dump_json())

    @Route(
        "post",
        f"{API_ROOT}/people/<person_id>/merge",
        name="mergePerson",
        tag="events",
        summary="Give a history to somebody else, as at a log-in",
        description="What was watched before the log-in becomes the history of who logged in. It "
        "takes an admin key, or the tokens of both with a comma between.",
        body=MergeBody,
        answer=MergedAnswer,
        problems=_OF_A_PERSON,
        requests=examples.MERGES,
        answers=examples.MERGED_ANSWERS,
    )
    def merge_person(self, person_id: str) -> Response:
        """Give the events of a person to another."""
        body = read_json_body(MergeBody, request)
        self._require(person_id, body.into)
        with _keeping():
            merged = self._log.merge(person_id, body.into)
        return _answer(MergedAnswer(merged=merged).model_dump_json())

    def _require(self, *person_ids: str) -> None:
        """Return if these are ids, and the request may touch what is kept of whose they are."""
        if not all(map(is_id, person_ids)):
            raise NotFound
        self._rights.require(request, *person_ids)


@contextmanager
def _keeping() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise make_not_ready(error, "events can't be kept or read at the moment") from error


def _to_problem(rejected: list[RejectedEventBody]) -> Problem:
    return Problem(
        Code.VALIDATION_FAILED,
        "no event of these is valid" if len(rejected) > 1 else "the event is not valid",
        errors=[
            FieldError(
                ".".join(filter(None, [f"events.{one.index}", one.field])), one.message, None
            )
            for one in rejected[:MOST_LISTED]
        ],
    )


def _answer(text: str) -> Response:
    return Response(text, content_type="application/json")
