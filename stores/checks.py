"""Checks that every store makes before it writes or asks anything."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from twinlens.catalog.vectors import SparseVector, Vector
from twinlens.catalog.video import MAX_VIDEO_ID_LENGTH
from twinlens.stores.base import Dims, StoredVideo, VectorQuery

# Wide enough for vectors that were normalised in float32 at any length we know of.
UNIT_TOLERANCE = 1e-3


def check_videos(
    videos: Sequence[StoredVideo], dims: Dims, *, keeps_sparse: bool = True
) -> dict[str, StoredVideo]:
    """Check the videos; return them by id, with float32 vectors, the last of an id given twice.

    Float64 vectors are converted; a float32 vector is passed on as it is, never copied. A store
    that doesn't keep sparse vectors takes them under any name.

    Raises:
        ValueError: an id that is empty, too long or not that of the payload; a payload that is not
            JSON; a video with no vector; a vector of another name, kind or length, not finite or
            not of unit length; a sparse one whose indices don't rise. The text names the video.
    """
    checked: dict[str, StoredVideo] = {}
    for video in videos:
        _check_identity(video)
        if not video.vectors and not video.sparse:
            raise ValueError(f"video {video.video_id!r} has no vector")
        of = f"video {video.video_id!r}"
        vectors = {
            name: check_vector(vector, name, dims, of=of) for name, vector in video.vectors.items()
        }
        for name, sparse in video.sparse.items():
            if keeps_sparse and dims.get(name, 0) is not None:
                raise ValueError(f"{of}: this store has no sparse vector named {name!r}")
            _check_sparse(sparse, name, of=of)
        checked[video.video_id] = StoredVideo(video.video_id, video.payload, vectors, video.sparse)
    return checked


def check_queries(queries: Sequence[VectorQuery], dims: Dims) -> list[VectorQuery]:
    """Check the queries; return them with float32 vectors.

    Raises:
        ValueError: see ``check_videos`` for the vectors; a limit below 1.
    """
    checked = []
    for query in queries:
        if query.limit < 1:
            raise ValueError(f"a query's limit is at least 1, not {query.limit}")
        if dims.get(query.lens, 0) is None:
            _check_sparse(query.vector, query.lens, of="the query")
            checked.append(query)
        else:
            vector = check_vector(query.vector, query.lens, dims, of="the query")
            checked.append(VectorQuery(query.lens, vector, query.limit))
    return checked


def check_vector(vector: Vector | SparseVector, name: str, dims: Dims, *, of: str) -> Vector:
    """Check name, length and norm of ``vector``; return it as contiguous float32."""
    if name not in dims:
        raise ValueError(f"{of}: this store has no vector named {name!r}")
    if dims[name] is None:
        raise ValueError(f"{of}: the {name} vector is sparse, and this one is dense")
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


def _check_sparse(vector: object, name: str, *, of: str) -> None:
    if not isinstance(vector, SparseVector):
        raise ValueError(  # noqa: TRY004 - what every fault of a vector raises
            f"{of}: the {name} vector is {type(vector).__name__}, not a sparse one"
        )
    indices, values = vector
    if indices.dtype != np.uint32 or values.dtype != np.float32:
        raise ValueError(
            f"{of}: the {name} vector is of {indices.dtype} and {values.dtype}, not of uint32 and"
            " float32"
        )
    if indices.ndim != 1 or indices.shape != values.shape or not indices.size:
        raise ValueError(
            f"{of}: the {name} vector has shapes {indices.shape} and {values.shape}, not two alike"
        )
    if not (indices[1:] > indices[:-1]).all():
        raise ValueError(f"{of}: the indices of the {name} vector don't rise")
    if not np.isfinite(values).all():
        raise ValueError(f"{of}: the {name} vector has values that are not finite")


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
