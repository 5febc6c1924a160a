"""The encoding half of the autoencoder as an ONNX graph, put together with no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from twinlens.encoders.thumbnails.shape import NetworkShape, halve

INPUT: Final = "pictures"
OUTPUT: Final = "codes"
_OPSET: Final = 21
_IR_VERSION: Final = 10
_EPSILON: Final = 1e-5  # torch's for batches
Weights = Mapping[str, npt.NDArray[Any]]


def build_graph(weights: Weights, shape: NetworkShape) -> bytes:
    """Return the serialized graph of ``network.PictureEncoder`` with these weights.

    It takes pictures uint8 (B, H, W, 3), and gives codes float32 (B, D), not yet of unit length.

    Raises:
        ValueError: the weights are not those of a network of this shape.
    """
    expected = list_weight_shapes(shape)
    wrong = sorted(
        name
        for name, sides in expected.items()
        if name not in weights or weights[name].shape != sides
    )
    if wrong:
        raise ValueError(f"{', '.join(wrong)} have another shape")
    return _Builder(weights).build(shape)


def list_weight_shapes(shape: NetworkShape) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights by their names in ``network.PictureEncoder``."""
    shapes: dict[str, tuple[int, ...]] = {}
    inward = 3
    for number, outward in enumerate(shape.channels):
        kernel = 5 if number == 0 else 3
        name = f"stages.{number}"
        shapes |= _list_convolution(f"{name}.down", (outward, inward, kernel, kernel))
        if number > 1:
            shapes |= _list_convolution(f"{name}.residual", (outward, outward, 3, 3))
        inward = outward
    rows, columns = halve((shape.height, shape.width), len(shape.channels))
    code = shape.squeezed * rows * columns
    return shapes | {
        "squeeze.weight": (shape.squeezed, inward, 1, 1),
        "squeeze.bias": (shape.squeezed,),
        "code.weight": (shape.dim, code),
        "code.bias": (shape.dim,),
    }


def _list_convolution(name: str, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.0.weight": kernel} | {f"{name}.1.{part}": kernel[:1] for part in parts}


class _Builder:
    """The network's layers as nodes; a value of the graph goes by its name."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._kept: list[Any] = []

    def build(self, shape: NetworkShape) -> bytes:
        """Return the whole graph."""
        from onnx import TensorProto, helper

        self._add("Cast", [INPUT], "levels", to=TensorProto.FLOAT)
        self._add("Transpose", ["levels"], "planes", perm=[0, 3, 1, 2])
        # Levels from 0 to 255 become numbers from -2 to 2.
        self._add("Mul", ["planes", self._keep("step", np.float32(4 / 255))], "scaled")
        features = self._add("Sub", ["scaled", self._keep("middle", np.float32(2))], "centred")
        for number in range(len(shape.channels)):
            features = self._convolve(features, f"stages.{number}.down", stride=2)
            if number > 1:
                residual = self._convolve(features, f"stages.{number}.residual", stride=1)
                features = self._add("Add", [features, residual], f"stages.{number}.sum")
        squeezed = self._add("Conv", [features, *self._keep_layer("squeeze")], "squeezed")
        self._add("Flatten", [self._silu(squeezed)], "flat")
        self._add("Gemm", ["flat", *self._keep_layer("code")], OUTPUT, transB=1)
        sides: list[str | int | None] = ["B", shape.height, shape.width, 3]
        pictures = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, sides)
        codes = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["B", shape.dim])
        model = helper.make_model(
            helper.make_graph(self._nodes, "denoiser", [pictures], [codes], self._kept),
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
        )
        return bytes(model.SerializeToString())

    def _convolve(self, features: str, name: str, *, stride: int) -> str:
        """Add a convolution with its normalisation, which is but a scale and a shift by now."""
        norm = {
            part: self._weights[f"{name}.1.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        }
        scale = norm["weight"] / np.sqrt(norm["running_var"] + _EPSILON)
        kernel = self._weights[f"{name}.0.weight"] * scale[:, None, None, None]
        shift = norm["bias"] - norm["running_mean"] * scale
        side = kernel.shape[-1]
        kept = [self._keep(f"{name}.kernel", kernel), self._keep(f"{name}.shift", shift)]
        out = self._add(
            "Conv", [features, *kept], f"{name}.out", pads=[side // 2] * 4, strides=[stride, stride]
        )
        return self._silu(out)

    def _silu(self, value: str) -> str:
        self._add("Sigmoid", [value], f"{value}.gate")
        return self._add("Mul", [value, f"{value}.gate"], f"{value}.silu")

    def _add(self, kind: str, inputs: list[str], output: str, **options: Any) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, [output], name=output, **options))
        return output

    def _keep_layer(self, name: str) -> list[str]:
        parts = [f"{name}.weight", f"{name}.bias"]
        return [self._keep(part, self._weights[part]) for part in parts]

    def _keep(self, name: str, array: Any) -> str:
        from onnx import numpy_helper

        self._kept.append(numpy_helper.from_array(np.asarray(array, dtype=np.float32), name))
        return name
