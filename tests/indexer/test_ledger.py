from contextlib import closing

import pytest

from twinlens.catalog.errors import StoreError
from twinlens.catalog.sources import Origin
from twinlens.encoders.lenses import TITLE
from twinlens.indexer.ledger import Entry, Ledger, SeenIds, make_content_key


def entry(text="a", **kwargs):
    return Entry(keys={TITLE: make_content_key(text)}, payload_key=make_content_key("p"), **kwargs)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    with closing(Ledger(path)) as made:
        yield made


def test_what_is_recorded_is_found_and_the_unknown_is_not(ledger):
    entries = {f"v{n}": entry(str(n), thumbnail_file=f"{n}.jpg") for n in range(1200)}
    ledger.record(entries)
    assert ledger.lookup([*entries, "other"]) == entries
    assert ledger.count() == 1200
    assert [i for ids in ledger.video_ids() for i in ids] == sorted(entries)


def test_forgetting_while_walking(ledger):
    ledger.record({f"v{n:04}": entry() for n in range(2500)})
    seen = 0
    for ids in ledger.video_ids():
        seen += len(ids)
        ledger.forget(ids)
    assert (seen, ledger.count()) == (2500, 0)


def test_what_is_recorded_again_has_to_be_mirrored_again(ledger):
    ledger.record({"a": entry(), "b": entry()})
    ledger.mark_mirrored()
    ledger.record({"b": entry("changed")})
    assert list(ledger.video_ids(unmirrored=True)) == [["b"]]


def test_a_closed_ledger_is_one_file_that_can_be_read_but_not_written(ledger, path):
    ledger.record({"a": entry()})
    ledger.close()
    ledger.close()
    with closing(Ledger(path, read_only=True)) as reader:
        assert reader.lookup(["a"]) == {"a": entry()}
        with pytest.raises(StoreError, match="readonly"):
            reader.record({"b": entry()})
    assert list(path.parent.iterdir()) == [path]


def test_seen_ids_say_where_an_id_was_first_met():
    seen = SeenIds()
    assert seen.take("a", Origin("x", 1)) is None
    assert seen.take("a", Origin("y", 2)) == Origin("x", 1)
    assert seen.find_unseen(["a", "b"]) == ["b"]
    seen.close()


def test_a_ledger_that_another_process_looks_into_can_be_closed_and_copied(ledger, path):
    ledger.record({"a": entry()})
    with closing(Ledger(path, read_only=True)):
        ledger.close()
        with closing(Ledger(path, read_only=True)) as reader:
            reader.copy_to(path.with_name("copy.sqlite"))
    with closing(Ledger(path.with_name("copy.sqlite"))) as copy:
        assert copy.lookup(["a"]) == {"a": entry()}
