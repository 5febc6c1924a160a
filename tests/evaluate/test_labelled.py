"""Labelled data as it lies in files, whole and broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinlens.catalog.errors import SourceError, UsageError
from twinlens.evaluate.labelled import read_cross_lingual_tasks, read_judged_tasks, read_qrels
from twinlens.evaluate.tasks import Corpus, Task, TaskQuery, make_more_like_task

CORPUS = '{"_id": "d1", "title": "One", "text": "two"}\n\n{"_id": "d2", "text": "three"}\n'
QUERIES = (
    '{"_id": "q1", "text": "one"}\n{"_id": "q2", "video_id": "d2"}\n{"_id": "q3", "text": "x"}\n'
)
BEIR = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t1\n"


def _write(folder: Path, files: dict[str, str]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _set(folder: Path, **files: str) -> Path:
    written = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": BEIR}
    return _write(folder, written | files)


def test_a_set_in_beirs_layout_is_read(tmp_path: Path) -> None:
    (task,) = read_judged_tasks(_set(tmp_path / "small"))
    assert task.name == "small, test"
    assert {one.video_id: one.title for one in task.corpus.videos} == {
        "d1": "One two",
        "d2": "three",
    }
    assert task.queries == {"q1": TaskQuery(text="one"), "q2": TaskQuery(video_id="d2")}
    assert task.qrels == {"q1": {"d1": 2}, "q2": {"d1": 1}}
    assert not task.many_relevant


def test_trecs_judgements_are_read(tmp_path: Path) -> None:
    folder = _set(tmp_path / "small", **{"qrels.txt": "q1 0 d1 1\nq1 0 d2 3\n"})
    (folder / "qrels" / "test.tsv").unlink()
    (task,) = read_judged_tasks(folder)
    assert task.qrels == {"q1": {"d1": 1, "d2": 3}}
    assert task.many_relevant


def test_of_several_files_of_judgements_the_test_split_is_taken(tmp_path: Path) -> None:
    folder = _set(tmp_path / "small", **{"qrels/dev.tsv": BEIR})
    assert [task.name for task in read_judged_tasks(folder)] == ["small, test"]
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "train.tsv")
    assert [task.name for task in read_judged_tasks(folder)] == ["small, dev", "small, train"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("corpus.jsonl", CORPUS + "{", r"corpus\.jsonl, line 4: not JSON"),
        ("corpus.jsonl", CORPUS + "[]", "line 4: a row is a JSON object"),
        ("corpus.jsonl", CORPUS + '{"text": "a"}', "line 4: no id"),
        ("corpus.jsonl", CORPUS + '{"_id": "d1", "text": "a"}', "line 4: id 'd1' a second time"),
        ("corpus.jsonl", '{"_id": "d1"}', "line 1: neither title nor text"),
        ("corpus.jsonl", "", "no document"),
        ("queries.jsonl", '{"_id": "q1"}', r"queries\.jsonl, line 1: neither text nor"),
        ("queries.jsonl", '{"_id": "q1", "video_id": "d9"}', "line 1: neither text nor"),
        ("qrels/test.tsv", BEIR + "q1\td1\n", r"test\.tsv, line 5: 2 columns"),
        ("qrels/test.tsv", BEIR + "q1\td1\tgood\n", "line 5: 'good' is not a whole number"),
        ("qrels/test.tsv", BEIR + "q9\td1\t1\n", "line 5: no query 'q9'"),
        ("qrels/test.tsv", BEIR + "q1\td9\t1\n", "line 5: no document 'd9'"),
        ("qrels/test.tsv", "q1\td1\t0\n", "no judgement above 0"),
    ],
)
def test_a_broken_file_is_named_with_its_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        list(read_judged_tasks(_set(tmp_path / "small", **{name: text})))


def test_bytes_that_are_no_text_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"corpus\.jsonl: No such file"):
        list(read_judged_tasks(tmp_path))
    folder = _set(tmp_path / "small")
    (folder / "queries.jsonl").write_bytes(b'{"_id": "q1", "text": "\xff"}')
    with pytest.raises(SourceError, match="line 1: bytes that are not UTF-8"):
        list(read_judged_tasks(folder))
    (folder / "qrels.tsv").write_bytes(b"q1\td1\t\xff")
    with pytest.raises(SourceError, match="not UTF-8"):
        read_qrels(folder / "qrels.tsv", queries=set(), documents=set())
    with pytest.raises(SourceError, match="No such file"):
        read_qrels(tmp_path / "none.tsv", queries=set(), documents=set())


def _parallel(folder: Path, **files: str) -> Path:
    header = "index_id\tcategory\ttext\n"
    return _write(folder, {f"{name}.tsv": header + text for name, text in files.items()})


def test_every_language_asks_english_and_is_asked_by_it(tmp_path: Path) -> None:
    folder = _parallel(
        tmp_path / "sib",
        eng_Latn='1\ta\tA "sentence.\n2\tb\tAnother one.\n3\ta\tThird.\n',
        sin_Sinh="2\tb\tතවත් එකක්.\n1\ta\tවාක්‍යයක්.\n",
    )
    there, back = read_cross_lingual_tasks(folder, limit=5, seed=0)
    assert (there.name, back.name) == ("sib, sin finds eng", "sib, eng finds sin")
    assert [len(task.corpus.videos) for task in (there, back)] == [3, 2]
    assert there.queries["1"] == TaskQuery(text="වාක්‍යයක්.")
    assert back.queries["1"] == TaskQuery(text='A "sentence.')
    assert there.qrels == {"1": {"1": 1}, "2": {"2": 1}}
    assert len(next(read_cross_lingual_tasks(folder, limit=1, seed=0)).queries) == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"eng_Latn": "1\ta\tOne\n"}, "needs eng"),
        ({"eng_Latn": "1\ta\tOne\n", "tam_Taml": "2\ta\tx\n"}, "no index_id in common"),
        ({"eng_Latn": "1\ta\tOne\n", "tam_Taml": "1\ta\n"}, "line 2: no index_id, or no text"),
        ({"eng_Latn": "1\ta\tOne\n1\ta\tTwo\n", "tam_Taml": "1\ta\tx\n"}, "line 3: index_id 1"),
    ],
)
def test_a_broken_parallel_file_is_named(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        list(read_cross_lingual_tasks(_parallel(tmp_path / "sib", **files), limit=5, seed=0))


def _videos(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_more_like_this_grades_by_shared_labels(tmp_path: Path) -> None:
    genres = {"a": ["x", "y"], "b": ["y", "x"], "c": ["x"], "d": ["z"], "e": []}
    rows = [{"video_id": key, "title": key, "genres": of} for key, of in genres.items()]
    task = make_more_like_task(_videos(tmp_path / "videos.jsonl", rows), "genres", limit=9, seed=0)
    a, b, c = {"b": 2, "c": 1}, {"a": 2, "c": 1}, {"a": 1, "b": 1}
    assert dict(task.qrels) == {"a": a, "b": b, "c": c}
    assert task.queries["a"] == TaskQuery(video_id="a")
    assert task.many_relevant


def test_sources_that_give_no_task_say_so(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"video_id": "a", "title": "One", "genres": ["x"]}]
    spec = _videos(tmp_path / "videos.jsonl", rows)
    with pytest.raises(UsageError, match="no query"):
        make_more_like_task(spec, "genres", limit=9, seed=0)
    with pytest.raises(SourceError, match="nothing-such"):
        make_more_like_task(spec, "nothing-such", limit=9, seed=0)


def test_a_task_needs_queries_that_something_is_relevant_to() -> None:
    corpus = Corpus("none", [])
    with pytest.raises(UsageError, match="no query"):
        Task("f", "n", corpus, {}, {})
    with pytest.raises(UsageError, match="'q'"):
        Task("f", "n", corpus, {"q": TaskQuery(text="x")}, {"q": {}})
