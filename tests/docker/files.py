"""The Dockerfile and the Compose file as their readers see them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
KEY = "a key of the tests"

# The text after an operator may have a variable in it.
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|"
    r"\{(?P<name>\w+)(?:(?P<operator>:[-?])(?P<text>(?:[^${}]|\$\{[^{}]*\})*))?\})"
)


def compose_text() -> str:
    return (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def compose_variables() -> set[str]:
    """The names of those that the Compose file takes from the environment."""
    return set(re.findall(r"(?<!\$)\$\{(\w+)", compose_text()))


def compose(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The Compose file with its variables filled in, as Compose does it for ``environment``."""
    given = {"QDRANT_API_KEY": KEY} if environment is None else environment
    return _filled_in(yaml.safe_load(compose_text()), given)


def _filled_in(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled_in(item, given) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled_in(item, given) for item in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        text = given.get(found["name"])
        if text:
            return text
        if found["operator"] == ":?":
            raise KeyError(f"{found['name']}: {found['text']}")
        return _VARIABLE.sub(fill, found["text"] or "")

    return _VARIABLE.sub(fill, value)


@dataclass
class Stage:
    """One FROM of the Dockerfile and its instructions, in order."""

    image: str
    name: str | None
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [text for word, text in self.instructions if word == keyword]

    def last(self, keyword: str) -> str:
        return self.all(keyword)[-1]

    def words(self, keyword: str) -> list[str]:
        """The last instruction of this kind, in its JSON form."""
        return json.loads(self.last(keyword))

    def environment(self) -> dict[str, str]:
        return dict(
            pair.split("=", 1) for text in self.all("ENV") for pair in text.split() if "=" in pair
        )


def stages() -> list[Stage]:
    """The Dockerfile's stages, arguments before the first FROM filled in."""
    lines = [
        line
        for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if not line.lstrip().startswith("#")
    ]
    found: list[Stage] = []
    arguments: dict[str, str] = {}
    for instruction in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not instruction.strip():
            continue
        keyword, text = instruction.split(None, 1)
        if keyword == "FROM":
            image, *alias = text.split()
            for name, value in arguments.items():
                image = image.replace("${" + name + "}", value)
            found.append(Stage(image, alias[1] if alias else None))
        elif found:
            found[-1].instructions.append((keyword, text))
        else:
            name, value = text.split("=", 1)
            arguments[name] = value
    return found


def health_check_words(stage: Stage) -> list[str]:
    """The command of a stage's HEALTHCHECK."""
    return json.loads(stage.last("HEALTHCHECK").split(" CMD ", 1)[1])
