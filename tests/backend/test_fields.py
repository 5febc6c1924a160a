"""One row more in the table of fields, from a source to the page: nothing else is told of it."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import expect

from tests import fields_written
from tests.backend.asking import SEARCH, body_of, every_page
from tests.backend.browser import launched, needs_chromium, watched_page
from tests.backend.conftest import ClientOf
from tests.backend.served import Served
from tests.fakes import SAVES, ColourEncoder, WordEncoder
from twinlens.catalog.errors import UsageError
from twinlens.catalog.fields import FIELDS, FIRST_FIELDS, Field, FieldKind, Fields
from twinlens.catalog.sources import RejectsFile, open_source
from twinlens.encoders.lenses import make_own_lenses
from twinlens.indexer.job import IndexJob, JobOptions, JobSummary
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import DataDir, Manifest

MORE = FIELDS.with_rows(SAVES)
VIDEOS = "/api/v1/videos"


def run_job(
    folder: Path, fields: Fields, titles: WordEncoder | None = None, *, fresh: bool = False
) -> JobSummary:
    """Index ten videos with 0 to 90 saves, and one that says nothing of them."""
    source = folder / "videos.csv"
    lines = [f'v{n},"film number {n}",{10 * n},{n}' for n in range(10)]
    source.write_text("\n".join(["id,title,saves,views", *lines, 'none,"film",,']) + "\n")
    data = DataDir(folder / "data")
    job = IndexJob(
        data,
        EmbeddedEngine(data),
        make_own_lenses(titles or WordEncoder(), ColourEncoder()),
        JobOptions(source_name=str(source), fields=fields, fresh=fresh),
    )
    return job.run(
        open_source(str(source), fields=fields), RejectsFile(data.path / "rejects.jsonl")
    )


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("more")
    assert run_job(folder, MORE).new == 11
    return folder


@pytest.fixture(scope="module")
def client(client_of: ClientOf, more: Path) -> FlaskClient:
    return client_of(data=DataDir(more / "data"))


def ids(answer: Any) -> list[str]:
    return [one["video_id"] for one in body_of(answer)["videos"]]


def test_it_is_an_attribute(client: FlaskClient) -> None:
    video = client.get(f"{VIDEOS}/v3").get_json()["video"]
    assert video["save_count"] == 30
    assert list(video)[-3:] == [[*FIELDS][-1].name, "save_count", "thumbnail_url"]
    assert client.get(f"{VIDEOS}/none").get_json()["video"]["save_count"] is None
    body = {"text": "film", "attributes": ["save_count"], "limit": 1}
    [hit] = client.post(SEARCH, json=body).get_json()["hits"]
    assert set(hit["video"]) == {"video_id", "save_count"}


def test_it_filters(client: FlaskClient) -> None:
    for asked, passing in (({"gte": 70}, {"v7", "v8", "v9"}), (50, {"v5"})):
        body = {"text": "film number", "filter": {"save_count": asked}}
        hits = client.post(SEARCH, json=body).get_json()["hits"]
        assert {hit["video"]["video_id"] for hit in hits} == passing
    assert "none" in ids(client.get(VIDEOS + '?filter={"not":{"save_count":{"gte":0}}}'))
    wrong = client.post(SEARCH, json={"text": "film", "filter": {"save_count": {"gte": "x"}}})
    assert wrong.status_code == 422
    assert wrong.get_json()["errors"][0]["field"] == "filter.save_count.gte"


def test_it_sorts_page_by_page(client: FlaskClient) -> None:
    asked = {"sort": "save_count:desc", "limit": 4}
    pages = every_page(lambda more: client.get(VIDEOS, query_string={**asked, **more}))
    met = [one for page in pages for one in ids(page)]
    assert met == [*(f"v{n}" for n in range(9, -1, -1)), "none"]


def test_it_is_a_facet(client: FlaskClient) -> None:
    facets = client.get(f"{VIDEOS}?facets=save_count,channel").get_json()["facets"]
    assert facets == {"save_count": {"min": 0, "max": 90}, "channel": {"values": []}}
    body = {"text": "film number", "facets": ["save_count"], "filter": {"save_count": {"lt": 50}}}
    found = client.post(SEARCH, json=body).get_json()
    assert found["facets"] == {"save_count": {"min": 0, "max": 40}}


def test_the_openapi_document_has_it(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    schemas = document["components"]["schemas"]
    for name in ("FilterBody", "FacetsBody", "VideoBody", "HitVideoBody"):
        assert schemas[name]["properties"]["save_count"]["description"], name
    parameters = document["paths"][VIDEOS]["get"]["parameters"]
    [sort] = [one for one in parameters if one["name"] == "sort"]
    assert {"save_count:desc", "save_count:asc"} < set(sort["schema"]["enum"])
    for name in ("attributes", "facets"):
        assert "save_count" in json.dumps(schemas["SearchBody"]["properties"][name])


def test_the_page_and_the_types_have_it(client: FlaskClient) -> None:
    page = client.get("/")
    [written] = re.findall(r'<script type="application/json" id="fields">(.*?)</script>', page.text)
    rows = {row["name"]: row for row in json.loads(html.unescape(written))}
    assert list(rows) == [*FIELDS.names, "save_count"]
    assert rows["save_count"]["sorts"] == ["Most saves", "Fewest saves"]
    tag = page.headers["ETag"]
    assert client.get("/", headers={"If-None-Match": tag}).status_code == 304
    types = client.get("/static/client.d.ts").text
    assert types.count("save_count") == 5
    assert "save_count?: number | Bounds<number>;" in types


@needs_chromium
def test_the_page_offers_it(more: Path) -> None:
    with (
        Served(DataDir(more / "data")) as served,
        launched() as browser,
        watched_page(browser, served.url) as page,
    ):
        page.goto("/?save_count=50-&sort=save_count:desc&v=v9")
        about = page.locator("#video-about")
        expect(about).to_contain_text("90 saves")
        page.get_by_label("Close the video").click()
        expect(page.locator("#heading")).to_have_text("Most saves")
        cards = page.locator("#results a.card")
        expect(cards).to_have_count(5)
        expect(page.locator("#chips")).to_contain_text("50 saves or more")
        page.get_by_role("button", name="Refine").click()
        bounds = page.get_by_role("group", name="Saves")
        bounds.get_by_label("At least").fill("80")
        bounds.get_by_label("At least").blur()
        expect(cards).to_have_count(2)
        page.get_by_label("Order").select_option("Fewest saves")
        expect(cards.first).to_have_attribute("data-video-id", "v8")


def test_an_index_without_it_refuses_it_and_says_what_it_has(
    client_of: ClientOf, tmp_path: Path
) -> None:
    run_job(tmp_path, FIELDS)
    client = client_of(data=DataDir(tmp_path / "data"))
    for asked in ({"filter": {"save_count": 3}}, {"attributes": ["save_count"]}):
        answer = client.post(SEARCH, json={"text": "film", **asked})
        assert answer.status_code == 422
        assert "view_count" in answer.get_json()["errors"][0]["expected"]
    assert client.get(f"{VIDEOS}?sort=save_count:asc").status_code == 422
    assert "save_count" not in client.get("/").text
    assert "save_count" not in client.get("/openapi.json").text
    # A job that knows of it brings it in; the titles are not encoded again.
    titles = WordEncoder()
    summary = run_job(tmp_path, MORE, titles)
    assert (summary.changed, summary.unchanged, summary.titles_encoded) == (10, 1, 0)
    assert ids(client.get(f"{VIDEOS}?sort=published_at:asc"))  # notices the new generation
    assert ids(client.get(f"{VIDEOS}?sort=save_count:desc&limit=1")) == ["v9"]
    assert run_job(tmp_path, MORE).unchanged == 11


def test_a_row_that_says_other_than_before_arrives_though_no_video_changed(
    client_of: ClientOf, tmp_path: Path
) -> None:
    """And what it lets callers do, they can do: the engine has what that takes."""
    before = replace(SAVES, sortable=False, facet=False, filterable=False)
    run_job(tmp_path, FIELDS.with_rows(before))
    client = client_of(data=DataDir(tmp_path / "data"))
    by_saves = f"{VIDEOS}?sort=save_count:desc&limit=1"
    assert client.get(by_saves).status_code == 422
    titles = WordEncoder()
    summary = run_job(tmp_path, MORE, titles)
    assert (summary.unchanged, summary.published, summary.titles_encoded) == (11, True, 0)
    assert ids(client.get(VIDEOS))  # notices the new generation
    assert ids(client.get(by_saves)) == ["v9"]
    assert not run_job(tmp_path, MORE).published


def test_a_manifest_has_its_fields_which_only_a_fresh_index_makes_others(more: Path) -> None:
    manifest = DataDir(more / "data").read_published()
    assert manifest.fields == MORE
    values = manifest.to_json()
    del values["fields"]  # as before manifests said
    assert Manifest.from_json(values).fields == FIRST_FIELDS
    text = Field(name="save_count", kind=FieldKind.KEYWORD, label="L", help="L.", filterable=True)
    with pytest.raises(UsageError, match=r"save_count: count became keyword.*--fresh"):
        run_job(more, FIELDS.with_rows(text))


def test_documentation_and_types_are_those_of_the_table() -> None:
    assert fields_written.stale() == [], "run python -m tests.fields_written"
    assert len(fields_written.stale(MORE)) == 2


def test_a_request_is_read_and_answered_by_the_fields_of_one_index(
    client_of: ClientOf, more: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(more / "data", tmp_path / "data")
    client = client_of(data=DataDir(data))
    counted = {"text": "film", "facets": ["save_count"]}
    filtered = {"text": "film", "filter": {"save_count": {"gte": 70}}}
    assert client.post(SEARCH, json=filtered).status_code == 200
    run_job(tmp_path, FIELDS, fresh=True)
    assert client.post(SEARCH, json=counted).status_code == 422
    assert client.post(SEARCH, json=filtered).status_code == 422
    run_job(tmp_path, MORE, fresh=True)
    assert client.post(SEARCH, json=filtered).status_code == 200
