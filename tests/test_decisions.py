"""The records of decisions: one form, and an index that has them all."""

import re
from pathlib import Path

import pytest

DECISIONS = Path(__file__).parents[1] / "docs" / "decisions"
RECORDS = sorted(DECISIONS.glob("[0-9]*.md"))
STATUS = re.compile(
    r"Status: (accepted|superseded by \[\d{4}\]\([\w-]+\.md\)), \d{4}-\d\d-\d\d\b[^\n]*\.$"
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_record_has_the_form_of_the_template(record):
    lines = record.read_text(encoding="utf-8").splitlines()
    assert re.match(rf"# {record.name[:4]}\. \S", lines[0])
    assert STATUS.match(lines[2]), lines[2]
    sections = [line for line in lines if line.startswith("## ")]
    assert sections[:2] == ["## Context", "## Decision"]


def test_numbers_are_given_once_and_without_gaps():
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_the_index_lists_every_record_by_its_title():
    rows = []
    for record in RECORDS:
        title, _, status = record.read_text(encoding="utf-8").splitlines()[:3]
        name = title.removeprefix("# ").partition(". ")[2]
        note = " *(superseded)*" if status.startswith("Status: superseded") else ""
        note = note or " *(superseded in part)*" * ("; superseded by" in status)
        rows.append(f"- {record.name[:4]} [{name}]({record.name}){note}")
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    listed = index.partition("<!-- records -->\n")[2].partition("<!-- end -->")[0]
    assert listed.splitlines() == rows, "\n".join(rows)
