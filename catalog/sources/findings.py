"""What was found in a source beside videos: columns and files that were not used, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_NAMED: Final = 12
# What rows say of themselves is theirs: so many kinds of it are counted apart.
_MOST_KINDS: Final = 50


@dataclass(slots=True)
class Findings:
    """Filled while a source is opened and read."""

    columns: dict[str, None] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)
    pictures: dict[str, None] = field(default_factory=dict)
    remarks: dict[str, None] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)

    def leave_columns(self, names: Iterable[str]) -> None:
        """Remember columns that no field is taken from."""
        self.columns.update(dict.fromkeys(names))

    def leave_file(self, name: str) -> None:
        """Remember a file that was not read."""
        self.files[name] = None

    def leave_pictures(self, names: Iterable[str]) -> None:
        """Remember pictures that are no video's."""
        self.pictures.update(dict.fromkeys(names))

    def remark(self, sentence: str) -> None:
        """Remember how something was read, once."""
        self.remarks[sentence] = None

    def pass_over(self, what: str) -> None:
        """Count a row that is no video, or one that another row stands for."""
        known = what in self.passed_over or len(self.passed_over) < _MOST_KINDS
        self.passed_over[what if known else "of many other kinds"] += 1

    def to_sentences(self) -> list[str]:
        """Return a sentence for each that a person should know of."""
        sentences = list(self.remarks)
        sentences += [
            f"{count} rows passed over: {what}" for what, count in self.passed_over.items()
        ]
        if self.columns:
            sentences.append(
                f"columns that were not used: {name_some(list(self.columns))} "
                "(--column FIELD=COLUMN takes one)"
            )
        if self.pictures:
            sentences.append(
                f"{len(self.pictures)} pictures are no video's: {name_some(list(self.pictures))}"
            )
        if self.files:
            sentences.append(
                f"{len(self.files)} files were not read: {name_some(list(self.files))}"
            )
        return sentences


def name_some(names: list[str]) -> str:
    """Return the first dozen names, and how many more there are."""
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])
