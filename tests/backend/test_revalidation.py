"""What has not changed is not sent again, what is sent is small: tags, compression, thumbnails."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator

import brotli
import pytest
from backports.zstd import decompress as zstd_decompress
from flask.testing import FlaskClient
from PIL import Image

from tests.backend.catalogue import Catalogue, picture_bytes
from tests.fakes import MemoryReader
from twinlens.backend.access import Policy
from twinlens.backend.app import create_app
from twinlens.backend.schemas.requests import ThumbnailWidth
from twinlens.catalog import thumbnails
from twinlens.catalog.video import Video
from twinlens.encoders.lenses import own_lenses
from twinlens.search.published import PublishedIndex
from twinlens.stores.generations import DataDir

READS = [
    "/api/v1/search?q=kitchen&limit=5",
    "/api/v1/videos?limit=5",
    "/api/v1/videos?order=random&seed=7",
    "/api/v1/videos/beach-1",
    "/api/v1/videos/beach-1/similar",
    "/api/v1/stats",
]


class Reading:
    """An application over a catalogue, whose every search is seen."""

    def __init__(self, catalogue: Catalogue, data: DataDir, policy: Policy) -> None:
        self.reader: MemoryReader | None = None
        self.data = data
        self.catalogue = catalogue
        self.index = PublishedIndex(
            data,
            open_reader=lambda manifest: self.opened(),
            lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
        )
        app = create_app(self.index, thumbnails=data.thumbnails, policy=policy)
        self.client: FlaskClient = app.test_client()

    def opened(self) -> MemoryReader:
        self.reader = MemoryReader(self.catalogue.stored())
        return self.reader


@pytest.fixture
def reading(catalogue, tmp_path) -> Iterator[Callable[..., Reading]]:
    made: list[Reading] = []

    def make(catalogue: Catalogue = catalogue, **policy) -> Reading:
        data = DataDir(tmp_path / "data")
        catalogue.publish(data, "g1")
        made.append(Reading(catalogue, data, Policy(**policy)))
        return made[-1]

    yield make
    for one in made:
        one.index.close()


@pytest.mark.parametrize("path", READS)
def test_a_read_is_tagged_and_not_worked_out_again(reading, path):
    one = reading()
    first = one.client.get(path)
    assert first.status_code == 200
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')  # took_ms and query_id are not the same each time
    assert first.headers["Cache-Control"] == "no-cache"
    searches = len(one.reader.searches)
    again = one.client.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == tag
    assert again.headers["X-Request-Id"]
    assert len(one.reader.searches) == searches
    assert one.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path", [*READS, "/api/v1/videos?order=random", "/api/v1/videos/beach-1/thumbnail"]
)
def test_whatever_there_is_is_a_star(reading, path):
    client = reading().client
    for method in ("GET", "HEAD"):
        answer = client.open(path, method=method, headers={"If-None-Match": "*"})
        assert (answer.status_code, answer.data) == (304, b"")
        assert "Content-Length" not in answer.headers
    first = client.get(path)
    assert answer.headers.get("ETag") == first.headers.get("ETag")


def test_every_read_has_a_tag_of_its_own_and_other_ones_by_another_index(reading):
    one = reading()
    paths = [*READS, "/api/v1/search?q=kitchen&limit=6", "/api/v1/videos/beach-2"]
    tags = [one.client.get(path).headers["ETag"] for path in paths]
    assert len(set(tags)) == len(paths)
    path, tag = paths[0], tags[0]
    one.catalogue.publish(one.data, "g2")
    answer = one.client.get(path, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.get_json()["generation"] == "g2"
    assert answer.headers["ETag"] != tag


def test_what_differs_each_time_has_no_tag_and_an_error_has_none(reading):
    client = reading().client
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


def test_answers_that_took_a_key_are_kept_by_no_shared_cache(reading):
    client = reading(api_keys=("a-key-0123456789",)).client
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
def test_answers_are_compressed_as_the_caller_likes(reading, accepted, chosen, undo):
    client = reading().client
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
def wide(reading) -> Reading:
    """One video with a thumbnail of 1000 by 500, one with a damaged one, one with a small one."""

    class Wide(Catalogue):
        def videos(self) -> list[Video]:
            buffer = io.BytesIO()
            Image.linear_gradient("L").resize((1000, 500)).convert("RGB").save(buffer, "JPEG")
            return [
                Video(video_id="wide", title="wide", thumbnail=buffer.getvalue()),
                Video(video_id="small", title="small", thumbnail=picture_bytes((1, 2, 3))),
            ]

    return reading(Wide())


@pytest.mark.parametrize("width", list(ThumbnailWidth))
def test_a_smaller_thumbnail(wide, width):
    answer = wide.client.get(f"/api/v1/videos/wide/thumbnail?w={width}")
    assert (answer.status_code, answer.content_type) == (200, "image/webp")
    with Image.open(io.BytesIO(answer.data)) as picture:
        assert picture.size == (width, width // 2)
        assert picture.format == "WEBP"
        # The gradient goes on from top to bottom.
        column = [picture.convert("L").getpixel((width // 2, y)) for y in (2, width // 2 - 3)]
    assert column[0] < 20
    assert column[1] > 235


def test_each_width_has_a_tag_and_is_made_once(wide, monkeypatch):
    made = []

    real = thumbnails.decode_image
    monkeypatch.setattr(
        "twinlens.catalog.thumbnails.decode_image", lambda *a, **k: made.append(1) or real(*a, **k)
    )
    path = "/api/v1/videos/wide/thumbnail"
    tags = {wide.client.get(path + query).headers["ETag"] for query in ("", "?w=160", "?w=320")}
    assert len(tags) == 3
    assert not any(tag.startswith("W/") for tag in tags)
    wide.client.get(path + "?w=320")
    assert len(made) == 2
    answer = wide.client.get(path + "?w=480", headers={"If-None-Match": min(tags)})
    assert answer.status_code == 200
    again = wide.client.get(path + "?w=480", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert len(made) == 3


def test_a_picture_is_never_made_larger(wide):
    original = wide.client.get("/api/v1/videos/small/thumbnail")
    answer = wide.client.get("/api/v1/videos/small/thumbnail?w=160")
    assert (answer.data, answer.content_type) == (original.data, "image/png")


def test_a_damaged_picture_is_passed_on_as_it_is(wide):
    [file] = [one for one in wide.data.thumbnails.iterdir() if one.read_bytes()[1:4] == b"PNG"]
    file.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    answer = wide.client.get("/api/v1/videos/small/thumbnail?w=160")
    assert (answer.status_code, answer.data) == (200, file.read_bytes())


@pytest.mark.parametrize(
    "query", ["w=161", "w=0", "w=-160", "w=1e9", "w=", "w=160&w=320", "h=160", "w=160.0x"]
)
def test_other_widths_are_refused_by_name(wide, query):
    answer = wide.client.get(f"/api/v1/videos/wide/thumbnail?{query}")
    assert (answer.status_code, answer.get_json()["code"]) == (422, "validation_failed")
    assert answer.get_json()["errors"][0]["field"] == query[0]
