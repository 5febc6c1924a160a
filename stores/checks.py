"""What every store demands of what it is given, before anything is written or asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from twinlens.catalog.vectors import SparseVector, Vector
from twinlens.catalog.video import MAX_VIDEO_ID_LENGTH, VectorName
from twinlens.stores.base import StoredVideo, VectorQuery

# Wide enough for vectors that were normalised in float32 at any length we know of.
UNIT_TOLERANCE = 1e-3


def checked_videos(
    videos: Sequence[StoredVideo], dims: Mapping[VectorName, int]
) -> dict[str, StoredVideo]:
    """The videos by id, with float32 vectors; of an id given twice, the last.

    Float64 vectors are converted; a float32 vector is passed on as it is, never copied.

    Raises:
        ValueError: an id that is empty, too long or not that of the payload; a payload that is not
            JSON; a video with no dense vector; a vector of another name, kind or length, not finite
            or not of unit length; words that are no sparse vector. The text names the video.
    """
    checked: dict[str, StoredVideo] = {}
    for video in videos:
        _check_identity(video)
        if not video.vectors:
            raise ValueError(f"video {video.video_id!r} has no vector")
        of = f"video {video.video_id!r}"
        vectors = {
            name: checked_vector(vector, name, dims, of=of)
            for name, vector in video.vectors.items()
        }
        if video.words is not None:
            _check_words(video.words, of=of)
        checked[video.video_id] = StoredVideo(video.video_id, video.payload, vectors, video.words)
    return checked


def checked_queries(
    queries: Sequence[VectorQuery], dims: Mapping[VectorName, int]
) -> list[VectorQuery]:
    """The queries, with float32 vectors.

    Raises:
        ValueError: see ``checked_videos`` for the vectors; a limit below 1.
    """
    checked = []
    for query in queries:
        if query.limit < 1:
            raise ValueError(f"a query's limit is at least 1, not {query.limit}")
        if query.vector_name is VectorName.WORDS:
            _check_words(query.vector, of="the query")
            checked.append(query)
        else:
            vector = checked_vector(query.vector, query.vector_name, dims, of="the query")
            checked.append(VectorQuery(query.vector_name, vector, query.limit))
    return checked


def checked_vector(
    vector: Vector | SparseVector, name: VectorName, dims: Mapping[VectorName, int], *, of: str
) -> Vector:
    """``vector`` as contiguous float32, after a look at its name, length and norm."""
    if name not in dims:
        raise ValueError(f"{of}: this store has no vector named {str(name)!r}")
    if isinstance(vector, SparseVector):
        raise ValueError(  # noqa: TRY004 - what every fault of a vector raises
            f"{of}: the {name} vector is dense, and this one is sparse"
        )
    given = np.asarray(vector)
    if given.dtype.kind != "f":
        raise ValueError(f"{of}: the {name} vector is of {given.dtype}, not of float32")
    if given.shape != (dims[name],):
        raise ValueError(f"{of}: the {name} vector has shape {given.shape}, not ({dims[name]},)")
    values = np.ascontiguousarray(given, dtype=np.float32)
    squared = float(values @ values)
    # A NaN fails this comparison too.
    if not abs(squared - 1.0) <= 2 * UNIT_TOLERANCE:
        raise ValueError(
            f"{of}: the {name} vector is not of unit length (its square is {squared:.6g})"
        )
    return values


def _check_words(words: object, *, of: str) -> None:
    if not isinstance(words, SparseVector):
        raise ValueError(  # noqa: TRY004 - what every fault of a vector raises
            f"{of}: its words are {type(words).__name__}, not a sparse vector"
        )
    indices, values = words
    if indices.dtype != np.uint32 or values.dtype != np.float32:
        raise ValueError(
            f"{of}: its words are {indices.dtype} and {values.dtype}, not uint32 and float32"
        )
    if indices.ndim != 1 or indices.shape != values.shape or not indices.size:
        raise ValueError(f"{of}: its words have shapes {indices.shape} and {values.shape}")
    if not (indices[1:] > indices[:-1]).all():
        raise ValueError(f"{of}: the indices of its words don't rise")
    if not np.isfinite(values).all():
        raise ValueError(f"{of}: its words have values that are not finite")


def _check_identity(video: StoredVideo) -> None:
    if not 0 < len(video.video_id) <= MAX_VIDEO_ID_LENGTH:
        raise ValueError(
            f"video {video.video_id[:64]!r}: an id has 1 to {MAX_VIDEO_ID_LENGTH} characters"
        )
    if video.payload.get("video_id") != video.video_id:
        raise ValueError(f"video {video.video_id!r}: its payload carries another video_id")
    try:
        json.dumps(dict(video.payload), allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"video {video.video_id!r}: its payload is not JSON: {error}") from error
