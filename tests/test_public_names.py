"""What people import: pinned, cheap to import, and used as the README shows."""

import re
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

import twinlens
from tests import sources_written
from twinlens.catalog.sources.files import TABLE_SUFFIXES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATA = ROOT / "tests" / "indexer" / "data-of-format-1.tar.xz"


def test_the_public_names_are_these():
    assert twinlens.__all__ == [
        "And",
        "AnyOf",
        "FusedVideo",
        "Hit",
        "Index",
        "Lens",
        "LensOptions",
        "MultiSearchRequest",
        "Not",
        "Or",
        "Picture",
        "Query",
        "Range",
        "Ranking",
        "RecommendationRequest",
        "ScoredVideo",
        "SearchRequest",
        "SearchResult",
        "TwinLensError",
        "UnencodableItems",
        "Video",
        "VideoNotFound",
        "__version__",
        "fuse",
        "load_thumbnail_encoder",
        "load_title_encoder",
        "make_known_item_tasks",
        "measure_search",
        "open_index",
        "read_corpus",
        "to_sparse_vector",
        "unit_rows",
    ]


def test_each_has_a_docstring_and_is_listed():
    assert set(twinlens.__all__) <= set(dir(twinlens))
    for name in twinlens.__all__:
        assert getattr(twinlens, name).__doc__, name


def test_the_readme_names_every_format_of_tables():
    named = {suffix.removesuffix(".gz") for suffix in (*TABLE_SUFFIXES, ".xlsx", ".sqlite")}
    assert [suffix for suffix in named if f"`{suffix}`" not in README] == []


def test_the_page_of_sources_has_the_tables_of_the_code():
    stale = "run python -m tests.sources_written"
    assert sources_written.PAGE.read_text("utf-8") == sources_written.written(), stale


def test_importing_it_loads_nothing_heavy():
    code = (
        "import sys, twinlens; dir(twinlens);"
        "print(sorted({'torch', 'numpy', 'faiss', 'flask', 'qdrant_edge'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def data(tmp_path):
    """A data directory with sixteen videos."""
    with tarfile.open(DATA) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "data"


def test_what_makes_no_sense_is_refused_from_python_too(data):
    with twinlens.open_index(data) as index:
        one = twinlens.SearchRequest(text="sea", filter=twinlens.AnyOf("channel", ("none",)))
        both = twinlens.MultiSearchRequest(searches=[one, replace(one, filter=None)], shares=[1, 1])
        assert (index.search(one).hits, len(index.multi_search(both).hits)) == ([], 16)
        with pytest.raises(TypeError, match=r"not a filter: {'channel'"):
            index.search(replace(one, filter={"channel": "none"}))
        with pytest.raises(ValueError, match="no field 'colour'"):
            index.search(replace(one, filter=None, facets=["colour"]))
    with pytest.raises(ValueError, match="limit -3"):
        replace(one, limit=-3)


def test_the_example_of_the_readme_runs(data, monkeypatch, capsys):
    [example] = re.findall(r"```python\n(import twinlens\n.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(data.parent)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert capsys.readouterr().out.startswith("1 ")
    assert names["vectors"].shape[0] == 2
    assert len(names["more"].hits) > 0
