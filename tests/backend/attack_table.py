"""All that means harm, by name; ``python -m tests.backend.attack_table`` writes docs/attacks.md."""

from __future__ import annotations

from collections.abc import Iterator

from tests.backend import attacks_by_fields, attacks_by_http, attacks_by_pictures
from tests.backend.attacks import Row
from tests.backend.served import ROOT

PAGE = ROOT / "docs" / "attacks.md"
SECTIONS = attacks_by_pictures.SECTIONS | attacks_by_fields.SECTIONS | attacks_by_http.SECTIONS
# A row that sends nothing at once has a test of its own, whose name it bears.
ROWS = {name: row for section in SECTIONS.values() for name, row in section.items()}
ATTACKS = [name for name, row in ROWS.items() if row.sent is not None]


def attack(name: str) -> bytes:
    sent = ROWS[name].sent
    assert sent is not None
    return sent() if callable(sent) else sent


def written() -> str:
    """The page with its tables; what stands before them is written by hand."""
    introduction = PAGE.read_text("utf-8").partition("\n## ")[0]
    return introduction + "".join(
        f"\n## {title}\n\n" + "\n".join(write_rows(section)) + "\n"
        for title, section in SECTIONS.items()
    )


def write_rows(section: dict[str, Row]) -> Iterator[str]:
    proxied = any(row.behind for row in section.values())
    head = ["What is sent", "What comes back", *["Behind the proxy"] * proxied, "Test"]
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for name, row in section.items():
        test = name if row.sent is None else f"test_at_once[{name}]"
        cells = [row.what, row.comes, *[row.behind or "—"] * proxied, f"`{test}`"]
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(written(), "utf-8")
