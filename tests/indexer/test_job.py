import json

import pytest
from PIL import Image

from tests.indexer.conftest import CountingThumbnails, CountingTitles, jpeg
from twinlens.catalog.errors import IndexLocked, SourceError, StoreCorrupt, StrictStop
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS, WordsLens
from twinlens.stores.generations import DataDir

BOTH = {TITLE, THUMBNAIL}


def rejects_of(data):
    lines = (data.path / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_first_run_publishes_every_video_with_both_vectors(run_job, data, published):
    steps = []
    summary = run_job(progress=steps.append)
    assert (summary.new, summary.videos, summary.published) == (10, 10, True)
    assert sum(steps) == 10
    assert published.vectors() == {f"video{n}": BOTH for n in range(10)}
    assert published.differences() == []
    manifest = data.read_published()
    assert manifest.counts == {"videos": 10, "title": 10, "thumbnail": 10, "words": 10}
    assert manifest.dims == {TITLE: 16, THUMBNAIL: 48, WORDS: None}
    assert "optimize" in manifest.timings_s
    payload = published.payload("video3")
    assert payload["title"] == "Title of video3"
    assert (data.thumbnails / payload["thumbnail_file"]).read_bytes().startswith(b"\xff\xd8")


def test_an_unchanged_source_is_neither_encoded_nor_written(run_job, data):
    first = run_job()
    before = {p: p.read_bytes() for p in data.generations.rglob("*") if p.is_file()}
    titles, thumbnails = CountingTitles(), CountingThumbnails()
    second = run_job(titles, thumbnails)
    assert (second.unchanged, second.published, second.generation) == (10, False, first.generation)
    assert (titles.encoded, thumbnails.encoded) == ([], 0)
    assert before == {p: p.read_bytes() for p in data.generations.rglob("*") if p.is_file()}


def test_what_changed_is_encoded_and_nothing_else(run_job, catalogue, published):
    run_job()
    names = ["video4", "video5", "video6"]
    before = [published.payload(name)["thumbnail_file"] for name in names]
    catalogue.add("video4", title="Another title", file_name="video4.jpg")
    catalogue.add("video5", picture=jpeg((1, 2, 3)))
    catalogue.add("video6", view_count=12, file_name="video6.jpg")
    titles, thumbnails = CountingTitles(), CountingThumbnails()
    summary = run_job(titles, thumbnails)
    assert (summary.changed, summary.unchanged) == (3, 7)
    assert (titles.encoded, thumbnails.encoded) == (["Another title"], 1)
    after = [published.payload(name) for name in names]
    same = [now["thumbnail_file"] == then for now, then in zip(after, before, strict=True)]
    assert same == [True, False, True]
    assert [now.get("view_count") for now in after] == [None, None, 12]
    assert published.vectors() == {f"video{n}": BOTH for n in range(10)}
    assert published.differences() == []


def test_without_a_picture_there_is_no_vector_of_one_and_sources_add_up(
    run_job, catalogue, data, published
):
    run_job()
    catalogue.rows.clear()
    catalogue.add("video4")  # whose picture is taken away
    catalogue.add("words", title="Only words")
    run_job()
    found = published.vectors()
    assert (len(found), found["video4"], found["words"]) == (11, {TITLE}, {TITLE})
    assert data.read_published().counts["thumbnail"] == 9
    assert published.differences() == []


def test_what_left_the_source_stays_unless_pruned(run_job, catalogue, published):
    run_job()
    del catalogue.rows["video4"]
    assert run_job().removed == 0
    assert "video4" in published.vectors()
    assert run_job(prune=True).removed == 1
    assert "video4" not in published.vectors()
    assert published.differences() == []


def test_a_rejected_row_has_not_left_the_source(run_job, catalogue, published):
    run_job()
    catalogue.add("video4", title="", picture=b"not a picture any more")
    summary = run_job(prune=True)
    assert (summary.removed, summary.rejected) == (0, {"picture_unreadable": 1})
    assert published.vectors()["video4"] == BOTH


def test_a_picture_that_cannot_be_read_any_more_stays_as_it_was(run_job, catalogue, published):
    run_job()
    catalogue.add("video4", title="Another", picture=b"not a picture any more")
    summary = run_job()
    assert (summary.changed, summary.notes) == (1, {"picture_unreadable": 1})
    assert published.vectors()["video4"] == BOTH
    assert published.payload("video4")["title"] == "Another"
    again = run_job()
    assert (again.published, again.notes) == (False, {"picture_unreadable": 1})


def test_a_side_field_or_a_picture_never_costs_the_video(run_job, catalogue, data, published):
    cut = jpeg((1, 2, 3))[:-200]
    catalogue.add("cut", picture=cut)
    catalogue.add("gone", file_name="gone.jpg")
    catalogue.add("elsewhere", file_name="/srv/elsewhere/x.jpg")
    catalogue.add("dated", published_at="10/03/2024 18:05", view_count="LIVE")
    summary = run_job()
    assert (summary.videos, summary.rejected) == (14, {})
    assert summary.notes == {
        "picture_unreadable": 1,
        "picture_missing": 2,
        "published_at ambiguous": 1,
        "view_count bad_value": 1,
    }
    assert "1 published_at ambiguous" in summary.line()
    assert published.vectors()["cut"] == published.vectors()["gone"] == {TITLE}
    kept = {(line["video_id"], line["field"], line["kept"]) for line in rejects_of(data)}
    assert kept >= {("cut", "thumbnail", True), ("dated", "view_count", True)}
    for name in ("gone", "elsewhere", "dated"):
        del catalogue.rows[name]
    catalogue.rows = {"first": {"video_id": "first", "title": "A", "views": "LIVE"}}
    with pytest.raises(StrictStop, match="row 1: bad_value"):
        run_job(strict=True)


def test_nothing_is_pruned_when_a_lost_row_does_not_say_which_video(run_job, catalogue, published):
    run_job()
    del catalogue.rows["video4"]
    catalogue.more.append('{"video_id": "video4", "title": "cut sho')
    summary = run_job(prune=True)
    assert (summary.removed, summary.rejected) == (0, {"malformed": 1})
    assert "nothing pruned: 1 rejected rows" in summary.line()
    assert "video4" in published.vectors()


def test_a_source_of_which_nothing_can_be_indexed_is_an_error_and_pruning_empties_no_index(
    run_job, catalogue, data, published
):
    rows = dict(catalogue.rows)
    catalogue.rows = {}
    catalogue.add("empty", title="")
    with pytest.raises(SourceError, match="no video that can be indexed"):
        run_job()
    assert data.read_current() is None
    catalogue.rows = rows
    first = run_job()
    catalogue.rows = {}
    catalogue.add("broken", title="", picture=b"no picture")
    for prune, said in ((False, "no video that can be indexed"), (True, "empty")):
        with pytest.raises(SourceError, match=said):
            run_job(prune=prune)
    assert data.read_current() == first.generation
    assert len(published.vectors()) == 10


def test_fresh_rebuilds_from_this_source_alone(run_job, catalogue, published):
    run_job()
    del catalogue.rows["video4"]
    titles = CountingTitles()
    summary = run_job(titles, fresh=True)
    assert (summary.new, len(titles.encoded), summary.published) == (9, 9, True)
    assert "video4" not in published.vectors()


def test_bad_rows_are_skipped_counted_and_listed(run_job, catalogue, data, published):
    catalogue.add("broken", title="", picture=b"\xff\xd8\xff not really")
    Image.new("1", (20_000, 20_000)).save(catalogue.path / "bomb.png")
    catalogue.add("bomb", title=None, file_name="bomb.png")
    catalogue.add(
        "arithmetic", title=None, picture=jpeg((1, 2, 3)).replace(b"\xff\xc0", b"\xff\xc9")
    )
    catalogue.add("none", title="No vector UNENCODABLE")
    catalogue.add("empty", title="  ")
    summary = run_job()
    assert summary.videos == 10
    assert summary.rejected == {
        "picture_unreadable": 2,
        "picture_too_large": 1,
        "not_encodable": 1,
        "empty": 1,
    }
    rejects = {reject["video_id"]: reject for reject in rejects_of(data)}
    assert rejects["bomb"]["row"] == 12
    assert rejects["arithmetic"]["detail"] == "a JPEG with arithmetic coding"
    assert rejects["bomb"]["file"].endswith("metadata.jsonl")
    assert "pixels" in rejects["bomb"]["detail"]
    assert set(published.vectors()) == {f"video{n}" for n in range(10)}


def test_the_first_good_one_of_several_rows_with_one_id_wins(run_job, catalogue, data, published):
    catalogue.add("twin", title="The first")
    catalogue.add("bad", title="", picture=b"no picture")
    again = [("twin", "The second"), ("bad", "Second"), ("bad", "Third")]
    catalogue.more = [json.dumps({"video_id": name, "title": title}) for name, title in again]
    assert run_job().rejected == {"duplicate_id": 2, "picture_unreadable": 1}
    assert published.payload("twin")["title"] == "The first"
    assert published.payload("bad")["title"] == "Second"
    details = {one["video_id"]: one["detail"] for one in rejects_of(data)}
    assert "row 11" in details["twin"]


def test_strict_stops_at_the_first_and_publishes_nothing(run_job, catalogue, data):
    catalogue.add("broken", picture=b"nonsense")
    with pytest.raises(StrictStop, match="row 11"):
        run_job(strict=True)
    assert data.read_current() is None
    assert run_job().videos == 11


@pytest.mark.parametrize("dim", [16, 24])
def test_another_model_encodes_what_it_looks_at_and_nothing_else(
    run_job, catalogue, data, published, dim
):
    """Also of videos that the source no longer has, and on from where it broke down."""
    catalogue.add_titles(range(10, 100))
    first = run_job()
    del catalogue.rows["video4"]
    other = {"fingerprint": "f" * 16, "dim": dim}
    broken = CountingTitles(**other, fail_after=64)
    with pytest.raises(RuntimeError, match="broke down"):
        run_job(broken)
    assert data.read_current() == first.generation
    titles, thumbnails = CountingTitles(**other), CountingThumbnails()
    done = run_job(titles, thumbnails)
    assert (done.continued, done.published, done.unchanged, done.videos) == (True, True, 99, 100)
    every = {"Title of video4", *(str(row["title"]) for row in catalogue.rows.values())}
    assert sorted(broken.encoded + titles.encoded) == sorted(every)
    assert thumbnails.encoded == 0
    assert published.vectors()["video4"] == BOTH
    record = data.read_published().lenses[TITLE]
    assert (record.fingerprint, record.dim) == ("f" * 16, dim)
    assert published.differences() == []
    assert not run_job(CountingTitles(**other)).published


def test_another_rule_of_words_encodes_no_title_and_no_picture(
    run_job, data, published, monkeypatch
):
    run_job()
    monkeypatch.setattr(WordsLens, "fingerprint", "another rule")
    titles, thumbnails = CountingTitles(), CountingThumbnails()
    done = run_job(titles, thumbnails)
    assert (done.published, done.unchanged) == (True, 10)
    assert (titles.encoded, thumbnails.encoded) == ([], 0)
    assert data.read_published().lenses[WORDS].fingerprint == "another rule"
    assert published.differences() == []


def test_the_second_of_two_jobs_stops_with_a_clear_error(run_job, catalogue, data):
    catalogue.add("broken", title="", picture=b"no picture")
    run_job()
    with data.hold_lock(), pytest.raises(IndexLocked, match="another indexing job"):
        run_job()
    assert len(rejects_of(data)) == 1, "the waiting job touched the rejects of the other"


@pytest.mark.parametrize("incremental", [False, True])
def test_a_job_that_broke_is_continued_without_encoding_again(
    run_job, break_off, data, published, incremental
):
    first = run_job().generation if incremental else None
    titles = break_off()
    assert data.read_current() == first
    assert first is None or len(published.vectors()) == 10
    again = CountingTitles()
    summary = run_job(again)
    assert (summary.continued, summary.videos) == (True, 200)
    assert not set(titles.encoded) & set(again.encoded)
    assert len(titles.encoded) + len(again.encoded) == (190 if incremental else 200)
    assert published.differences() == []


def test_an_unfinished_build_of_other_encoders_is_thrown_away(run_job, break_off, data):
    break_off()
    titles = CountingTitles(fingerprint="e" * 16)
    summary = run_job(titles)
    assert (summary.continued, len(titles.encoded)) == (False, 200)
    assert len(data.list_generations()) == 1


def test_two_generations_are_kept_and_no_more_thumbnails_than_they_need(run_job, catalogue, data):
    for colour in range(4):
        catalogue.add("video0", picture=jpeg((colour * 60, 0, 0)))
        run_job()
    assert len(data.list_generations()) == 2
    assert len(list(data.thumbnails.iterdir())) == 11


def test_after_a_rollback_the_good_generation_is_kept(run_job, catalogue, data):
    generations = []
    for colour in (60, 120):
        catalogue.add("video0", picture=jpeg((colour, 0, 0)))
        generations.append(run_job().generation)
    good, bad = generations
    data.switch_to(good)
    catalogue.add("video0", picture=jpeg((180, 0, 0)))
    newest = run_job().generation
    assert data.list_generations() == [good, newest]
    assert bad not in data.list_generations()


def test_a_thumbnail_not_fetched_this_time_stays_until_its_address_is_another(
    run_job, catalogue, published
):
    url = "http://localhost/x.jpg"
    catalogue.add("remote", picture=jpeg((9, 9, 9)), thumbnail_url=url)
    run_job()
    catalogue.add("remote", thumbnail_url=url)
    summary = run_job()
    assert (summary.unchanged, summary.published) == (11, False)
    assert published.vectors()["remote"] == BOTH
    catalogue.add("remote", thumbnail_url=url + "?new")
    assert run_job().changed == 1
    assert published.vectors()["remote"] == {TITLE}


def test_a_row_that_can_t_be_encoded_makes_no_new_generation(run_job, catalogue):
    first = run_job()
    catalogue.add("none", title="UNENCODABLE")
    again = run_job()
    assert (again.generation, again.published) == (first.generation, False)
    assert again.rejected == {"not_encodable": 1}


def test_current_must_name_a_generation(tmp_path):
    (tmp_path / "CURRENT").write_text("../elsewhere")
    with pytest.raises(StoreCorrupt, match="does not name"):
        DataDir(tmp_path).read_current()
