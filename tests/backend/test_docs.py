"""The documents name what is there, and nothing that isn't: routes, fields, codes, metrics."""

from __future__ import annotations

import re

import pytest

from tests.backend.served import ROOT
from twinlens.backend.problem_kinds import KINDS, Code
from twinlens.backend.schemas import answers, events, requests
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import fit
from twinlens.catalog.fields import FIELDS
from twinlens.events.event import EventType
from twinlens.events.validation import EventFault, EventFields

DOCS, MANUAL = ((ROOT / "docs" / name).read_text("utf-8") for name in ("api.md", "operations.md"))
SECTIONS = {part.split("\n", 1)[0]: part for part in re.split(r"^## ", DOCS, flags=re.MULTILINE)}
ROW = r"^\| `{}` \|"
SHARED_ROW = r"^\| (`\w+`, )*`{}`"
NAMED = "`{}`"
SHOWN = '"{}":'


def fields(model) -> list[str]:
    return list(fit(model, FIELDS).model_fields)


def test_every_route_is_documented(client):
    served = set()
    for rule in client.application.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        if not path.startswith(("/static/", "/docs/assets/")):
            served |= {f"{method} {path}" for method in rule.methods - {"HEAD", "OPTIONS"}}
    documented = set(re.findall(r"`((?:GET|POST|DELETE) /[^`]*)`", DOCS[: DOCS.index("## Search")]))
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


@pytest.mark.parametrize(
    ("section", "pattern", "names"),
    [
        (None, ROW, fields(requests.SearchBody)),
        (None, SHARED_ROW, fit(FilterBody, FIELDS).names()),
        (None, SHOWN, fields(answers.SearchAnswer)),
        (None, SHOWN, fields(answers.VideoBody)),
        ("You may also like", NAMED, fields(requests.SimilarBody)),
        ("Recommendations", NAMED, fields(requests.RecommendationsBody)),
        ("Browse", ROW, fields(requests.BrowseBody)),
        ("Browse", SHARED_ROW, fields(answers.FacetsBody)),
        ("Browse", SHOWN, fields(answers.BrowseAnswer)),
        ("Several searches", '[`"]{}[`"]', fields(requests.MultiSearchBody)),
        ("Several searches", '[`"]{}[`"]', [*fields(answers.FoundByBody), "weight", "results"]),
        ("Stats", NAMED, fields(answers.StatsAnswer)),
        ("Events", '[`"]{}[`"]', fields(events.EventsBody)),
        ("Events", '[`"]{}[`"]', fields(EventFields)),
        ("Events", NAMED, list(EventFault)),
        ("Events", NAMED, list(EventType)),
        ("Events", SHOWN, fields(events.EventsAnswer)),
        ("People", '[`"]{}[`"]', fields(events.PersonAnswer)),
        ("People", '[`"]{}[`"]', ["removed", "into", "merged"]),
    ],
)
def test_every_name_stands_where_its_reader_looks(section, pattern, names):
    text = DOCS if section is None else SECTIONS[section]
    assert [one for one in names if not re.search(pattern.format(one), text, re.MULTILINE)] == []


@pytest.mark.parametrize("name", ["limit", "rrf_k", "window", "expand"])
def test_the_defaults_are_those_of_the_code(name):
    row = re.search(rf"^\| `{name}` \|[^|]*\| ([^|]*) \|", DOCS, re.MULTILINE)
    assert float(row[1]) == fit(requests.SearchBody, FIELDS).model_fields[name].default


def test_every_metric_is_documented_and_nothing_else(client):
    client.get("/api/v1/search?q=kitchen")
    served = re.findall(r"^# TYPE (twinlens_\w+) ", client.get("/metrics").text, re.MULTILINE)
    # When each began is there with one process only.
    served = {name for name in served if not name.endswith("_created")}
    section = MANUAL[MANUAL.index("### Metrics") : MANUAL.index("### Metrics of the job")]
    assert set(re.findall(r"^\| `(twinlens_\w+)` \|", section, re.MULTILINE)) == served
