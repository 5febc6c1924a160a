"""The model of a request for a feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, SkipValidation, model_validator
from pydantic.types import StringConstraints

from twinlens.backend.problem_kinds import Code
from twinlens.backend.problems import MOST_LISTED, FieldError, Problem
from twinlens.backend.schemas.base import RequestModel, lack, make_fault
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import OfFields
from twinlens.backend.schemas.requests import Attribute, CursorText, VideoId, to_int
from twinlens.events.event import Event
from twinlens.events.validation import EventFields, EventRejected, Id, parse_event
from twinlens.recommender.pages import FeedRequest
from twinlens.recommender.person import Context

MOST_EVENTS: Final = 500
MOST_EXCLUDED: Final = 1000
# Whose the events of a body are, where they don't say: of nobody that is kept.
_NOBODY: Final = "nobody"

_Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ContextBody(RequestModel):
    """What the page knows of the moment and of the person; what it doesn't know is left out."""

    region: _Word | None = None
    """Where, as a code: `LK`."""
    device: _Word | None = None
    """On what: `phone`, `television`, ..."""
    language: _Word | None = None
    """The language that the page is in, as a code: `si`."""
    gender: _Word | None = None
    """As the site's events call it."""
    age: Annotated[float, Field(ge=0, le=150, allow_inf_nan=False)] | None = None
    """In years."""
    logged_in: bool | None = None
    """Whether the person has logged in."""

    def to_context(self) -> Context:
        """Return the context that this body describes."""
        return Context(**{one.name: getattr(self, one.name) for one in fields(Context)})


class FeedEventBody(EventFields):
    """What somebody did. Which fields are needed depends on its `type`."""

    person_id: Id = _NOBODY
    """Not needed: all are of one person."""


class FeedBody(RequestModel, OfFields):
    """A feed for a person whose events are kept, or for the one whose `events` are sent along."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "anyOf": [
                    lack("person_id", "events"),
                    {
                        "required": ["person_id", "events"],
                        "properties": {
                            "person_id": {"type": "string"},
                            "events": {"type": "array"},
                        },
                    },
                    {"required": ["cursor"], "not": lack("cursor"), **lack("person_id")},
                ]
            }
        }
    )

    person_id: Id | None = None
    """A person whose events the server keeps; it takes an admin key or a token of theirs. One who
    is not known has a feed, too."""
    events: Annotated[list[SkipValidation[FeedEventBody]], Field(max_length=MOST_EVENTS)] | None = (
        None
    )
    """In place of `person_id`: what a person did, as in `POST /api/v1/events`, in any order;
    without `at` in the order in which they happened. Nothing of it is kept."""
    limit: Annotated[int, Field(ge=1, le=100), BeforeValidator(to_int)] = 20
    """Hits per page."""
    cursor: CursorText = None
    """`next_cursor` of the page before, with the rest of the request as it was."""
    filter: FilterBody | None = None
    """Which videos may be hits."""
    surface: Literal["home", "related"] = "home"
    """Where the feed is shown: on a page of its own, or beside a video."""
    seed_video_id: VideoId | None = None
    """The video beside which it is shown, and which it is about. It is no hit."""
    exclude: Annotated[list[VideoId], Field(max_length=MOST_EXCLUDED)] = []
    """Videos that are not to be hits, such as those on the pages before."""
    context: ContextBody = ContextBody()
    """What the page knows of the moment and of the person."""
    diversity: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """How much it counts that a hit is unlike those before it (maximal marginal relevance)."""
    explain: bool = False
    """Say which sources found a hit, and because of what."""
    log_impressions: bool = True
    """Keep what is served, so that what is shown in vain sinks; only with `person_id`."""
    attributes: list[Attribute] | None = None
    """Fields of a video to return, beside `video_id`; null for all."""

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if (self.person_id is None) == (self.events is None):
            raise make_fault("give one of the two: {names}", "person_id", "events")
        if self.person_id is None and self.cursor is not None:
            raise make_fault(
                "only with person_id: nothing is kept of events that are sent along",
                "cursor",
                expected="no cursor; the hits of the pages before in exclude",
            )
        return self

    def to_feed_request(self, now: datetime) -> FeedRequest:
        """Return the feed that this body asks for, at ``now``.

        Raises:
            Problem: an event is not valid.
        """
        return FeedRequest(
            person_id=self.person_id,
            events=self._parse_events(now),
            context=self.context.to_context(),
            surface=self.surface,
            seed_video_id=self.seed_video_id,
            filter=self.filter.to_filter() if self.filter else None,
            exclude=self.exclude,
            limit=self.limit,
            cursor=self.cursor,
            diversity=self.diversity,
            explain=self.explain,
            log_impressions=self.log_impressions,
        )

    def _parse_events(self, now: datetime) -> Sequence[Event]:
        events: list[Event] = []
        faults: list[FieldError] = []
        given: list[object] = list(self.events or ())
        for index, values in enumerate(given):
            try:
                if not isinstance(values, dict):
                    faults.append(FieldError(f"events.{index}", "an event is an object"))
                    continue
                events.append(parse_event(values, now=now, person_id=_NOBODY))
            except EventRejected as error:
                field = ".".join(filter(None, [f"events.{index}", error.field]))
                faults.append(FieldError(field, error.detail))
        if faults:
            raise Problem(
                Code.VALIDATION_FAILED, f"not valid: {faults[0].field}", errors=faults[:MOST_LISTED]
            )
        return events
