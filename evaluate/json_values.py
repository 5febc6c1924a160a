"""Reports as JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any, Final

# Of a dataclass's field: it is not for JSON.
LEFT_OUT: Final[Mapping[str, Any]] = MappingProxyType({"json": False})


def to_json(value: object) -> Any:
    """Dataclasses and named tuples as objects, sequences as arrays, floats to five places."""
    if is_dataclass(value):
        shown = [one.name for one in fields(value) if one.metadata.get("json", True)]
        return {name: to_json(getattr(value, name)) for name in shown}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return to_json(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): to_json(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_json(one) for one in value]
    return round(value, 5) if isinstance(value, float) else value
