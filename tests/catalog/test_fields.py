"""The table of fields, and what is made from it here: columns, values, a payload."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import SAVES
from twinlens.catalog.fields import FIELDS, FIRST_FIELDS, Field, FieldKind, Fields
from twinlens.catalog.sources import Row, open_source
from twinlens.catalog.video import to_payload


def test_fields_survive_json() -> None:
    fields = FIELDS.with_rows(SAVES)
    again = Fields.from_json(json.loads(json.dumps(fields.to_json())))
    assert again == fields
    assert hash(again) == hash(fields)
    assert again != FIELDS


def test_every_row_says_what_it_is() -> None:
    for row in FIELDS:
        assert row.label
        assert row.help.endswith(".")
    assert [row.name for row in FIRST_FIELDS.sortable] == [
        "published_at",
        "view_count",
        "duration_s",
    ]
    assert {row.name for row in FIRST_FIELDS.counted} == {"channel", "category", "language", "tags"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(({"name": name}, "can't be the name") for name in ("video_id", "a.b", "_x", "not")),
        ({"kind": FieldKind.TEXT, "sortable": False, "facet": False}, "neither filtered by"),
        ({"kind": FieldKind.KEYWORD}, "no order"),
        ({"sortable": False}, "found by sorting"),
        ({"searchable": True}, "a lens looks at text"),
    ],
)
def test_a_row_that_asks_too_much_of_its_kind_is_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SAVES, **changes)


def test_no_two_fields_share_a_name_or_an_address() -> None:
    with pytest.raises(ValueError, match="two fields 'channel'"):
        FIELDS.with_rows(FIELDS["channel"])
    with pytest.raises(ValueError, match="two fields 'views'"):
        FIELDS.with_rows(Field(name="views", kind=FieldKind.COUNT, label="V", help="V."))


def test_a_row_is_enough_to_read_a_column(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text('id,title,Saves\n1,one,"1,234"\n2,two,\n3,three,-1\n', encoding="utf-8")
    rows = list(open_source(str(path), fields=FIELDS.with_rows(SAVES)))
    good = [row.video for row in rows if isinstance(row, Row)]
    assert [video.values for video in good] == [{"save_count": 1234}, {}, {}]
    assert to_payload(good[0], thumbnail_file=None)["save_count"] == 1234
    (note,) = [note for row in rows if isinstance(row, Row) for note in row.notes]
    assert (note.field, note.detail) == ("save_count", "save_count is not negative; -1 is not")
    (plain, *_) = open_source(str(path))
    assert isinstance(plain, Row)
    assert plain.video.values == {}
