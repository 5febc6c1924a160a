"""Put answers together from what was found, with only the parts that the request asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, get_args

from pydantic.main import IncEx

from twinlens.backend.problems import Problem, ProblemBody, make_problem_body
from twinlens.backend.schemas.answers import (
    BrowseAnswer,
    ChannelBody,
    FacetsBody,
    FailedSearchBody,
    FoundByBody,
    FusedAnswer,
    GainBody,
    HighlightBody,
    HitBody,
    HitVideoBody,
    LookupAnswer,
    MultiSearchAnswer,
    SearchAnswer,
)
from twinlens.backend.schemas.fitting import SourceBody, SourcesBody, fit
from twinlens.backend.schemas.requests import BrowseBody, HitPart, LookupBody, PageBody, SearchBody
from twinlens.catalog.fields import Fields
from twinlens.search.browser import BrowseResult
from twinlens.search.highlighting import Highlighter
from twinlens.search.request import LEARNED, Hit, SearchResult
from twinlens.stores.base import StoredVideo

_HIT_PARTS: Final = frozenset(get_args(HitPart))


def make_search_answer(
    result: SearchResult,
    asked: PageBody,
    *,
    took_ms: float,
    query_id: str,
    generation: str,
    is_damaged: bool = False,
) -> SearchAnswer:
    """Return a page of hits with all parts; see ``list_unasked_parts`` for those to leave out."""
    fields = asked.of_fields
    return fit(SearchAnswer, fields)(
        hits=_make_hits(result, asked),
        next_cursor=result.next_cursor,
        window=result.window,
        channels=[ChannelBody(name=one.value, videos=one.videos) for one in result.channels],
        total=result.total.hits,
        total_relation="exact" if result.total.is_exact else "at_least",
        match_floor=result.match_floor,
        facets=fit(FacetsBody, fields).of(result.facets),
        borrowed_from=list(result.borrowed_from),
        model=result.model,
        fallback=["damaged_model"] if is_damaged else [],
        missing=list(result.missing),
        words_coverage=result.words_coverage,
        also_asked=list(result.also_asked),
        took_ms=took_ms,
        timings_ms=round_timings(result.timings_ms),
        query_id=query_id,
        generation=generation,
    )


def write_search_answer(
    result: SearchResult,
    asked: PageBody,
    *,
    took_ms: float,
    query_id: str,
    generation: str,
    is_damaged: bool = False,
) -> str:
    """Return a page of hits as JSON text, with the parts that ``asked`` asks for.

    ``is_damaged``: there is a trained model that can't be used.
    """
    answer = make_search_answer(
        result,
        asked,
        took_ms=took_ms,
        query_id=query_id,
        generation=generation,
        is_damaged=is_damaged,
    )
    return answer.model_dump_json(
        exclude=list_unasked_parts(
            asked,
            has_model=result.model is not None,
            is_damaged=is_damaged,
            names_channels=bool(result.channels),
            lacks_some=bool(result.missing),
        )
    )


def write_fused_answer(
    result: SearchResult, asked: PageBody, *, took_ms: float, query_id: str, generation: str
) -> str:
    """Return a page of a fused multi-search as JSON text, with the parts that ``asked`` wants."""
    fields = asked.of_fields
    answer = fit(FusedAnswer, fields)(
        hits=_make_hits(result, asked),
        next_cursor=result.next_cursor,
        window=result.window,
        total=result.total.hits,
        total_relation="exact" if result.total.is_exact else "at_least",
        match_floor=result.match_floor,
        facets=fit(FacetsBody, fields).of(result.facets),
        took_ms=took_ms,
        timings_ms=round_timings(result.timings_ms),
        query_id=query_id,
        generation=generation,
    )
    return answer.model_dump_json(exclude=list_unasked_parts(asked))


def write_multi_search_answer(
    outcomes: Sequence[SearchAnswer | Problem],
    asked: Sequence[SearchBody],
    *,
    took_ms: float,
    timings_ms: Mapping[str, float],
    query_id: str,
    generation: str,
) -> str:
    """Return the outcome of each search, an answer or a problem, in the order of ``asked``."""
    results: list[SearchAnswer | FailedSearchBody] = []
    unasked: dict[int, IncEx | bool] = {}
    for at, (outcome, search) in enumerate(zip(outcomes, asked, strict=True)):
        if isinstance(outcome, SearchAnswer):
            results.append(outcome)
            unasked[at] = list_unasked_parts(search, names_channels=bool(outcome.channels))
        else:
            problem = make_problem_body(outcome)
            results.append(FailedSearchBody(problem=problem))
            unasked[at] = {"problem": {"errors": _list_unexpected(problem)}}
    answer = fit(MultiSearchAnswer, asked[0].of_fields)(
        results=results,
        took_ms=took_ms,
        timings_ms=round_timings(timings_ms),
        query_id=query_id,
        generation=generation,
    )
    return answer.model_dump_json(exclude={"results": unasked})


def list_unasked_parts(
    asked: PageBody,
    *,
    has_model: bool = False,
    is_damaged: bool = False,
    names_channels: bool = False,
    lacks_some: bool = False,
) -> Mapping[str, IncEx | bool]:
    """Return the parts of a page of hits to leave out, in the form of pydantic's ``exclude``."""
    of_hits: dict[str, IncEx | bool] = dict.fromkeys(_HIT_PARTS - asked.list_hit_parts(), True)
    if asked.attributes is not None:
        of_hits["video"] = set(fit(HitVideoBody, asked.of_fields).model_fields) - {
            "video_id",
            *asked.attributes,
        }
    unasked: dict[str, IncEx | bool] = {
        "hits": {"__all__": of_hits},
        "facets": list_unasked_facets(asked.facets, asked.of_fields),
    }
    if not names_channels:
        unasked["channels"] = True
    if not has_model:
        of_hits.setdefault("sources", {LEARNED})
        unasked["model"] = True
    if "match" not in asked.list_hit_parts():
        unasked["match_floor"] = True
    if not is_damaged:
        unasked["fallback"] = True
    if not lacks_some:
        unasked["missing"] = True
    if not asked.explain:
        unasked |= {"borrowed_from": True, "words_coverage": True, "also_asked": True}
    return unasked


def write_browse_answer(
    result: BrowseResult, asked: BrowseBody, *, took_ms: float, query_id: str, generation: str
) -> str:
    """Return a page of videos as JSON text, with what ``asked`` wants of it."""
    fields = asked.of_fields
    video_body = fit(HitVideoBody, fields)
    answer = fit(BrowseAnswer, fields)(
        videos=[video_body.of(video.payload) for video in result.videos],
        next_cursor=result.next_cursor,
        total=result.total,
        seed=result.seed,
        facets=fit(FacetsBody, fields).of(result.facets),
        took_ms=took_ms,
        timings_ms=round_timings(result.timings_ms),
        query_id=query_id,
        generation=generation,
    )
    unasked = _list_unasked_attributes(asked, "videos")
    unasked["facets"] = list_unasked_facets(asked.facets, fields)
    return answer.model_dump_json(exclude=unasked)


def write_lookup_answer(
    found: Mapping[str, StoredVideo], asked: LookupBody, generation: str
) -> str:
    """Return the videos that ``asked`` names as JSON text, with what it wants of them."""
    video_body = fit(HitVideoBody, asked.of_fields)
    named = list(dict.fromkeys(asked.video_ids))
    answer = fit(LookupAnswer, asked.of_fields)(
        videos=[video_body.of(found[one].payload) for one in named if one in found],
        missing=[one for one in named if one not in found],
        generation=generation,
    )
    return answer.model_dump_json(exclude=_list_unasked_attributes(asked, "videos"))


def _list_unasked_attributes(
    asked: BrowseBody | LookupBody, listed: str
) -> dict[str, IncEx | bool]:
    """Return what to leave out of the videos ``listed``, in the form of pydantic's ``exclude``."""
    if asked.attributes is None:
        return {}
    known = set(fit(HitVideoBody, asked.of_fields).model_fields)
    return {listed: {"__all__": known - {"video_id", *asked.attributes}}}


def list_unasked_facets(asked: Sequence[str], fields: Fields) -> IncEx | bool:
    """Return the facets to leave out, in the form of pydantic's ``exclude``."""
    return {row.name for row in fields.facets}.difference(asked) if asked else True


def round_timings(timings_ms: Mapping[str, float]) -> dict[str, float]:
    """Return milliseconds per stage, to the microsecond."""
    return {stage: round(spent, 3) for stage, spent in timings_ms.items()}


def _make_hits(result: SearchResult, asked: PageBody) -> list[HitBody]:
    texts = asked.list_texts_to_mark()
    if len(texts) == 1 and texts[0] is not None:  # of several, synonyms are not told apart
        texts = [" ".join((texts[0], *result.also_asked))]
    # Each text is parsed once, however many hits it marks.
    highlighters = [None if text is None else Highlighter(text) for text in texts]
    hit_body, video_body = fit(HitBody, asked.of_fields), fit(HitVideoBody, asked.of_fields)
    return [_make_hit(hit, highlighters, hit_body, video_body) for hit in result.hits]


def _make_hit(
    hit: Hit,
    highlighters: Sequence[Highlighter | None],
    hit_body: type[HitBody],
    video_body: type[HitVideoBody],
) -> HitBody:
    highlighter = None
    if highlighters:
        # With several searches, the one that ranks the hit best marks its title.
        best = hit.found_by[0][0] if hit.found_by else 0
        highlighter = highlighters[best]
    return hit_body(
        video=video_body.of(hit.payload),
        score=hit.score,
        rank=hit.rank,
        highlight=HighlightBody.of(hit.payload, highlighter),
        duplicates=list(hit.duplicates),
        because=list(hit.because),
        found_by=[FoundByBody(search=search, rank=rank) for search, rank in hit.found_by],
        sources=SourcesBody(
            **{
                name: SourceBody(rank=source.rank, score=source.score)
                for name, source in hit.sources.items()
            }
        ),
        match=hit.match,
        pinned=hit.pinned,
        boosts=[GainBody(field=gain.field, share=gain.share) for gain in hit.boosts],
    )


def _list_unexpected(problem: ProblemBody) -> IncEx | bool:
    """Return the parts of the errors of ``problem`` that are empty: all, or some ``expected``."""
    if problem.errors is None:
        return True
    return {at: {"expected"} for at, one in enumerate(problem.errors) if one.expected is None}
