"""A model as it lies on disk: ``model.safetensors`` and ``config.json`` in one directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError, safe_open

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.encoders.model_directory import CONFIG_NAME, WEIGHTS_NAME, ModelFormat, read_weights
from twinlens.encoders.thumbnails.pictures import PREPROCESSING_VERSION

if TYPE_CHECKING:
    from torch import Tensor

    from twinlens.encoders.thumbnails.shape import NetworkShape

_FORMAT: Final = ModelFormat(
    name="twinlens-denoising-autoencoder-2",
    preprocessing_version=PREPROCESSING_VERSION,
    kind="thumbnail model",
    command="train-thumbnails",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedModel:
    """What is known of a model before its weights are loaded.

    ``shape`` are the arguments of ``NetworkShape``.
    """

    directory: Path
    fingerprint: str
    width: int
    height: int
    dim: int
    shape: Mapping[str, Any]


def read_model(directory: Path) -> PackedModel:
    """Return what lies in ``directory``; its files are read but torch is not imported.

    Raises:
        EncoderUnavailable: a file is missing, or it is not such a model.
    """

    def parse(config: Any) -> PackedModel:
        shape = dict(config["shape"])
        return PackedModel(
            directory=directory,
            fingerprint=_FORMAT.make_fingerprint(directory, shape),
            width=int(shape["width"]),
            height=int(shape["height"]),
            dim=int(shape["dim"]),
            shape=shape,
        )

    model = _FORMAT.read_config(directory, parse)
    config_path, weights = directory / CONFIG_NAME, directory / WEIGHTS_NAME
    if min(model.width, model.height, model.dim) < 1:
        raise EncoderUnavailable(f"{config_path}: width, height and dim must be at least 1")
    code = _read_weight_shape(weights, "encoder.code.bias")
    if code != (model.dim,):
        raise EncoderUnavailable(
            f"{config_path} says dim {model.dim}, but the code in {weights.name} has shape {code}"
        )
    return model


def read_encoder_weights(model: PackedModel) -> dict[str, Any]:
    """Return the arrays of the encoding half, by the names that ``PictureEncoder`` gives them.

    Raises:
        EncoderUnavailable: the file can't be read.
    """
    return read_weights(model.directory, prefix="encoder.")


def write_model(
    directory: Path,
    *,
    weights: Mapping[str, Tensor],
    shape: NetworkShape,
    training: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Write both halves' weights, the config and the curve; each file is replaced in one step."""
    from safetensors.torch import save

    about = {"shape": asdict(shape)}
    _FORMAT.write(
        directory, weights=save(dict(weights)), about=about, training=training, history=history
    )


def _read_weight_shape(path: Path, name: str) -> tuple[int, ...]:
    """Return the shape of one tensor, from the file's header alone."""
    try:
        with safe_open(path, framework="numpy") as opened:
            return tuple(opened.get_slice(name).get_shape())
    except (OSError, SafetensorError) as error:
        raise EncoderUnavailable(f"{path} is no thumbnail model's: {error}") from error
