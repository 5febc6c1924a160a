"""Parts joined so that their digest tells where each ends."""

from __future__ import annotations

from twinlens.catalog.digests import join_with_lengths
from twinlens.encoders.fingerprints import make_fingerprint
from twinlens.indexer.ledger import make_content_key
from twinlens.search.cursor import digest_request


def test_each_part_follows_its_length() -> None:
    assert join_with_lengths([b"ab", b""]) == b"\2" + bytes(7) + b"ab" + bytes(8)
    assert join_with_lengths([b"ab"], byteorder="big") == bytes(7) + b"\2ab"
    assert join_with_lengths([]) == b""
    assert join_with_lengths([b"ab", b"c"]) != join_with_lengths([b"a", b"bc"])


def test_digests_that_are_kept_on_disk_and_in_cursors_stay_as_they_are() -> None:
    """Another value would encode every index again, or end every cursor that is out."""
    assert make_fingerprint("a", "ක", "") == "59ea92d5a4c5bf8a"
    assert make_content_key("ab", "ක").hex() == "4f9d41f647fc06795fb03b780c51e5ff"
    assert digest_request("ab", None, b"x", 3.5) == "c9a8235d66e8b5b5b238f81a"
