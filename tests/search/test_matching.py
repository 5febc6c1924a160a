"""A match rises with words and with meaning; a data directory may have its own calibrations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import WordEncoder
from twinlens.encoders.lenses import TitleLens
from twinlens.search.matching import Calibration, Curve, Fit, open_calibration
from twinlens.stores.base import ScoredVideo
from twinlens.stores.generations import CALIBRATIONS_FILE

CALIBRATION = Calibration(words=Curve(9.0, -5.0), title=Curve(90.0, -7.0), far=0.8, floor=0.1)
FITS = st.builds(Fit, st.floats(0, 1), st.floats(-2, 2))


@given(FITS, FITS)
def test_more_words_and_more_meaning_never_match_less(one: Fit, other: Fit) -> None:
    more = Fit(max(one.words, other.words), max(one.lead, other.lead))
    for fit in one, other:
        assert 0 <= CALIBRATION.measure(fit) <= CALIBRATION.measure(more) <= 1


def test_words_alone_or_meaning_alone_are_enough() -> None:
    assert CALIBRATION.measure(Fit(1.0, 0.0)) > 0.95
    assert CALIBRATION.measure(Fit(0.0, 0.15)) > 0.95
    assert CALIBRATION.measure(Fit(0.1, 0.02)) < 0.05


def test_what_is_far_is_the_second_half_of_a_long_ranking() -> None:
    ranking = [ScoredVideo(f"v{at}", 0.9 if at < 50 else 0.7) for at in range(100)]
    assert CALIBRATION.find_far(ranking) == pytest.approx(0.7)
    assert CALIBRATION.find_far(ranking[:20]) == 0.8


def test_a_written_calibration_comes_back_by_the_model_it_is_of(tmp_path: Path) -> None:
    encoder = WordEncoder()
    lenses = {"title": TitleLens(encoder)}
    shipped = open_calibration(lenses, tmp_path)
    by_words = open_calibration({}, tmp_path)
    # Nobody knows this model: what it finds by meaning alone is not to be left out.
    assert shipped == replace(by_words, floor=0.0)
    assert shipped.title is None
    assert by_words.floor > 0
    written = CALIBRATION.to_toml('not "this" one') + CALIBRATION.to_toml(encoder.name)
    (tmp_path / CALIBRATIONS_FILE).write_text(written, encoding="utf-8")
    assert open_calibration(lenses, tmp_path) == CALIBRATION
    assert open_calibration({}, tmp_path) == by_words


@pytest.mark.parametrize(
    "text",
    [
        "",
        "words",
        '["{name}"]\nwords = [1, 2]',
        '["{name}"]\nwords = [-1, 2]\nfar = 0\nfloor = 0',
        '["{name}"]\nwords = [1, 2, 3]\nfar = 0\nfloor = 0',
        '["{name}"]\nwords = [1, nan]\nfar = 0\nfloor = 0',
        '["{name}"]\nwords = [1, 2]\nfar = 0\nfloor = 1',
        '["{name}"]\nwords = "12"\nfar = 2\nfloor = 0',
        '"{name}" = 3',
        '["{name}"]\nwords = [1, 2]\nfar = 0\nfloor = 1' + 400 * "0",
        '["{name}"]\nwords = ' + 5000 * "[",
        "\0",
    ],
)
def test_a_damaged_file_is_logged_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    encoder = WordEncoder()
    lenses = {"title": TitleLens(encoder)}
    shipped = open_calibration(lenses, tmp_path)
    (tmp_path / CALIBRATIONS_FILE).write_text(text.replace("{name}", encoder.name))
    assert open_calibration(lenses, tmp_path) == shipped
    assert ("can't be read" in caplog.text) == bool(text)
