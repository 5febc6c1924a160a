"""A model as it lies on disk: ``model.safetensors`` and ``config.json`` in one directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError, safe_open

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.files import write_atomically
from twinlens.encoders.fingerprints import files_digest, fingerprint
from twinlens.encoders.thumbnails.pictures import PREPROCESSING_VERSION

if TYPE_CHECKING:
    from torch import Tensor

    from twinlens.encoders.thumbnails.network import NetworkShape

WEIGHTS_NAME: Final = "model.safetensors"
CONFIG_NAME: Final = "config.json"
HISTORY_NAME: Final = "history.json"
FORMAT: Final = "twinlens-denoising-autoencoder-2"


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
    """What lies in ``directory``; its files are read but torch is not imported.

    Raises:
        EncoderUnavailable: a file is missing, or it is not such a model.
    """
    weights, config_path = directory / WEIGHTS_NAME, directory / CONFIG_NAME
    for path in (config_path, weights):
        if not path.is_file():
            raise EncoderUnavailable(
                f"no thumbnail model in {directory}: {path.name} is missing "
                "(`twinlens train-thumbnails` makes one)"
            )
    config_bytes = config_path.read_bytes()
    try:
        config = json.loads(config_bytes)
        known = config["format"], config["preprocessing_version"]
        shape = dict(config["shape"])
        width, height, dim = int(shape["width"]), int(shape["height"]), int(shape["dim"])
    except (ValueError, KeyError, TypeError) as error:
        raise EncoderUnavailable(f"{config_path} is no thumbnail model's: {error!r}") from error
    if known != (FORMAT, PREPROCESSING_VERSION):
        raise EncoderUnavailable(
            f"{config_path} says {known[0]!r} with preprocessing {known[1]!r}; "
            f"this version reads {FORMAT!r} with preprocessing {PREPROCESSING_VERSION}"
        )
    if min(width, height, dim) < 1:
        raise EncoderUnavailable(f"{config_path}: width, height and dim must be at least 1")
    code = _weight_shape(weights, "encoder.code.bias")
    if code != (dim,):
        raise EncoderUnavailable(
            f"{config_path} says dim {dim}, but the code in {weights.name} has shape {code}"
        )
    return PackedModel(
        directory=directory,
        fingerprint=fingerprint(
            FORMAT,
            str(PREPROCESSING_VERSION),
            json.dumps(shape, sort_keys=True),
            files_digest(directory, [weights]),
        ),
        width=width,
        height=height,
        dim=dim,
        shape=shape,
    )


def read_encoder_weights(model: PackedModel) -> dict[str, Tensor]:
    """The tensors of the encoding half, by the names that ``PictureEncoder`` gives them.

    Raises:
        EncoderUnavailable: the file can't be read.
    """
    path = model.directory / WEIGHTS_NAME
    try:
        with safe_open(path, framework="pt") as opened:
            names = [name for name in opened.keys() if name.startswith("encoder.")]  # noqa: SIM118
            return {name.removeprefix("encoder."): opened.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise EncoderUnavailable(f"{path} can't be read: {error}") from error


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

    config = {
        "format": FORMAT,
        "preprocessing_version": PREPROCESSING_VERSION,
        "shape": asdict(shape),
        "training": dict(training),
    }
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / WEIGHTS_NAME, save(dict(weights)))
    write_atomically(directory / CONFIG_NAME, json.dumps(config, indent=2).encode() + b"\n")
    write_atomically(directory / HISTORY_NAME, json.dumps(list(history), indent=1).encode() + b"\n")


def _weight_shape(path: Path, name: str) -> tuple[int, ...]:
    """The shape of one tensor, from the file's header alone."""
    try:
        with safe_open(path, framework="numpy") as opened:
            return tuple(opened.get_slice(name).get_shape())
    except (OSError, SafetensorError) as error:
        raise EncoderUnavailable(f"{path} is no thumbnail model's: {error}") from error
