"""The JavaScript client, in a real browser and in Node, against a real server; and its types."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from playwright._impl._driver import compute_driver_executable
from playwright.sync_api import Page

from tests.backend.browser import launched, needs_chromium, watched_page
from tests.backend.catalogue import COLOURS, ODD_ID, RED, picture_bytes
from tests.backend.served import ROOT, Served
from twinlens.backend.schemas import answers, requests
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import fit
from twinlens.catalog.fields import FIELDS

STATIC = ROOT / "backend" / "static"
TYPES = (STATIC / "client.d.ts").read_text(encoding="utf-8")
DOCS = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = DOCS[DOCS.index("## JavaScript client") : DOCS.index("## Errors")]


@pytest.fixture(scope="module")
def served(embedded) -> Iterator[Served]:
    with Served(embedded) as served:
        yield served


@pytest.fixture(scope="module")
def page(served) -> Iterator[Page]:
    with launched() as browser, watched_page(browser, served.url, failing=True) as page:
        page.goto("/healthz")
        yield page


def run(page: Page, body: str, argument: object = None) -> object:
    """What ``body`` returns, with the client's names in scope and ``given`` the argument."""
    return page.evaluate(
        "async (given) => { const { TwinLens, TwinLensError, pages } = "
        f"await import('/static/client.js'); const twinlens = new TwinLens(); {body} }}",
        argument,
    )


FAILS = """
const away = new TwinLens({ fetch: () => Promise.reject(new TypeError("no")) });
const headers = { "Retry-After": "7", "X-Request-Id": "r" };
const odd = (status) => new TwinLens({
    fetch: async () => new Response("<html>", { status, headers }),
});
const cut = (status) => new TwinLens({ fetch: async () => new Response(new ReadableStream({
    pull: (body) => body.error(new TypeError("lost")),
}), { status }) });
const failure = await (%s).then(() => null, (error) => error);
const { name, code, status, requestId, errors, retryAfter } = failure;
return failure instanceof TwinLensError && { name, code, status, requestId, errors, retryAfter };
"""


@needs_chromium
class TestInTheBrowser:
    def test_words_find(self, page):
        answer = run(
            page,
            """return twinlens.search({
                text: "beach film", limit: 3, explain: true, highlight: true, cursor: undefined,
                weights: { thumbnail: 0 }, filter: { language: ["si"] }, attributes: ["title"],
            });""",
        )
        assert [hit["video"]["title"] for hit in answer["hits"]] == [
            "beach film number 1",
            "beach film number 4",
            "beach film number 7",
        ]
        assert set(answer["hits"][0]["video"]) == {"video_id", "title"}
        assert answer["hits"][0]["sources"]["thumbnail"] is None
        assert answer["hits"][0]["highlight"]["title"][0] == {"text": "beach", "matched": True}

    def test_a_picture_finds_as_a_blob_and_as_base64(self, page):
        blob, text = run(
            page,
            """const blob = new Blob([new Uint8Array(given)], { type: "image/png" });
            const options = { limit: 2, explain: true, filter: { category: "kitchen" },
                attributes: ["title", "channel"], exclude: ["kitchen-3", "kitchen-5"],
                boost: [{ field: "view_count", weight: 0.5 }], max_per_channel: 1 };
            return Promise.all([
                twinlens.search({ image: blob, ...options }),
                twinlens.search({ image: btoa(String.fromCharCode(...given)), ...options }),
            ]);""",
            list(RED),
        )
        assert blob["hits"][0]["video"]["title"] == "kitchen film number 4"
        assert blob["hits"] == text["hits"]
        assert blob["hits"][0]["boosts"][0]["field"] == "view_count"

    def test_videos_and_those_like_them(self, page):
        video, similar, recommended, stats, several = run(
            page,
            """return Promise.all([
                twinlens.video(given),
                twinlens.similar(given, { limit: 2, filter: { category: ["beach"] },
                    boost: [{ field: "view_count" }], exclude: ["beach-9"],
                    sort: "view_count:desc" }),
                twinlens.recommend({ liked: ["beach-1"], disliked: [given], limit: 3 }),
                twinlens.stats(),
                twinlens.lookup([given, "gone", "beach-1"], { attributes: ["title"] }),
            ]);""",
            ODD_ID,
        )
        assert [one["video_id"] for one in several["videos"]] == [ODD_ID, "beach-1"]
        assert several["missing"] == ["gone"]
        assert video["video"]["video_id"] == ODD_ID
        assert [hit["video"]["video_id"] for hit in similar["hits"]] == ["beach-8", "beach-7"]
        assert len(recommended["hits"]) == 3
        assert stats["counts"]["videos"] == 31

    def test_several_searches_are_asked_at_once(self, page):
        apart, fused = run(
            page,
            """const searches = [{ text: "beach", limit: 1 }, { video_id: "cricket-2", limit: 1 }];
            const bare = searches.map(({ limit, ...rest }) => rest);
            return Promise.all([
                twinlens.multiSearch({ searches }),
                twinlens.multiSearch({ searches: bare, fuse: true, limit: 8 }),
            ]);""",
        )
        assert [one["hits"][0]["video"]["category"] for one in apart["results"]] == [
            "beach",
            "cricket",
        ]
        assert {hit["video"]["category"] for hit in fused["hits"]} == {"beach", "cricket"}

    def test_browsing_takes_a_filter_and_an_order(self, page):
        answer = run(
            page,
            """return twinlens.browse({
                limit: 2, sort: "view_count:desc", filter: { category: "beach" },
                facets: ["language", "view_count"], attributes: ["view_count"],
            });""",
        )
        assert [video["view_count"] for video in answer["videos"]] == [900, 800]
        assert answer["total"] == 10
        assert answer["facets"]["language"]["values"][0] == {"value": "en", "count": 4}
        assert answer["facets"]["view_count"] == {"min": 0, "max": 900}

    def test_pages_come_until_the_last_without_repeats_and_no_more_once_left(self, page):
        found, asked = run(
            page,
            """const found = [];
            const browse = (cursor) => twinlens.browse(
                { order: "random", seed: 3, limit: 7, cursor });
            for await (const { videos } of pages(browse))
                found.push(videos.map((it) => it.video_id));
            let asked = 0;
            const search = (cursor) => {
                asked += 1;
                return twinlens.search({ text: "film", limit: 5, cursor });
            };
            for await (const one of pages(search)) if (asked === 2) break;
            return [found, asked];""",
        )
        assert [len(one) for one in found] == [7, 7, 7, 7, 3]
        assert len({video_id for one in found for video_id in one}) == 31
        assert asked == 2

    def test_thumbnails_have_an_address_and_come_as_blobs(self, page):
        found = run(
            page,
            """const elsewhere = new TwinLens({ baseUrl: "https://videos.example/" });
            const { video } = await twinlens.video("beach-1");
            const blob = await twinlens.thumbnail("beach-1");
            return [
                twinlens.thumbnailUrl(video), elsewhere.thumbnailUrl(video),
                elsewhere.thumbnailUrl("a/b"), twinlens.thumbnailUrl({ thumbnail_url: null }),
                twinlens.thumbnailUrl({ title: "no more than this" }, { width: 320 }),
                blob.type, blob.size,
            ];""",
        )
        path = "/api/v1/videos/beach-1/thumbnail"
        assert found == [
            path,
            f"https://videos.example{path}",
            "https://videos.example/api/v1/videos/a%2Fb/thumbnail",
            None,
            None,
            "image/png",
            len(picture_bytes(COLOURS["beach"], shade=1)),
        ]

    @pytest.mark.parametrize(
        ("ask", "code", "status", "rest"),
        [
            ("twinlens.search({ text: 'a', limit: 0 })", "validation_failed", 422, {}),
            ("twinlens.search({ text: 'a', image: '' })", "picture_rejected", 422, {}),
            ("twinlens.video('none')", "video_not_found", 404, {}),
            ("away.stats()", "network_error", 0, {"requestId": None}),
            *(
                (
                    f"odd({status}).stats()",
                    "unexpected_answer",
                    status,
                    {"requestId": "r", "errors": [], "retryAfter": 7},
                )
                for status in (200, 502)
            ),
            *(
                (f"cut({status}).{call}", "network_error", status, {})
                for status in (200, 503)
                for call in ("stats()", "thumbnail('a')")
            ),
        ],
    )
    def test_a_failure_is_told_by_its_code(self, page, ask, code, status, rest):
        found = run(page, FAILS % ask)
        assert found == found | {"name": "TwinLensError", "code": code, "status": status, **rest}
        if code == "validation_failed":
            assert found["errors"][0]["field"] == "limit"
            assert found["requestId"]
            assert found["retryAfter"] is None

    def test_a_stopped_request_throws_the_reason_of_its_signal(self, page):
        names = run(
            page,
            """const caught = [];
            const stop = new AbortController();
            const asked = twinlens.stats({ signal: stop.signal });
            stop.abort();
            await asked.catch((error) => caught.push(error.name));
            await twinlens.stats({ signal: AbortSignal.abort("mine") })
                .catch((error) => caught.push(error));
            const slow = new TwinLens({
                fetch: (url, { signal }) => new Promise((_, reject) => {
                    signal.addEventListener("abort", () => reject(signal.reason));
                }),
            });
            await slow.stats({ signal: AbortSignal.timeout(20) })
                .catch((error) => caught.push(error.name));
            const late = new AbortController();
            const failing = new TwinLens({ fetch: async () => new Response(new ReadableStream({
                pull: (body) => { late.abort("late"); body.error(late.signal.reason); },
            }), { status: 503 }) });
            await failing.stats({ signal: late.signal }).catch((error) => caught.push(error));
            return caught;""",
        )
        assert names == ["AbortError", "mine", "TimeoutError", "late"]

    def test_a_key_is_sent_with_every_request(self, page):
        sent = run(
            page,
            """const sent = [];
            const keyed = new TwinLens({
                apiKey: "sesame",
                fetch: (url, init) => {
                    sent.push(new Headers(init.headers).get("Authorization"));
                    return fetch(url, init);
                },
            });
            await keyed.stats();
            await keyed.search({ text: "beach" });
            await keyed.thumbnail("beach-1");
            return sent;""",
        )
        assert sent == ["Bearer sesame"] * 3

    def test_the_types_declare_what_is_there_and_nothing_else(self, page):
        exported, members, error_members, widths = run(
            page,
            """const it = await import('/static/client.js');
            const error = new TwinLensError("m", { code: "c" });
            return [
                Object.keys(it), Object.getOwnPropertyNames(TwinLens.prototype), Object.keys(error),
                it.THUMBNAIL_WIDTHS,
            ];""",
        )
        declared = set(re.findall(r"^export (?:class|const|function) (\w+)", TYPES, re.MULTILINE))
        assert declared == set(exported)
        assert members_of("class TwinLens") == set(members)
        assert members_of("class TwinLensError") == {*error_members, "constructor"} - {"name"}
        assert widths == list(requests.ThumbnailWidth)


def members_of(*heads: str) -> set[str]:
    """The names that classes or interfaces of client.d.ts declare, without those they extend."""
    return {
        name
        for head in heads
        for body in re.findall(rf"\b{head}\b[^{{]*\{{(.*?)^\}}", TYPES, re.MULTILINE | re.DOTALL)
        for name in re.findall(r"^  (\w+)[?]?[(:]", body, re.MULTILINE)
    }


OF_A_VIDEO = ["LearnedFields", "DisjunctiveFields"]
RANKING = ("PageFields", "RankingFields")


@pytest.mark.parametrize(
    ("declared", "model"),
    [
        (["Video"], answers.VideoBody),
        (["Hit"], answers.HitBody),
        (["SearchAnswer", "Answer"], answers.SearchAnswer),
        (["VideoAnswer"], answers.VideoAnswer),
        (["LookupAnswer"], answers.LookupAnswer),
        (["StatsAnswer"], answers.StatsAnswer),
        (["Filter"], FilterBody),
        ([*RANKING, "DisjunctiveFields", "SearchFields"], requests.SearchBody),
        (["PageFields", "DisjunctiveFields", "BrowseFields"], requests.BrowseBody),
        (["BrowseAnswer", "Answer"], answers.BrowseAnswer),
        ([*RANKING, *OF_A_VIDEO], requests.SimilarBody),
        ([*RANKING, "LearnedFields", "RecommendFields"], requests.RecommendationsBody),
    ],
)
def test_types_name_the_fields_of_the_api(declared, model):
    fields = fit(model, FIELDS).model_fields
    names = members_of(*(f"interface {one}" for one in declared))
    assert names == {field.alias or name for name, field in fields.items()}


AGREE = """
import * as declared from "./client.js";
import * as actual from "./actual.js";
type Members<T> = { [K in keyof T]: T[K] };
declare const made: actual.TwinLens;
declare const failed: actual.TwinLensError;
export const members: Members<declared.TwinLens> = made;
export const errors: Members<declared.TwinLensError> = failed;
export const pages: typeof declared.pages = actual.pages;
export const widths: typeof declared.THUMBNAIL_WIDTHS = actual.THUMBNAIL_WIDTHS;
export const options: ConstructorParameters<typeof actual.TwinLens> =
  null! as ConstructorParameters<typeof declared.TwinLens>;

export async function used(twinlens: declared.TwinLens, image: Blob): Promise<void> {
  const { hits, facets } = await twinlens.search({ text: "a", image, facets: ["channel"] });
  const rank: number | undefined = hits[0]?.sources?.title?.rank;
  const counted: number | undefined = facets?.channel?.values[0]?.count;
  for await (const page of declared.pages((cursor) => twinlens.browse({ cursor }))) {
    const ids: string[] = page.videos.map((video) => video.video_id);
    console.log(rank, counted, ids);
  }
  const { results } = await twinlens.multiSearch({ searches: [{ text: "a" }] });
  const fused = await twinlens.multiSearch({ searches: [{ text: "a" }], fuse: true, limit: 3 });
  console.log(fused.hits[0]?.found_by[0]?.rank);
  for (const one of results) console.log("problem" in one ? one.problem.code : one.hits.length);
  await twinlens.multiSearch({ searches: [{ text: "a" }], fuse: true, facets: ["tags"] });
  // @ts-expect-error of a fused search, facets stand beside the searches
  await twinlens.multiSearch({ searches: [{ text: "a", facets: ["tags"] }], fuse: true });
  const few = await twinlens.browse({ attributes: ["title"] });
  // @ts-expect-error only what was asked for is there
  const channel: string | null = few.videos[0]!.channel;
  console.log(channel);
  await twinlens.search({
    text: "a", boost: [{ field: "published_at", half_life_days: 3 }], sort: "view_count:asc",
    exclude: ["b"], max_per_channel: 1,
  });
  // @ts-expect-error nothing is sorted by a title
  await twinlens.search({ text: "a", sort: "title:asc" });
  // @ts-expect-error a number of hits is no text
  await twinlens.search({ limit: "3" });
  // @ts-expect-error there is no such order
  await twinlens.browse({ sort: "title:asc" });
}
"""


@pytest.mark.skipif(
    shutil.which("tsc") is None and "TWINLENS_TEST_REQUIRE_CHROMIUM" not in os.environ,
    reason="no TypeScript here: apt-get install node-typescript, as .ci/run does",
)
def test_typescript_finds_the_client_to_be_what_its_types_say(tmp_path):
    shutil.copy(STATIC / "client.d.ts", tmp_path / "client.d.ts")
    # Beside its types TypeScript would not look into it.
    shutil.copy(STATIC / "client.js", tmp_path / "actual.js")
    (tmp_path / "agree.ts").write_text(AGREE, encoding="utf-8")
    options = "--noEmit --strict --allowJs --checkJs --noUncheckedIndexedAccess --target es2022"
    options += " --module es2022 --moduleResolution node --lib es2022,dom,dom.iterable"
    done = subprocess.run(
        ["tsc", *options.split(), "agree.ts", "actual.js"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_it_runs_in_node(served, tmp_path):
    """In the one that Playwright brings along."""
    node, _ = compute_driver_executable()
    shutil.copy(STATIC / "client.js", tmp_path / "client.mjs")
    (tmp_path / "picture.png").write_bytes(RED)
    (tmp_path / "example.mjs").write_text(
        f"""
        import {{ readFile }} from "node:fs/promises";
        import {{ TwinLens }} from "./client.mjs";
        const twinlens = new TwinLens({{ baseUrl: "{served.url}/" }});
        const image = new Blob([await readFile("picture.png")]);
        const {{ hits }} = await twinlens.search({{ image, limit: 1 }});
        const error = await twinlens.video("none").catch((error) => error);
        console.log(hits[0].video.title, error.code);
        """,
        encoding="utf-8",
    )
    done = subprocess.run(
        [node, "example.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "kitchen film number 4 video_not_found", done.stderr


def test_every_method_has_an_example():
    shown = set(re.findall(r"twinlens\.(\w+)\(", EXAMPLES))
    assert shown == members_of("class TwinLens") - {"constructor"}
