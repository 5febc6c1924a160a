"""The drawn log: the same seed draws the same, it grows, and what is said to hold in it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.folders import files_in
from tests.samples.drawn_rows import make_rows
from twinlens.catalog.errors import UsageError
from twinlens.commands.sample import sample
from twinlens.events.event import EventType
from twinlens.events.log import EVENT_SCHEMA
from twinlens.samples import visits
from twinlens.samples.events import DrawnLog, draw_events, draw_log
from twinlens.samples.world import DAYS, START, SUBJECT_NAMES, Videos

ROWS = make_rows(300)
VIDEOS = Videos.read(ROWS)
EVENTS = 60_000


@pytest.fixture(scope="module")
def log() -> DrawnLog:
    return draw_log(ROWS, events=EVENTS)


@pytest.fixture(scope="module")
def shown(log: DrawnLog) -> dict[str, npt.NDArray[Any]]:
    """The impressions that were seen, with their truth, by person and then by time."""
    names = ["event_id", "person_id", "at", "video_id", "position", "surface", "seen"]
    impressions = select(log.events, EventType.IMPRESSION).select(names)
    joined = log.truth.join(impressions, "event_id", join_type="inner")
    joined = joined.filter(joined["seen"]).sort_by(
        [("person_id", "ascending"), ("at", "ascending"), ("position", "ascending")]
    )
    rows = {row["video_id"]: at for at, row in enumerate(ROWS)}
    columns = {name: joined[name].to_numpy() for name in log.truth.column_names}
    columns |= {name: joined[name].to_numpy() for name in ("person_id", "position", "surface")}
    columns["video"] = np.array([rows[one] for one in joined["video_id"].to_pylist()])
    columns["subject"] = VIDEOS.subjects[columns["video"]]
    columns["day"] = to_days(joined["at"])
    return columns


def select(events: pa.Table, kind: EventType) -> pa.Table:
    return events.filter(pc.equal(events["type"].cast(pa.string()), kind.value))


def to_days(moments: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    since: npt.NDArray[np.timedelta64] = moments.to_numpy() - np.datetime64(
        START.replace(tzinfo=None), "us"
    )
    days: npt.NDArray[np.float64] = since / np.timedelta64(1, "D")
    return days


def as_set(table: pa.Table) -> set[tuple[Any, ...]]:
    return {*zip(*(column.to_pylist() for column in table.columns), strict=True)}


def test_the_same_seed_draws_the_same_log_and_another_seed_another() -> None:
    one, same, other = (draw_log(ROWS, events=3000, seed=seed) for seed in (1, 1, 2))
    for name, table in vars(one).items():
        assert table.equals(getattr(same, name)), name
    assert not one.events.equals(other.events)


def test_a_log_has_at_most_so_many_events_in_whole_pages(log: DrawnLog) -> None:
    assert EVENTS - 40 < log.events.num_rows <= EVENTS
    shown = select(log.events, EventType.IMPRESSION)
    answers = pc.coalesce(shown["feed_id"], shown["query_id"])
    assert set(pc.value_counts(answers).field("counts").to_pylist()) == {10}


def test_a_log_of_fewer_events_is_a_part_of_that_of_more(log: DrawnLog) -> None:
    fewer = draw_log(ROWS, events=2000)
    for name in ("events", "truth", "people"):
        assert as_set(getattr(fewer, name)) < as_set(getattr(log, name)), name


def test_its_events_are_those_of_any_log(log: DrawnLog) -> None:
    events = log.events
    assert events.schema.equals(EVENT_SCHEMA)
    assert len(pc.unique(events["event_id"])) == len(events)
    kinds = {EventType(one) for one in pc.unique(events["type"].cast(pa.string())).to_pylist()}
    assert kinds == set(EventType) - {EventType.DISLIKE, EventType.UNDO}
    at = events["at"].to_numpy()
    assert (np.diff(at) >= np.timedelta64(0)).all()
    days = to_days(events["at"])
    assert 0 <= days[0] < days[-1] < DAYS + 0.1
    watches = select(events, EventType.WATCH)
    assert (watches["watched_s"].to_numpy() <= watches["duration_s"].to_numpy()).all()


def test_what_is_clicked_was_seen_before_on_the_same_page(log: DrawnLog) -> None:
    shown, clicks, watches = (
        select(log.events, kind)
        for kind in (EventType.IMPRESSION, EventType.CLICK, EventType.WATCH)
    )
    keys = ["feed_id", "query_id", "video_id", "person_id", "position"]
    seen = {row[:-1]: row[-1] for row in as_set(shown.filter(shown["seen"]).select([*keys, "at"]))}
    assert all(seen[row[:-1]] < row[-1] for row in as_set(clicks.select([*keys, "at"])))
    assert as_set(clicks.select(keys)) == as_set(watches.select(keys))
    assert set(watches["watch_id"].to_pylist()) < set(shown["event_id"].to_pylist())


def test_no_video_is_shown_before_it_is_published(shown: dict[str, Any]) -> None:
    ages = shown["day"] - VIDEOS.published[shown["video"]]
    assert ages.min() >= 0
    assert (VIDEOS.published[shown["video"]] > 0).mean() > 0.1


def test_what_was_to_be_expected_is_what_happens_in_each_tenth(shown: dict[str, Any]) -> None:
    for expected, happened in ("click_chance", "clicked"), ("expected_s", "watched_s"):
        order = np.argsort(shown[expected], kind="stable")
        for tenth in np.array_split(order, 10):
            found = shown[happened][tenth].astype(float)
            error = found.std() / np.sqrt(len(tenth))
            assert abs(found.mean() - shown[expected][tenth].mean()) < 4 * error
    assert np.quantile(shown["click_chance"], 0.05) < 0.05
    assert shown["click_chance"].max() > 0.6


def test_clickbait_is_clicked_more_and_watched_for_less(shown: dict[str, Any]) -> None:
    bait, clicked = VIDEOS.clickbait[shown["video"]], shown["clicked"]
    assert 0.03 < bait.mean() < 0.2
    assert clicked[bait].mean() > 1.5 * clicked[~bait].mean()
    watched = shown["watched_s"]
    assert watched[bait & clicked].mean() < 0.4 * watched[~bait & clicked].mean()
    assert watched[bait].mean() < watched[~bait].mean()


def test_each_subject_has_its_days(log: DrawnLog, shown: dict[str, Any]) -> None:
    fashion = np.column_stack([log.fashions[name].to_numpy() for name in SUBJECT_NAMES])
    counts = np.zeros_like(fashion)
    clicked = shown["clicked"]
    days = np.minimum(shown["day"].astype(int), DAYS - 1)
    np.add.at(counts, (days[clicked], shown["subject"][clicked]), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    for share, strength in zip(shares.T, fashion.T, strict=True):
        assert np.corrcoef(share, strength)[0, 1] > 0.7


def test_new_videos_are_watched_most_while_they_are_new(shown: dict[str, Any]) -> None:
    age = shown["day"] - VIDEOS.published[shown["video"]]
    rates = [
        shown["clicked"][(age >= low) & (age < high)].mean() for low, high in ((0, 2), (4, 28))
    ]
    assert rates[0] > 1.2 * rates[1]


def test_a_part_of_a_series_is_watched_after_the_one_before(shown: dict[str, Any]) -> None:
    parts = VIDEOS.parts[shown["video"]]
    due = shown["due"]
    assert (parts[due] > 1).all()
    assert shown["clicked"][due].mean() > 2 * shown["clicked"][(parts > 1) & ~due].mean()
    # So it is told by the history: what is due was clicked one part before.
    clicks = {
        *zip(shown["person_id"][shown["clicked"]], shown["video"][shown["clicked"]], strict=True)
    }
    before = VIDEOS.previous[shown["video"][due]]
    assert {*zip(shown["person_id"][due], before, strict=True)} <= clicks


def test_lower_places_are_clicked_less(shown: dict[str, Any]) -> None:
    rates = [shown["clicked"][shown["position"] == place].mean() for place in range(1, 11)]
    assert rates[0] > 1.5 * rates[4] > 1.5 * rates[9]
    # Not only for what stands there: the same video, shown to the same person, has other chances.
    assert compare_within(shown, shown["position"] == 1, shown["position"] > 5) > 1.4


def test_what_was_passed_over_is_clicked_less_when_it_is_shown_again(shown: dict[str, Any]) -> None:
    assert (shown["shown"] > 0).mean() > 0.2
    same_place = shown["position"] > 3
    again = compare_within(
        shown, (shown["shown"] > 1) & same_place, (shown["shown"] == 0) & same_place
    )
    assert again < 0.8


def compare_within(shown: dict[str, Any], these: Any, those: Any) -> float:
    """The mean ratio of chances, over pairs of a person and a video that have both."""
    keys = np.unique(
        [f"{who} {video}" for who, video in zip(shown["person_id"], shown["video"], strict=True)],
        return_inverse=True,
    )[1]
    sums = [
        np.bincount(keys[of], shown["click_chance"][of], keys.max() + 1) for of in (these, those)
    ]
    counts = [np.bincount(keys[of], minlength=keys.max() + 1) for of in (these, those)]
    both = (counts[0] > 0) & (counts[1] > 0)
    assert both.sum() > 50
    means = [(total[both] / count[both]) for total, count in zip(sums, counts, strict=True)]
    return float(np.exp(np.log(means[0] / means[1]).mean()))


def test_people_weary_of_a_subject_they_have_watched_much_of(shown: dict[str, Any]) -> None:
    subjects = shown | {"video": shown["subject"]}
    usual = (shown["position"] > 3) & ~shown["due"] & ~shown["wanted"]
    weary, fresh = shown["weary"] > 1, shown["weary"] < 0.3
    assert (weary & usual).mean() > 0.02
    assert compare_within(subjects, weary & usual, fresh & usual) < 0.8


def test_people_search_before_they_watch(log: DrawnLog, shown: dict[str, Any]) -> None:
    tags = {tag for row in ROWS for tag in row["tags"]}
    texts = select(log.events, EventType.SEARCH)["text"].to_pylist()
    assert len(texts) > 500
    assert all(any(text.startswith(tag) for tag in tags) for text in texts)
    clicked, wanted = shown["clicked"], shown["wanted"]
    assert wanted[shown["surface"] == "search"].mean() > 0.9
    # And for a while after it, whatever shows it.
    home = shown["surface"] == "home"
    assert clicked[home & wanted].mean() > 1.3 * clicked[home & ~wanted].mean()


def test_people_of_regions_and_languages_watch_other_videos(log: DrawnLog) -> None:
    watches = select(log.events, EventType.WATCH)
    rows = {row["video_id"]: row for row in ROWS}
    watched = [rows[one] for one in watches["video_id"].to_pylist()]
    own = np.array([row["language"] for row in watched])
    assert (own == np.array(watches["language"].to_pylist())).mean() > 0.6
    regions = np.array(watches["region"].to_pylist())
    subjects = np.array([SUBJECT_NAMES.index(row["subject"]) for row in watched])
    shares = [
        np.bincount(subjects[regions == one], minlength=len(SUBJECT_NAMES)) / (regions == one).sum()
        for one in np.unique(regions)
    ]
    assert len(shares) == 4
    assert np.ptp(shares, axis=0).max() > 0.1


def test_clickbait_and_series_stand_in_the_truth(log: DrawnLog) -> None:
    videos = log.videos.to_pydict()
    assert videos["video_id"] == [row["video_id"] for row in ROWS]
    for at in np.flatnonzero(VIDEOS.previous >= 0).tolist():
        before = videos["previous"][at]
        assert videos["parts"][at] == videos["parts"][before] + 1
        assert ROWS[at]["channel"] == ROWS[before]["channel"]
        assert ROWS[at]["published_at"] >= ROWS[before]["published_at"]
    assert np.bincount(videos["parts"]).tolist()[1:] == sorted(
        np.bincount(videos["parts"]).tolist()[1:], reverse=True
    )


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def test_a_log_that_is_there_is_kept_and_grows_but_does_not_shrink(catalogue: Path) -> None:
    first = draw_events(catalogue, events=1000, progress=False)
    assert (first.drawn, first.people > 1, first.events <= 1000) == (True, True, True)
    files = files_in(catalogue)
    again = draw_events(catalogue, events=1000, progress=False)
    assert (again.drawn, again.events, files_in(catalogue)) == (False, first.events, files)
    with pytest.raises(UsageError, match="log of 1000 events; a sample grows"):
        draw_events(catalogue, events=900, progress=False)
    assert files_in(catalogue) == files
    grown = draw_events(catalogue, events=1500, progress=False)
    assert grown.drawn
    assert pq.read_metadata(grown.folder / "events.parquet").num_rows == grown.events > 1000


def test_over_more_videos_another_log_is_drawn(catalogue: Path) -> None:
    draw_events(catalogue, events=1000, progress=False)
    before = pq.read_table(catalogue / "log" / "events.parquet")
    with (catalogue / "metadata.jsonl").open("a") as out:
        out.write(json.dumps(make_rows(1, seed=5)[0]) + "\n")
    assert draw_events(catalogue, events=500, progress=False).drawn
    after = pq.read_table(catalogue / "log" / "events.parquet")
    ids = [{*table["event_id"].to_pylist()} for table in (before, after)]
    assert not ids[0] & ids[1]


def test_a_damaged_log_is_drawn_anew(catalogue: Path) -> None:
    draw_events(catalogue, events=500, progress=False)
    whole = files_in(catalogue)
    (catalogue / "log" / "events.parquet").write_bytes(b"PAR1")
    assert draw_events(catalogue, events=500, progress=False).drawn
    assert files_in(catalogue) == whole


def test_too_few_videos_for_a_page_are_refused() -> None:
    new = [row for row in ROWS if VIDEOS.published[ROWS.index(row)] > 0]
    with pytest.raises(UsageError, match=r"10 videos .* the catalogue has 9"):
        draw_log([*new, *[row for row in ROWS if row not in new][:9]], events=100)


def test_the_command_says_what_it_drew(tmp_path: Path) -> None:
    asked = ["--videos", "20", "--events", "400", str(tmp_path / "sample")]
    result = CliRunner().invoke(sample, asked, catch_exceptions=False)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("20 drawn videos in")
    assert lines[1].endswith(" s")
    assert " drawn events of " in lines[1]
    events = pq.read_table(tmp_path / "sample" / "log" / "events.parquet")
    assert events.schema.remove_metadata().equals(EVENT_SCHEMA)


def test_of_a_large_catalogue_new_videos_and_due_parts_are_still_shown(
    log: DrawnLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "_POOL", 60)
    few = draw_log(ROWS, events=8000)
    published = dict(zip(log.videos["video_id"].to_pylist(), VIDEOS.published, strict=True))
    share, share_of_all = (
        np.mean([published[one] > 0 for one in of["video_id"].to_pylist()])
        for of in (select(one.events, EventType.IMPRESSION) for one in (few, log))
    )
    assert share > share_of_all
    assert few.truth["due"].to_numpy().mean() > 0.02
