"""Labelled sets in the standard layout of BEIR, and with judgements as TREC writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from twinlens.catalog.errors import SourceError
from twinlens.catalog.video import MAX_VIDEO_ID_LENGTH, Video
from twinlens.evaluate.search.tasks import Corpus, Query, Task

FAMILY: Final = "judged"
_SPLIT: Final = "test"


def judged_tasks(folder: Path) -> Iterator[Task]:
    """The set in ``folder``: a corpus, queries, and judgements, one task per file of them.

    ``corpus.jsonl`` holds ``{"_id", "title", "text"}`` a line; title and text together are taken
    for the title of a video, as BEIR's own evaluation joins them. ``queries.jsonl`` holds
    ``{"_id", "text"}``, or ``video_id`` in place of the text to ask for more like that one. Either
    may be a ``.tsv`` of id and text instead, as MS MARCO has it. Judgements are ``qrels/*.tsv`` (of
    several files ``test.tsv`` alone) or ``qrels.tsv`` or ``qrels.txt``: three columns (query,
    document, relevance) under a header, or TREC's four (query, 0, document, relevance) under none.
    Queries without a relevant document are left out, as usual.

    Source: Thakur et al.: BEIR, NeurIPS 2021.

    Raises:
        SourceError: a file is missing or broken; the message names it and the line.
    """
    corpus = Corpus(folder.name, _corpus(_either(folder, "corpus")))
    known = {video.video_id for video in corpus.videos}
    queries = _queries(_either(folder, "queries"), known)
    files = [
        path
        for pattern in ("qrels/*.tsv", "qrels/*.txt", "qrels.tsv", "qrels.txt")
        for path in sorted(folder.glob(pattern))
    ]
    if not files:
        raise SourceError(f"{folder}: no judgements: neither qrels/*.tsv nor qrels.tsv or .txt")
    for path in [path for path in files if path.stem == _SPLIT] or files:
        qrels = read_qrels(path, queries=set(queries), documents=known)
        yield Task(
            FAMILY,
            f"{folder.name}, {path.stem}",
            corpus,
            {query_id: query for query_id, query in queries.items() if query_id in qrels},
            qrels,
        )


def read_qrels(path: Path, *, queries: set[str], documents: set[str]) -> dict[str, dict[str, int]]:
    """Judgements by query and document, those above 0, of BEIR's three columns or TREC's four.

    Raises:
        SourceError: a line is broken, or names a query or a document that there is not.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        cells = line.rstrip("\n").split("\t") if "\t" in line else line.split()
        if number == 1 and len(cells) == 3 and not _is_whole(cells[2]):
            continue  # BEIR's header
        if len(cells) not in (3, 4):
            raise SourceError(f"{path}, line {number}: {len(cells)} columns; 3 (BEIR) or 4 (TREC)")
        query_id, document_id, grade = cells[0], cells[-2], cells[-1]
        if not _is_whole(grade):
            raise SourceError(f"{path}, line {number}: {grade!r} is not a whole number")
        if query_id not in queries:
            raise SourceError(f"{path}, line {number}: no query {query_id!r}")
        if document_id not in documents:
            raise SourceError(f"{path}, line {number}: no document {document_id!r}")
        if int(grade) > 0:
            qrels.setdefault(query_id, {})[document_id] = int(grade)
    if not qrels:
        raise SourceError(f"{path}: no judgement above 0")
    return qrels


def _either(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.jsonl", folder / f"{name}.tsv"):
        if path.is_file():
            return path
    raise SourceError(f"{folder}: neither {name}.jsonl nor {name}.tsv")


def _corpus(path: Path) -> list[Video]:
    videos: dict[str, Video] = {}
    for number, cells in _records(path):
        where = f"{path}, line {number}"
        video_id = _id(cells, where)
        parts = (str(cells.get(name) or "").strip() for name in ("title", "text"))
        title = " ".join(part for part in parts if part)
        if not title:
            raise SourceError(f"{where}: neither title nor text")
        if len(video_id) > MAX_VIDEO_ID_LENGTH:
            raise SourceError(f"{where}: an id of more than {MAX_VIDEO_ID_LENGTH} characters")
        if video_id in videos:
            raise SourceError(f"{where}: id {video_id!r} a second time")
        videos[video_id] = Video(video_id=video_id, title=title)
    if not videos:
        raise SourceError(f"{path}: no document in it")
    return list(videos.values())


def _queries(path: Path, known: set[str]) -> dict[str, Query]:
    queries: dict[str, Query] = {}
    for number, cells in _records(path):
        where = f"{path}, line {number}"
        query_id = _id(cells, where)
        if query_id in queries:
            raise SourceError(f"{where}: id {query_id!r} a second time")
        text, video_id = cells.get("text"), cells.get("video_id")
        if isinstance(text, str) and text.strip():
            queries[query_id] = Query(text=text)
        elif isinstance(video_id, str) and video_id in known:
            queries[query_id] = Query(video_id=video_id)
        else:
            raise SourceError(f"{where}: neither text nor the video_id of a document")
    return queries


def _id(cells: dict[str, object], where: str) -> str:
    found = cells.get("_id")
    if not isinstance(found, str | int) or not str(found).strip():
        raise SourceError(f"{where}: no id")
    return str(found)


def _records(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Objects of a JSONL file, or id and text of a TSV, with the numbers of their lines."""
    for number, line in _lines(path):
        if path.suffix == ".tsv":
            key, tab, text = line.rstrip("\n").partition("\t")
            if not tab:
                raise SourceError(f"{path}, line {number}: not an id, a tab and a text")
            yield number, {"_id": key, "text": text}
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{path}, line {number}: not JSON: {error}") from error
        if not isinstance(cells, dict):
            raise SourceError(f"{path}, line {number}: not a JSON object")
        yield number, cells


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1."""
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}, after line {number}: not UTF-8: {error}") from error


def _is_whole(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True
