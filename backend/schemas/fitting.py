"""Models of requests and answers for videos that have certain fields.

A model says where fields stand: text that ``OneOf`` marks is the name of one, and a
``FieldsModel`` has a member for each. ``fit`` makes of it, for the fields of an index, a subclass
that validates, serialises and describes itself by just these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, Field, StringConstraints, create_model
from pydantic.fields import FieldInfo

from twinlens.catalog.fields import FIELDS, Fields

ModelT = TypeVar("ModelT", bound=BaseModel)
Members = Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks text that is one of the texts that ``names`` makes of fields."""

    names: Callable[[Fields], Sequence[str]]


class FieldsModel(BaseModel):
    """A model with a member for each field of some."""

    @classmethod
    def members(cls, fields: Fields) -> Members:
        """The members that it has for ``fields``, behind its own: types and descriptions."""
        raise NotImplementedError


class OfFields(BaseModel):
    """A model that knows by which fields it was made."""

    of_fields: ClassVar[Fields] = FIELDS


def fit(model: type[ModelT], fields: Fields) -> type[ModelT]:
    """``model`` for videos that have ``fields``; itself where fields don't matter to it."""
    return cast("type[ModelT]", _fit(model, fields))


# A server answers by the fields of one index, and for a moment by those of the next.
@lru_cache(maxsize=256)
def _fit(model: type[BaseModel], fields: Fields) -> type[BaseModel]:
    members: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        given = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        fitted = _fit_type(given, fields)
        if fitted is not given:
            members[name] = (fitted, _same(info))
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


def _same(info: FieldInfo) -> Any:
    """A field as ``info`` has it, but for its type."""
    return Field(
        default=info.default,
        alias=info.alias,
        description=info.description,
        json_schema_extra=info.json_schema_extra,
    )


def _fit_type(given: Any, fields: Fields) -> Any:
    """``given`` with what depends on ``fields`` replaced; itself where nothing does."""
    if isinstance(given, type) and issubclass(given, BaseModel):
        return _fit(given, fields)
    origin, args = get_origin(given), get_args(given)
    if origin is Annotated:
        for mark in args[1:]:
            if isinstance(mark, OneOf):
                return _one_of(mark.names(fields))
        inner = _fit_type(args[0], fields)
        return given if inner is args[0] else Annotated[inner, *args[1:]]
    if origin not in (list, Union, UnionType):
        return given
    fitted = [_fit_type(one, fields) for one in args]
    if all(new is old for new, old in zip(fitted, args, strict=True)):
        return given
    return list[fitted[0]] if origin is list else reduce(or_, fitted)  # type: ignore[valid-type]


def _one_of(names: Sequence[str]) -> Any:
    if not names:
        return Annotated[str, StringConstraints(min_length=1, max_length=0)]
    return Literal[*names]
