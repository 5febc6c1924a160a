"""From work to vectors: both encoders at once, and the items that neither can encode set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twinlens.catalog.errors import UnencodableItems
from twinlens.catalog.timing import StageTimes
from twinlens.catalog.vectors import Vector
from twinlens.catalog.video import DENSE_VECTORS, VectorName
from twinlens.encoders.base import Encoder, ThumbnailEncoder, TitleEncoder
from twinlens.indexer.prepare import Work


class BatchEncoder:
    """Runs the two encoders side by side; counts in ``encoded`` what each has encoded."""

    def __init__(
        self, title_encoder: TitleEncoder, thumbnail_encoder: ThumbnailEncoder, times: StageTimes
    ) -> None:
        self._title_encoder = title_encoder
        self._thumbnail_encoder = thumbnail_encoder
        self._times = times
        # Tokenizing titles keeps one core busy, and leaves the others to the thumbnails.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="encode-titles")
        self.encoded = dict.fromkeys(DENSE_VECTORS, 0)

    def encode(self, works: Sequence[Work]) -> tuple[list[dict[VectorName, Vector]], set[int]]:
        """The vectors asked for by each work, and the indexes of works that can't be encoded."""
        titles = {
            index: work.video.title
            for index, work in enumerate(works)
            if VectorName.TITLE in work.encode
        }
        pictures = {
            index: work.picture for index, work in enumerate(works) if work.picture is not None
        }
        titles_encoded = self._beside.submit(
            self._encoded, VectorName.TITLE, self._title_encoder, titles
        )
        try:
            found = {
                VectorName.THUMBNAIL: self._encoded(
                    VectorName.THUMBNAIL, self._thumbnail_encoder, pictures
                )
            }
        finally:
            found_titles = titles_encoded.result()
        found[VectorName.TITLE] = found_titles

        vectors: list[dict[VectorName, Vector]] = [{} for _ in works]
        for name, by_index in found.items():
            for index, vector in by_index.items():
                vectors[index][name] = vector
        wanted = {VectorName.TITLE: titles.keys(), VectorName.THUMBNAIL: pictures.keys()}
        unencodable = {index for name in found for index in wanted[name] - found[name].keys()}
        return vectors, unencodable

    def close(self) -> None:
        """Let go of the thread."""
        self._beside.shutdown()

    def _encoded(
        self, name: VectorName, encoder: Encoder[Any], items: Mapping[int, Any]
    ) -> dict[int, Vector]:
        with self._times.stage(f"encode {name}s"):
            try:
                matrix = encoder.encode(list(items.values()))
            except UnencodableItems as error:
                indexes = list(items)
                bad = {indexes[row] for row in error.rows}
                good = {index: item for index, item in items.items() if index not in bad}
                items, matrix = good, encoder.encode(list(good.values()))
        self.encoded[name] += len(items)
        return dict(zip(items, matrix, strict=True))
