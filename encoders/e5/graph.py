"""multilingual-e5-small as an ONNX graph, put together from its weights with no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from twinlens.encoders.e5.packed import BLOCK, PackedE5
from twinlens.encoders.onnx_graph import GRAPH_FILE, OUTPUT, Precision

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT: Final = "input_ids"
_MICROSOFT: Final = "com.microsoft"  # ONNX Runtime's own operators
_WEIGHTS_FILE: Final = "weights.bin"
_OPSET: Final = 21
_IR_VERSION: Final = 10


def write_graph(packed: PackedE5, directory: Path, precision: Precision) -> None:
    """Write the graph, with its weights in a file beside it, which processes share by mapping it.

    It takes tokens int64 (1 or more texts of one length, tokens), and gives the mean of their
    vectors, float32 (texts, width), not normalised. There is no padding, and so no mask.
    """
    import onnx

    onnx.save_model(
        _Builder(packed, precision).build(),
        directory / GRAPH_FILE,
        save_as_external_data=True,
        location=_WEIGHTS_FILE,
    )


class _Builder:
    """A BERT, layer by layer; a value of the graph goes by its name.

    Source: Devlin et al. 2019, "BERT"; Wang et al. 2024, "Multilingual E5 Text Embeddings".
    """

    def __init__(self, packed: PackedE5, precision: Precision) -> None:
        self._packed = packed
        self._precision = precision
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def build(self) -> ModelProto:
        """Return the whole graph."""
        from onnx import TensorProto, helper

        hidden = self._embed()
        for layer in range(self._packed.layers):
            hidden = self._add_layer(hidden, f"l{layer}")
        axis = self._keep("tokens", np.array([1]))
        self._add_node("ReduceMean", [hidden, axis], OUTPUT, keepdims=0)
        tokens = helper.make_tensor_value_info(INPUT, TensorProto.INT64, ["texts", "tokens"])
        shape: list[str | int | None] = ["texts", self._packed.width]
        vectors = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)
        return helper.make_model(
            helper.make_graph(self._nodes, "e5-small", [tokens], [vectors], self._weights),
            opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)],
            ir_version=_IR_VERSION,
        )

    def _embed(self) -> str:
        """Add the sum of what a word, its place and its segment mean; the words stay at 4 bits."""
        rows = self._packed.take_rows("emb.word")
        self._keep_halves("words", rows.levels)
        self._keep("words.scales", rows.scales)
        words = self._add_node(
            "GatherBlockQuantized",
            ["words", INPUT, "words.scales"],
            "words.taken",
            domain=_MICROSOFT,
            block_size=BLOCK,
            quantize_axis=1,
        )
        width = self._packed.width
        segment = self._packed.take_floats("emb.type")[:width]  # there is but one
        self._keep("places", self._packed.take_floats("emb.pos").reshape(-1, width) + segment)
        self._add_node("Shape", [INPUT], "length", start=1, end=2)
        places = self._add_node(
            "Slice", ["places", self._keep("start", np.array([0])), "length"], "places.taken"
        )
        return self._normalize([words, places], "emb.ln")

    def _add_layer(self, hidden: str, layer: str) -> str:
        """Add attention and the wide inner layer, each beside what goes past it."""
        mixed = self._apply_linear(hidden, f"{layer}.qkv", *(f"{layer}.{part}" for part in "qkv"))
        parts = [f"{layer}.{part}.out" for part in "qkv"]
        self._add_node("Split", [mixed], *parts, axis=-1, num_outputs=3)
        attended = self._add_node(
            "MultiHeadAttention",
            parts,
            f"{layer}.attended",
            domain=_MICROSOFT,
            num_heads=self._packed.heads,
        )
        output = self._apply_linear(attended, f"{layer}.ao", f"{layer}.ao")
        hidden = self._normalize([hidden, output], f"{layer}.aln")
        inner = self._apply_linear(hidden, f"{layer}.fi", f"{layer}.fi")
        active = self._add_node("Gelu", [inner], f"{layer}.gelu")
        output = self._apply_linear(active, f"{layer}.fo", f"{layer}.fo", scale_tokens=True)
        return self._normalize([hidden, output], f"{layer}.oln")

    def _normalize(self, added: list[str], name: str) -> str:
        # Two operators: the one that is both at once is four times slower.
        total = self._add_node("Add", added, f"{name}.sum")
        parts = [self._keep_floats(f"{name}.{part}") for part in "wb"]
        return self._add_node(
            "LayerNormalization", [total, *parts], f"{name}.out", epsilon=self._packed.epsilon
        )

    def _apply_linear(self, value: str, name: str, *parts: str, scale_tokens: bool = False) -> str:
        """Multiply by the matrices of ``parts``, side by side, and add their biases.

        With ``scale_tokens`` int8 has a scale for each token, where they are too unlike for one.
        """
        matrix = self._packed.take_rows(*(f"{part}.w" for part in parts)).restore().T
        bias = self._keep(
            f"{name}.bias", self._packed.take_floats(*(f"{part}.b" for part in parts))
        )
        if self._precision is Precision.FLOAT32:
            product = self._add_node("MatMul", [value, self._keep(name, matrix)], f"{name}.product")
            return self._add_node("Add", [product, bias], f"{name}.out")
        # Seven bits of eight: processors without VNNI would overflow.
        scales = np.abs(matrix).max(axis=0) / 63
        levels = self._keep(name, np.rint(matrix / scales).astype(np.int8))
        kept = self._keep(f"{name}.scales", scales)
        if scale_tokens:
            product = self._multiply_tokens(value, levels, kept, name)
            return self._add_node("Add", [product, bias], f"{name}.out")
        return self._add_node(
            "DynamicQuantizeMatMul",
            [value, levels, kept, "", bias],
            f"{name}.out",
            domain=_MICROSOFT,
        )

    def _multiply_tokens(self, value: str, levels: str, scales: str, name: str) -> str:
        """Multiply each token, brought to -1 to 1 by its largest number, and undo that."""
        step, middle = f"{name}.step", f"{name}.middle"
        self._keep(step, np.float32(1 / 127))
        self._keep(middle, np.uint8(128))
        axis = self._keep(f"{name}.axis", np.array([-1]))
        self._add_node("Abs", [value], f"{name}.sizes")
        largest = self._add_node("ReduceMax", [f"{name}.sizes", axis], f"{name}.largest")
        self._add_node("Div", [value, largest], f"{name}.scaled")
        self._add_node("QuantizeLinear", [f"{name}.scaled", step, middle], f"{name}.levels")
        product = self._add_node(
            "MatMulIntegerToFloat",
            [f"{name}.levels", levels, step, scales, middle],
            f"{name}.product",
            domain=_MICROSOFT,
        )
        return self._add_node("Mul", [product, largest], f"{name}.restored")

    def _add_node(self, kind: str, inputs: list[str], *outputs: str, **options: Any) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **options))
        return outputs[0]

    def _keep(self, name: str, array: npt.NDArray[Any] | np.generic) -> str:
        from onnx import numpy_helper

        self._weights.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def _keep_floats(self, name: str) -> str:
        return self._keep(name, self._packed.take_floats(name))

    def _keep_halves(self, name: str, levels: npt.NDArray[np.int8]) -> None:
        """Keep numbers from -8 to 7 in half a byte each, the first in the lower half."""
        from onnx import TensorProto

        halves = levels.view(np.uint8) & 15
        tensor = TensorProto(name=name, data_type=TensorProto.INT4, dims=levels.shape)
        tensor.raw_data = (halves[:, ::2] | halves[:, 1::2] << 4).tobytes()
        self._weights.append(tensor)
