"""Models of answers: a field without a default is always there, one with it may be absent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self
from urllib.parse import quote

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from twinlens.backend.mounting import prefix_of_request
from twinlens.backend.problems import ProblemBody
from twinlens.backend.schemas.base import API_ROOT, AnswerModel
from twinlens.backend.schemas.fitting import FieldsModel, Members, SourcesBody
from twinlens.catalog.fields import Field as FieldRow
from twinlens.catalog.fields import FieldKind, Fields
from twinlens.catalog.video import read_thumbnail_file
from twinlens.recommender.feed import FeedModel
from twinlens.search.facets import Extent, Facets
from twinlens.search.highlighting import Highlighter, TitlePart
from twinlens.search.published import NewerState
from twinlens.search.suggestion_file import SuggestionKind
from twinlens.search.suggestions import Suggestion
from twinlens.stores.base import FacetCount, Payload
from twinlens.stores.generations import Manifest


class VideoBody(AnswerModel, FieldsModel):
    """A video as callers see it; what is not known is null."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    video_id: str
    """Its id; in a path it is percent-encoded."""

    @classmethod
    def members(cls, fields: Fields) -> Members:
        """Return every field, and where the thumbnail is."""
        return {row.name: _make_member(row) for row in fields} | {
            "thumbnail_url": (
                str | None,
                Field(
                    default=None,
                    description="The path of its thumbnail on this server; null where it has none.",
                ),
            )
        }

    @classmethod
    def of(cls, payload: Payload) -> Self:
        """Return the video that a stored payload describes."""
        if read_thumbnail_file(payload) is None:
            return cls.model_validate(payload)
        url = locate_thumbnail(payload["video_id"])
        return cls.model_validate({**payload, "thumbnail_url": url})


def locate_thumbnail(video_id: str) -> str:
    """Return the path, on this server, of the thumbnail of a video that has one."""
    return f"{prefix_of_request()}{API_ROOT}/videos/{quote(video_id, safe='')}/thumbnail"


def _make_member(row: FieldRow) -> tuple[Any, Any]:
    """Return a field as callers see it."""
    about = row.help.removesuffix(".")
    match row.kind:
        case FieldKind.KEYWORDS:
            said = f"{about}; none is an empty list."
            return list[str], Field(default=[], description=said)
        case FieldKind.MOMENT:
            return str | None, Field(default=None, description=f"{about}, in RFC 3339.")
        case FieldKind.COUNT:
            return int | None, Field(default=None, description=row.help)
        case FieldKind.DURATION:
            return float | None, Field(default=None, description=row.help)
    return str | None, Field(default=None, description=row.help)


class VideoAnswer(AnswerModel):
    """One video."""

    video: VideoBody
    """The video."""
    generation: str
    """The index that answered."""


class TitlePartBody(AnswerModel):
    """A stretch of a title."""

    text: str
    """The stretch; whole characters, as a person sees them."""
    matched: bool
    """Whether the searched text has matched it."""


class LabelBody(AnswerModel):
    """A name of a field in which the searched text has matched something."""

    field: Literal["channel", "tags", "category"]
    """The field."""
    parts: list[TitlePartBody]
    """The name in parts; joined they are it."""


class HighlightBody(AnswerModel):
    """The matches of the searched text."""

    title: list[TitlePartBody]
    """The title in parts; joined they are it."""
    labels: list[LabelBody]
    """The channel, tags and category in which something has matched, at most ten."""

    @classmethod
    def of(cls, payload: Payload, highlighter: Highlighter | None) -> HighlightBody | None:
        """Return what is marked, or None where there is no title, or nothing to mark it by."""
        title = payload.get("title")
        if highlighter is None or not isinstance(title, str):
            return None
        labels = highlighter.mark_labels(payload)
        return cls(
            title=_make_parts(highlighter.mark(title)),
            labels=[LabelBody(field=one.field, parts=_make_parts(one.parts)) for one in labels],
        )


def _make_parts(parts: Sequence[TitlePart]) -> list[TitlePartBody]:
    return [TitlePartBody(text=one.text, matched=one.matched) for one in parts]


class HitVideoBody(VideoBody):
    """A video as a hit: every field, or those that `attributes` names and the `video_id`."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)


class FoundByBody(AnswerModel):
    """A search, of several, that found a hit."""

    search: int
    """Its place among the searches, from 0."""
    rank: int
    """The hit's rank in what it found, from 1."""


class GainBody(AnswerModel):
    """What a boost has done to a score."""

    field: str
    """The field that it goes by."""
    share: float
    """The share by which it has raised the score."""


class HitBody(AnswerModel):
    """One hit."""

    video: HitVideoBody
    """The video."""
    score: float
    """The fused score."""
    rank: int
    """The place in the whole window, from 1."""
    highlight: HighlightBody | None = None
    """What the text has matched; there when `highlight` is true, null without text or title."""
    duplicates: list[str] = []
    """The re-uploads folded into it, best first; there when `collapse_duplicates` is true."""
    because: list[str] = []
    """The liked videos that recommend it most, at most three; there in recommendations when
    `explain` is true."""
    found_by: list[FoundByBody] = []
    """The searches that found it, the one that ranks it best first; there where several searches
    are fused."""
    sources: SourcesBody | None = None
    """Where each ranking placed it; there when `explain` is true. Where several searches are fused,
    the rankings of the one that ranks it best."""
    match: float | None = None
    """How surely it is what the text means, 0 to 1: of hits at 0.7, seven in ten are. There in
    searches; null where more than a text was asked, or the index is older than this."""
    pinned: bool = False
    """Whether a rule of the operator puts it first; there when `explain` is true."""
    boosts: list[GainBody] = []
    """What has raised its score; there when `explain` is true."""


class FacetValueBody(AnswerModel):
    """A value of a field."""

    value: str
    """The value."""
    count: int
    """How many videos have it."""


class CountsBody(AnswerModel):
    """The values of a field."""

    values: list[FacetValueBody]
    """The most frequent first, ties by value; at most 100."""


class NumberExtentBody(AnswerModel):
    """From where to where a number goes."""

    min: int | float | None
    """The least; null where no video has the field."""
    max: int | float | None
    """The greatest; null where no video has the field."""


class TimeExtentBody(AnswerModel):
    """From where to where moments go."""

    min: str | None
    """The first, in RFC 3339; null where no video has the field."""
    max: str | None
    """The last, in RFC 3339; null where no video has the field."""


class FacetsBody(AnswerModel, FieldsModel):
    """The facets that were asked for. Videos without a field don't count in its facet."""

    @classmethod
    def members(cls, fields: Fields) -> Members:
        """Return a facet for each field that has one."""
        return {row.name: _make_facet_member(row) for row in fields.facets}

    @classmethod
    def of(cls, facets: Facets) -> Self:
        """Return the facets, as callers see them."""
        made: dict[str, Any] = {}
        for field, facet in facets.items():
            if not isinstance(facet, Extent):
                made[field] = {"values": [_make_facet_value(one) for one in facet]}
            else:
                made[field] = {"min": facet.least, "max": facet.greatest}
        return cls.model_validate(made)


TotalRelation = Literal["exact", "at_least"]


class FusedAnswer(AnswerModel):
    """A page of what several searches find together."""

    hits: list[HitBody]
    """The page, best first."""
    next_cursor: str | None
    """The cursor of the next page; null on the last."""
    window: int
    """Ranks that were taken from each ranking; of several searches the largest of theirs."""
    total: int
    """How many hits there are, over all pages, of which the first 1,000 are counted."""
    total_relation: TotalRelation
    """`exact`, or `at_least`: there are more than 1,000, or a larger `window` may find more."""
    match_floor: float | None = None
    """The `match` below which hits are seldom what is meant; there in searches, null where hits
    have none."""
    facets: FacetsBody | SkipJsonSchema[None] = None
    """What `facets` asked for, over the hits that `total` counts; there when it does."""
    took_ms: float
    """Milliseconds from the request's arrival to just before the answer was written."""
    timings_ms: dict[str, float]
    """Milliseconds per stage, over all searches."""
    query_id: str
    """The request's id, as in `X-Request-Id`."""
    generation: str
    """The index that answered."""


class ChannelBody(AnswerModel):
    """A channel that the text names."""

    name: str
    """Its name."""
    videos: int
    """How many videos it has."""


class SearchAnswer(AnswerModel):
    """A page of hits."""

    hits: list[HitBody]
    """The page, best first."""
    channels: list[ChannelBody] = []
    """The channels that the text names; there with the first page, where it names one."""
    next_cursor: str | None
    """The cursor of the next page; null on the last."""
    window: int
    """Ranks that were taken from each ranking."""
    total: int
    """How many hits there are, over all pages, of which the first 1,000 are counted."""
    total_relation: TotalRelation
    """`exact`, or `at_least`: there are more than 1,000, or a larger `window` may find more."""
    match_floor: float | None = None
    """The `match` below which hits are seldom what is meant; there in searches, null where hits
    have none."""
    facets: FacetsBody | SkipJsonSchema[None] = None
    """What `facets` asked for, over the hits that `total` counts; there when it does."""
    borrowed_from: list[str] = []
    """The videos that lent their thumbnails; there when `explain` is true."""
    model: str | SkipJsonSchema[None] = None
    """The trained model that took part; there in what is similar or recommended, where one did."""
    fallback: list[Literal["damaged_model"]] = []
    """`damaged_model`: there is a trained model, and it can't be used; absent where it can."""
    missing: list[str] = []
    """The ids that a request for recommendations named and that are not in this index; there where
    some are not. They took no part."""
    words_coverage: float | None = None
    """The share of the words that the best title found by them has, by which their weight was
    multiplied; there when `explain` is true, null where no words were asked."""
    also_asked: list[str] = []
    """The texts that the operator's synonyms made of this one, asked as well; there when `explain`
    is true."""
    took_ms: float
    """Milliseconds from the request's arrival to just before the answer was written."""
    timings_ms: dict[str, float]
    """Milliseconds per stage."""
    query_id: str
    """The request's id, as in `X-Request-Id`."""
    generation: str
    """The index that answered."""


class FailedSearchBody(AnswerModel):
    """Why one of several searches has no answer."""

    problem: ProblemBody
    """What would have been its error, had it been sent alone."""


class MultiSearchAnswer(AnswerModel):
    """The answers of several searches, each as if it had been sent alone."""

    results: list[SearchAnswer | FailedSearchBody]
    """An answer or a problem for each search, in their order."""
    took_ms: float
    """Milliseconds from the request's arrival to just before the answer was written."""
    timings_ms: dict[str, float]
    """Milliseconds per stage, over all searches."""
    query_id: str
    """The request's id, as in `X-Request-Id`."""
    generation: str
    """The index that answered all of them."""


class SuggestionBody(AnswerModel):
    """What may be meant by what was typed."""

    kind: SuggestionKind
    """`title`: that of a video; `channel` or `tag`: one that videos have."""
    text: str
    """The title, or the name, as a filter takes it."""
    video_id: str | None
    """The video of that title, of several the most viewed; null for a channel or a tag."""
    thumbnail_url: str | None
    """The path of its thumbnail on this server; null where it has none."""
    videos: int | None
    """How many videos are of the channel, or have the tag; null for a title."""

    @classmethod
    def of(cls, one: Suggestion) -> SuggestionBody:
        """Return a suggestion, as callers see it."""
        url = None
        if one.video_id is not None and one.has_thumbnail:
            url = locate_thumbnail(one.video_id)
        return cls(
            kind=one.kind,
            text=one.text,
            video_id=one.video_id,
            thumbnail_url=url,
            videos=one.videos,
        )


class SuggestAnswer(AnswerModel):
    """Suggestions for what was typed."""

    suggestions: list[SuggestionBody]
    """Channels and tags, the most used first, then titles: those that begin with it before others,
    the most viewed first."""
    did_you_mean: str | None
    """What was typed with its unknown words replaced by known ones that are near: a letter or two
    differ, or they sound alike. Null where there is nothing to mend. Where nothing has what was
    typed, the suggestions are for this."""
    took_ms: float
    """Milliseconds from the request's arrival to just before the answer was written."""
    query_id: str
    """The request's id, as in `X-Request-Id`."""
    generation: str
    """The index that answered."""


class BrowseAnswer(AnswerModel):
    """A page of videos."""

    videos: list[HitVideoBody]
    """The page."""
    next_cursor: str | None
    """The cursor of the next page; null on the last."""
    total: int
    """How many videos pass the filter, over all pages."""
    seed: int | None
    """The seed of the random order; null without one."""
    facets: FacetsBody | SkipJsonSchema[None] = None
    """What `facets` asked for; there when it does."""
    took_ms: float
    """Milliseconds from the request's arrival to just before the answer was written."""
    timings_ms: dict[str, float]
    """Milliseconds per stage."""
    query_id: str
    """The request's id, as in `X-Request-Id`."""
    generation: str
    """The index that answered."""


class LookupAnswer(AnswerModel):
    """Videos that were looked up."""

    videos: list[HitVideoBody]
    """Those that are in this index, in the order in which they were named."""
    missing: list[str]
    """The ids of those that are not."""
    generation: str
    """The index that answered."""


class EncoderBody(AnswerModel):
    """An encoder that made vectors of the index."""

    name: str
    """Its name, as in the settings."""
    fingerprint: str
    """Changes with whatever changes its vectors."""
    dim: int
    """Numbers per vector."""


class EvaluationBody(AnswerModel):
    """What a model was judged by before it was published."""

    protocol: str
    """What was held out: `next-day`, or `next-watch` of a log without times."""
    people: int
    """Whose next watch was to be found."""
    figures: dict[str, dict[str, float]]
    """The mean of each measure, by what found it: `learned`, and what it was compared with."""


class RecommenderBody(AnswerModel):
    """The trained model, and what feeds were made with."""

    model: str | None
    """The model that takes part; null where the published one can't be used."""
    trained_at: str | None
    """When it was trained, in RFC 3339."""
    age_s: float | None
    """How long ago that is, in seconds."""
    trained_on: dict[str, int]
    """How many watches of how many people it has learned from."""
    evaluation: EvaluationBody | None
    """What it was judged by; null where it was not."""
    feeds: dict[str, float]
    """Of the feeds since the server began, the share by the gravest thing that was lacking, as in
    `fallback`; `none` where nothing was."""

    @classmethod
    def of(cls, model: FeedModel | None, now: datetime, feeds: dict[str, float]) -> Self:
        """Return what ``model`` says of itself; None is one that can't be used."""
        if model is None:
            return cls(
                model=None, trained_at=None, age_s=None, trained_on={}, evaluation=None, feeds=feeds
            )
        judged = model.evaluation
        return cls(
            model=model.name,
            trained_at=model.trained_at.isoformat(),
            age_s=(now - model.trained_at).total_seconds(),
            trained_on=dict(model.log),
            evaluation=None if judged is None else EvaluationBody(**judged._asdict()),
            feeds=feeds,
        )


class StatsAnswer(AnswerModel):
    """The published index."""

    generation: str
    """The published index."""
    created_at: str
    """When it was made, in RFC 3339."""
    engine: str
    """Where its vectors are searched: `embedded` or `server`."""
    counts: dict[str, int]
    """How many `videos` there are, and how many have a vector by each lens: `title`, `thumbnail`,
    `words`."""
    encoders: dict[str, EncoderBody]
    """What made its dense vectors, by lens: `title` and `thumbnail`."""
    versions: dict[str, str]
    """The versions of the software that made it."""
    recommender: RecommenderBody | None
    """The trained model; null where none is published."""

    @classmethod
    def of(cls, manifest: Manifest, recommender: RecommenderBody | None) -> StatsAnswer:
        """Return what ``manifest`` says, without what concerns only the operator (its source)."""
        return cls(
            generation=manifest.generation,
            created_at=manifest.created_at,
            engine=manifest.engine,
            counts=dict(manifest.counts),
            encoders={
                name: EncoderBody(name=record.model, fingerprint=record.fingerprint, dim=record.dim)
                for name, record in manifest.lenses.items()
                if record.dim is not None
            },
            versions=dict(manifest.versions),
            recommender=recommender,
        )


class NewerBody(AnswerModel):
    """A published index that is not the open one."""

    generation: str | SkipJsonSchema[None] = None
    """Its name; absent if that can't be read."""
    state: NewerState
    """`loading`: it is being opened; `other_lenses`: it was made by others than are used here;
    `no_model`: a model of it can't be loaded; `unusable`: anything else, of which the log tells."""


class HealthAnswer(AnswerModel):
    """The health of the server."""

    status: Literal["ok", "ready"]
    """`ok`: the process answers; `ready`: so does the engine."""
    generation: str | SkipJsonSchema[None] = None
    """The open index; there when it is ready."""
    newer: NewerBody | SkipJsonSchema[None] = None
    """There while a published index is not served, or not yet."""
    rules: str | SkipJsonSchema[None] = None
    """Why the operator's rules can't be used; there while the ones before them are in force."""


def _make_facet_member(row: FieldRow) -> tuple[Any, Any]:
    """Return the facet of a field; absent where it was not asked for."""
    shown: Any
    if row.kind.is_counted:
        shown, said = CountsBody, f"{row.label}: how many videos have each value."
    else:
        shown = TimeExtentBody if row.kind is FieldKind.MOMENT else NumberExtentBody
        said = f"{row.label}: the least and the greatest."
    absent: Any = SkipJsonSchema[None]  # type: ignore[misc]
    return shown | absent, Field(default=None, description=said)


def _make_facet_value(one: FacetCount) -> dict[str, Any]:
    return {"value": one.value, "count": one.videos}
