"""Pictures that many videos share: known by count, shown, and not compared."""

from __future__ import annotations

from tests.indexer.conftest import CountingThumbnails, CountingTitles, jpeg
from twinlens.encoders.lenses import THUMBNAIL

GREY = jpeg((200, 200, 200))


def pictured(published) -> set[str]:
    return {video_id for video_id, names in published.vectors().items() if THUMBNAIL in names}


def test_a_picture_that_ten_videos_share_is_not_compared(run_job, catalogue, published):
    honest = {f"video{number}" for number in range(10)}
    for number in range(9):
        catalogue.add(f"grey{number}", picture=GREY)
    summary = run_job()
    assert summary.placeholders == {}
    assert pictured(published) == honest | {f"grey{number}" for number in range(9)}

    # The tenth makes it one; what was stored is brought in step, and it is still shown.
    catalogue.add("grey9", picture=GREY)
    summary = run_job()
    [(file, count)] = summary.placeholders.items()
    assert count == 10
    assert pictured(published) == honest
    assert published.payload("grey3")["thumbnail_file"] == file
    assert published.differences() == []

    # Nothing changes from then on.
    titles, thumbnails = CountingTitles(), CountingThumbnails()
    summary = run_job(titles, thumbnails)
    assert (summary.published, summary.unchanged, summary.placeholders) == (False, 20, {file: 10})
    assert (titles.encoded, thumbnails.encoded) == ([], 0)

    # Another video with it isn't even encoded; a fresh index is the same.
    catalogue.add("grey10", picture=GREY)
    thumbnails = CountingThumbnails()
    run_job(None, thumbnails)
    assert thumbnails.encoded == 0
    incremental = published.vectors()
    assert pictured(published) == honest
    run_job(fresh=True)
    assert published.vectors() == incremental

    # Where fewer have it, it is a picture again.
    for name in ("grey8", "grey9", "grey10"):
        del catalogue.rows[name]
    summary = run_job(prune=True)
    assert summary.placeholders == {}
    assert pictured(published) == honest | {f"grey{number}" for number in range(8)}
    assert published.differences() == []
    assert not run_job(prune=True).published


def test_a_video_that_has_nothing_else_keeps_its_picture(run_job, catalogue, published):
    for number in range(12):
        catalogue.add(f"grey{number}", picture=GREY, title=None if number < 2 else "A title")
    run_job()
    assert {one for one in pictured(published) if one.startswith("grey")} == {"grey0", "grey1"}
    assert not run_job().published
