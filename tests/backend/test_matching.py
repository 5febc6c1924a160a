"""How well hits match a text, over HTTP: told in every search, and what doesn't fit left out."""

from __future__ import annotations

import pytest

from tests.backend.asking import MULTI, RECOMMEND, SEARCH, body_of, every_page, hit_ids, problem
from twinlens.search import searcher
from twinlens.search.matching import Calibration, Curve
from twinlens.search.rules import Guidance, RulesFile
from twinlens.stores.generations import CALIBRATIONS_FILE, DataDir

TEXT = "beach film number 3"


def search(client, **fields) -> dict:
    return body_of(client.post(SEARCH, json=fields))


def test_every_hit_of_a_text_says_how_well_it_matches(client):
    found = search(client, text=TEXT)
    matches = [hit["match"] for hit in found["hits"]]
    assert found["hits"][0]["video"]["video_id"] == "beach-3"
    assert matches[0] == max(matches) > 0.9
    assert all(0 <= one <= 1 for one in matches)
    assert 0 < found["match_floor"] < 1
    by_get = body_of(client.get(SEARCH, query_string={"q": TEXT}))
    assert [hit["match"] for hit in by_get["hits"]] == matches


def test_what_nothing_fits_is_below_the_floor_and_left_out_with_it(client):
    found = search(client, text="xqzvw jjkpf")
    assert found["hits"]
    assert max(hit["match"] for hit in found["hits"]) < found["match_floor"]
    left = search(client, text="xqzvw jjkpf", min_match=found["match_floor"], facets=["channel"])
    assert left["hits"] == []
    assert (left["total"], left["total_relation"], left["next_cursor"]) == (0, "exact", None)
    assert left["facets"]["channel"]["values"] == []


def test_pages_total_and_facets_are_of_what_matches(client):
    everything = search(client, text=TEXT, limit=100)
    floor = sorted(hit["match"] for hit in everything["hits"])[len(everything["hits"]) // 2]
    fitting = [hit["video"]["video_id"] for hit in everything["hits"] if hit["match"] >= floor]
    assert len(fitting) < len(everything["hits"])
    asked = {"text": TEXT, "min_match": floor, "limit": 3, "facets": ["channel"]}
    pages = every_page(lambda more: client.post(SEARCH, json={**asked, **more}))
    assert [one for page in pages for one in hit_ids(page)] == fitting
    first = body_of(pages[0])
    assert first["total"] == len(fitting)
    assert sum(one["count"] for one in first["facets"]["channel"]["values"]) == len(fitting)
    by_get = client.get(SEARCH, query_string={"q": TEXT, "min_match": str(floor), "limit": "100"})
    assert hit_ids(by_get) == fitting


def test_no_more_are_looked_at_than_are_counted(client, monkeypatch):
    monkeypatch.setattr(searcher, "MOST_COUNTED", 5)
    found = search(client, text=TEXT, min_match=1e-9)
    assert (len(found["hits"]), found["total"], found["total_relation"]) == (5, 5, "at_least")


def test_a_hit_of_several_searches_matches_the_one_that_ranks_it_best(client):
    searches = [{"text": TEXT}, {"text": "kitchen film number 5"}, {"video_id": "cricket-1"}]
    apart = body_of(client.post(MULTI, json={"searches": searches}))["results"]
    best = [{hit["video"]["video_id"]: hit["match"] for hit in one["hits"]} for one in apart]
    assert set(best[2].values()) == {None}
    assert apart[2]["match_floor"] is None
    fused = body_of(client.post(MULTI, json={"searches": searches, "fuse": True}))
    assert fused["match_floor"] == apart[0]["match_floor"]
    for hit in fused["hits"]:
        found_by = hit["found_by"][0]["search"]
        assert hit["match"] == best[found_by].get(hit["video"]["video_id"], hit["match"])
    searches[0]["min_match"] = 0.9
    fused = body_of(client.post(MULTI, json={"searches": searches, "fuse": True}))
    of_first = [hit for hit in fused["hits"] if hit["found_by"][0]["search"] == 0]
    assert of_first
    assert all(hit["match"] >= 0.9 for hit in of_first)


def test_what_asks_no_text_alone_has_no_match(client):
    like = search(client, video_id="beach-1", text=TEXT)
    assert {hit["match"] for hit in like["hits"]} == {None}
    assert like["match_floor"] is None
    fitting = search(client, video_id="beach-1", text=TEXT, min_match=1)
    assert [hit["video"] for hit in fitting["hits"]] == [hit["video"] for hit in like["hits"]]
    for answer in (
        client.post(RECOMMEND, json={"liked": ["beach-1"]}),
        client.get("/api/v1/videos/beach-1/similar"),
    ):
        body = body_of(answer)
        assert "match_floor" not in body
        assert all("match" not in hit for hit in body["hits"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"text": TEXT, "min_match": 1.1}, "from 0 to 1"),
        ({"text": TEXT, "min_match": -0.1}, "from 0 to 1"),
        ({"text": TEXT, "min_match": "much"}, "number"),
    ],
)
def test_bad_floors_are_named(client, fields, said):
    answer = problem(client.post(SEARCH, json=fields), "validation_failed")
    [error] = answer["errors"]
    assert error["field"] == "min_match"
    assert said in f"{error['message']} {error.get('expected')}"


def test_a_copy_is_good_as_long_as_the_calibration_is(client_of, catalogue, tmp_path):
    data = DataDir(tmp_path)
    catalogue.publish(data, "g1")

    def tag() -> str:
        return client_of(data=data).get(SEARCH, query_string={"q": TEXT}).headers["ETag"]

    before = tag()
    assert tag() == before
    own = Calibration(words=Curve(9.0, -5.0), title=None, far=0.8, floor=0.1)
    (tmp_path / CALIBRATIONS_FILE).write_text(own.to_toml(catalogue.titles.name), "utf-8")
    assert tag() != before


def test_a_pinned_video_that_does_not_fit_comes_as_it_was_found(client_of, embedded, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text(f'[[queries]]\nquery = "{TEXT}"\npin = ["kitchen-8"]\n', "utf-8")
    client = client_of(data=embedded, guidance=Guidance(RulesFile(rules)))
    asked = {"text": TEXT, "explain": True, "limit": 100}
    everything = search(client, **asked)["hits"]
    fitting = search(client, **asked, min_match=0.9)["hits"]
    assert everything[0]["match"] < 0.9
    assert everything[0]["sources"]["words"] is not None
    assert fitting[0] == everything[0]
    assert fitting[0]["pinned"]
    assert all(hit["match"] >= 0.9 for hit in fitting[1:])
