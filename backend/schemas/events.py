"""Models of requests and answers about events, and about the people whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Self

from pydantic import Field, SkipValidation

from twinlens.backend.schemas.base import AnswerModel, RequestModel
from twinlens.events.event import Event
from twinlens.events.validation import EventFault, EventFields, Id, Moment

MOST_EVENTS: Final = 1000


class EventsBody(RequestModel):
    """Events of any people. Each is looked at by itself: a bad one does not spoil the others."""

    events: Annotated[
        list[SkipValidation[EventFields]], Field(min_length=1, max_length=MOST_EVENTS)
    ]
    """At most 1,000; of a person in any order."""
    sent_at: Moment | None = None
    """What the sender's clock shows now: where it is wrong, every `at` is moved by as much."""


class RejectedEventBody(AnswerModel):
    """An event that was not kept, and why."""

    index: int
    """Its place in `events`, from 0."""
    code: EventFault
    """Why, in a word that never changes."""
    field: str | None
    """The field at fault; null where it is no one's."""
    message: str
    """Why, for people."""


class EventsAnswer(AnswerModel):
    """What became of the events. What is kept survives a loss of power from now on."""

    accepted: int
    """Events that are new, or tell more of a playback."""
    known: int
    """Events that were kept before and change nothing."""
    not_kept: int
    """Searches, where the operator has not switched on that they are kept."""
    rejected: list[RejectedEventBody]
    """Those that are not valid; the others were kept."""


class PersonAnswer(AnswerModel):
    """All that is kept of a person."""

    person_id: str
    """Who."""
    events: list[EventFields]
    """In order of time, the latest last; `at` is absent where nobody knows it."""

    @classmethod
    def of(cls, person_id: str, events: Sequence[Event]) -> Self:
        """Return the answer; what was once valid is not looked at again."""
        names = EventFields.model_fields
        bodies = [
            EventFields.model_construct(**{name: getattr(one, name) for name in names})
            for one in events
        ]
        return cls.model_construct(person_id=person_id, events=bodies)


class RemovedAnswer(AnswerModel):
    """How much was removed."""

    removed: int
    """Events that are gone; 0 where there were none."""


class MergeBody(RequestModel):
    """Whose the events become."""

    into: Id
    """`person_id` of who logged in."""


class MergedAnswer(AnswerModel):
    """How much was merged."""

    merged: int
    """Events that are another person's now; 0 where there were none."""
