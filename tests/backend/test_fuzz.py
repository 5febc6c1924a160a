"""Whatever is sent, the answer is one of ours: never a 5xx, always JSON with a request id."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backend.asking import MULTI, RECOMMEND, SEARCH
from tests.backend.catalogue import picture_bytes
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import fit
from twinlens.backend.schemas.requests import MultiSearchBody, RecommendationsBody, SearchBody
from twinlens.catalog.fields import FIELDS

FilterBody = fit(FilterBody, FIELDS)

few = settings(max_examples=80)

scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**30, max_value=10**400),
    st.floats(),
    st.text(alphabet=st.characters()),  # lone surrogates too
    st.sampled_from(
        ["film", "\x00", "2024-01-01T00:00:00Z", "beach-1", "en", "99999-01-01T00:00Z"]
    ),
)
value = st.recursive(
    scalar,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["gt", "gte", "lt", "lte", "title", ""]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
any_filter = st.dictionaries(st.sampled_from([*FilterBody.names(), "x"]), value, max_size=3)
BODIES = {SEARCH: SearchBody, RECOMMEND: RecommendationsBody, MULTI: MultiSearchBody}


def fits(answer) -> None:
    assert answer.status_code < 500, answer.text
    json.loads(answer.data.decode("utf-8"), parse_constant=pytest.fail)
    assert answer.headers["X-Request-Id"]
    if answer.status_code >= 400:
        assert answer.content_type == "application/problem+json"


@settings(max_examples=200)
@given(st.data(), st.sampled_from([*BODIES]))
def test_any_json(client, data, path):
    """What is no good in a way that no schema speaks of; Schemathesis has the rest."""
    names = st.sampled_from([*fit(BODIES[path], FIELDS).model_fields, "x"])
    body = data.draw(st.dictionaries(names, value | any_filter, max_size=4))
    if path == MULTI:
        body["searches"] = [{**body}, {"text": "film"}]
    sent = json.dumps(body)  # with what a client of Flask would not write
    fits(client.post(path, data=sent, content_type="application/json"))
    if path == SEARCH:
        fits(client.get(path, query_string={name: json.dumps(one) for name, one in body.items()}))


@few
@given(st.binary(max_size=200))
def test_any_bytes_as_json(client, content):
    fits(client.post(SEARCH, data=content, content_type="application/json"))


@few
@given(st.binary(max_size=300), st.text(max_size=20))
def test_any_bytes_as_a_form(client, content, name):
    fits(client.post(SEARCH, data=content, content_type="multipart/form-data; boundary=x"))
    fits(client.post(SEARCH, data={"image": (io.BytesIO(content), "x")}))


@few
@given(st.data())
def test_any_damage_to_a_picture(client, data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP"]))
    content = bytearray(picture_bytes((20, 90, 160), kind=kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    fits(client.post(SEARCH, data={"image": (io.BytesIO(bytes(content)), "x")}))


escaped = st.binary(max_size=40).map(lambda content: "".join(f"%{byte:02x}" for byte in content))


@few
@given(
    st.builds(str.__add__, escaped, st.sampled_from(["", "/similar"]))
    | st.text(alphabet="/%.abc25Ff?#\\;: é", max_size=20)
)
def test_any_path(client, path):
    fits(client.get("/api/v1/videos/" + path.lstrip("/")))
