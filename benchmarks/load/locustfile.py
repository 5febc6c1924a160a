"""Callers of a served index: 60 % texts, 25 % "you may also like", 15 % pictures.

What they ask by comes from the server itself: titles, ids and thumbnails of videos drawn at random.
Half of the texts are of a few popular ones, by Zipf's law, so that some are remembered. Each caller
asks the next as soon as it has an answer. ``docs/load.md`` says how to run it.
"""

from __future__ import annotations

import random
from typing import Any, Final

import httpx
from locust import FastHttpUser, constant, events, task

API: Final = "/api/v1"
# Videos whose titles, ids and thumbnails are asked by.
VIDEOS: Final = 500
PICTURES: Final = 100
POPULAR: Final = 1000
MOST_WORDS: Final = 4
_PAGE: Final = 100


class Material:
    """What is asked by, the same for all callers."""

    def __init__(self) -> None:
        self.videos: list[dict[str, Any]] = []
        self.pictures: list[bytes] = []
        self.popular: list[str] = []
        self.weights: list[float] = []

    def fill(self, host: str) -> None:
        """Read it from the server; the same of an index every time."""
        random.seed(0)
        with httpx.Client(base_url=host, timeout=60) as client:
            for number in range(-(-VIDEOS // _PAGE)):
                asked = f"{API}/videos?order=random&seed={number}&limit={_PAGE}"
                page = client.get(asked).raise_for_status().json()
                self.videos += [one for one in page["videos"] if one.get("title")]
            urls = dict.fromkeys(one.get("thumbnail_url") for one in self.videos)
            for url in [url for url in urls if url][:PICTURES]:
                self.pictures.append(client.get(url).raise_for_status().content)
        self.popular = [self.draw_text() for _ in range(POPULAR)]
        self.weights = [1 / rank for rank in range(1, POPULAR + 1)]

    def draw_text(self) -> str:
        """Return one to four words that stand side by side in a title."""
        words = random.choice(self.videos)["title"].split()
        count = random.randint(1, MOST_WORDS)
        first = random.randrange(max(1, len(words) - count + 1))
        return " ".join(words[first : first + count])[:200]


MATERIAL: Final = Material()


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def prepare(environment: Any, **_: Any) -> None:
    """Fill what is asked by, before the first caller and out of its time."""
    MATERIAL.fill(environment.host)


class Caller(FastHttpUser):
    """Asks without a pause."""

    wait_time = constant(0)

    @task(60)
    def search_by_text(self) -> None:
        """By a popular text, or by one that is new."""
        popular = random.random() < 0.5
        drawn = random.choices(MATERIAL.popular, MATERIAL.weights)[0] if popular else None
        text = drawn or MATERIAL.draw_text()
        self.client.get(f"{API}/search", params={"q": text}, name="text")

    @task(25)
    def find_similar(self) -> None:
        """By a video of the index."""
        video_id = random.choice(MATERIAL.videos)["video_id"]
        self.client.get(f"{API}/videos/{video_id}/similar", name="similar")

    @task(15)
    def search_by_picture(self) -> None:
        """By a file, in a multipart body."""
        if MATERIAL.pictures:
            picture = random.choice(MATERIAL.pictures)
            self.client.post(f"{API}/search", files={"image": picture}, name="picture")
