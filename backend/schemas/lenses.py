"""What requests and answers say of each lens: a field for every one that is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import ConfigDict, Field, create_model, model_validator

from twinlens.backend.schemas.base import AnswerModel, RequestModel
from twinlens.encoders.lens import Lens
from twinlens.encoders.lenses import registered_lenses

Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class _Weights(RequestModel):
    """The share of each ranking in the fusion; 0 leaves it out. At least one is above 0."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {name: {"exclusiveMinimum": 0}}} for name in registered_lenses()
            ]
        }
    )

    @model_validator(mode="after")
    def _not_all_zero(self) -> Self:
        if not any(self.by_name().values()):
            raise ValueError("at least one weight must be above 0")
        return self

    def by_name(self) -> dict[str, float]:
        """The weights by the names of the lenses."""
        return {name: getattr(self, name) for name in registered_lenses()}


class SourceBody(AnswerModel):
    """One ranking's view of a hit."""

    rank: int
    """Its rank there, from 1."""
    score: float
    """Its score there: a cosine similarity; for the words BM25's, without bound."""


class _Sources(AnswerModel):
    """Why a hit ranked: each ranking's view, null where the hit is not in its window."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


def _weight_of(lens: type[Lens[Any]]) -> Any:
    what = f"Of {lens.about}"
    if getattr(lens, "dim", 0) is None:
        what += "; multiplied by the share of it that the best hit has"
    return (Weight, Field(lens.weight, description=f"{what}."))


def _source_of(lens: type[Lens[Any]]) -> Any:
    return (SourceBody | None, Field(None, description=f"By {lens.about}."))


if TYPE_CHECKING:
    WeightsBody = _Weights
    SourcesBody = _Sources
else:
    # As they are imported: a request is read by one model, whatever index is open.
    WeightsBody = create_model(
        "WeightsBody",
        __base__=_Weights,
        __doc__=_Weights.__doc__,
        __module__=__name__,
        **{name: _weight_of(lens) for name, lens in registered_lenses().items()},
    )
    SourcesBody = create_model(
        "SourcesBody",
        __base__=_Sources,
        __doc__=_Sources.__doc__,
        __module__=__name__,
        **{name: _source_of(lens) for name, lens in registered_lenses().items()},
    )
