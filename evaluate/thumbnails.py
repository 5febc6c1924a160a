"""Thumbnail encoders set against each other: is a damaged picture found, are neighbours alike?

Everything is by cosine, as in the index. A vector of zeros is as far from all others as from
itself. Similarities within 1e-6 are ties, and count as ties broken at random would on average.
docs/decisions/0009-measuring-thumbnail-encoders.md says why it is measured so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from twinlens.catalog.errors import UsageError
from twinlens.catalog.images import decode_image
from twinlens.catalog.sources.pictures import name_some, read_pictures
from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.base import ThumbnailEncoder
from twinlens.encoders.load import load_thumbnail_encoder
from twinlens.encoders.thumbnails.evaluate import measure_effective_rank
from twinlens.encoders.thumbnails.pictures import fit_picture
from twinlens.evaluate.distortions import DISTORTIONS
from twinlens.evaluate.measures import Mean, bootstrap_mean

# Recall at 1 and at 10; likeness of the nearest one and of the nearest ten.
DEPTHS: Final = (1, 10)
# Rounding of a float32 product of unit vectors; identical rows may differ by as much.
_TIE: Final = 1e-6
# Rows compared with all others at a time: all at once would take gigabytes from 20,000 on.
_BLOCK: Final = 1024
_WHOLE: Final = ""  # in place of a distortion's name
_CHUNK: Final = 16  # pictures in memory at a time, each with its distorted copies

Shares = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


class Pixels:
    """The picture at 32x24 without black bars, less its own mean: what a network must beat.

    It is blind to brightness, as contrast is to cosine.
    """

    name = fingerprint = "pixels"
    input_size = (32, 24)
    dim = 32 * 24 * 3

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Float32 (len(items), 2304)."""
        fitted = [fit_picture(item, size=self.input_size) for item in items]
        rows: FloatMatrix = np.array(fitted, dtype=np.float32).reshape(len(items), self.dim)
        rows -= rows.mean(axis=1, keepdims=True)
        return rows


def load_encoder(name: str) -> ThumbnailEncoder:
    """``pixels``, or what ``--thumbnail-model`` takes; loaded, before any picture is read.

    Raises:
        EncoderUnavailable: there is no such model, or its files are incomplete.
    """
    encoder = Pixels() if name == Pixels.name else load_thumbnail_encoder(name)
    encoder.encode([])
    return encoder


class Recall(NamedTuple):
    """In how many cases the original is found: by distortion, and over those of each kind."""

    by_distortion: Mapping[str, Mean]
    all: Mean
    seen: Mean
    unseen: Mean


class Health(NamedTuple):
    """What a code makes of its outputs over all pictures.

    ``dead_outputs`` are the same for every picture, ``ever_nonzero`` are not 0 for some picture;
    ``zero_vectors`` counts pictures that get nothing but zeros. ``effective_rank`` is between 1
    and ``dim``, of the vectors at unit length.
    """

    dim: int
    dead_outputs: int
    ever_nonzero: int
    zero_vectors: int
    effective_rank: float


class EncoderReport(NamedTuple):
    """What was measured of one encoder; recall is by depth.

    Likeness is the share of the nearest pictures that have the same category, by depth, for the
    pictures asked and for all; ``1_above_pixels`` is the paired difference to pixels. It is empty
    where too few pictures have a category.
    """

    name: str
    recall: Mapping[str, Recall]
    likeness_asked: Mapping[str, Mean]
    likeness_all: Mapping[str, Mean]
    health: Health


class ThumbnailReport(NamedTuple):
    """What was measured over so many pictures, of which ``asked`` were damaged and looked for."""

    source: str
    pictures: int
    categories: int
    asked: int
    left_out: Sequence[str]
    encoders: Sequence[EncoderReport]


def measure_thumbnails(
    source: str, encoders: Mapping[str, ThumbnailEncoder], *, ask_all: bool = False
) -> ThumbnailReport:
    """Measure how damaged copies are found, whether neighbours share a category, and health.

    All readable pictures of ``source`` are searched, encoded as they lie there (some 30 KB each).
    Asked are those that training leaves out, as in ``twinlens train-thumbnails``, or all.

    Raises:
        UsageError: fewer than 64 can be read (the message names the others), or none is held out.
    """
    # Torch takes seconds, and an encoder that is not there has been refused by now.
    from twinlens.encoders.thumbnails.training import MIN_PICTURES, is_held_out

    left_out: list[str] = []
    readable = read_pictures(source, left_out=left_out)
    read = tqdm(readable, desc=f"reading {source}", unit=" pictures")
    found = [(one.video, one.data) for one in read]
    if len(found) < MIN_PICTURES:
        why = f"{len(found)} readable pictures; at least {MIN_PICTURES} are needed"
        others = f" (left out: {name_some(left_out)})" if left_out else ""
        raise UsageError(f"{source}: {why}{others}")
    asked = np.flatnonzero([ask_all or is_held_out(video.video_id) for video, _ in found])
    if not len(asked):
        raise UsageError(
            f"{source}: none of {len(found)} pictures is held out; --ask all asks for every one"
        )
    codes = _encode(encoders, [data for _, data in found], asked)
    categories = np.array([video.text("category") or "" for video, _ in found])
    (labelled,) = np.nonzero(categories)
    kinds = categories[labelled]
    alike: dict[str, dict[str, Shares]] = {}
    for name in encoders:
        rows = scale_to_unit(codes[name, _WHOLE][labelled])
        depths = DEPTHS if len(rows) > max(DEPTHS) else ()
        alike[name] = {str(depth): share_category(rows, kinds, within=depth) for depth in depths}
    for name, shares in alike.items():
        if shares and name != Pixels.name and Pixels.name in alike:
            shares["1_above_pixels"] = shares["1"] - alike[Pixels.name]["1"]
    among = np.isin(labelled, asked)
    reports = [
        EncoderReport(
            name,
            {str(depth): _measure_recall(codes, name, asked, depth) for depth in DEPTHS},
            {key: bootstrap_mean(of[among]) for key, of in alike[name].items() if among.any()},
            {key: bootstrap_mean(of) for key, of in alike[name].items()},
            check_health(codes[name, _WHOLE]),
        )
        for name in encoders
    ]
    return ThumbnailReport(source, len(found), len(set(kinds)), len(asked), left_out, reports)


def _encode(
    encoders: Mapping[str, ThumbnailEncoder], pictures: Sequence[bytes], asked: Places
) -> dict[tuple[str, str], FloatMatrix]:
    """Codes by encoder and distortion; under ``_WHOLE`` those of all pictures, undamaged.

    Each picture is decoded once and distorted once for all encoders.
    """
    codes: dict[tuple[str, str], list[FloatMatrix]] = defaultdict(list)
    wanted = set(asked.tolist())
    for start in tqdm(range(0, len(pictures), _CHUNK), desc=f"encoding, {_CHUNK} pictures each"):
        images = [decode_image(data) for data in pictures[start : start + _CHUNK]]
        inside = [image for at, image in enumerate(images, start) if at in wanted]
        for name, encoder in encoders.items():
            codes[name, _WHOLE].append(encoder.encode(images))
        for distortion in DISTORTIONS:
            changed = [distortion.apply(image) for image in inside]
            for name, encoder in encoders.items():
                codes[name, distortion.name].append(encoder.encode(changed))
    return {key: np.concatenate(rows) for key, rows in codes.items()}


def _measure_recall(
    codes: Mapping[tuple[str, str], FloatMatrix], encoder: str, asked: Places, depth: int
) -> Recall:
    unit = {of: scale_to_unit(rows) for (name, of), rows in codes.items() if name == encoder}
    gallery = unit.pop(_WHOLE)
    shares = {of: find_originals(rows, gallery, asked, within=depth) for of, rows in unit.items()}

    def average(*seen: bool) -> Mean:
        group = [shares[one.name] for one in DISTORTIONS if one.seen in seen]
        return bootstrap_mean(np.mean(group, axis=0))

    by_distortion = {name: bootstrap_mean(values) for name, values in shares.items()}
    return Recall(by_distortion, average(True, False), average(True), average(False))


def scale_to_unit(codes: FloatMatrix) -> FloatMatrix:
    """Return rows of ``codes`` at unit length; rows of zeros stay."""
    norms = np.linalg.norm(codes, axis=1, keepdims=True)
    unit: FloatMatrix = np.divide(codes, norms, where=norms > 0, out=np.zeros_like(codes))
    return unit


def find_originals(
    queries: FloatMatrix, gallery: FloatMatrix, places: Places, *, within: int
) -> Shares:
    """For each query, 1 where the row of ``gallery`` at its place is among the first ``within``.

    Rows are of unit length, or zero. Where others tie with that row, its chance to be among them.
    """
    shares = np.empty(len(places))
    for start in range(0, len(places), _BLOCK):
        block = slice(start, start + _BLOCK)
        similarity = queries[block] @ gallery.T
        own = np.take_along_axis(similarity, places[block, None], axis=1)
        before = (similarity > own + _TIE).sum(axis=1)
        tied = (np.abs(similarity - own) <= _TIE).sum(axis=1)
        shares[block] = np.clip((within - before) / tied, 0.0, 1.0)
    return shares


def share_category(
    gallery: FloatMatrix, categories: npt.NDArray[np.str_], *, within: int
) -> Shares:
    """For each row, the share of its nearest ``within`` rows that are of its category.

    Rows are of unit length, or zero. The row itself is left out. Where rows tie for the last of
    the places, each fills a part.
    """
    shares = np.empty(len(gallery))
    for start in range(0, len(gallery), _BLOCK):
        asked = np.arange(start, min(start + _BLOCK, len(gallery)))
        similarity = gallery[asked] @ gallery.T
        similarity[np.arange(len(asked)), asked] = -np.inf
        last = -np.partition(-similarity, within - 1, axis=1)[:, within - 1 : within]
        inside = similarity > last + _TIE
        tied = np.abs(similarity - last) <= _TIE
        same = categories[asked, None] == categories
        part = (within - inside.sum(axis=1)) / tied.sum(axis=1)
        alike = (same & inside).sum(axis=1) + part * (same & tied).sum(axis=1)
        shares[asked] = alike / within
    return shares


def check_health(codes: FloatMatrix) -> Health:
    """Of ``codes`` as the encoder gave them, float32 (n, dim)."""
    largest = float(np.abs(codes).max(initial=0.0))
    return Health(
        dim=codes.shape[1],
        dead_outputs=int((np.ptp(codes, axis=0) <= 1e-6 * largest).sum()),
        ever_nonzero=int((codes != 0).any(axis=0).sum()),
        zero_vectors=int((~codes.any(axis=1)).sum()),
        effective_rank=measure_effective_rank(scale_to_unit(codes)),
    )
