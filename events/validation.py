"""One event as a caller writes it: what it may hold, and what is wrong where it is not so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from twinlens.catalog.errors import TwinLensError
from twinlens.events.event import Event, EventType

MAX_ID_LENGTH: Final = 256
MAX_TEXT_LENGTH: Final = 2000
MAX_SECONDS: Final = 7 * 24 * 3600.0
MAX_POSITION: Final = 1_000_000
# Nothing was watched before the first video site of this kind opened.
EARLIEST: Final = datetime(2005, 1, 1, tzinfo=UTC)
# A log that an operator imports may be older; a time near 1970 is no time.
EARLIEST_IN_FILES: Final = datetime(1990, 1, 1, tzinfo=UTC)
# How far a clock may be ahead.
MOST_AHEAD: Final = timedelta(minutes=5)
# The field that makes an event of each type one.
NEEDED: Final[Mapping[EventType, str]] = {
    EventType.WATCH: "video_id",
    EventType.IMPRESSION: "video_id",
    EventType.CLICK: "video_id",
    EventType.SEARCH: "text",
    EventType.LIKE: "video_id",
    EventType.DISLIKE: "video_id",
    EventType.NOT_INTERESTED: "video_id",
    EventType.UNDO: "undoes",
}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Control characters, half surrogates, ends of lines and paragraphs: as in ids of videos.
_UNUSABLE_IN_IDS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/]")


class EventFault(StrEnum):
    """Why an event was refused; the values are stable and stand in answers and rejects."""

    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_FIELD = "unknown_field"
    FIELD_MISSING = "field_missing"
    BAD_VALUE = "bad_value"
    ID_INVALID = "id_invalid"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    EVENT_CONFLICT = "event_conflict"


class EventRejected(TwinLensError):
    """An event can't be kept: ``fault`` says why, ``field`` where; its text is a sentence."""

    def __init__(self, fault: EventFault, field: str | None, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
        self.field = field
        self.detail = detail


def is_id(text: str) -> bool:
    """Return whether ``text`` may be an id, of whatever kind."""
    # As ids of videos are: each stands percent-encoded in a path and must come back as it was.
    return (
        0 < len(text) <= MAX_ID_LENGTH
        and text not in {".", ".."}
        and _UNUSABLE_IN_IDS.search(text) is None
    )


def _check_id(text: str) -> str:
    if not is_id(text):
        raise PydanticCustomError(
            EventFault.ID_INVALID,
            "an id has 1 to 256 characters, no '/', no control characters, and isn't '.' or '..'",
        )
    return text


def _read_moment(value: object) -> object:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("a moment in RFC 3339 with an offset, such as 2026-11-28T10:00:00Z")
    return value


def _clean_text(text: str) -> str:
    cleaned = _CONTROL.sub(" ", text).strip()
    if not cleaned:
        raise ValueError("blank: give at least one word")
    return cleaned


def _to_int(value: object) -> object:
    # JSON has one kind of number: 5.0 is the integer 5.
    return int(value) if isinstance(value, float) and value.is_integer() else value


Id = Annotated[
    str,
    AfterValidator(_check_id),
    Field(
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_ID_LENGTH,
            "pattern": r"^(?!\.{1,2}$)[^/\u0000-\u001f\u007f-\u009f\u2028\u2029]+$",
        }
    ),
]
Moment = Annotated[datetime, BeforeValidator(_read_moment)]
_Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
_Text = Annotated[
    str,
    StringConstraints(max_length=MAX_TEXT_LENGTH),
    AfterValidator(_clean_text),
    Field(json_schema_extra={"pattern": r"[^\s\u0000-\u001f\u007f-\u009f]"}),
]
_Word = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\u0000-\u001f\u007f-\u009f]*$")
]


class EventFields(BaseModel):
    """One event. Which fields are needed depends on its `type`."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra={
            # No ``anyOf`` of what is needed: generators of clients make a type of each branch.
            "not": {
                "anyOf": [
                    {
                        "properties": {
                            "type": {
                                "enum": [kind for kind, one in NEEDED.items() if one == field]
                            },
                            field: {"type": "null"},
                        }
                    }
                    for field in dict.fromkeys(NEEDED.values())
                ]
            }
        },
    )

    type: Annotated[EventType, Field(strict=False)]
    """What happened; `search` and `undo` need no video."""
    event_id: Id
    """Yours, unique: the same event sent again changes nothing."""
    person_id: Id
    """Who: any name for a person that your site keeps to itself."""
    at: Moment | None = None
    """When, by the clock of the sender."""
    video_id: Id | None = None
    """Of which video; whether the catalogue has it is not looked at."""
    watch_id: Id | None = None
    """One playback, whose heartbeats all have it: of these one entry is kept."""
    watched_s: _Seconds | None = None
    """Seconds of the playback seen so far, however the video was wound."""
    duration_s: _Seconds | None = None
    """How long the video is, where the catalogue may not know it."""
    query_id: Id | None = None
    """`query_id` of the search that showed the video."""
    feed_id: Id | None = None
    """`feed_id` of the feed that showed the video."""
    position: Annotated[int, Field(ge=1, le=MAX_POSITION), BeforeValidator(_to_int)] | None = None
    """The place where the video was shown, from 1."""
    seen: bool | None = None
    """Whether an impression came into view."""
    chance: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """The probability with which exploration chose the video."""
    surface: _Word | None = None
    """Where on the site: `home`, `watch`, ..."""
    text: _Text | None = None
    """The words of a search."""
    undoes: Id | None = None
    """`event_id` of the event that counts no more."""
    region: _Word | None = None
    """Where the person was, in what your site calls regions."""
    device: _Word | None = None
    """On what: `phone`, `tv`, ..."""
    language: _Word | None = None
    """The language of the page."""


def parse_event(
    fields: Mapping[str, Any],
    *,
    now: datetime,
    sent_at: datetime | None = None,
    person_id: str | None = None,
    earliest: datetime = EARLIEST,
) -> Event:
    """Return the event that ``fields`` describe.

    ``sent_at`` is what the sender's clock showed when it sent the event at ``now``: ``at`` is moved
    by the difference. ``person_id`` is whose event it is where it does not say. ``at`` is None
    where ``fields`` have none, and not before ``earliest``.

    Raises:
        EventRejected: something in it is not valid; the first such thing is named.
    """
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    if person_id is not None:
        given.setdefault("person_id", person_id)
    try:
        values = EventFields.model_validate(given)
    except ValidationError as error:
        raise _to_rejection(error) from error
    needed = NEEDED[values.type]
    if getattr(values, needed) is None:
        raise EventRejected(
            EventFault.FIELD_MISSING, needed, f"{needed}: needed in an event of type {values.type}"
        )
    # Not model_dump, which takes as long as the validation.
    event = Event(**{name: getattr(values, name) for name in EventFields.model_fields})
    if event.at is not None:
        at = _correct(event.at, now - sent_at if sent_at is not None else timedelta())
        if not earliest <= at <= now + MOST_AHEAD:
            raise EventRejected(
                EventFault.TIME_OUT_OF_RANGE,
                "at",
                f"at: {at.isoformat()} is before {earliest.year} or over five minutes ahead",
            )
        object.__setattr__(event, "at", at)  # just made, and nobody else has it
    return event


def _correct(at: datetime, by: timedelta) -> datetime:
    try:
        return at.astimezone(UTC) + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


_FAULTS: Final[Mapping[str, EventFault]] = {
    "missing": EventFault.FIELD_MISSING,
    "extra_forbidden": EventFault.UNKNOWN_FIELD,
    EventFault.ID_INVALID: EventFault.ID_INVALID,
}


def _to_rejection(error: ValidationError) -> EventRejected:
    part = error.errors(include_url=False, include_input=False)[0]
    field = str(part["loc"][0]) if part["loc"] else None
    fault = _FAULTS.get(part["type"], EventFault.BAD_VALUE)
    message = part["msg"].removeprefix("Value error, ")
    if fault is EventFault.UNKNOWN_FIELD:
        message = f"no field of an event; those are {', '.join(EventFields.model_fields)}"
    elif field == "type" and fault is EventFault.BAD_VALUE:
        fault, message = EventFault.UNKNOWN_TYPE, f"one of {', '.join(EventType)}"
    name = field if field is None or len(field) <= 100 else f"{field[:99]}…"
    return EventRejected(fault, name, f"{name}: {message}")
