"""Layouts of other logs, described by data: which columns make which events."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from twinlens.catalog.errors import SourceError
from twinlens.events.event import EventType
from twinlens.events.tables import FIELD_NAMES

_BUILT_IN: Final = "mappings"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Model):
    """Where a field's value comes from: a column, several joined by ``-``, or the same for all.

    A number is multiplied by ``scale``; ``unit`` is that of a time which is a number. Of a text
    only what the group ``value`` of ``pattern`` (RE2) matches is taken, and where it does not match
    there is no event; ``prefix`` goes before.
    """

    column: str | None = None
    columns: tuple[str, ...] = ()
    value: bool | int | float | str | None = None
    unit: Literal["s", "ms", "us"] = "s"
    scale: float = 1.0
    pattern: str | None = None
    prefix: str = ""

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if (self.column is not None) + bool(self.columns) + (self.value is not None) != 1:
            raise ValueError("give one of column, columns and value")
        if self.pattern is not None:
            if self.column is None:
                raise ValueError("a pattern is of one column")
            found = pc.extract_regex(pa.array([""]), self.pattern)  # raises a ValueError
            if found.type.get_field_index("value") < 0:
                raise ValueError("a pattern has a group (?P<value>...)")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns it is made from."""
        return self.columns or (() if self.column is None else (self.column,))


def _to_cell(given: object) -> object:
    return {"column": given} if isinstance(given, str) else given


Cells = Mapping[
    Literal[*FIELD_NAMES],  # type: ignore[valid-type]
    Annotated[Cell, BeforeValidator(_to_cell)],
]


class EventSpec(_Model):
    """An event that a row makes.

    ``when`` is a column: a row where it is empty, 0 or false, or no number of at least
    ``at_least``, makes none. ``each`` is a column of lists: the row makes one event of each
    element, which stands for the column.
    """

    type: EventType | None = None
    when: str | None = None
    at_least: float | None = None
    each: str | None = None
    fields: Cells = Field(default_factory=dict)

    @model_validator(mode="after")
    def _require_a_column(self) -> Self:
        if self.at_least is not None and self.when is None:
            raise ValueError("at_least is of the column that when names")
        return self


class Layout(_Model):
    """One kind of file: the events that its rows make, and the fields that these have in common.

    ``order`` is a column by which rows are sorted, in a file without times. Rows are in order of
    time, if the times aren't known.
    """

    fields: Cells = Field(default_factory=dict)
    order: str | None = None
    events: Annotated[tuple[EventSpec, ...], Field(min_length=1)]

    @property
    def needs(self) -> frozenset[str]:
        """Names of the columns that a file of this kind has."""
        cells = [*self.fields.values(), *(c for spec in self.events for c in spec.fields.values())]
        named = [self.order, *(name for spec in self.events for name in (spec.when, spec.each))]
        return frozenset(filter(None, named)) | {name for cell in cells for name in cell.needs}


class MappingFile(_Model):
    """A mapping: the layouts of the files that one kind of log consists of."""

    layout: Annotated[tuple[Layout, ...], Field(min_length=1)]

    def choose(self, columns: Collection[str], *, file: Path) -> Layout:
        """Return the first layout whose columns the file has.

        Raises:
            SourceError: it has those of none.
        """
        for layout in self.layout:
            if layout.needs <= set(columns):
                return layout
        lacking = min((sorted(one.needs - set(columns)) for one in self.layout), key=len)
        raise SourceError(f"{file}: no file of this log: it lacks {', '.join(lacking)}")


def list_mappings() -> list[str]:
    """Return the names of the mappings that come with TwinLens."""
    folder = resources.files(__package__).joinpath(_BUILT_IN)
    return sorted(one.name.removesuffix(".toml") for one in folder.iterdir())


def load_mapping(name: str) -> MappingFile:
    """Return the mapping of that name, or of the file that ``name`` is the path of.

    Raises:
        SourceError: there is none, or the file is no mapping.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if name not in list_mappings():
            raise SourceError(
                f"no mapping {name!r}: give one of {', '.join(list_mappings())}, or a .toml file"
            )
        path = Path(str(resources.files(__package__).joinpath(_BUILT_IN, f"{name}.toml")))
    try:
        return MappingFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    except ValidationError as error:
        part = error.errors()[0]
        place = ".".join(map(str, part["loc"]))
        raise SourceError(f"{path} is no mapping: {place}: {part['msg']}") from error
    except ValueError as error:
        raise SourceError(f"{path} is no TOML: {error}") from error
