"""The weights of the package's multilingual-e5-small as a sentence-transformers model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from twinlens.encoders.e5.packed import PackedE5, Quantized
from twinlens.encoders.e5.vocabulary import make_normalization

# Those of torch by ours, in a layer.
_MATRICES: Final = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "intermediate.dense": "fi",
    "output.dense": "fo",
}
_NORMS: Final = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}
_SPECIAL: Final = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
}


def write_for_torch(packed: PackedE5, path: Path) -> Path:
    """Write the model, and return the folder, which ``SentenceEncoder`` loads.

    Its folder has to be called ``multilingual-e5-small``, or it gets no prompts.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    base = path.with_name("base")
    _make_network(packed).save_pretrained(base)
    _make_tokenizer(packed).save_pretrained(base)
    network = Transformer(str(base), max_seq_length=packed.positions)
    pooling = Pooling(packed.width, pooling_mode="mean")
    SentenceTransformer(modules=[network, pooling]).save(str(path))
    return path


def _make_network(packed: PackedE5) -> Any:
    import torch
    from transformers import BertConfig, BertModel

    def take(name: str) -> torch.Tensor:
        found = packed.weights[name]
        whole = found.restore() if isinstance(found, Quantized) else found.copy()
        return torch.from_numpy(whole)

    state = {
        "embeddings.word_embeddings.weight": take("emb.word"),
        "embeddings.position_embeddings.weight": take("emb.pos").reshape(-1, packed.width),
        "embeddings.token_type_embeddings.weight": take("emb.type").reshape(-1, packed.width),
        "embeddings.LayerNorm.weight": take("emb.ln.w"),
        "embeddings.LayerNorm.bias": take("emb.ln.b"),
    }
    for layer in range(packed.layers):
        for theirs, ours in (_MATRICES | _NORMS).items():
            name = f"encoder.layer.{layer}.{theirs}"
            state[f"{name}.weight"] = take(f"l{layer}.{ours}.w")
            state[f"{name}.bias"] = take(f"l{layer}.{ours}.b")
    network = BertModel(
        BertConfig(
            vocab_size=len(state["embeddings.word_embeddings.weight"]),
            hidden_size=packed.width,
            num_hidden_layers=packed.layers,
            num_attention_heads=packed.heads,
            intermediate_size=4 * packed.width,
            max_position_embeddings=packed.positions,
            layer_norm_eps=packed.epsilon,
        ),
        add_pooling_layer=False,
    )
    network.load_state_dict(state)
    return network


def _make_tokenizer(packed: PackedE5) -> Any:
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    spec = sentencepiece_model_pb2.NormalizerSpec()
    spec.ParseFromString(make_normalization(packed))
    pieces = [piece.decode() for piece in packed.pieces]
    ends = [(name, pieces.index(name)) for name in ("<s>", "</s>")]
    vocabulary = list(zip(pieces, packed.scores, strict=True))
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=pieces.index("<unk>")))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(spec.precompiled_charsmap),
            normalizers.Strip(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=ends
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=packed.positions,
        model_input_names=["input_ids", "attention_mask"],
        **_SPECIAL,
    )
