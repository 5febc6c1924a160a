"""The vocabulary of multilingual-e5-small as a SentencePiece model, with its normalisation."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twinlens.encoders.e5.packed import PackedE5

BEGIN: Final = 0
END: Final = 2
_UNKNOWN: Final = 3
_CONTROLS: Final = ("<s>", "<pad>", "</s>", "<mask>")


def write_tokenizer(packed: PackedE5, path: Path) -> None:
    """Write a Unigram model that any SentencePiece reads; its numbers are those of the weights.

    Source: Kudo 2018, "Subword regularization".
    """
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.normalizer_spec.ParseFromString(make_normalization(packed))
    trainer = model.trainer_spec
    trainer.model_type = trainer.UNIGRAM
    trainer.bos_id, trainer.pad_id, trainer.eos_id, trainer.unk_id = BEGIN, 1, END, _UNKNOWN
    kinds = model.SentencePiece
    for number, (piece, score) in enumerate(zip(packed.pieces, packed.scores, strict=True)):
        text = piece.decode()
        kind = kinds.CONTROL if text in _CONTROLS else kinds.NORMAL
        kind = kinds.UNKNOWN if number == _UNKNOWN else kind
        model.pieces.add(piece=text, score=score, type=kind)
    path.write_bytes(model.SerializeToString())


def make_normalization(packed: PackedE5) -> bytes:
    """Return the replacements as a serialized ``NormalizerSpec``; spaces are trimmed and merged."""
    import sentencepiece

    sentencepiece.set_min_log_level(2)  # it tells about every map that it reads
    normalizer = sentencepiece.SentencePieceNormalizer(
        norm_map=list(packed.replaced.items()),
        add_dummy_prefix=True,
        remove_extra_whitespaces=True,
        escape_whitespaces=True,
    )
    return bytes(normalizer.serialized_normalizer_spec())
