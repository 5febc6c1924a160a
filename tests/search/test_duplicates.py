"""Re-uploads are folded, and what only looks like one is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from tests.encoders.drawn_pictures import drawn_picture
from twinlens.catalog.images import decode_image
from twinlens.encoders.lenses import THUMBNAIL
from twinlens.encoders.load import load_thumbnail_encoder
from twinlens.search.duplicates import group_duplicates
from twinlens.stores.base import StoredVideo

TITLE = "ශ්‍රී ලංකා cricket final highlights, Colombo 2024"
RED, GREEN = np.eye(8, dtype=np.float32)[:2]


def near(vector: np.ndarray, cosine: float) -> np.ndarray:
    """A unit vector at this cosine to ``vector``, which is one of the first two axes."""
    other = np.eye(8, dtype=np.float32)[5]
    return (cosine * vector + np.sqrt(1 - cosine**2) * other).astype(np.float32)


def video(video_id: str, title: str | None, thumbnail=None, file: str | None = None) -> StoredVideo:
    payload = {"video_id": video_id, "title": title, "thumbnail_file": file}
    vectors = {} if thumbnail is None else {THUMBNAIL: thumbnail}
    given = {name: value for name, value in payload.items() if value is not None}
    return StoredVideo(video_id, given, vectors)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # A title slightly changed, with the same picture.
        *(
            ((TITLE, RED), (title, near(RED, 0.93)))
            for title in (
                TITLE,
                TITLE.upper(),
                TITLE.replace(",", " -"),
                f"🔥 {TITLE} 🔥",
                f"{TITLE} HD",
                TITLE.replace("final highlights", "highlights final"),
                TITLE.replace("highlights", "highlihgts"),
            )
        ),
        # The same file is the same picture, whatever its vector.
        ((TITLE, RED, "x.jpg"), (TITLE, GREEN, "x.jpg")),
        ((TITLE, None, "x.jpg"), (TITLE, None, "x.jpg")),
    ],
)
def test_a_reupload_is_folded(one, other):
    assert group_duplicates([video("a", *one), video("b", *other)]) == [[0, 1]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((TITLE, RED), (TITLE.replace("2024", "2023"), RED)),  # another year
        ((TITLE, RED), (TITLE + " part 2", RED)),
        ((TITLE, RED), (TITLE.replace("cricket final", "rugby opening"), RED)),
        ((TITLE, RED), ("something else", RED)),
        ((TITLE, RED), (TITLE, GREEN)),
        ((TITLE, RED), (TITLE, near(RED, 0.85))),
        ((TITLE, RED), (TITLE, None)),
        ((TITLE, RED), (None, RED)),
        # Numbers are numbers in any script.
        (("අංක 12 කතාව", RED), ("අංක 13 කතාව", RED)),
        (("part १२", RED), ("part १३", RED)),
        # Without thumbnails or titles nothing is said.
        ((TITLE, None), (TITLE, None)),
        ((None, RED), (None, RED)),
        (("?!", RED), ("?!", RED)),
    ],
)
def test_what_differs_in_a_number_the_title_or_the_picture_is_no_reupload(one, other):
    assert group_duplicates([video("a", *one), video("b", *other)]) == [[0], [1]]


def test_nothing_is_folded_by_way_of_a_third():
    axis = np.eye(8, dtype=np.float32)
    step = np.deg2rad(20)  # cosine 0.94 from each to the next, 0.77 to the one after
    chain = [np.cos(n * step) * axis[0] + np.sin(n * step) * axis[1] for n in range(3)]
    videos = [video(f"{n}", TITLE, one.astype(np.float32)) for n, one in enumerate(chain)]
    assert group_duplicates(videos) == [[0, 1], [2]]
    assert group_duplicates([videos[1], videos[0], videos[2]]) == [[0, 1, 2]]


@given(st.lists(st.tuples(st.sampled_from([TITLE, "b 1", "b 2", "", None]),
                          st.sampled_from([0, 1, None])), max_size=12))  # fmt: skip
def test_every_video_is_in_one_group_in_order(kinds):
    pictures = {0: RED, 1: GREEN, None: None}
    videos = [video(f"{n}", title, pictures[kind]) for n, (title, kind) in enumerate(kinds)]
    groups = group_duplicates(videos)
    assert sorted(place for group in groups for place in group) == list(range(len(videos)))
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)
    assert all(group == sorted(group) for group in groups)
    for first, *others in groups:
        assert all(kinds[one] == kinds[first] for one in others)
    # None of those that lead a group would join another.
    assert all(
        len(group) == 1 for group in group_duplicates([videos[group[0]] for group in groups])
    )


# ---- with the packaged encoder


def _damaged(picture: Image.Image) -> list[Image.Image]:
    """What becomes of a picture on its way through another upload."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=20)
    width, height = picture.size
    small = picture.resize((width // 2, height // 2)).resize((width, height))
    return [Image.open(buffer).convert("RGB"), small, ImageEnhance.Brightness(picture).enhance(1.1)]


def test_the_packaged_encoder_knows_a_picture_uploaded_again():
    """The threshold suits the encoder that is served: each damaged picture finds its own only."""
    encoder = load_thumbnail_encoder("packaged:denoiser")
    pictures = [drawn_picture(seed) for seed in range(8)]

    def stored(video_id: str, picture: Image.Image) -> StoredVideo:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        decoded = decode_image(buffer.getvalue(), at_least=encoder.input_size)
        return video(video_id, TITLE, encoder.encode([decoded])[0])

    clean = [stored(f"{n}", picture) for n, picture in enumerate(pictures)]
    assert group_duplicates(clean) == [[n] for n in range(8)]
    again = [stored("x", one) for picture in pictures for one in _damaged(picture)]
    groups = group_duplicates([*clean, *again])
    assert groups == [[n, *range(8 + 3 * n, 11 + 3 * n)] for n in range(8)]
