"""Where a training run stands, kept on disk so that a killed run goes on from there."""

from __future__ import annotations

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from twinlens.catalog.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CHECKPOINT_NAME: Final = "checkpoint.safetensors"

_log = logging.getLogger(__name__)
State = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What every validation has: the step it was at, and the mean loss of the steps before it."""

    step: int
    training_loss: float


MeasuredT = TypeVar("MeasuredT", bound=Validation)


class TrainingRun(ABC, Generic[MeasuredT]):
    """What a checkpoint holds: step, history, best weights, and with ``save`` all the rest.

    ``digest`` is that of all that decides the run, ``inputs`` what it learns from, for messages.
    ``kept`` are tensors that a continued run takes from the checkpoint.
    """

    def __init__(
        self,
        path: Path,
        digest: str,
        *,
        inputs: str,
        measured_as: type[MeasuredT],
        kept: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.path = path
        self.digest = digest
        self.kept: State = dict(kept or {})
        self._inputs = inputs
        self._measured_as = measured_as
        self.step = 0
        self.loss_sum = 0.0
        self.history: list[MeasuredT] = []
        self.best: State = {}
        self.stale = 0

    @property
    def best_measured(self) -> MeasuredT:
        """The validation that the best weights come from."""
        return self.history[-1 - self.stale]

    def list_history(self) -> list[dict[str, Any]]:
        """Return the history, as JSON has it."""
        return [asdict(measured) for measured in self.history]

    @abstractmethod
    def improves(self, measured: MeasuredT) -> bool:
        """Return whether ``measured`` is better than everything in the history."""

    def descend(self, loss: Tensor, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Take one step down the gradient of ``loss``, clipped to a norm of 1, and count it."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        self.step += 1
        self.loss_sum += float(loss.detach())

    def average_loss(self) -> float:
        """Return the mean loss of the steps since the last validation."""
        since = self.history[-1].step if self.history else 0
        return self.loss_sum / max(1, self.step - since)

    def record(self, measured: MeasuredT, model: nn.Module) -> None:
        """Add a validation; its weights become the best only if it is better than all before."""
        self.loss_sum = 0.0
        improved = self.improves(measured)
        self.history.append(measured)
        if improved:
            self.best = _copy(model.state_dict())
            self.stale = 0
        else:
            self.stale += 1

    def summarize(self, options: DataclassInstance, **more: Any) -> dict[str, Any]:
        """Tell how the model came about, for its config, with ``more`` that the run can't tell."""
        best = asdict(self.best_measured)
        return {"options": asdict(options), **more, "steps": self.step, "best": best}

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Replace the checkpoint in one step: a kill leaves the old one or the new one."""
        tensors = {f"model.{name}": value for name, value in _copy(model.state_dict()).items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        tensors |= {f"kept.{name}": value.contiguous() for name, value in self.kept.items()}
        for name, parameter in model.named_parameters():
            for key, value in optimizer.state[parameter].items():
                tensors[f"optimizer.{key}.{name}"] = value.detach().cpu().contiguous()
        about = {
            "digest": self.digest,
            "step": self.step,
            "stale": self.stale,
            "loss_sum": self.loss_sum,
            "history": self.list_history(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        save_file(tensors, fresh, metadata={"run": json.dumps(about)})
        fresh.replace(self.path)

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Take up the checkpoint, if there is one.

        Raises:
            UsageError: it is of a run with other inputs or options, or can't be read.
        """
        if not self.path.exists():
            return
        try:
            with safe_open(self.path, framework="pt") as opened:
                about: dict[str, Any] = json.loads(opened.metadata()["run"])
                tensors: State = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except Exception as error:
            raise UsageError(f"{self.path} can't be read ({error}); remove it to start anew") from (
                error
            )
        if about["digest"] != self.digest:
            raise UsageError(
                f"{self.path} is of a run with other {self._inputs} or options; "
                "remove it to start anew, or give another --out"
            )
        model.load_state_dict(_select("model.", tensors))
        self.best = _select("best.", tensors)
        self.kept = _select("kept.", tensors)
        for name, parameter in model.named_parameters():
            for key in ("step", "exp_avg", "exp_avg_sq"):
                value = tensors[f"optimizer.{key}.{name}"].clone()
                # Adam keeps its step count on the CPU whatever the device.
                optimizer.state[parameter][key] = (
                    value if key == "step" else value.to(parameter.device)
                )
        self.step, self.stale = about["step"], about["stale"]
        self.loss_sum = about["loss_sum"]
        self.history = [self._measured_as(**measured) for measured in about["history"]]
        _log.info("continuing at step %d from %s", self.step, self.path)


def digest_run(decides: Sequence[Any], *arrays: npt.NDArray[Any]) -> str:
    """SHA-256 (hex) over all that decides a run: values that JSON can have, and arrays."""
    digest = hashlib.sha256(json.dumps(decides).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _copy(state: State) -> State:
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


def _select(prefix: str, tensors: State) -> State:
    return {
        name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)
    }
