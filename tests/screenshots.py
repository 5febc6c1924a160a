"""Pictures of the page over the drawn sample: ``python -m tests.screenshots OUT``.

Every view, at a phone's width and a desktop's, light and dark. Without ``--url`` a sample of 600
videos is drawn, indexed and served for it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, expect

from tests.backend.browser import launched
from tests.backend.served import ROOT, TWINLENS, Served
from twinlens.stores.generations import DataDir

WIDTHS: Final = {390: 844, 1440: 900}
_IN_VIEW: Final = "it => { const { top, bottom } = it.getBoundingClientRect();" + (
    " return bottom > 0 && top < innerHeight; }"
)


def settled(page: Page) -> None:
    """Wait until nothing is fetched and every picture in the window is drawn."""
    page.wait_for_load_state("networkidle")
    for image in page.locator(".thumbnail img").all():
        if image.is_visible() and image.evaluate(_IN_VIEW):
            expect(image).to_have_class("is-loaded", timeout=30_000)


def opened(page: Page, card: int) -> None:
    page.locator("#results a.card").nth(card).click()
    page.locator("#related a.card").first.wait_for()
    page.mouse.move(2, 2)


def refined(page: Page) -> None:
    if not page.locator("#refine").is_visible():
        page.locator("#refine-button").click()
    page.mouse.move(2, 2)


def searched_by_picture(page: Page) -> None:
    page.locator("#results img.is-loaded").first.wait_for()
    address = page.locator("#results img").nth(2).get_attribute("src") or ""
    picture = page.request.get(address).body()
    upload = {"name": "picture.jpg", "mimeType": "image/jpeg", "buffer": picture}
    page.locator("#file").set_input_files([upload])  # type: ignore[list-item]
    page.locator("#picture-preview").wait_for()
    page.locator("#results .why").first.wait_for()


def failed(page: Page) -> None:
    page.route("**/api/v1/search", lambda route: route.abort())
    page.locator("#text").fill("a server that is away")
    page.locator("#state .message").wait_for()


def recommended(page: Page) -> None:
    for _ in range(2):
        opened(page, 0)
        page.get_by_role("button", name="More like this").click()
        page.locator("#results .why").first.wait_for()


def suggested(page: Page) -> None:
    page.locator("#text").press_sequentially("cri", delay=50)
    page.locator("#suggestions img").first.wait_for()
    page.locator("#text").press("ArrowDown")


# What is pictured: where it begins, and what is done there.
VIEWS: Final[dict[str, tuple[str, Callable[[Page], object]]]] = {
    "discover": ("/?seed=11", lambda _: None),
    "discover-refined": ("/?seed=11&language=si&category=Sports", refined),
    "search": ("/?q=cricket+match", lambda _: None),
    "suggested": ("/?seed=11", suggested),
    "search-sinhala": ("/?q=ක්‍රිකට්", lambda _: None),
    "search-refined": ("/?q=night+market&weights=1-2.5-4", refined),
    "picture": ("/?seed=11", searched_by_picture),
    "video": ("/?q=cricket+match", lambda page: opened(page, 1)),
    "video-tamil": ("/?language=ta&seed=4", lambda page: opened(page, 0)),
    "recommended": ("/?seed=5", recommended),
    "nothing": ("/?language=xx&seed=1", lambda _: None),
    "error": ("/?seed=11", failed),
    "missing-video": ("/?seed=11&v=none", lambda _: None),
    "missing-picture": ("/?picture=0123456789ab", lambda _: None),
}


def take(browser: Browser, url: str, out: Path, names: list[str]) -> Iterator[Path]:
    """Take the pictures called ``names`` (all where empty), and say where each was put."""
    out.mkdir(parents=True, exist_ok=True)
    for width, height in WIDTHS.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(
                base_url=url,
                viewport={"width": width, "height": height},
                color_scheme=scheme,  # type: ignore[arg-type]
                reduced_motion="reduce",
                has_touch=width < 600,
                is_mobile=width < 600,
                device_scale_factor=2 if width < 600 else 1,
            )
            for name, (address, act) in VIEWS.items():
                if names and name not in names:
                    continue
                page = context.new_page()
                page.goto(address)
                settled(page)
                act(page)
                settled(page)
                path = out / f"{name}-{width}-{scheme}.png"
                page.screenshot(path=path)
                page.close()
                yield path
            context.close()


@contextmanager
def served() -> Iterator[str]:
    """The address of a server over a freshly drawn sample."""
    with tempfile.TemporaryDirectory() as directory:
        sample, data = Path(directory) / "sample", Path(directory) / "data"
        index = ("index", sample, "--data-dir", data, "--title-model", "packaged:use-m3-bridge")
        for command in (("sample", "--videos", "600", sample), index):
            subprocess.run([*TWINLENS, *command], check=True, cwd=ROOT)
        with Served(DataDir(data), command=TWINLENS) as served:
            yield served.url


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to put them in")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(VIEWS)}; all by default")
    parser.add_argument("--url", help="a running server's address, for pictures of that")
    given = parser.parse_args()
    unknown = set(given.names) - set(VIEWS)
    if unknown:
        parser.error(f"no such view: {', '.join(sorted(unknown))}")
    with launched() as browser, nullcontext(given.url) if given.url else served() as url:
        paths = list(take(browser, url, given.out, given.names))
    sys.stdout.writelines(f"{path}\n" for path in paths)


if __name__ == "__main__":
    main()
