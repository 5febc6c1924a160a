"""Pictures that the browser knows and the server doesn't: the page draws them and sends JPEG."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image, features
from playwright.sync_api import Page, expect

from tests.backend.browser import needs_chromium
from tests.backend.catalogue import RED
from tests.backend.page.visiting import cards, show

pytestmark = [needs_chromium, pytest.mark.slow]
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")


def kept_picture(page: Page) -> tuple[str, Image.Image]:
    """The type and the pixels of what is sent, and kept in the tab for a reload."""
    kept = page.evaluate("Object.values(sessionStorage).find(one => one.startsWith('data:'))")
    head, _, content = kept.partition(";base64,")
    return head, Image.open(io.BytesIO(base64.b64decode(content)))


@needs_avif
@pytest.mark.parametrize(("size", "sent_size"), [((48, 36), (48, 36)), ((3200, 200), (1600, 100))])
def test_an_avif_picture_is_sent_as_jpeg(desktop, size, sent_size):
    show(desktop, "/")
    red = Image.open(io.BytesIO(RED)).resize(size)
    avif = io.BytesIO()
    red.save(avif, "AVIF")
    with desktop.expect_request(lambda sent: sent.method == "POST") as sent:
        desktop.locator("#file").set_input_files(
            {"name": "red.avif", "mimeType": "image/avif", "buffer": avif.getvalue()}
        )
    kind, picture = kept_picture(desktop)
    assert (kind, picture.format) == ("data:image/jpeg", "JPEG")
    assert picture.size == sent_size
    hits = sent.value.response().json()["hits"]
    assert hits[0]["video"]["video_id"].startswith("kitchen-")
    expect(cards(desktop).first).to_have_attribute("data-video-id", hits[0]["video"]["video_id"])


def test_what_the_browser_does_not_know_either_is_refused(desktop):
    show(desktop, "/")
    # The beginning of a HEIC file, which Chromium reads as little as the server does.
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    asked = []
    desktop.on("request", lambda sent: sent.method == "POST" and asked.append(sent.url))
    desktop.locator("#file").set_input_files(
        {"name": "x.heic", "mimeType": "image/heic", "buffer": heic}
    )
    expect(desktop.locator("#state").get_by_text("can't be read")).to_be_visible()
    assert asked == []
