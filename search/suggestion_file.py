"""The file of what can be suggested of a generation: how it is written, and what both sides know.

It is a safetensors file of sorted arrays, to be mapped into memory: each word of a title begins a
stretch of text, the stretches stand in the order of their bytes, and a tree over them finds the
most popular ones of those that begin alike. ``docs/decisions/0049-suggestions.md`` has why.
"""

from __future__ import annotations

import json
import mmap
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import regex
import safetensors.numpy

from twinlens.catalog.files import write_atomically
from twinlens.catalog.video import read_thumbnail_file
from twinlens.encoders.sounds import SOUNDS_VERSION, sound_out
from twinlens.encoders.words import fold_words
from twinlens.stores.base import Payload

# Raised whenever an older program could no longer read the file right.
SUGGESTIONS_FORMAT: Final = 1

SuggestionKind = Literal["title", "channel", "tag"]
KINDS: Final[tuple[SuggestionKind, ...]] = get_args(SuggestionKind)
LETTERS: Final = "letters"
SOUNDS: Final = "sounds"

# Of a title, and of what is typed: what stands further back nobody types first.
MOST_WORDS: Final = 16
# Of a stretch: those that begin alike for so long stand in no order.
SORTED_BYTES: Final = 64
# Behind each text; in none.
END: Final = b"\n"
# Of scripts without spaces, any character may begin what is typed.
_UNSPACED: Final = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}&&\p{L}]", regex.V1
)
_SPACE: Final = re.compile(b" ")
_KINDS_OF_NUMBERS: Final[Mapping[str, Literal["B", "I"]]] = {"U8": "B", "U32": "I"}
# Near words become equal when each loses a letter or two of its first seven: the symmetric deletes
# of SymSpell, W. Garbe 2012.
_NEAR_LETTERS: Final = 7
_LEAST_FOR_TWO: Final = 6
_LEAST_CORRECTED: Final = 3
_MOST_KNOWN: Final = 200_000


class _Entry(NamedTuple):
    """What can be suggested: the words it is found by, and what is shown of it, as JSON values."""

    words: Sequence[str]
    shown: Sequence[Any]


def write_suggestions(path: Path, payloads: Iterable[Payload]) -> None:
    """Write what is suggested of these videos to ``path``, in whole or not at all."""
    gathered = _gather(payloads)
    counts: Counter[str] = Counter()
    for entries in gathered.values():
        for entry in entries:
            counts.update(dict.fromkeys(entry.words, 1))
    # Each word's once: to hear it takes longest.
    sounds = {word: hear(word) for word in counts}
    arrays = _lay_out_words(counts, sounds)
    for kind, entries in gathered.items():
        arrays |= _lay_out_texts(f"{kind}.shown", [_to_json(one.shown) for one in entries], end=b"")
        letters = [spell(one.words) for one in entries]
        heard = [spell([sounds[word] for word in one.words]) for one in entries]
        arrays |= _lay_out_stretches(f"{kind}.{LETTERS}", letters)
        arrays |= _lay_out_stretches(f"{kind}.{SOUNDS}", heard)
    metadata = {"format": str(SUGGESTIONS_FORMAT), "sounds": SOUNDS_VERSION}
    write_atomically(path, safetensors.numpy.save(arrays, metadata))


def _gather(payloads: Iterable[Payload]) -> dict[SuggestionKind, list[_Entry]]:
    """Return what can be suggested, of each kind the most popular first."""
    titles: dict[str, tuple[int, str, Sequence[str], Payload]] = {}
    names: dict[SuggestionKind, Counter[str]] = {"channel": Counter(), "tag": Counter()}
    for payload in payloads:
        title = payload.get("title")
        words = fold(title) if isinstance(title, str) else []
        if words:
            # Of videos whose titles are the same, the most popular one.
            one = (-(payload.get("view_count") or 0), payload["video_id"], words, payload)
            folded = " ".join(words)
            titles[folded] = min(one, titles.get(folded, one), key=lambda it: it[:2])
        if channel := payload.get("channel"):
            names["channel"][channel] += 1
        names["tag"].update(set(payload.get("tags") or ()))
    gathered: dict[SuggestionKind, list[_Entry]] = {
        "title": [
            _Entry(words, [one["title"], one["video_id"], read_thumbnail_file(one) is not None])
            for _, _, words, one in sorted(titles.values(), key=lambda it: it[:2])
        ]
    }
    for kind, counted in names.items():
        # Of spellings that differ in case or accents alone, the most frequent one.
        spelt: dict[str, _Entry] = {}
        for name, videos in sorted(counted.items(), key=lambda it: (-it[1], it[0])):
            if words := fold(name):
                spelt.setdefault(" ".join(words), _Entry(words, [name, videos]))
        gathered[kind] = list(spelt.values())
    return gathered


def fold(text: str) -> list[str]:
    """Return the words of ``text`` that count, as they are compared."""
    return [word.folded for word in islice(fold_words(text), MOST_WORDS)]


def _to_json(values: Sequence[Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def _lay_out_texts(
    name: str, texts: Iterable[bytes], *, end: bytes = END
) -> dict[str, npt.NDArray[Any]]:
    """Return texts one behind the other, and where each begins; one more number is the end."""
    laid = [text + end for text in texts]
    starts = np.zeros(len(laid) + 1, dtype=np.uint32)
    np.cumsum([len(one) for one in laid], out=starts[1:])
    return {name: np.frombuffer(b"".join(laid), dtype=np.uint8), f"{name}.starts": starts}


def _lay_out_stretches(name: str, spelt: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    """Return the texts of entries, where words begin in the order of what follows, and a tree.

    A leaf of the tree is the number of the stretch's entry, and so many more as there are entries
    where it is not the beginning of the text. Each other node is the least of the two below it.
    """
    texts = _lay_out_texts(name, spelt)
    joined, starts = texts[name].tobytes(), texts[f"{name}.starts"].tolist()
    begun: list[tuple[bytes, int, int]] = []
    for number, start in enumerate(starts[:-1]):
        for at in _find_beginnings(joined[start : starts[number + 1]]):
            place = start + at
            rank = number if at == 0 else number + len(spelt)
            begun.append((joined[place : place + SORTED_BYTES], rank, place))
    begun.sort()
    leaves = 1 << max(0, len(begun) - 1).bit_length()
    tree = np.full(2 * leaves, np.iinfo(np.uint32).max, dtype=np.uint32)
    tree[leaves : leaves + len(begun)] = [rank for _, rank, _ in begun]
    size = leaves
    while size > 1:
        size //= 2
        tree[size : 2 * size] = tree[2 * size : 4 * size].reshape(-1, 2).min(axis=1)
    places = np.array([place for _, _, place in begun], dtype=np.uint32)
    return texts | {f"{name}.places": places, f"{name}.tree": tree}


def _find_beginnings(text: bytes) -> list[int]:
    """Return where in a text, which ends with a space and ``END``, something may begin."""
    found = [0, *(space.end() for space in _SPACE.finditer(text))][:-1]
    if text.isascii():
        return found
    read = text.decode()
    if not (unspaced := [one.start() for one in _UNSPACED.finditer(read)]):
        return found
    sizes = np.cumsum([0, *(len(one.encode()) for one in read)])
    return sorted({*found, *(int(sizes[at]) for at in unspaced)})


def _lay_out_words(counts: Counter[str], sounds: Mapping[str, str]) -> dict[str, npt.NDArray[Any]]:
    """Return the known words in the order of their bytes, their counts, and keys to near ones."""
    often = (word for word, _ in counts.most_common(_MOST_KNOWN))
    known = sorted(often, key=lambda word: normalize(word).encode() + END)
    keys: list[int] = []
    owners: list[int] = []
    for number, word in enumerate(known):
        of_word = make_near_keys(word, sounds[word])
        keys += of_word
        owners += [number] * len(of_word)
    near = np.array(keys, dtype=np.uint32)
    order = np.argsort(near, kind="stable")
    return _lay_out_texts("words", (normalize(word).encode() for word in known)) | {
        "words.counts": np.array([counts[word] for word in known], dtype=np.uint32),
        "near.keys": near[order],
        "near.words": np.array(owners, dtype=np.uint32)[order],
    }


# ---- what is compared


def normalize(folded: str) -> str:
    """Return a folded word, decomposed.

    So a syllable half typed, of Hangul or with a vowel of two parts, begins the whole one.
    """
    return unicodedata.normalize("NFD", folded)


def spell(words: Sequence[str], *, is_open: bool = False) -> bytes:
    """Return words as texts have them; if ``is_open``, the last may go on."""
    return (normalize(" ".join(words)) + ("" if is_open else " ")).encode()


def hear(word: str) -> str:
    """Return how a word sounds, spelt; what has no sound is as it is."""
    sound = sound_out(word)
    return sound.spelling if sound else word


def make_near_keys(word: str, sound: str) -> list[int]:
    """Return what this word has in common with near ones: itself less some letters, and its sound.

    The sound's is the last. Words of fewer than three letters are near none.
    """
    if len(word) < _LEAST_CORRECTED or not word[0].isalpha():
        return []
    first = word[:_NEAR_LETTERS]
    sizes = range(len(first) - count_allowed(word), len(first) + 1)
    left = {"".join(kept) for size in sizes for kept in combinations(first, size)}
    return [*map(_hash, left), _hash(f"<{sound}>")]


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())


def count_allowed(word: str) -> int:
    """Return how many letters of ``word`` may be mistyped."""
    return 2 if len(word) >= _LEAST_FOR_TWO else 1


def map_arrays(path: Path) -> tuple[dict[str, memoryview], Mapping[str, str]]:
    """Return the arrays of a safetensors file, mapped into memory, and what it says of itself.

    Raises:
        OSError, LookupError, TypeError, ValueError: it is none.
    """
    with path.open("rb") as file:
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    data = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(bytes(whole[8:data]))
    metadata = header.pop("__metadata__")
    views = {}
    for name, told in header.items():
        start, end = told["data_offsets"]
        views[name] = whole[data + start : data + end].cast(_KINDS_OF_NUMBERS[told["dtype"]])
    return views, metadata
