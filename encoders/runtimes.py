"""What may run a title model; apart from the settings, so that ``--help`` need not load them."""

from __future__ import annotations

from typing import Final, Literal, get_args

TitleRuntime = Literal["torch", "onnx", "onnx-int8"]
TITLE_RUNTIMES: Final = get_args(TitleRuntime)
