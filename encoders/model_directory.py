"""The directory of a trained model: ``model.safetensors``, ``config.json``, ``history.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from safetensors import SafetensorError, safe_open

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.files import write_atomically
from twinlens.encoders.fingerprints import digest_files, make_fingerprint

WEIGHTS_NAME: Final = "model.safetensors"
CONFIG_NAME: Final = "config.json"
HISTORY_NAME: Final = "history.json"

ParsedT = TypeVar("ParsedT")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFormat:
    """A kind of model, by what its ``config.json`` says.

    ``kind`` is what messages call it, and ``command`` what makes one.
    """

    name: str
    preprocessing_version: int
    kind: str
    command: str

    def matches(self, directory: Path) -> bool:
        """Return whether the config in ``directory`` is that of a model of this format."""
        try:
            config = json.loads((directory / CONFIG_NAME).read_bytes())
            return bool(config["format"] == self.name)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def read_config(self, directory: Path, parse: Callable[[Any], ParsedT]) -> ParsedT:
        """Return what ``parse`` makes of the config in ``directory``.

        Raises:
            EncoderUnavailable: a file is missing, ``parse`` raised a ``ValueError``, ``KeyError``
                or ``TypeError``, or the model is of another format or version.
        """
        config_path = directory / CONFIG_NAME
        for path in (config_path, directory / WEIGHTS_NAME):
            if not path.is_file():
                raise EncoderUnavailable(
                    f"no {self.kind} in {directory}: {path.name} is missing "
                    f"(`twinlens {self.command}` makes one)"
                )
        try:
            config = json.loads(config_path.read_bytes())
            known = config["format"], config["preprocessing_version"]
            parsed = parse(config)
        except (ValueError, KeyError, TypeError) as error:
            raise EncoderUnavailable(f"{config_path} is no {self.kind}'s: {error!r}") from error
        if known != (self.name, self.preprocessing_version):
            raise EncoderUnavailable(
                f"{config_path} says {known[0]!r} with preprocessing {known[1]!r}; this version "
                f"reads {self.name!r} with preprocessing {self.preprocessing_version}"
            )
        return parsed

    def make_fingerprint(self, directory: Path, *decides: object) -> str:
        """Sixteen hex digits over format, weights, and what of the config ``decides`` vectors."""
        return make_fingerprint(
            self.name,
            str(self.preprocessing_version),
            *(json.dumps(value, sort_keys=True) for value in decides),
            digest_files(directory, [directory / WEIGHTS_NAME]),
        )

    def write(
        self,
        directory: Path,
        *,
        weights: bytes,
        about: Mapping[str, Any],
        training: Mapping[str, Any],
        history: Sequence[Mapping[str, Any]],
    ) -> None:
        """Write weights, config and curve; each file is replaced in one step.

        The config holds what ``about`` does, and how the model came about: ``training``.
        """
        config = {
            "format": self.name,
            "preprocessing_version": self.preprocessing_version,
            **about,
            "training": dict(training),
        }
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / WEIGHTS_NAME, weights)
        write_atomically(directory / CONFIG_NAME, json.dumps(config, indent=2) + "\n")
        write_atomically(directory / HISTORY_NAME, json.dumps(list(history), indent=1) + "\n")


def read_weights(directory: Path, *, prefix: str = "") -> dict[str, Any]:
    """Return the arrays whose names begin with ``prefix``, by the rest of their names.

    Raises:
        EncoderUnavailable: the file can't be read.
    """
    path = directory / WEIGHTS_NAME
    try:
        with safe_open(path, framework="numpy") as opened:
            names = [name for name in opened.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): opened.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise EncoderUnavailable(f"{path} can't be read: {error}") from error
