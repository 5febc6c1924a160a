"""The table of videos: a filter means what it means for payloads, and content becomes numbers."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recommender.drawn_log import draw_videos
from tests.stores.test_filters import conditions, payloads
from twinlens.catalog.fields import FIELDS, Field, FieldKind
from twinlens.recommender.content import TOKEN_FIELDS, ContentSpace
from twinlens.recommender.videos import VideoTable
from twinlens.stores.base import StoredVideo
from twinlens.stores.filters import matches

MORE = FIELDS.with_rows(
    *(
        Field(name=name, kind=FieldKind.KEYWORD, label=name, help=name, filterable=True)
        for name in ("live", "extra")
    )
)


@settings(deadline=None)
@given(st.lists(payloads, max_size=8), conditions)
def test_a_filter_selects_what_matches(given_payloads, condition):
    videos = VideoTable.from_videos(
        [StoredVideo(f"v{at}", one) for at, one in enumerate(given_payloads)], MORE
    )
    expected = [matches(condition, payload) for payload in given_payloads]
    assert videos.select(condition).tolist() == expected


def test_columns_are_what_the_payloads_say():
    videos = draw_videos(4)
    assert videos.channels == ["channel 0", "channel 1"] * 2
    assert videos.tags[1] == ["tag 1", "all"]
    assert videos.languages == ["en"] * 4
    assert videos.categories == [None] * 4
    assert videos.durations_s.tolist() == [60, 61, 62, 63]
    assert np.isfinite(videos.published_at).all()
    assert videos.vectors["title"].shape == (4, 8)


def test_a_space_of_content_survives_its_files():
    videos = draw_videos()
    space = ContentSpace.fit(videos, seed=0)
    again = ContentSpace.from_json(json.loads(json.dumps(space.to_json())), space.directions)
    for one, other in zip(space.encode(videos), again.encode(videos), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_content_that_is_not_known_is_zeros():
    space = ContentSpace.fit(draw_videos(), seed=0)
    strange = VideoTable.from_videos([StoredVideo("x", {"channel": "?", "tags": ["?"]})])
    dense, tokens = space.encode(strange)
    assert not dense.any()
    assert tokens.starts.tolist() == [0] * (len(TOKEN_FIELDS) + 1)


def test_a_number_stands_between_two_quantiles():
    space = ContentSpace.fit(draw_videos(), seed=0)
    dense, _ = space.encode(draw_videos())
    knots = len(space.knots["duration_s"])
    part = dense[:, space.features - knots - len(space.knots["published_at"]) :][:, :knots]
    assert np.allclose(part.sum(axis=1), 1, atol=1e-2)
    assert ((part > 0).sum(axis=1) <= 2).all()
