"""What is wrong with a request is answered by its code, and by the field to put right."""

from __future__ import annotations

import base64
import io
import json

import pytest

from tests.backend.asking import LOOKUP, MULTI, RECOMMEND, SEARCH, hit_ids, problem
from tests.backend.catalogue import RED, picture_bytes
from tests.catalog.encoded import png
from twinlens.backend.parsing import MAX_VALUES
from twinlens.backend.schemas.filters import MAX_CONDITIONS, MAX_FILTER_VALUES

JSON = "application/json"
FORM = "multipart/form-data"


def rows(*table: tuple) -> pytest.MarkDecorator:
    """A test for each of the values that a table lists by what their answers have in common."""
    return pytest.mark.parametrize(
        ("said", "sent"), [(said, sent) for said, several in table for sent in several]
    )


def send(client, content: bytes | str, kind: str | None = JSON, path: str = SEARCH):
    return client.post(path, data=content, content_type=kind)


@rows(
    ("not_found", ["/nowhere", "/static/none.js", "/static/../app.py", "/static/%2e%2e/app.py"]),
    ("not_found", ["/api/v1/videos/", "//api/v1/stats"]),
    ("not_found", ["/api/v1/videos/..%2f..%2fCURRENT/thumbnail"]),
    ("video_not_found", [f"/api/v1/videos/none{rest}" for rest in ("", "/similar", "/thumbnail")]),
    ("video_not_found", [f"/api/v1/videos/{one}" for one in ("%00", "%FF%ED%A0%80", "%zz%")]),
    ("video_not_found", ["/api/v1/videos/" + "x" * 5000]),
    ("cursor_invalid", [f"{SEARCH}?q=a&cursor={one}" for one in ("abc", "%F0%9F%98%80")]),
)
def test_paths_that_lead_nowhere(client, said, sent):
    problem(client.get(sent), said)


NO_MOMENTS = [
    *('"2024-02-30"', '"2024-05"', '"2024-05-01 "', '"0999-01-01"'),
    *('"yesterday"', '"2024-01-01T00:00:00"', "1700000000", '"0001-01-01T00:00:00%2B14:00"'),
]


@rows(
    ("q", ["q=%20%20", "q=", "q=" + "a" * 2001]),
    ("limit", [f"q=a&limit={one}" for one in ("0", "101", "ten", "1.5", "9" * 6000, "1&limit=2")]),
    ("window", ["q=a&window=0", "q=a&window=1001"]),
    ("rrf_k", ["q=a&rrf_k=-1", "q=a&rrf_k=nan", "q=a&rrf_k=inf"]),
    ("expand", ["q=a&expand=21"]),
    ("explain", ["q=a&explain=perhaps"]),
    ("attributes.1", [f"q=a&attributes=title,{one}" for one in (",tags", "&attributes=url")]),
    ("highlight", ["q=a&highlight=2"]),
    ("diversity", ["q=a&diversity=1.1", "q=a&diversity=-0.1", "q=a&diversity=nan"]),
    ("collapse_duplicates", ["q=a&collapse_duplicates=2"]),
    ("image", ["q=a&image=b"]),
    ("cursor", ["q=a&cursor=" + "a" * 1001]),
    ("video_id", ["video_id=" + "x" * 257, "video_id="]),
    ("filter", ["q=a&filter=x", "q=a&filter=[]"]),
    ("filter.channel", ['q=a&filter={"channel":[]}', 'q=a&filter={"channel":{"gte":3}}']),
    ("filter.channel.0", ['q=a&filter={"channel":""}']),
    ("filter.channel.1", ['q=a&filter={"channel":["x",3]}']),
    ("filter.view_count", [f'q=a&filter={{"view_count":{one}}}' for one in ("{}", '"3"', "true")]),
    (
        "filter.view_count.gte",
        [f'q=a&filter={{"view_count":{{"gte":{one}}}}}' for one in ("NaN", "Infinity", "1e999")],
    ),
    ("filter.view_count.above", ['q=a&filter={"view_count":{"above":1}}']),
    (
        "filter.published_at.gte",
        [f'q=a&filter={{"published_at":{{"gte":{one}}}}}' for one in NO_MOMENTS],
    ),
    ("filter.has_thumbnail", [f'q=a&filter={{"has_thumbnail":{one}}}' for one in ("1", '"yes"')]),
    ("weights.title", ['q=a&weights={"title":-1}']),
    ("weights", ['q=a&weights={"title":0,"thumbnail":0,"words":0}', "q=a&weights=2"]),
)
def test_a_bad_parameter_is_named(client, said, sent):
    body = problem(client.get(f"{SEARCH}?{sent}"), "validation_failed")
    assert said in [error["field"] for error in body["errors"]]
    assert all(error["message"] for error in body["errors"])
    assert len(json.dumps(body)) < 3000


@rows(
    ("limit", ["limit=0", "limit=101", "limit=x", "limit=3&limit=4"]),
    ("sort", ["sort=title:asc", "sort=view_count", "sort=view_count:DESC"]),
    ("seed", ["seed=4", *(f"order=random&seed={one}" for one in (-1, 2**53, 1.5))]),
    ("facets.0", ["facets=title"]),
    ("facets.1", ["facets=tags,"]),
    ("attributes.0", ["attributes=x"]),
    ("filter", ["filter=x", "filter={}x"]),
    ("filter.title", ['filter={"title":"x"}']),
    ("q", ["q=film"]),
    ("window", ["window=100"]),
)
def test_a_bad_parameter_of_browsing_is_named(client, said, sent):
    errors = problem(client.get(f"/api/v1/videos?{sent}"), "validation_failed")["errors"]
    assert [one["field"] for one in errors] == [said]


A = {"text": "a"}
LIKED = {"liked": ["beach-1"]}
FOR_ALL_IN_ONE = {"limit": 2, "explain": True, "highlight": True, "diversity": 0.2}


@rows(
    ((SEARCH, "text"), ['{"text": 3}', {"text": ["a"]}, {"text": "a" * 100_000}]),
    ((SEARCH, "limit"), [A | {"limit": "5"}, A | {"limit": True}]),
    ((SEARCH, "limit"), ['{"text": "a", "limit": 1e400}']),
    ((SEARCH, "explain"), [A | {"explain": "true"}]),
    ((SEARCH, "rrf_k"), ['{"text": "a", "rrf_k": NaN}']),
    ((SEARCH, "\0"), [A | {"\0": 1}]),
    ((SEARCH, "image"), [{"image": "not base64!"}, {"image": "é"}]),
    ((SEARCH, "weights"), [A | {"weights": None}]),
    ((SEARCH, "video_id"), [{"video_id": 3}]),
    ((SEARCH + "?limit=3", "limit"), [A]),
    ((RECOMMEND + "?limit=3", "limit"), [LIKED]),
    ((RECOMMEND, "liked"), [{}, {"liked": []}, {"liked": "beach-1"}, {"liked": ["x"] * 101}]),
    ((RECOMMEND, "liked.0"), [{"liked": [""]}]),
    (
        (LOOKUP, "video_ids"),
        [{}, {"video_ids": []}, {"video_ids": "a"}, {"video_ids": ["a"] * 101}],
    ),
    ((LOOKUP, "video_ids.1"), [{"video_ids": ["a", one]} for one in ("", 3, None, "a" * 257)]),
    ((LOOKUP, "attributes.0"), [{"video_ids": ["a"], "attributes": ["nothing"]}]),
    ((LOOKUP, "limit"), [{"video_ids": ["a"], "limit": 3}]),
    ((SEARCH, "facet_query"), [{"text": "a", "facet_query": one} for one in (3, "channel", [])]),
    ((SEARCH, "facet_query"), [{"text": "a", "facets": ["tags"], "facet_query": {"channel": "x"}}]),
    (
        (SEARCH, "facet_query.channel"),
        [
            {"text": "a", "facets": ["channel"], "facet_query": {"channel": one}}
            for one in ("", " ?! ", "x" * 101, 5, ["x"])
        ],
    ),
    (
        (SEARCH, "facet_query.view_count"),
        [{"text": "a", "facets": ["view_count"], "facet_query": {"view_count": "3"}}],
    ),
    (
        (SEARCH, "disjunctive_facets"),
        [
            {"text": "a", "disjunctive_facets": "yes"},
            {
                "text": "a",
                "disjunctive_facets": True,
                "window": 1000,
                "facets": ["tags", "channel"],
                "filter": {"tags": "x", "channel": "y"},
            },
        ],
    ),
    ((RECOMMEND, "disjunctive_facets"), [{"liked": ["beach-1"], "disjunctive_facets": True}]),
    (
        (MULTI, "searches.0.disjunctive_facets"),
        [{"searches": [{"text": "a", "disjunctive_facets": True}], "fuse": True}],
    ),
    (
        (MULTI, "searches"),
        [
            {
                "searches": [
                    {
                        "text": "a",
                        "disjunctive_facets": True,
                        "window": 1000,
                        "facets": ["tags"],
                        "filter": {"tags": f"n{number}"},
                    }
                    for number in range(3)
                ]
            }
        ],
    ),
    ((RECOMMEND, "liked.1"), [{"liked": ["beach-1", 3]}]),
    ((RECOMMEND, "disliked"), [LIKED | {"disliked": ["x"] * 101}]),
    ((RECOMMEND, "disliked"), [{"liked": ["beach-1", "beach-2"], "disliked": ["beach-2"]}]),
    ((RECOMMEND, "text"), [LIKED | {"text": "beach"}]),
    ((RECOMMEND, "attributes.0"), [LIKED | {"attributes": ["colour"]}]),
    ((RECOMMEND, "attributes"), [LIKED | {"attributes": "title"}]),
    ((RECOMMEND, "limit"), [LIKED | {"limit": 0}]),
    ((RECOMMEND, "highlight"), [LIKED | {"highlight": True}]),
    ((MULTI, "searches"), [{}, {"searches": []}, {"searches": [A] * 21}]),
    ((MULTI, "searches"), [{"searches": [A | {"weight": 0}] * 2, "fuse": True}]),
    ((MULTI, "searches.1.text"), [{"searches": [A, {}]}]),
    ((MULTI, "searches.1"), [{"searches": [A, 3]}]),
    ((MULTI, "searches.3.limit"), [{"searches": [A] * 3 + [A | {"limit": 0}]}]),
    ((MULTI, "searches.0.filter.tags"), [{"searches": [A | {"filter": {"tags": []}}]}]),
    ((MULTI, "searches.0.q"), [{"searches": [A | {"q": "b"}]}]),
    ((MULTI, "searches.0.liked"), [{"searches": [LIKED]}]),
    ((MULTI, "limit"), [{"searches": [A], "limit": 3}]),
    ((MULTI, "limit"), [{"searches": [A], "fuse": True, "limit": 101}]),
    ((MULTI, "explain"), [{"searches": [A], "explain": True}]),
    ((MULTI, "searches.0.weight"), [{"searches": [A | {"weight": 2}]}]),
    ((MULTI, "searches.0.weight"), [{"searches": [A | {"weight": -1}], "fuse": True}]),
    ((MULTI, "fuse"), [{"searches": [A], "fuse": "yes"}]),
    *(
        ((MULTI, f"searches.0.{name}"), [{"searches": [A | {name: value}], "fuse": True}])
        for name, value in {**FOR_ALL_IN_ONE, "facets": ["tags"]}.items()
    ),
)
def test_a_bad_field_of_a_body_is_named(client, said, sent):
    path, field = said
    sent = sent if isinstance(sent, str) else json.dumps(sent)
    errors = problem(send(client, sent, path=path), "validation_failed")["errors"]
    assert field in [error["field"] for error in errors]
    assert all(error["message"] for error in errors)


@rows(
    ("cut short", [b"", b"{", b'{"text": "a"', b"\x00"]),
    ("no text", [b'{"text": "\\ud800"}', b'{"text": "\xff"}', b"\xef\xbb\xbf{}"]),
    ("too deep", [b"[" * 10_000, b'{"a":' * 5000]),
    ("too long a number", [b'{"limit": 1' + b"0" * 5000 + b"}"]),
)
def test_a_body_that_is_not_json(client, said, sent):
    problem(send(client, sent), "json_invalid")


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "a/b/c"])
def test_a_body_of_another_type(client, kind):
    body = problem(send(client, b'{"text": "a"}', kind), "unsupported_media_type")
    assert "application/json" in body["detail"]


@pytest.mark.parametrize("name", ["filter", "weights"])
@pytest.mark.parametrize("path", ["/api/v1/videos/v1", "/api/v1/videos/v1/thumbnail"])
def test_objects_are_no_parameters_of_what_neither_filters_nor_ranks(client, path, name):
    answer = client.get(path, query_string={name: "{}"})
    assert problem(answer, "validation_failed")["errors"][0]["field"] == name


@pytest.mark.parametrize("path", [RECOMMEND, MULTI])
def test_some_are_asked_for_in_json_alone_and_methods_are_told(client, path):
    for form in ({"liked": "beach-1"}, {"image": (io.BytesIO(RED), "x.png")}):
        answer = client.post(path, data=form)
        assert "send application/json" in problem(answer, "unsupported_media_type")["detail"]
    problem(client.get(path), "method_not_allowed")
    answer = client.delete(SEARCH)
    problem(answer, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "content",
    [
        b" " * (16 * 1024 * 1024 + 1),
        # More values than a search can need are not looked at.
        b'{"text":"a","filter":{"and":[' + b"{}," * 10_000 + b"{}]}}",
        b'{"text":"a","attributes":[' + b"0," * 20_000 + b"0]}",
        b"[" * 20_001,
    ],
    ids=["bytes", "filter", "attributes", "depth"],
)
def test_a_body_too_large_is_not_read(client, content):
    problem(send(client, content), "body_too_large")


@pytest.mark.parametrize("name", ["filter", "attributes", "facets"])
def test_nor_is_a_field_of_a_form(client, name):
    form = {"text": "a", name: '{"and":[' + "{}," * 10_000 + "{}]}"}
    problem(send(client, form, FORM), "body_too_large")


def test_the_largest_filter_there_may_be_is_within_the_limit(client):
    one = {"tags": [f"t{number}" for number in range(MAX_FILTER_VALUES)]}
    body = {"text": "kitchen", "filter": {"not": {"or": [one] * MAX_CONDITIONS}}}
    assert hit_ids(client.post(SEARCH, json=body))
    picture = base64.b64encode(bytes(MAX_VALUES)).decode()
    problem(client.post(SEARCH, json={"image": picture}), "picture_rejected")


@rows(
    ("nothing", [b"", b"x"]),
    ("another kind", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0"]),
    ("cut short", [b"GIF89a", picture_bytes((1, 2, 3))[:60]]),
    ("cut short", [picture_bytes((1, 2, 3), kind="JPEG")[:300]]),
    ("too large", [png(30_000, 30_000, bytes(90_001))]),
)
def test_what_is_no_picture_is_refused_either_way(client, said, sent):
    answer = client.post(SEARCH, data={"image": (io.BytesIO(sent), "x.png")})
    problem(answer, "picture_rejected")
    answer = client.post(SEARCH, json={"image": base64.b64encode(sent).decode()})
    assert problem(answer, "picture_rejected")["errors"][0]["field"] == "image"


def test_form_fields_of_the_wrong_kind(client):
    def upload():
        return io.BytesIO(RED), "x.png"

    for form, field in (
        ({"image": "text, no file"}, "image"),
        ({"picture": upload()}, "picture"),
        ({"image": [upload(), upload()]}, "image"),
        ({"image": upload(), "limit": ["1", "2"]}, "limit"),
        ({"text": upload()}, "text"),
        ({"image": upload(), "q": "a"}, "q"),
    ):
        body = problem(send(client, form, FORM), "validation_failed")
        assert [error["field"] for error in body["errors"]] == [field]


# Werkzeug leaves the part it was reading to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_form_that_is_cut_short(client):
    body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\nabc'
    answer = send(client, body, FORM + "; boundary=x")
    assert 400 <= answer.status_code < 500
    assert answer.content_type == "application/problem+json"
