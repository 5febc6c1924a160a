"""A BERT with random weights: its vectors mean nothing, its files are as those of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def save_small_bert(path: Path, words: Sequence[str]) -> None:
    """Write one of eight numbers, that knows ``words`` and reads 32 pieces of a text."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path.mkdir(parents=True, exist_ok=True)
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (path / "vocab.txt").write_text("\n".join(known))
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    shape |= {"intermediate_size": 16, "max_position_embeddings": 32, "vocab_size": len(known)}
    BertModel(BertConfig(**shape)).save_pretrained(path)
    BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
