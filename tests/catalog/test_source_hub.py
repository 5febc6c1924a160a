"""Data sets of the Hugging Face hub as sources, without the network."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests.catalog.tables import (
    BLUE,
    IMAGE,
    RED,
    VIDEOS,
    ids,
    rejects,
    videos,
    write_files,
    write_parquet,
    write_table,
)
from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources import Origin, open_source


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client as ``HF_HUB_OFFLINE=1`` makes it: no test talks to the network."""
    datasets = pytest.importorskip("datasets")
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_a_data_set_of_the_hub(tmp_path: Path) -> None:
    for split, count in (("train", 40), ("test", 3)):
        pictures = pa.array([{"bytes": RED, "path": "a.jpg"}] * count, IMAGE)
        titles = [f"{split} {n}" for n in range(count)]
        path = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        write_parquet(path, {"image": pictures, "title": titles})
    spec = f"hf:{tmp_path}"
    items = list(open_source(spec))
    found = videos(items)
    titles = [*(f"train {n}" for n in range(40)), *(f"test {n}" for n in range(3))]
    assert [video.title for video in found] == titles
    assert {video.thumbnail for video in found} == {RED}, "pictures come as the bytes they are"
    assert items[39].origin == Origin("train", 40)
    assert items[40].origin == Origin("test", 1)
    assert ids(items) == ids(open_source(spec))
    assert len(set(ids(items))) == 43
    assert len(list(open_source(spec, split="test"))) == 3
    with pytest.raises(SourceError, match="no split 'dev'; its splits: train, test"):
        open_source(spec, split="dev")
    with pytest.raises(SourceError, match=r"no column 'name'.*image, title"):
        open_source(spec, columns={"title": "name"})


def test_a_data_set_of_the_hub_with_pictures_as_files(tmp_path: Path) -> None:
    write_files(tmp_path, {"1.jpg": RED, "2.png": BLUE})
    rows = [{"file_name": "1.jpg", "title": "red"}, {"file_name": "2.png", "title": "blue"}]
    write_table(tmp_path / "metadata.jsonl", rows)
    found = videos(open_source(f"hf:{tmp_path}"))
    assert [(video.title, video.thumbnail) for video in found] == [("red", RED), ("blue", BLUE)]


def test_a_data_set_of_the_hub_as_jsonl(tmp_path: Path) -> None:
    empty = {"id": "d", "title": None, "views": 1, "tags": []}
    write_table(tmp_path / "train.jsonl", [*VIDEOS, empty])
    items = list(open_source(f"hf:{tmp_path}"))
    assert ids(items) == [*"abc"]
    assert rejects(items) == {4: RejectReason.EMPTY}


def test_the_hub_out_of_reach_or_without_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match="hub can't be reached"):
        open_source("hf:Ransaka/youtube_recommendation_data", revision="main")
    with pytest.raises(SourceError, match="can't be loaded"):
        open_source(f"hf:{tmp_path}/none")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SourceError, match=r"pip install twinlens\[hub\]"):
        open_source("hf:Ransaka/youtube_recommendation_data")
