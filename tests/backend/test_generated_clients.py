"""Clients that generators make of the served OpenAPI document: they import, type-check and ask."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend.catalogue import RED
from tests.backend.served import Served

pytestmark = pytest.mark.slow
GENERATOR = shutil.which("openapi-typescript")
# openapi-python-client knows no pictures, unless it is told that they are bytes.
CONFIGURED = "content_type_overrides: {image/jpeg: application/octet-stream}\npost_hooks: []\n"


@pytest.fixture(scope="module")
def served(embedded) -> Iterator[Served]:
    with Served(embedded) as served:
        yield served


def run(*command: str | Path, cwd: Path) -> str:
    """What a command says; it is to succeed."""
    done = subprocess.run(
        [str(one) for one in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_document(served: Served, folder: Path) -> None:
    _, document = served.get("/openapi.json")
    (folder / "openapi.json").write_text(json.dumps(document), encoding="utf-8")


IN_PYTHON = """
import datetime
import importlib
import io
import pkgutil
import sys

import made
from made import Client
from made.api.recommendations import feed
from made.api.search import multi_search, recommendations, search, search_by_query
from made.api.videos import browse, lookup, similar, thumbnail, video
from made.models import BrowseAnswer, BrowseFacetsItem, BrowseSort, FeedAnswer, FeedBody
from made.models import FilterBody, LookupAnswer, LookupBody, MultiSearchAnswer, MultiSearchBody
from made.models import MultiSearchItemBody, ProblemBody, RecommendationsBody, SearchAnswer
from made.models import SearchBody, SearchFilesBody, ThumbnailWidth, TimeBounds, VideoAnswer
from made.models import WeightsBody
from made.types import File

for module in pkgutil.walk_packages(made.__path__, "made."):
    importlib.import_module(module.name)
client = Client(base_url=sys.argv[1])

filter = FilterBody(
    language=["si", "ta"],
    has_thumbnail=True,
    published_at=TimeBounds(
        gte=datetime.date(2020, 1, 1),
        lt=datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc),
    ),
)
asked = SearchBody(
    text="beach film", limit=3, filter_=filter, weights=WeightsBody(thumbnail=0), explain=True
)
found = search.sync(client=client, body=asked)
assert isinstance(found, SearchAnswer) and found.total == 18, found
assert found.hits[0].video.title == "beach film number 1"
assert found.hits[0].sources and found.hits[0].sources.title and found.hits[0].sources.title.rank

with open("red.png", "rb") as picture:
    seen = search.sync(
        client=client,
        body=SearchFilesBody(image=File(picture, "red.png", "image/png"), limit=1, filter_=filter),
    )
assert isinstance(seen, SearchAnswer) and seen.hits[0].video.title == "kitchen film number 4", seen

cursor = ""
for rank in (1, 3):
    by_query = search_by_query.sync(
        client=client, q="beach film", filter_='{"language": ["si"]}', limit=2, cursor=cursor
    )
    assert isinstance(by_query, SearchAnswer) and by_query.hits[0].rank == rank
    cursor = by_query.next_cursor or ""

page = browse.sync(
    client=client,
    sort=BrowseSort.VIEW_COUNTDESC,
    facets=[BrowseFacetsItem.CHANNEL],
    facet_query='{"channel": "bea"}',
)
assert isinstance(page, BrowseAnswer) and page.total == 31 and page.facets
assert page.facets.channel and page.facets.channel.values[0].count == 10

several = lookup.sync(client=client, body=LookupBody(video_ids=["beach-1", "gone"]))
assert isinstance(several, LookupAnswer) and several.missing == ["gone"]
one = video.sync("beach-1", client=client)
assert isinstance(one, VideoAnswer) and one.video.view_count == 100
assert isinstance(similar.sync("beach-1", client=client, limit=2), SearchAnswer)
picked = thumbnail.sync("beach-1", client=client, w=ThumbnailWidth.VALUE_160)
assert isinstance(picked, File) and picked.payload.read(4) == b"\\x89PNG"

liked = recommendations.sync(client=client, body=RecommendationsBody(liked=["beach-1", "gone"]))
assert isinstance(liked, SearchAnswer) and liked.missing == ["gone"]
both = multi_search.sync(
    client=client,
    body=MultiSearchBody(
        searches=[MultiSearchItemBody(text="beach"), MultiSearchItemBody(video_id="gone")]
    ),
)
assert isinstance(both, MultiSearchAnswer) and len(both.results) == 2
fed = feed.sync(client=client, body=FeedBody(events=[], limit=2))
assert isinstance(fed, FeedAnswer) and len(fed.hits) == 2

refused = search.sync(client=client, body=SearchBody(text="a", limit=1000))
assert isinstance(refused, ProblemBody) and refused.errors, refused
assert refused.errors[0].field == "limit"
client.get_httpx_client().close()
"""


def test_one_by_openapi_python_client(served, tmp_path):
    write_document(served, tmp_path)
    (tmp_path / "config.yml").write_text(CONFIGURED)
    (tmp_path / "red.png").write_bytes(RED)
    (tmp_path / "use.py").write_text(IN_PYTHON)
    generate = ("generate", "--path", "openapi.json", "--meta", "none", "--output-path", "made")
    said = run(
        *(sys.executable, "-m", "openapi_python_client", *generate, "--config", "config.yml"),
        cwd=tmp_path,
    )
    assert "arning" not in said
    run(sys.executable, "-m", "mypy", "--strict", "made", "use.py", cwd=tmp_path)
    run(sys.executable, "-W", "error", "use.py", served.url, cwd=tmp_path)


IN_TYPESCRIPT = """
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });
const filter: components["schemas"]["FilterBody"] = {
  language: ["si", "ta"], has_thumbnail: true, published_at: { gte: "2020-01-01" },
};

// No field is needed that has a default.
const body = { text: "beach film", filter, limit: 3 };
const found = await client.POST("/api/v1/search", { body });
const byQuery = await client.GET("/api/v1/search", {
  params: { query: { q: "beach film", filter: JSON.stringify(filter), facets: ["language"] } },
});
const query = { sort: "view_count:desc" } as const;
const browsed = await client.GET("/api/v1/videos", { params: { query } });
const ids = ["beach-1", "gone"];
const several = await client.POST("/api/v1/lookup", { body: { video_ids: ids } });
const liked = await client.POST("/api/v1/recommendations", { body: { liked: ids } });
const fed = await client.POST("/api/v1/feed", { body: { events: [], limit: 2 } });
const refused = await client.POST("/api/v1/search", { body: { text: "a", limit: 1000 } });
const code: components["schemas"]["Code"] | undefined = refused.error?.code;
const rank: number | undefined = found.data?.hits[0]?.rank;
// @ts-expect-error: a list of ids is needed
await client.POST("/api/v1/lookup", { body: {} });

console.log(JSON.stringify([
  found.data?.hits[0]?.video.title, rank, found.data?.total, byQuery.data?.hits.length,
  byQuery.data?.facets?.language?.values.length, browsed.data?.total, several.data?.missing,
  liked.data?.missing, fed.data?.hits.length, code, refused.error?.errors?.[0]?.field,
]));
"""


@pytest.mark.skipif(
    GENERATOR is None,
    reason="npm install --global openapi-typescript@7 openapi-fetch typescript@5, as .ci/run does",
)
def test_one_by_openapi_typescript(served, tmp_path):
    write_document(served, tmp_path)
    # Its neighbours were installed together with it.
    modules = Path(GENERATOR).resolve().parents[2]
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "use.ts").write_text(IN_TYPESCRIPT)
    (tmp_path / "node.d.ts").write_text("declare const process: { argv: string[] };\n")
    run(GENERATOR, "openapi.json", "--output", "schema.ts", cwd=tmp_path)
    options = "--strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess --target es2022"
    options += " --module nodenext --lib es2022,dom,dom.iterable"
    compiler = modules / "typescript" / "bin" / "tsc"
    run("node", compiler, *options.split(), "use.ts", "node.d.ts", cwd=tmp_path)
    said = run("node", "use.js", served.url, cwd=tmp_path)
    assert json.loads(said) == [
        *("beach film number 1", 1, 18, 18, 2, 31, ["gone"], ["gone"], 2),
        *("validation_failed", "limit"),
    ]
