"""Adapt models of requests and answers to the fields of an index and to the registered lenses.

A model marks where fields go: text marked by ``OneOf`` is the name of a field, and a
``FieldsModel`` has a member for each field. ``fit`` makes a subclass of the model that validates,
serialises and describes exactly the fields of one index. ``WeightsBody`` and ``SourcesBody`` have
a member for every registered lens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_
from threading import RLock
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    Self,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator
from pydantic.fields import FieldInfo

from twinlens.backend.schemas.base import AnswerModel, RequestModel
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.encoders.lens import Lens
from twinlens.encoders.lenses import find_lenses
from twinlens.search.request import LEARNED

ModelT = TypeVar("ModelT", bound=BaseModel)
Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Members = Mapping[str, tuple[Any, Any]]

_FITTING: Final = RLock()
_OF_THE_MODEL: Final = "By the trained model; there where one took part."


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks text that is one of the texts that ``names`` makes of fields."""

    names: Callable[[Fields], Sequence[str]]


class FieldsModel(BaseModel):
    """A model with a member for each field of some."""

    @classmethod
    def members(cls, fields: Fields) -> Members:
        """Return the members that it has for ``fields``, behind its own: types and descriptions."""
        raise NotImplementedError


class OfFields(BaseModel):
    """A model that knows the fields it was adapted to."""

    of_fields: ClassVar[Fields] = FIELDS


def fit(model: type[ModelT], fields: Fields) -> type[ModelT]:
    """Return ``model`` adapted to ``fields``; ``model`` itself if it does not depend on them."""
    # Two threads that make one at once would get a model each, and one's parts don't fit the other.
    with _FITTING:
        return cast("type[ModelT]", _fit(model, fields))


# A server uses the fields of one index and, while it is replaced, of the next.
@lru_cache(maxsize=256)
def _fit(model: type[BaseModel], fields: Fields) -> type[BaseModel]:
    members: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        given = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        fitted = _fit_type(given, fields)
        if fitted is not given:
            members[name] = (fitted, _copy_field(info))
    if issubclass(model, FieldsModel):
        members |= model.members(fields)
    if not members and not issubclass(model, OfFields):
        return model
    made: type[BaseModel] = create_model(
        model.__name__,
        __base__=model,
        __module__=model.__module__,
        __doc__=model.__doc__,
        **members,
    )
    if issubclass(made, OfFields):
        made.of_fields = fields
    return made


def _copy_field(info: FieldInfo) -> FieldInfo:
    """Return a field as ``info`` has it, but for its type, which brings the metadata."""
    copied = copy(info)
    copied.metadata = []
    return copied


def _fit_type(given: Any, fields: Fields) -> Any:
    """Return ``given`` with the parts that depend on ``fields`` replaced; itself if none do."""
    if isinstance(given, type) and issubclass(given, BaseModel):
        return _fit(given, fields)
    origin, args = get_origin(given), get_args(given)
    if origin is Annotated:
        for mark in args[1:]:
            if isinstance(mark, OneOf):
                return _make_one_of(mark.names(fields))
        inner = _fit_type(args[0], fields)
        return given if inner is args[0] else Annotated[inner, *args[1:]]
    if origin not in (list, Union, UnionType):
        return given
    fitted = [_fit_type(one, fields) for one in args]
    if all(new is old for new, old in zip(fitted, args, strict=True)):
        return given
    return list[fitted[0]] if origin is list else reduce(or_, fitted)  # type: ignore[valid-type]


def _make_one_of(names: Sequence[str]) -> Any:
    if not names:
        return Annotated[str, StringConstraints(min_length=1, max_length=0)]
    return Literal[*names]


# ---- lenses


class _Weights(RequestModel):
    """The share of each ranking in the fusion; 0 leaves it out. At least one is above 0."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "required": list(find_lenses()),
                "properties": {name: {"maximum": 0} for name in find_lenses()},
            }
        }
    )

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if not any(getattr(self, name) for name in find_lenses()):
            raise ValueError("at least one weight must be above 0")
        return self

    def by_name(self) -> dict[str, float]:
        """Return the weights that were given, by the names of the lenses."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class SourceBody(AnswerModel):
    """One ranking's view of a hit."""

    rank: int
    """Its rank there, from 1."""
    score: float
    """Its score there: a cosine similarity; for the words BM25's and for the trained model its own,
    without bound."""


def _leave_open(schema: dict[str, Any]) -> None:
    schema["required"].remove(LEARNED)


class _Sources(AnswerModel):
    """Why a hit ranked: each ranking's view, null where the hit is not in its window."""

    model_config = ConfigDict(
        json_schema_serialization_defaults_required=True, json_schema_extra=_leave_open
    )


def _make_weight(lens: type[Lens[Any]]) -> Any:
    what = f"Of {lens.about}"
    if getattr(lens, "dim", 0) is None:
        what += "; multiplied by the share of it that the best hit has"
    return (Weight, Field(lens.weight, description=f"{what}."))


def _make_source(lens: type[Lens[Any]]) -> Any:
    return (SourceBody | None, Field(None, description=f"By {lens.about}."))


if TYPE_CHECKING:
    WeightsBody = _Weights
    SourcesBody = _Sources
else:
    # Made once, on import: lenses don't change with the index.
    WeightsBody = create_model(
        "WeightsBody",
        __base__=_Weights,
        __doc__=_Weights.__doc__,
        __module__=__name__,
        **{name: _make_weight(lens) for name, lens in find_lenses().items()},
    )
    SourcesBody = create_model(
        "SourcesBody",
        __base__=_Sources,
        __doc__=_Sources.__doc__,
        __module__=__name__,
        **{name: _make_source(lens) for name, lens in find_lenses().items()},
        **{LEARNED: (SourceBody | None, Field(None, description=_OF_THE_MODEL))},
    )
