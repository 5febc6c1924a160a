"""What people import: pinned, cheap to import, and used as the README shows."""

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import twinlens
from twinlens.catalog.sources.files import TABLE_SUFFIXES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATA = ROOT / "tests" / "indexer" / "data-of-format-1.tar.xz"


def test_the_public_names_are_these():
    assert twinlens.__all__ == [
        "FusedVideo",
        "Hit",
        "Index",
        "Lens",
        "LensOptions",
        "MultiSearchRequest",
        "Picture",
        "Query",
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
    assert [suffix for suffix in TABLE_SUFFIXES if f"`{suffix}`" not in README] == []


def test_importing_it_loads_nothing_heavy():
    code = (
        "import sys, twinlens; dir(twinlens);"
        "print(sorted({'torch', 'numpy', 'faiss', 'flask', 'qdrant_edge'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    [example] = re.findall(r"```python\n(import twinlens\n.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    with tarfile.open(DATA) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert capsys.readouterr().out.startswith("1 ")
    assert names["vectors"].shape[0] == 2
    assert len(names["more"].hits) > 0
