import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from twinlens.benchmarks.engines.sources import FileVectors
from twinlens.benchmarks.engines.title_vectors import main


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "videos.jsonl"
    titles = [*(f"Cricket, over {number}" for number in range(25)), "Cricket, over 3", " ", None]
    with file.open("w", encoding="utf-8") as lines:
        for number, title in enumerate(titles):
            lines.write(json.dumps({"video_id": f"video-{number}", "title": title}) + "\n")
    return file


def test_different_titles_are_encoded_and_queries_set_apart(source, tmp_path):
    out = tmp_path / "titles.hdf5"

    done = CliRunner().invoke(main, [str(source), "--out", str(out), "--queries", "10"])

    assert done.exit_code == 0, done.output
    assert "15 vectors and 10 queries written into" in done.stdout
    with h5py.File(out) as file:
        both = np.vstack([file["train"][:], file["test"][:]])
    assert both.shape == (25, 512)
    assert len(np.unique(both, axis=0)) == 25
    read = FileVectors(out)
    assert read.has_queries
    read.check()


def test_too_few_titles_are_refused(source, tmp_path):
    out = tmp_path / "titles.hdf5"

    done = CliRunner().invoke(main, [str(source), "--out", str(out), "--queries", "20"])

    assert done.exit_code == 2
    assert "25 different titles; for 20 queries there must be 40" in done.stderr
    assert not out.exists()
