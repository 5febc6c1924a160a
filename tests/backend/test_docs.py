"""docs/api.md names every route, field and error code, and nothing that isn't there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from twinlens.backend.problem_kinds import KINDS, Code
from twinlens.backend.schemas.answers import (
    BrowseAnswer,
    FacetsBody,
    FoundByBody,
    SearchAnswer,
    StatsAnswer,
    VideoBody,
)
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import fit
from twinlens.backend.schemas.requests import (
    BrowseBody,
    MultiSearchBody,
    RecommendationsBody,
    SearchBody,
    SimilarBody,
)
from twinlens.catalog.fields import FIELDS

FilterBody = fit(FilterBody, FIELDS)
FacetsBody = fit(FacetsBody, FIELDS)
VideoBody = fit(VideoBody, FIELDS)
BrowseBody = fit(BrowseBody, FIELDS)
SearchBody = fit(SearchBody, FIELDS)
SimilarBody = fit(SimilarBody, FIELDS)
RecommendationsBody = fit(RecommendationsBody, FIELDS)
MultiSearchBody = fit(MultiSearchBody, FIELDS)
SearchAnswer = fit(SearchAnswer, FIELDS)
BrowseAnswer = fit(BrowseAnswer, FIELDS)

DOCS = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
# The head of the page, where the routes stand; search's own section; the errors' table.
ROUTES = DOCS[: DOCS.index("## Search")]
SIMILAR = DOCS[DOCS.index("## You may also like") : DOCS.index("## Recommendations")]
BROWSE = DOCS[DOCS.index("## Browse") : DOCS.index("## Several searches")]
RECOMMENDATIONS = DOCS[DOCS.index("## Recommendations") : DOCS.index("## Thumbnail")]
SEVERAL = DOCS[DOCS.index("## Several searches") : DOCS.index("## One video")]
STATS = DOCS[DOCS.index("## Stats") : DOCS.index("## Health")]


def test_every_route_is_documented(app):
    served = set()
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        if not path.startswith(("/static/", "/docs/assets/")):
            served |= {f"{method} {path}" for method in rule.methods - {"HEAD", "OPTIONS"}}
    documented = set(re.findall(r"`((?:GET|POST) /[^`]*)`", ROUTES))
    assert documented == served


def test_every_code_is_documented_with_its_cause_and_remedy():
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| (.*) \| (.*) \|$", DOCS, re.MULTILINE)
    assert [(code, int(status), cause, remedy) for status, code, cause, remedy in rows] == [
        (code.value, kind.status, kind.cause, kind.remedy) for code, kind in KINDS.items()
    ]
    assert set(KINDS) == set(Code)


def test_the_page_of_errors_has_a_place_for_every_problem(client):
    page = client.get("/docs/errors")
    assert page.status_code == 200
    assert set(re.findall(r'<section id="(\w+)"', page.text)) == {code.value for code in Code}
    problem = client.get("/api/v1/videos/none").get_json()
    where, _, place = problem["type"].partition("#")
    assert f'id="{place}"' in client.get(where).text


@pytest.mark.parametrize("name", list(SearchBody.model_fields))
def test_every_field_of_a_search_has_its_row(name):
    assert re.search(rf"^\| `{name}` \|", DOCS, re.MULTILINE)


@pytest.mark.parametrize("name", list(SimilarBody.model_fields))
def test_every_option_of_similar_is_named(name):
    assert f"`{name}`" in SIMILAR


@pytest.mark.parametrize("name", list(RecommendationsBody.model_fields))
def test_every_option_of_recommendations_is_named(name):
    assert f"`{name}`" in RECOMMENDATIONS


@pytest.mark.parametrize("name", list(BrowseBody.model_fields))
def test_every_parameter_of_browse_has_its_row(name):
    assert re.search(rf"^\| `{name}` \|", BROWSE, re.MULTILINE)


@pytest.mark.parametrize("name", list(FacetsBody.model_fields))
def test_every_facet_has_its_row(name):
    assert re.search(rf"^\| (`\w+`, )*`{name}`", BROWSE, re.MULTILINE)


@pytest.mark.parametrize("name", list(BrowseAnswer.model_fields))
def test_every_field_of_a_page_stands_in_its_example(name):
    assert f'"{name}":' in BROWSE


@pytest.mark.parametrize(
    "name", sorted({*MultiSearchBody.model_fields, *FoundByBody.model_fields, "weight", "results"})
)
def test_every_option_of_several_searches_is_named(name):
    assert f"`{name}`" in SEVERAL or f'"{name}"' in SEVERAL


@pytest.mark.parametrize("name", FilterBody.names())
def test_every_filter_field_has_a_row(name):
    assert re.search(rf"^\| (`\w+`, )*`{name}`", DOCS, re.MULTILINE)


@pytest.mark.parametrize("name", [*SearchAnswer.model_fields, *VideoBody.model_fields])
def test_every_field_of_an_answer_stands_in_the_example(name):
    assert f'"{name}":' in DOCS


@pytest.mark.parametrize("name", list(StatsAnswer.model_fields))
def test_every_field_of_stats_is_named(name):
    assert f"`{name}`" in STATS


@pytest.mark.parametrize("model", [SearchBody])
def test_the_defaults_are_those_of_the_code(model):
    for name in ("limit", "rrf_k", "window", "expand"):
        default = model.model_fields[name].default
        row = re.search(rf"^\| `{name}` \|[^|]*\| ([^|]*) \|", DOCS, re.MULTILINE)
        assert row
        assert float(row[1]) == default
