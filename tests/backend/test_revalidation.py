"""What has not changed is not sent again, what is sent is small: tags, compression, thumbnails."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable

import brotli
import pytest
from backports.zstd import decompress as zstd_decompress
from PIL import Image
from werkzeug.test import TestResponse

from tests.backend.asking import body_of, problem
from tests.backend.catalogue import Catalogue, picture_bytes
from tests.fakes import MemoryReader
from twinlens.backend.schemas.requests import ThumbnailWidth
from twinlens.catalog import thumbnails
from twinlens.catalog.video import Video
from twinlens.stores.generations import DataDir

READS = [
    "/api/v1/search?q=kitchen&limit=5",
    "/api/v1/videos?limit=5",
    "/api/v1/videos?order=random&seed=7",
    "/api/v1/videos/beach-1",
    "/api/v1/videos/beach-1/similar",
    "/api/v1/stats",
]


@pytest.mark.parametrize("path", READS)
def test_a_read_is_tagged_and_not_worked_out_again(stored, client_of, path):
    reader = MemoryReader(stored)
    client = client_of(reader=reader)
    first = client.get(path)
    assert first.status_code == 200
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')  # took_ms and query_id are not the same each time
    assert first.headers["Cache-Control"] == "no-cache"
    searches = len(reader.searches)
    again = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == tag
    assert again.headers["X-Request-Id"]
    assert len(reader.searches) == searches
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path", [*READS, "/api/v1/videos?order=random", "/api/v1/videos/beach-1/thumbnail"]
)
def test_whatever_there_is_is_a_star(client, path):
    for method in ("GET", "HEAD"):
        answer = client.open(path, method=method, headers={"If-None-Match": "*"})
        assert (answer.status_code, answer.data) == (304, b"")
        assert "Content-Length" not in answer.headers
    first = client.get(path)
    assert answer.headers.get("ETag") == first.headers.get("ETag")


def test_every_read_has_a_tag_of_its_own_and_other_ones_by_another_index(
    catalogue, client_of, tmp_path
):
    data = DataDir(tmp_path)
    catalogue.publish(data, "g1")
    client = client_of(data=data)
    paths = [*READS, "/api/v1/search?q=kitchen&limit=6", "/api/v1/videos/beach-2"]
    tags = [client.get(path).headers["ETag"] for path in paths]
    assert len(set(tags)) == len(paths)
    catalogue.publish(data, "g2")
    answer = client.get(paths[0], headers={"If-None-Match": tags[0]})
    assert body_of(answer)["generation"] == "g2"
    assert answer.headers["ETag"] != tags[0]


def test_what_differs_each_time_has_no_tag_and_an_error_has_none(client):
    for answer in (
        client.get("/api/v1/videos?order=random"),
        client.post("/api/v1/search", json={"text": "kitchen"}),
    ):
        assert answer.status_code == 200
        assert "ETag" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"
    for path in ("/api/v1/search?q=a&limit=0", "/api/v1/videos/none"):
        answer = client.get(path, headers={"If-None-Match": "*"})
        assert answer.status_code in {404, 422}
        assert "ETag" not in answer.headers


def test_answers_that_took_a_key_are_kept_by_no_shared_cache(client_of):
    client = client_of(api_keys=("a-key-0123456789",))
    for path in (READS[0], "/api/v1/videos/beach-1/thumbnail"):
        cache = client.get(path, headers={"X-API-Key": "a-key-0123456789"}).cache_control
        assert cache.private
        assert not cache.public
    assert client.get(READS[0], headers={"If-None-Match": "*"}).status_code == 401


# ---- compression


@pytest.mark.parametrize(
    ("accepted", "chosen", "undo"),
    [
        ("gzip", "gzip", gzip.decompress),
        ("gzip, deflate, br", "br", brotli.decompress),
        ("gzip, deflate, br, zstd", "zstd", None),
        ("identity", None, bytes),
        ("", None, bytes),
        ("x-made-up;q=nonsense", None, bytes),
    ],
)
def test_answers_are_compressed_as_the_caller_likes(client, accepted, chosen, undo):
    answer = client.get("/api/v1/videos?limit=30", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == chosen
    assert "Accept-Encoding" in answer.headers["Vary"]
    plain = (undo or zstd_decompress)(answer.data)
    assert len(json.loads(plain)["videos"]) == 30
    if chosen:
        assert len(answer.data) < len(plain) / 3
    again = client.get(
        "/api/v1/videos?limit=30",
        headers={"Accept-Encoding": accepted, "If-None-Match": answer.headers["ETag"]},
    )
    assert again.status_code == 304


def test_pictures_and_short_answers_are_left_as_they_are(client):
    for path in ("/api/v1/videos/beach-1/thumbnail", "/healthz"):
        answer = client.get(path, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in answer.headers


# ---- thumbnails


@pytest.fixture
def thumbnail_of(client_of, tmp_path) -> Callable[..., TestResponse]:
    """Asks for the thumbnail of a video: a wide one of 1000 by 500, or a small one."""

    class Wide(Catalogue):
        def videos(self) -> list[Video]:
            buffer = io.BytesIO()
            Image.linear_gradient("L").resize((1000, 500)).convert("RGB").save(buffer, "JPEG")
            return [
                Video(video_id="wide", title="wide", thumbnail=buffer.getvalue()),
                Video(video_id="small", title="small", thumbnail=picture_bytes((1, 2, 3))),
            ]

    data = DataDir(tmp_path)
    Wide().publish(data, "g1")
    client = client_of(data=data, reader=MemoryReader(Wide().stored()))
    return lambda video_id, query="", **more: client.get(
        f"/api/v1/videos/{video_id}/thumbnail{query}", **more
    )


@pytest.mark.parametrize("width", list(ThumbnailWidth))
def test_a_smaller_thumbnail(thumbnail_of, width):
    answer = thumbnail_of("wide", f"?w={width}")
    assert (answer.status_code, answer.content_type) == (200, "image/webp")
    with Image.open(io.BytesIO(answer.data)) as picture:
        assert picture.size == (width, width // 2)
        assert picture.format == "WEBP"
        # The gradient goes on from top to bottom.
        column = [picture.convert("L").getpixel((width // 2, y)) for y in (2, width // 2 - 3)]
    assert column[0] < 20
    assert column[1] > 235


def test_each_width_has_a_tag_and_is_made_once(thumbnail_of, monkeypatch):
    made = []
    real = thumbnails.decode_image
    monkeypatch.setattr(thumbnails, "decode_image", lambda *a, **k: made.append(1) or real(*a, **k))
    tags = {thumbnail_of("wide", query).headers["ETag"] for query in ("", "?w=160", "?w=320")}
    assert len(tags) == 3
    assert not any(tag.startswith("W/") for tag in tags)
    thumbnail_of("wide", "?w=320")
    assert len(made) == 2
    answer = thumbnail_of("wide", "?w=480", headers={"If-None-Match": min(tags)})
    assert answer.status_code == 200
    again = thumbnail_of("wide", "?w=480", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert len(made) == 3


def test_a_picture_is_never_made_larger_and_a_damaged_one_is_passed_on(thumbnail_of, tmp_path):
    original = thumbnail_of("small")
    answer = thumbnail_of("small", "?w=160")
    assert (answer.data, answer.content_type) == (original.data, "image/png")
    every = DataDir(tmp_path).thumbnails.iterdir()
    [file] = [one for one in every if one.read_bytes() == original.data]
    file.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    answer = thumbnail_of("small", "?w=320")  # the other is remembered
    assert (answer.status_code, answer.data) == (200, file.read_bytes())


@pytest.mark.parametrize(
    "query", ["w=161", "w=0", "w=-160", "w=1e9", "w=", "w=160&w=320", "h=160", "w=160.0x"]
)
def test_other_widths_are_refused_by_name(thumbnail_of, query):
    errors = problem(thumbnail_of("wide", f"?{query}"), "validation_failed")["errors"]
    assert errors[0]["field"] == query[0]
