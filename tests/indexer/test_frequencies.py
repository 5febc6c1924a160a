"""The tables of document frequencies, through whatever publishes a generation."""

import json
from collections import Counter
from contextlib import closing

import numpy as np
import pytest

from twinlens.catalog.errors import StoreError
from twinlens.catalog.vectors import to_sparse_vector
from twinlens.encoders.lenses import WORDS, WordsLens
from twinlens.indexer.rebuild import repair, take_down
from twinlens.stores.document_frequencies import read_frequencies
from twinlens.stores.generations import BUILD_FILE, FREQUENCIES_FORMAT


def check(data, engine):
    """That the published generation's tables say what its videos do; how many have words."""
    manifest = data.read_published()
    found = read_frequencies(data, manifest)
    with closing(engine.open_reader(manifest.generation)) as reader:
        [videos] = reader.scan(with_vectors=True)
    vectors = [video.sparse[WORDS] for video in videos if video.sparse]
    exact = Counter(index for one in vectors for index in one.indices.tolist())
    asked = to_sparse_vector((index, 1.0) for index in exact)
    having = np.array([exact[index] for index in asked.indices.tolist()])
    expected = np.log(1 + (len(vectors) - having + 0.5) / (having + 0.5))
    assert found.weigh(WORDS, asked).values == pytest.approx(expected)
    return len(vectors)


def test_they_are_those_of_the_videos_that_are_there(run_job, catalogue, data, engine):
    catalogue.add("wanted", title="Unmistakable")
    run_job()
    before = check(data, engine)
    catalogue.add("more", title="Unmistakable title 3")
    run_job()
    assert check(data, engine) == before + 1
    take_down(data, engine, ["wanted"])
    assert check(data, engine) == before
    assert repair(data, engine, {WORDS: WordsLens()})[1] is None


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_newer_ones_are_refused(run_job, data):
    run_job()
    path = data.locate_generation(data.read_current()) / "manifest.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["frequencies"] = FREQUENCIES_FORMAT + 1
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(StoreError, match="document frequencies has format 2, and this TwinLens"):
        read_frequencies(data, data.read_published())


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_a_build_that_was_begun_before_there_were_any_is_begun_anew(
    run_job, break_off, catalogue, data
):
    break_off()
    [path] = data.generations.glob(f"*/{BUILD_FILE}")
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, "build_format": 1}), encoding="utf-8")
    assert run_job().continued is False
    assert not path.parent.exists()
