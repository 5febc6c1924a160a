"""Platforms and their tools: each is told by its names, and read as it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.tables import RED, ids, notes_of, read, rejects, videos, write_files, write_table
from twinlens.catalog.errors import RejectReason
from twinlens.catalog.fields import FIELDS
from twinlens.catalog.sources import open_source
from twinlens.catalog.sources.platforms import PLATFORMS

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
SNIPPET = {
    "title": "Tips &amp; tricks",
    "channelTitle": "Green Hour",
    "channelId": "UC1",
    "publishedAt": "2024-03-01T00:00:00Z",
    "categoryId": "10",
    "tags": ["a", "b"],
    "thumbnails": {
        "default": {"url": "https://i.example/1.jpg", "width": 120},
        "high": {"url": "https://i.example/3.jpg", "width": 480},
        "medium": {"url": "https://i.example/2.jpg", "width": 320},
    },
}


def only(path: Path) -> dict[str, Any]:
    """What is read of the only video: values, title and id."""
    items = read(path)
    assert notes_of(items) == []
    (video,) = videos(items)
    shown = dict(video.values)
    return {**shown, "id": video.video_id, "title": video.title, "picture": video.thumbnail_url}


def write_json(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_every_platform_names_fields_that_there_are() -> None:
    known = {*FIELDS.names, "video_id", "thumbnail", "thumbnail_url"}
    for platform in PLATFORMS:
        assert platform.columns.keys() | platform.cut.keys() <= known, platform.name


def test_answers_of_youtube_s_api(tmp_path: Path) -> None:
    video = {
        "kind": "youtube#video",
        "id": "y1",
        "snippet": SNIPPET,
        "contentDetails": {"duration": "PT1H2M3S"},
        "statistics": {"viewCount": "12345", "likeCount": "67"},
    }
    found = only(write_json(tmp_path / "v.json", {"kind": "list", "items": [video]}))
    expected = {
        "id": "y1",
        "title": "Tips &amp; tricks",
        "picture": "https://i.example/3.jpg",
        "channel": "Green Hour",
        "channel_id": "UC1",
        "category": "Music",
        "tags": ("a", "b"),
        "published_at": MARCH,
        "duration_s": 3723,
        "view_count": 12345,
        "like_count": 67,
    }
    assert found == expected


def test_answers_of_a_search_have_their_entities_and_channels_taken_away(tmp_path: Path) -> None:
    items = [
        {"id": {"kind": "youtube#channel", "channelId": "UC1"}, "snippet": SNIPPET},
        {"id": {"kind": "youtube#video", "videoId": "y1"}, "snippet": SNIPPET},
    ]
    path = write_json(tmp_path / "v.json", {"items": items})
    source = open_source(str(path))
    (video,) = videos(source)
    assert (video.video_id, video.title) == ("y1", "Tips & tricks")
    assert any("1 rows passed over" in said for said in source.findings.to_sentences())


def test_pages_of_a_playlist_one_after_the_other(tmp_path: Path) -> None:
    pages = [
        {"items": [{"id": f"p{n}", "snippet": {**SNIPPET, "resourceId": {"videoId": f"y{n}"}}}]}
        for n in range(3)
    ]
    path = tmp_path / "pages.json"
    path.write_text("\n".join(json.dumps(page, indent=1) for page in pages), encoding="utf-8")
    assert ids(read(path)) == ["y0", "y1", "y2"]


INFO = {
    "id": "d-Ab_1",
    "title": "Fixing a bike",
    "channel": None,
    "uploader": "Bike Shed",
    "channel_id": "UCx",
    "upload_date": "20240301",
    "duration": 125,
    "view_count": 4321,
    "like_count": 12,
    "tags": ["bike"],
    "categories": ["Howto & Style"],
    "chapters": [{"title": "Wheels", "start_time": 0.0}, {"title": "Chain", "start_time": 60.0}],
    "webpage_url": "https://video.example/watch?v=d-Ab_1",
    "thumbnail": "https://i.example/d.jpg",
    "extractor_key": "Youtube",
    "_type": "video",
}
READ_INFO = {
    "id": "d-Ab_1",
    "title": "Fixing a bike",
    "channel": "Bike Shed",
    "channel_id": "UCx",
    "category": "Howto & Style",
    "published_at": MARCH,
    "duration_s": 125,
    "view_count": 4321,
    "like_count": 12,
    "tags": ("bike",),
    "chapters": ("Wheels", "Chain"),
    "url": "https://video.example/watch?v=d-Ab_1",
    "picture": "https://i.example/d.jpg",
}


def test_what_yt_dlp_prints_of_a_video_and_of_a_playlist(tmp_path: Path) -> None:
    assert only(write_json(tmp_path / "one.json", INFO)) == READ_INFO
    playlist = {"id": "PL1", "title": "Bikes", "_type": "playlist", "entries": [INFO]}
    found = only(write_json(tmp_path / "list.json", playlist))
    assert found == {**READ_INFO, "playlist": "Bikes"}
    # One that could not be had is null there.
    source = open_source(
        str(write_json(tmp_path / "g.json", {**playlist, "entries": [None, INFO]}))
    )
    assert ids(videos_and_all := list(source)) == [READ_INFO["id"]]
    assert rejects(videos_and_all) == {}
    assert "1 rows passed over: null where a video should be" in source.findings.to_sentences()
    flat = {
        "_type": "url",
        "ie_key": "Youtube",
        "id": "d-Ab_1",
        "url": "https://video.example/watch?v=d-Ab_1",
        "title": "Fixing a bike",
        "duration": 125,
        "thumbnails": [
            {"url": "https://i.example/s.jpg", "width": 9},
            {"url": "https://i.example/d.jpg", "width": 99},
        ],
    }
    found = only(write_json(tmp_path / "flat.json", {**playlist, "entries": [flat]}))
    assert (found["title"], found["url"]) == (INFO["title"], INFO["webpage_url"])
    assert (found["playlist"], found["picture"]) == ("Bikes", INFO["thumbnail"])
    gone = [{**flat, "id": "x", "title": f"[{what} video]"} for what in ("Private", "Deleted")]
    source = open_source(
        str(write_json(tmp_path / "gone.json", {**playlist, "entries": [*gone, flat]}))
    )
    assert ids(list(source)) == ["d-Ab_1"]
    assert any("[Private video]" in told for told in source.findings.to_sentences())


def test_a_folder_of_yt_dlp_has_titles_and_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "Bike Shed"
    name = "20240301 - Fixing a bike - part 1. [d-Ab_1]"
    files = {
        f"{name}.info.json": json.dumps(INFO).encode(),
        f"{name}.webp": RED,
        "NA - Bike Shed [UCx].info.json": b'{"id": "UCx", "title": "B", "_type": "playlist"}',
        "alone.jpg": RED,
        "broken.info.json": b"{",
        f"{name}.mp4": b"x",
    }
    source = open_source(str(write_files(folder, files)))
    items = list(source)
    assert ids(items) == ["d-Ab_1", "alone"]
    assert list(rejects(items).values()) == [RejectReason.MALFORMED]
    (video, _) = [item.video for item in items if hasattr(item, "video")]
    assert (video.title, video.thumbnail) == ("Fixing a bike", folder / f"{name}.webp")
    assert items[0].origin.file == f"{name}.info.json"
    said = source.findings.to_sentences()
    assert "read by the names of: yt-dlp" in said
    assert any("1 rows passed over" in sentence for sentence in said)
    assert f"1 files were not read: {name}.mp4" in said


def trending(day: str, video_id: str, views: int, **more: object) -> dict[str, object]:
    return {
        "video_id": video_id,
        "trending_date": day,
        "title": video_id.upper(),
        "channel_title": "C",
        "category_id": 24,
        "publish_time": "2017-11-13T17:13:01.000Z",
        "tags": 'a|"b c"',
        "views": views,
        "likes": 5,
        "thumbnail_link": "https://i.example/a.jpg",
        **more,
    }


@pytest.mark.parametrize("days", [("17.30.11", "17.01.12"), ("2020-08-11", "2020-08-12")])
def test_trending_days_of_one_video_are_one_video_with_the_newest_numbers(
    tmp_path: Path, days: tuple[str, str]
) -> None:
    earlier, later = days
    rows = [trending(later, "a", 20), trending(earlier, "a", 10)]
    rows.append(trending(earlier, "b", 7, category_id=99))
    names = {"items": [{"id": "99", "snippet": {"title": "New"}}]}
    write_json(tmp_path / "DE_category_id.json", names)
    for source in (write_table(tmp_path / "DEvideos.csv", rows), tmp_path):
        opened = open_source(str(source))
        found = videos(opened)
        assert {v.video_id: v.number("view_count") for v in found} == {"a": 20, "b": 7}
        assert [v.text("category") for v in found] == ["Entertainment", "New"]
        assert found[0].texts("tags") == ("a", "b c")
        said = "1 rows passed over: an earlier day of a video that is there"
        assert said in opened.findings.to_sentences()


def test_trending_rows_without_an_id_are_videos_of_their_own(tmp_path: Path) -> None:
    """Excel wrote #NAME? for ids that begin with a hyphen."""
    rows = [trending("17.30.11", video_id, 1) for video_id in ("#NAME?", "#NAME?", "", "")]
    rows = [{**row, "title": f"T{at}"} for at, row in enumerate(rows)]
    found = videos(read(write_table(tmp_path / "v.csv", rows)))
    assert [v.title for v in found] == ["T0", "T1", "T2", "T3"]
    assert len({v.video_id for v in found}) == 4


def test_youtube_s_categories_have_names(tmp_path: Path) -> None:
    found = only(write_table(tmp_path / "v.csv", [trending("2020-08-11", "a", 1)]))
    assert found["category"] == "Entertainment"
    (video,) = videos(read(write_table(tmp_path / "w.csv", [{"title": "t", "category_id": 24}])))
    assert video.text("category") == "24", "whose number that is is not known"


def test_takeout(tmp_path: Path) -> None:
    row = {
        "Video ID": "y1",
        "Approx Duration (ms)": "125000",
        "Video Title (Original)": "Mine",
        "Channel ID": "UC1",
        "Video Create Timestamp": "2024-03-01T00:00:00+00:00",
    }
    found = only(write_table(tmp_path / "videos.csv", [row]))
    assert (found["id"], found["title"], found["duration_s"]) == ("y1", "Mine", 125)
    assert (found["published_at"], found["channel_id"]) == (MARCH, "UC1")
    watched = [
        {
            "header": "YouTube",
            "title": "Watched Fixing a bike",
            "titleUrl": "https://www.youtube.com/watch?v=d-Ab_1&t=30s",
            "subtitles": [{"name": "Bike Shed", "url": "https://www.youtube.com/channel/UCx"}],
            "time": f"2024-03-0{day}T10:00:00.000Z",
        }
        for day in (2, 1)
    ]
    removed = {"header": "YouTube", "title": "Watched a video that has been removed", "time": "x"}
    gone = "https://www.youtube.com/watch?v=gone"
    post = "https://www.youtube.com/post/Ugkx"
    others = [
        removed,
        {**removed, "title": f"Watched {gone}", "titleUrl": gone},
        {**removed, "title": "Viewed a post", "titleUrl": post},
    ]
    path = write_json(tmp_path / "watch-history.json", [*watched, *others])
    source = open_source(str(path))
    (video,) = videos(source)
    assert (video.video_id, video.title) == ("d-Ab_1", "Fixing a bike")
    assert video.text("channel") == "Bike Shed"
    assert sum(source.findings.passed_over.values()) == 4


@pytest.mark.parametrize(
    "title",
    [
        *("Kochen mit Öl angesehen", "Vous avez regardé Kochen mit Öl", "Has visto Kochen mit Öl"),
        *("Kochen mit Öl を視聴しました", "Hai guardato Kochen mit Öl", "Kochen mit Öl 시청함"),
        *("Kochen mit Öl bekeken", "Watched Kochen mit Öl"),
    ],
)
def test_takeout_says_watched_in_many_languages(tmp_path: Path, title: str) -> None:
    row = {"header": "YouTube", "title": title, "time": "2024-03-01T10:00:00.000Z"}
    row["titleUrl"] = "https://www.youtube.com/watch?v=d-Ab_1"
    (video,) = videos(read(write_json(tmp_path / "v.json", [row])))
    assert video.title == "Kochen mit Öl"


MORE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "YouTube Studio": (
        {
            "Content": "y1",
            "Video title": "Mine",
            "Video publish time": "Mar 1, 2024",
            "Duration": 125,
            "Views": 7,
        },
        {"id": "y1", "title": "Mine", "published_at": MARCH, "duration_s": 125, "view_count": 7},
    ),
    "Dailymotion": (
        {
            "id": "x1",
            "title": "D",
            "owner.screenname": "O",
            "views_total": 7,
            "thumbnail_360_url": "https://i.example/3.jpg",
            "thumbnail_720_url": "https://i.example/7.jpg",
        },
        {"id": "x1", "channel": "O", "view_count": 7, "picture": "https://i.example/7.jpg"},
    ),
    "WordPress": (
        {
            "id": 5,
            "title": {"rendered": "You &amp; me"},
            "link": "https://w.example/5",
            "tags": [3],
        },
        {"id": "5", "title": "You & me", "url": "https://w.example/5"},
    ),
    "Jellyfin": (
        {"Name": "F", "Id": "ab", "RunTimeTicks": 36_000_000_000, "PremiereDate": "2024-03-01"},
        {"id": "ab", "title": "F", "published_at": MARCH},
    ),
    "Piped": (
        {"url": "/watch?v=y1", "title": "T", "uploaderName": "U", "uploaderUrl": "/channel/UC1"},
        {"id": "y1", "channel": "U", "channel_id": "UC1"},
    ),
    "IMDb": (
        {"tconst": "tt1", "primaryTitle": "T", "runtimeMinutes": "2", "genres": "Short,Drama"},
        {"id": "tt1", "title": "T", "duration_s": 120, "tags": ("Short", "Drama")},
    ),
    "Letterboxd": (
        {"Date": "2024-03-02", "Name": "T", "Letterboxd URI": "https://boxd.example/x1"},
        {"id": "x1", "title": "T", "url": "https://boxd.example/x1"},
    ),
    "Plex": (
        {"ratingKey": "1", "title": "P", "duration": 60_000, "studio": "S", "type": "movie"},
        {"id": "1", "title": "P", "channel": "S"},
    ),
}


@pytest.mark.parametrize("platform", MORE)
def test_more_platforms(tmp_path: Path, platform: str) -> None:
    row, expected = MORE[platform]
    found = only(write_json(tmp_path / "v.json", {"items": [row]}))
    expected = {"title": row.get("title"), "picture": None, **expected}
    assert found == expected


def test_what_is_no_video_in_answers_of_youtube_is_passed_over(tmp_path: Path) -> None:
    kinds = ("channel", "playlist", "videoCategory", "subscription", "commentThread", "video")
    items = [{"kind": f"youtube#{kind}", "id": kind, "snippet": SNIPPET} for kind in kinds]
    source = open_source(str(write_json(tmp_path / "v.json", {"items": items})))
    assert ids(source) == ["video"]
    told = source.findings.to_sentences()
    assert "1 rows passed over: no videos, by their kind: youtube#channel" in told
    titles = ("Private video", "Deleted video", "A private video")
    items = [
        {"snippet": {"title": title, "resourceId": {"videoId": f"y{at}"}}}
        for at, title in enumerate(titles)
    ]
    source = open_source(str(write_json(tmp_path / "p.json", {"items": items})))
    assert [video.title for video in videos(source)] == ["A private video"]


def test_a_playlist_of_peertube_holds_its_videos_in_elements(tmp_path: Path) -> None:
    inner = {"id": 61, "uuid": "9c9d", "shortUUID": "kk", "name": "A clip", "duration": 3}
    rows = [{"id": 1, "position": 1, "startTimestamp": 0, "video": inner}]
    found = only(write_json(tmp_path / "v.json", {"total": 1, "data": rows}))
    assert (found["id"], found["title"], found["duration_s"]) == ("9c9d", "A clip", 3)


def test_sets_of_pictures_name_the_picture_s_address_url(tmp_path: Path) -> None:
    address = "https://i.example/a.jpg"
    rows = [{"url": address, "key": "0001", "caption": "a boat", "status": "success"}]
    found = only(write_json(tmp_path / "v.json", rows))
    assert found == {"id": "0001", "title": "a boat", "picture": address}
    found = only(write_table(tmp_path / "v.csv", [{"URL": address, "TEXT": "a boat"}]))
    assert (found["title"], found["picture"], found.get("url")) == ("a boat", address, None)


def test_what_peertube_and_youtube_write_for_nothing_is_no_value(tmp_path: Path) -> None:
    row = {
        "uuid": "u",
        "shortUUID": "s",
        "name": "A clip",
        "category": {"id": None, "label": "Unknown"},
        "language": {"id": None, "label": "Unknown"},
    }
    assert only(write_json(tmp_path / "v.json", [row])) == {
        "id": "u",
        "title": "A clip",
        "picture": None,
    }
    live = {"id": "l", "snippet": {"title": "Live"}, "contentDetails": {"duration": "P0D"}}
    assert only(write_json(tmp_path / "l.json", {"items": [live]}))["title"] == "Live"
    assert "duration_s" not in only(tmp_path / "l.json")


def test_peertube(tmp_path: Path) -> None:
    row = {
        "id": 61,
        "uuid": "9c9de5e8",
        "shortUUID": "kk",
        "name": "A federated clip",
        "category": {"id": 15, "label": "Science"},
        "language": {"id": "en", "label": "English"},
        "channel": {"id": 3, "name": "makers", "displayName": "Makers"},
        "thumbnailPath": "/lazy-static/a.jpg",
        "duration": 113,
        "views": 7,
        "likes": 2,
        "publishedAt": "2024-03-01T00:00:00.000Z",
        "originallyPublishedAt": None,
        "url": "https://tube.example/w/kk",
    }
    assert only(write_json(tmp_path / "v.json", {"total": 1, "data": [row]})) == {
        "id": "9c9de5e8",
        "title": "A federated clip",
        "channel": "Makers",
        "channel_id": "makers",
        "category": "Science",
        "language": "en",
        "duration_s": 113,
        "view_count": 7,
        "like_count": 2,
        "published_at": MARCH,
        "url": "https://tube.example/w/kk",
        "picture": None,
    }


def test_vimeo(tmp_path: Path) -> None:
    row = {
        "uri": "/videos/76979871",
        "name": "A staff pick",
        "link": "https://vimeo.example/76979871",
        "player_embed_url": "https://player.example/video/76979871",
        "duration": 62,
        "language": "en",
        "created_time": "2024-03-01T00:00:00+00:00",
        "tags": [{"tag": "staff", "name": "staff"}],
        "categories": [{"name": "Animation"}],
        "pictures": {
            "sizes": [
                {"width": 100, "link": "https://i.example/1.jpg"},
                {"width": 640, "link": "https://i.example/2.jpg"},
            ]
        },
        "stats": {"plays": 9},
        "metadata": {"connections": {"likes": {"total": 3}}},
        "user": {"name": "Maker", "resource_key": "k1"},
    }
    assert only(write_json(tmp_path / "v.json", {"total": 1, "data": [row]})) == {
        "id": "76979871",
        "title": "A staff pick",
        "channel": "Maker",
        "channel_id": "k1",
        "category": "Animation",
        "language": "en",
        "tags": ("staff",),
        "duration_s": 62,
        "view_count": 9,
        "like_count": 3,
        "published_at": MARCH,
        "url": "https://vimeo.example/76979871",
        "embed_url": "https://player.example/video/76979871",
        "picture": "https://i.example/2.jpg",
    }


def test_mediacms(tmp_path: Path) -> None:
    row = {
        "friendly_token": "Nj3gL",
        "title": "A talk",
        "author_name": "Speaker",
        "add_date": "2024-03-01T00:00:00Z",
        "duration": 90,
        "views": 4,
        "likes": 1,
        "url": "https://cms.example/view?m=Nj3gL",
        "thumbnail_url": "https://cms.example/t.jpg",
    }
    found = only(write_json(tmp_path / "v.json", {"count": 1, "next": None, "results": [row]}))
    assert (found["id"], found["title"], found["channel"]) == ("Nj3gL", "A talk", "Speaker")
    assert (found["view_count"], found["picture"]) == (4, "https://cms.example/t.jpg")


NFO = """<?xml version="1.0" encoding="utf-8" standalone="yes"?>
<movie>
  <title>A walk</title><runtime>12</runtime><premiered>2024-03-01</premiered>
  <genre>Nature</genre><genre>Travel</genre><studio>Home</studio>
  <uniqueid type="tmdb">12</uniqueid><uniqueid type="imdb" default="true">tt1</uniqueid>
  {}
</movie>"""


def test_a_picture_stays_beside_a_file_that_says_nothing(tmp_path: Path) -> None:
    cut = b'{"id": "x", "title": "Cut o'
    typed = b"<!DOCTYPE movie><movie><title>T</title></movie>"
    files = {"x.info.json": cut, "x.jpg": RED, "y.nfo": typed, "y.jpg": RED, "z.info.json": cut}
    *kept, bad = read(write_files(tmp_path, files))
    assert [(one.video.video_id, one.video.thumbnail) for one in kept] == [
        ("x", tmp_path / "x.jpg"),
        ("y", tmp_path / "y.jpg"),
    ]
    assert {note.field for one in kept for note in one.notes} == {"title"}
    assert rejects([bad]) == {3: RejectReason.MALFORMED}


def test_nfo_files_of_jellyfin(tmp_path: Path) -> None:
    exact = "<fileinfo><streamdetails><video><durationinseconds>731</durationinseconds></video>"
    exact += "</streamdetails></fileinfo>"
    files = {
        "A walk/movie.nfo": NFO.format("").encode(),
        "A walk/poster.jpg": RED,
        "two.nfo": NFO.format(exact).replace("tt1", "tt2").encode(),
        "two-thumb.jpg": RED,
        "tvshow.nfo": b"<tvshow><title>A series</title></tvshow>",
    }
    one, two = videos(open_source(str(write_files(tmp_path, files))))
    assert (one.video_id, one.title, one.thumbnail) == (
        "tt1",
        "A walk",
        tmp_path / "A walk/poster.jpg",
    )
    assert one.values == {
        "channel": "Home",
        "tags": ("Nature", "Travel"),
        "published_at": MARCH,
        "duration_s": 720,
    }
    assert (two.number("duration_s"), two.thumbnail) == (731, tmp_path / "two-thumb.jpg")


def test_a_film_without_a_title_has_its_original_one(tmp_path: Path) -> None:
    nfo = "<movie><title/><originaltitle>Bar</originaltitle></movie>"
    (tmp_path / "bar.nfo").write_text(nfo, encoding="utf-8")
    assert [video.title for video in videos(read(tmp_path))] == ["Bar"]


def test_art_of_films_and_series_is_theirs(tmp_path: Path) -> None:
    film, show = "Film (2020)", "Show/Season 01"
    files = {
        f"{film}/{film}.nfo": NFO.format("").encode(),
        **dict.fromkeys((f"{film}/{art}.jpg" for art in ("poster", "backdrop1", "fanart")), RED),
        f"{film}/{film}.trickplay/320/0.jpg": RED,
        "Named (2021)/Named (2021).nfo": NFO.format("").replace("tt1", "tt2").encode(),
        "Named (2021)/Named (2021)-poster.jpg": RED,
        "Named (2021)/folder.jpg": RED,
        "Show/tvshow.nfo": b"<tvshow><title>S</title></tvshow>",
        **dict.fromkeys(("Show/poster.jpg", "Show/season01-poster.jpg"), RED),
        f"{show}/S01E01.nfo": b"<episodedetails><title>E</title></episodedetails>",
        f"{show}/S01E01-thumb.jpg": RED,
        "Other/a walk.jpg": RED,
    }
    source = open_source(str(write_files(tmp_path, files)))
    found = {video.video_id: video.thumbnail for video in videos(source)}
    assert found == {
        "tt1": tmp_path / f"{film}/poster.jpg",
        "tt2": tmp_path / "Named (2021)/Named (2021)-poster.jpg",
        "Show:Season 01:S01E01": tmp_path / f"{show}/S01E01-thumb.jpg",
        "Other:a walk": tmp_path / "Other/a walk.jpg",
    }
    assert list(source.findings.pictures) == [
        *(f"{film}/{film}.trickplay/320/0.jpg", f"{film}/backdrop1.jpg"),
        *("Show/poster.jpg", "Show/season01-poster.jpg"),
    ]


def test_nfo_files_that_are_no_xml_are_read_as_media_centres_do(tmp_path: Path) -> None:
    episode = "<episodedetails><title>{}</title></episodedetails>"
    files = {
        "link.nfo": b"<movie><title>A</title></movie>\nhttps://db.example/1?a=1&b=2\n",
        "two.nfo": f"<?xml version='1.0'?>{episode.format('B')}\n{episode.format('C')}".encode(),
        "wide.nfo": "<movie><title>Zw\u00f6lf</title></movie>".encode("cp1252"),
        "bare.nfo": b"<movie><title>D &amp; E & F &eacute;</title></movie>\x0b",
        "two-thumb.jpg": RED,
    }
    items = read(write_files(tmp_path, files))
    found = {video.video_id: video.title for video in videos(items)}
    assert found == {
        "bare": "D & E & F \u00e9",
        "link": "A",
        "two": "B",
        "two:2": "C",
        "wide": "Zw\u00f6lf",
    }


def test_a_file_called_after_the_whole_name_of_a_picture_describes_it(tmp_path: Path) -> None:
    files = {"1.jpg": RED, "1.jpg.json": b'{"id": 7, "title": "G"}'}
    (video,) = videos(read(write_files(tmp_path, files)))
    assert (video.video_id, video.title, video.thumbnail) == ("7", "G", tmp_path / "1.jpg")


def test_of_all_pictures_of_yt_dlp_the_best_is_the_video_s(tmp_path: Path) -> None:
    name = "T [d-Ab_1]"
    pictures = dict.fromkeys((f"{name}.{at}.jpg" for at in (0, 2, 10)), RED)
    folder = write_files(tmp_path / "with", {f"{name}.info.json": json.dumps(INFO).encode()})
    (video,) = videos(open_source(str(write_files(folder, pictures))))
    assert (video.title, video.thumbnail) == (INFO["title"], folder / f"{name}.10.jpg")
    source = open_source(str(write_files(tmp_path / "alone", {**pictures, "U.1.jpg": RED})))
    assert ids(source) == [f"{name}.10", "U.1"]
    assert list(source.findings.pictures) == [f"{name}.0.jpg", f"{name}.2.jpg"]


def test_hostile_xml_is_refused(tmp_path: Path) -> None:
    bomb = (
        '<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><movie><title>&b;</title></movie>'
    )
    file = '<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]><movie><title>&a;</title></movie>'
    files = {"bomb.nfo": bomb.encode(), "file.nfo": file.encode(), "no.nfo": b"https://x.example"}
    items = list(open_source(str(write_files(tmp_path, {**files, "ok.nfo": NFO.encode()}))))
    assert ids(items) == ["tt1"]
    assert list(rejects(items).values()) == [RejectReason.MALFORMED] * 3


def test_lengths_are_in_the_unit_that_their_column_names(tmp_path: Path) -> None:
    for name, cell in {"runtime": 2, "duration_ms": "120000", "duration_minutes": 2.0}.items():
        path = write_table(tmp_path / "v.csv", [{"id": 1, "title": "t", name: cell}])
        assert only(path)["duration_s"] == 120
    path = write_table(tmp_path / "v.csv", [{"id": 1, "title": "t", "runtime": "1:02:03"}])
    assert only(path)["duration_s"] == 3723
