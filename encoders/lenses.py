"""The lenses that come with the product, and those that other packages register."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from PIL import Image

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.images import decode_image
from twinlens.catalog.vectors import AnyVector, SparseVector, Vector, find_direction, find_share
from twinlens.catalog.video import Video, read_title
from twinlens.encoders import load
from twinlens.encoders.base import Encoder, TextThumbnailEncoder, ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lens import ItemT, Lens, Lenses, LensOptions, Picture, Query
from twinlens.encoders.words import (
    LETTERS_FINGERPRINT,
    NAME_WEIGHTS,
    SOUNDS_FINGERPRINT,
    WORDS_FINGERPRINT,
    Label,
    measure_coverage,
    weigh_query,
    weigh_query_letters,
    weigh_query_sounds,
    weigh_title,
    weigh_title_letters,
    weigh_title_sounds,
)

ENTRY_POINTS: Final = "twinlens.lenses"
TITLE: Final = "title"
THUMBNAIL: Final = "thumbnail"
WORDS: Final = "words"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
EncoderT = TypeVar("EncoderT", bound=Encoder[Any])
# Beside the lenses' own counts, in a manifest.
_RESERVED: Final = frozenset({"videos"})


class _ByEncoder(Lens[ItemT], Generic[ItemT, EncoderT]):
    """A lens whose vectors are those of an encoder."""

    def __init__(self, encoder: EncoderT) -> None:
        self.encoder = encoder

    @property
    def model(self) -> str:
        """The encoder's name."""
        return self.encoder.name

    @property
    def fingerprint(self) -> str:
        """The encoder's."""
        return self.encoder.fingerprint

    @property
    def dim(self) -> int:
        """The encoder's."""
        return self.encoder.dim

    def encode(self, items: Sequence[ItemT]) -> Sequence[Vector]:
        """See ``Lens.encode``."""
        return list(self.encoder.encode(items))

    def _find_middle(self, asked: list[Vector], query: Query) -> Vector | None:
        """Return the middle of what was asked and of what is stored of the query's video."""
        stored = query.stored(self.name)
        if stored is not None and not isinstance(stored, SparseVector):
            asked.append(stored)
        return find_direction(asked) if asked else None


class TitleLens(_ByEncoder[str, TitleEncoder]):
    """Looks at the title's meaning."""

    name = TITLE
    about = "the meaning of the title"
    # docs/decisions/0012-fusion-settings.md says why these weights.
    weight = 1.0

    @classmethod
    def open(cls, options: LensOptions) -> Self:
        """See ``Lens.open``."""
        return cls(
            load.load_title_encoder(
                options.model or "",
                threads=options.threads,
                runtime=options.title_runtime,
                cache_dir=options.cache_dir,
            )
        )

    def looks_at(self, video: Video, picture: Picture | None) -> str | None:
        """Return the title."""
        return video.title

    def ask(self, query: Query) -> AnyVector | None:
        """Return the middle of the text's direction and of the stored title's."""
        asked: list[Vector] = []
        if query.text is not None:
            asked.append(self.encoder.encode_queries([query.text])[0])
        return self._find_middle(asked, query)


class ThumbnailLens(_ByEncoder[Image.Image, ThumbnailEncoder]):
    """Looks at the thumbnail. Texts can't ask it unless its encoder has a text side."""

    name = THUMBNAIL
    about = "the thumbnail"

    @classmethod
    def open(cls, options: LensOptions) -> Self:
        """See ``Lens.open``."""
        model = options.model or load.PACKAGED_DENOISER
        return cls(load.load_thumbnail_encoder(model, threads=options.threads))

    def looks_at(self, video: Video, picture: Picture | None) -> str | None:
        """Return the picture, by its digest."""
        return None if picture is None else picture.digest

    def item(self, video: Video, picture: Picture | None) -> Image.Image:
        """Return the decoded picture, no larger than the encoder makes use of."""
        if picture is None:
            raise ValueError("no picture to decode")
        return self._decode(picture.read())

    def ask(self, query: Query) -> AnyVector | None:
        """Return the middle of what the text, the picture and the stored thumbnail point to."""
        asked: list[Vector] = []
        if query.text is not None and isinstance(self.encoder, TextThumbnailEncoder):
            asked.append(self.encoder.encode_queries([query.text])[0])
        if query.picture is not None:
            asked.append(self.encoder.encode([self._decode(query.picture)])[0])
        return self._find_middle(asked, query)

    def warm(self) -> None:
        """Encode a grey picture."""
        self.encoder.encode([Image.new("RGB", self.encoder.input_size, "grey")])

    def _decode(self, data: bytes) -> Image.Image:
        return decode_image(data, at_least=self.encoder.input_size)


class Titled(NamedTuple):
    """A title, and the names of other fields, each after its field."""

    title: str
    names: Sequence[tuple[Label, str]]


class WordsLens(Lens[Titled]):
    """Looks at the words of the title, their sound and pieces; see ``encoders/words.py``.

    And at the names of the channel, the tags and the category, by which it is asked by text alone.
    """

    name = WORDS
    about = "the words of the title, and the names of the channel, the tags and the category"
    weight = 5.0
    dim = None
    fingerprint = WORDS_FINGERPRINT

    @classmethod
    def open(cls, options: LensOptions) -> Self | SoundsLens:
        """See ``Lens.open``; for vectors made by an older rule, what made those."""
        older = (SoundsLens, LettersLens)
        return next((one() for one in older if one.fingerprint == options.fingerprint), cls())

    def looks_at(self, video: Video, picture: Picture | None) -> str | None:
        """Return the title, and the names if there are any."""
        if video.title is None:
            return None
        _, names = self.item(video, picture)
        return json.dumps([video.title, names], ensure_ascii=False) if names else video.title

    def item(self, video: Video, picture: Picture | None) -> Titled:
        """Return the title with the names."""
        names = [(field, name) for field in NAME_WEIGHTS for name in video.list_texts(field)]
        return Titled(video.title or "", names)

    def encode(self, items: Sequence[Titled]) -> Sequence[SparseVector | None]:
        """See ``Lens.encode``."""
        return [weigh_title(*item) for item in items]

    def ask(self, query: Query) -> SparseVector | None:
        """Return the words of the text and of the stored title together."""
        return weigh_query(_join_texts(query))

    def measure_coverage(self, asked: SparseVector, held: SparseVector | None) -> float:
        """See ``Lens.measure_coverage``; letters, sounds or a whole name, whichever is most."""
        return measure_coverage(asked, held)


class SoundsLens(WordsLens):
    """Words without names, as an index holds them that was made before there were any."""

    about = "the words of the title"
    fingerprint = SOUNDS_FINGERPRINT

    def item(self, video: Video, picture: Picture | None) -> Titled:
        """Return the title alone."""
        return Titled(video.title or "", ())

    def encode(self, items: Sequence[Titled]) -> Sequence[SparseVector | None]:
        """See ``Lens.encode``."""
        return [weigh_title_sounds(item.title) for item in items]

    def ask(self, query: Query) -> SparseVector | None:
        """Return the words of the text and of the stored title together."""
        return self._weigh_query(_join_texts(query))

    def measure_coverage(self, asked: SparseVector, held: SparseVector | None) -> float:
        """See ``Lens.measure_coverage``; letters or sounds, whichever is more."""
        return measure_coverage(asked, held, has_names=False)

    def _weigh_query(self, text: str) -> SparseVector | None:
        return weigh_query_sounds(text)


class LettersLens(SoundsLens):
    """Words without their sound, as an index holds them that was made before there were sounds."""

    fingerprint = LETTERS_FINGERPRINT

    def encode(self, items: Sequence[Titled]) -> Sequence[SparseVector | None]:
        """See ``Lens.encode``."""
        return [weigh_title_letters(item.title) for item in items]

    def measure_coverage(self, asked: SparseVector, held: SparseVector | None) -> float:
        """See ``Lens.measure_coverage``."""
        return find_share(asked, held)

    def _weigh_query(self, text: str) -> SparseVector | None:
        return weigh_query_letters(text)


def _join_texts(query: Query) -> str:
    """Return the text and the title of the stored video, as many as there are."""
    texts = [] if query.text is None else [query.text]
    if query.video is not None:
        texts.append(read_title(query.video.payload))
    return " ".join(texts)


# One line each adds a lens. Their order is that of JSON and of whatever is listed.
_OWN: Final[tuple[type[Lens[Any]], ...]] = (TitleLens, WordsLens, ThumbnailLens)
DEFAULT_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {lens.name: lens.weight for lens in _OWN}
)


@cache
def find_lenses() -> Mapping[str, type[Lens[Any]]]:
    """Return the class of every lens by its name: ours, then those of other packages by name.

    Other packages register theirs as entry points of the group ``twinlens.lenses``.

    Raises:
        EncoderUnavailable: one can't be imported, is no lens, or has a name that can't be used.
    """
    found = {lens.name: lens for lens in _OWN}
    for where, lens in _load_registered():
        if not (isinstance(lens, type) and issubclass(lens, Lens)):
            raise EncoderUnavailable(f"{where} is registered as a lens, and is no subclass of Lens")
        name = getattr(lens, "name", "")
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise EncoderUnavailable(
                f"the lens {where} is named {name!r}; a name has lower-case letters, digits and "
                "underscores, begins with a letter, and is not videos"
            )
        if name in found:
            raise EncoderUnavailable(f"the lens {where} is named {name}, as another one is")
        if not (math.isfinite(lens.weight) and lens.weight >= 0):
            raise EncoderUnavailable(f"the lens {where} has the weight {lens.weight}")
        found[name] = lens
    return MappingProxyType(found)


def open_lenses(
    models: Mapping[str, str],
    options: LensOptions,
    *,
    names: Collection[str] | None = None,
    fingerprints: Mapping[str, str] = MappingProxyType({}),
) -> Lenses:
    """Open every registered lens, with its model of ``models`` where that names one.

    With ``names``, those alone; ``fingerprints`` are of the vectors that they are to ask.

    Raises:
        EncoderUnavailable: one can't be had.
    """
    missing = sorted(set(names or ()) - find_lenses().keys())
    if missing:
        raise EncoderUnavailable(
            f"no lens named {', '.join(missing)} is installed here, and the index has vectors of it"
        )
    return {
        name: lens.open(
            replace(options, model=models.get(name), fingerprint=fingerprints.get(name))
        )
        for name, lens in find_lenses().items()
        if names is None or name in names
    }


def make_own_lenses(title_encoder: TitleEncoder, thumbnail_encoder: ThumbnailEncoder) -> Lenses:
    """Return the lenses that come with the product, over these encoders."""
    given: Lenses
    given = {TITLE: TitleLens(title_encoder), THUMBNAIL: ThumbnailLens(thumbnail_encoder)}
    return {lens.name: given.get(lens.name) or lens.open(LensOptions()) for lens in _OWN}


def _load_registered() -> Iterator[tuple[str, Any]]:
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        try:
            yield point.value, point.load()
        except Exception as error:
            raise EncoderUnavailable(
                f"the lens {point.value}, registered as {point.name}, can't be loaded: {error!r}"
            ) from error
