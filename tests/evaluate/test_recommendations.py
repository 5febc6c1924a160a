"""People's ratings become seeds and what is to be found; figures come from the served search."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fakes import ColourEncoder, WordEncoder
from twinlens.backend.schemas.requests import MAX_SEEDS
from twinlens.catalog.errors import SourceError, UsageError
from twinlens.catalog.video import Video
from twinlens.cli import main
from twinlens.evaluate import recommendations
from twinlens.evaluate.index import index_corpus
from twinlens.evaluate.recommendations import LIKED, LIKED_AND_DISLIKED, POPULARITY, Person
from twinlens.evaluate.tasks import Corpus

SUBJECTS = ("beach sand waves", "kitchen soup knife", "cricket bat wicket", "train rail station")


def _videos() -> list[Video]:
    return [
        Video(video_id=f"{subject.split()[0]}-{number}", title=f"{subject} {number}")
        for subject in SUBJECTS
        for number in range(40)
    ]


def _ratings(path: Path, rows: list[tuple[str, str, object]]) -> Path:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        header = ("user_id", "video_id", "rating", "timestamp")
        csv.writer(file).writerows([header, *((*row, 0) for row in rows)])
    return path


def _tastes() -> list[tuple[str, str, object]]:
    """Two people, each with two subjects that they like and one that they don't."""
    return [
        (person, f"{subject}-{number}", rating)
        for person, tastes in {
            "a": {"beach": 5.0, "cricket": 4.0, "train": 1.0},
            "b": {"kitchen": 4.5, "train": 4.0, "beach": 2.5},
        }.items()
        for subject, rating in tastes.items()
        for number in range(20)
    ]


@pytest.mark.parametrize("name", ["ratings.csv", "ratings.csv.gz"])
def test_half_of_what_was_liked_is_known(tmp_path, name):
    rows = [*_tastes(), ("c", "beach-1", 5.0), ("a", "elsewhere", 5.0), ("a", "kitchen-1", 3.5)]
    path, ids = _ratings(tmp_path / name, rows), {video.video_id for video in _videos()}
    people = recommendations.read_people(path, ids, seed=0)
    assert [person.name for person in people] == ["a", "b"]  # c likes too few
    one = people[0]
    assert len(one.liked) == len(one.to_find) == 20
    assert len(one.disliked) == len(one.to_spare) == 10
    every = [*one.liked, *one.disliked, *one.to_find, *one.to_spare]
    assert len(set(every)) == 60
    assert {video_id.split("-")[0] for video_id in [*one.disliked, *one.to_spare]} == {"train"}
    assert recommendations.read_people(path, ids, seed=0) == people
    assert recommendations.read_people(path, ids, seed=1) != people


def test_no_more_is_known_than_a_request_may_name(tmp_path):
    rows = [("a", f"v{number}", 5.0) for number in range(3 * MAX_SEEDS)]
    [person] = recommendations.read_people(
        _ratings(tmp_path / "r.csv", rows), {row[1] for row in rows}, seed=0
    )
    assert len(person.liked) == recommendations.MOST_KNOWN == MAX_SEEDS
    assert len(person.to_find) == 1.5 * MAX_SEEDS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user_id,video_id\n1,2\n", "no column 'rating'"),
        ("", "is empty"),
        ("user_id,video_id,rating\na,v,good\n", "row 1: the rating"),
        ("user_id,video_id,rating\na,v\n", "row 1: the rating"),
        ("user_id,video_id,rating\na,v,5\n", "nobody likes 10"),
    ],
)
def test_what_is_wrong_with_ratings_is_said(tmp_path, text, said):
    path = tmp_path / "ratings.csv"
    path.write_text(text)
    with pytest.raises((SourceError, UsageError), match=said):
        recommendations.read_people(path, {"v"}, seed=0)


def test_each_way_is_measured_over_a_real_index(tmp_path):
    corpus = Corpus("small", _videos())
    people = recommendations.read_people(
        _ratings(tmp_path / "r.csv", _tastes()), {one.video_id for one in corpus.videos}, seed=0
    )
    with index_corpus(corpus, WordEncoder(), ColourEncoder()) as index:
        ways = recommendations.measure_recommendations(index, people, people)
    rows = {way.recommended: way for way in ways}
    assert list(rows)[:3] == [POPULARITY, LIKED, LIKED_AND_DISLIKED]
    assert len(rows) == 3 + len(recommendations.DIVERSITIES)
    for row in rows.values():
        assert set(row.measures) == set(recommendations.MEASURES)
        assert 0 <= row.measures["nDCG@20"].value <= 1
    # Titles of one subject differ in a number only, so most that is found is of a liked subject.
    assert rows[LIKED].measures["P@20"].value > 0.2
    assert rows[LIKED].disliked.value == rows[LIKED_AND_DISLIKED].disliked.value == 0
    # Popular is what the two like; the other's likes are no one's to find here but by chance.
    assert rows[POPULARITY].measures["P@20"].value < rows[LIKED].measures["P@20"].value


def test_popularity_leaves_out_what_is_known():
    person = Person("a", ["x"], ["y"], ["z"], [])
    popular = Counter({"x": 9, "y": 8, "z": 1, "w": 1})
    assert recommendations.recommend_popular(popular, person) == ["w", "z"]
    many = recommendations.recommend_popular({str(n): n for n in range(99)}, person)
    assert len(many) == recommendations.DEPTH


def test_the_command_writes_what_it_says(tmp_path):
    videos, written = tmp_path / "videos.jsonl", tmp_path / "report.json"
    rows = [json.dumps({"video_id": one.video_id, "title": one.title}) for one in _videos()]
    videos.write_text("\n".join(rows))
    ratings = _ratings(tmp_path / "ratings.csv.gz", _tastes())
    options = ["--title-model", "packaged:use-m3", "--people", "1", "--json", str(written)]
    asked = ["evaluate", "recommendations", str(videos), "--ratings", str(ratings), *options]
    done = CliRunner().invoke(main, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    report = json.loads(written.read_text())
    assert (report["people"], report["videos"]) == (1, 160)
    assert report["rows"][0]["recommended"] == POPULARITY
    assert "1 people of 2" in done.stdout
