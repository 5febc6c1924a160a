"""The lenses of docs/lenses.md, registered by another package: they need no line of the product."""

import json
import re
import signal
import time
import tomllib
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from playwright.sync_api import expect

from tests.backend.browser import launched, needs_chromium, watched_page
from tests.backend.served import ROOT, Served, start
from tests.fakes import ColourEncoder, WordEncoder
from tests.indexer.conftest import count_stored, jpeg
from twinlens.catalog.errors import EncoderUnavailable
from twinlens.cli import main
from twinlens.encoders import lenses, load
from twinlens.encoders.lens import Lens
from twinlens.search.request import SearchRequest
from twinlens.stores.generations import DataDir

DOC = (ROOT / "docs" / "lenses.md").read_text(encoding="utf-8")
VIDEOS = 800
CHANNELS = ("Hill Country Kitchen", "Galle Cricket Club", "கோவில் பாடல்கள்")


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", DOC, flags=re.MULTILINE | re.DOTALL)
    return found


def install(site: Path, name: str, points: dict[str, str]) -> None:
    """What pip writes of a package that registers lenses."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"[{lenses.ENTRY_POINTS}]", *(f"{one} = {point}" for one, point in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The package of the page, as pip installs one."""
    site = tmp_path_factory.mktemp("site")
    points = tomllib.loads(block("toml"))["project"]["entry-points"][lenses.ENTRY_POINTS]
    [module] = {point.partition(":")[0] for point in points.values()}
    (site / f"{module}.py").write_text(block("python"), encoding="utf-8")
    install(site, module, points)
    return site


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source")
    rows = []
    for number in range(VIDEOS):
        row = {
            "video_id": f"v{number}",
            "title": f"Episode {number}",
            "channel": CHANNELS[number % 3],
            "tags": [f"tag{number % 7}", "Sri Lanka"],
        }
        if number < 20:
            (path / f"{number}.jpg").write_bytes(jpeg((number * 10, 90, 200)))
            row["file_name"] = f"{number}.jpg"
        rows.append(row)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (path / "metadata.jsonl").write_text(lines, encoding="utf-8")
    return path


def ended(*arguments: object, package: Path | None) -> tuple[int, str]:
    """A command in this process, which has imported already what it needs."""
    with pytest.MonkeyPatch.context() as patched:
        if package is not None:
            patched.syspath_prepend(package)
        patched.setattr(load, "load_title_encoder", lambda name, **_: WordEncoder())
        patched.setattr(load, "load_thumbnail_encoder", lambda name, **_: ColourEncoder())
        lenses.find_lenses.cache_clear()
        done = CliRunner().invoke(main, [*map(str, arguments)])
    lenses.find_lenses.cache_clear()
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def index(tmp_path_factory, package, source) -> tuple[DataDir, dict]:
    """An index by five lenses, whose job was killed and continued, and the job's summary."""
    data = DataDir(tmp_path_factory.mktemp("index"))
    job = start("index", source, "--data-dir", data.path, packages=[package])
    while job.poll() is None and count_stored(data) < 100:
        time.sleep(0.002)
    job.send_signal(signal.SIGKILL)
    _, said = job.communicate()
    assert job.returncode == -signal.SIGKILL, f"the job ended before it was killed: {said}"
    reached = count_stored(data)
    assert 0 < reached < VIDEOS
    summary = data.path / "summary.json"
    code, said = ended("index", source, "--data-dir", data.path, "--json", summary, package=package)
    assert code == 0, said
    return data, {"reached": reached, "said": said} | json.loads(summary.read_text())


def find(served: Served, path: str, **weights: float) -> dict:
    status, found = served.get(f"{path}&explain=true&weights={quote(json.dumps(weights))}")
    assert status == 200, found
    return found


@pytest.fixture(scope="module")
def served(index, package):
    with Served(index[0], packages=[package]) as served:
        yield served


def test_a_killed_job_is_continued_by_all_lenses(index):
    data, summary = index
    assert summary["continued"]
    assert summary["videos"] == VIDEOS
    # What the killed job had done was not encoded again, but for the batch in flight.
    done = VIDEOS - summary["reached"] + 64
    assert summary["encoded"]["channel"] <= done
    assert summary["encoded"]["title"] <= done
    assert "channels encoded" in summary["said"]
    manifest = data.read_published()
    assert manifest.counts == {
        "videos": VIDEOS,
        "title": VIDEOS,
        "thumbnail": 20,
        "words": VIDEOS,
        "channel": VIDEOS,
        "tags": VIDEOS,
    }
    assert manifest.dims["channel"] == 64
    assert manifest.dims["tags"] is None


def test_the_same_source_again_changes_nothing_and_verify_looks_at_them(index, source, package):
    for command, expected in (
        (["index", source], f"0 new, 0 changed, {VIDEOS} unchanged"),
        (["verify"], f"{VIDEOS} channel vectors, {VIDEOS} tags vectors"),
    ):
        code, said = ended(*command, "--data-dir", index[0].path, package=package)
        assert code == 0, said
        assert expected in said


def test_stats_and_openapi_name_them(served):
    _, stats = served.get("/api/v1/stats")
    assert stats["counts"]["tags"] == stats["counts"]["channel"] == VIDEOS
    assert stats["encoders"]["channel"]["dim"] == 64
    _, document = served.get("/openapi.json")
    schemas = document["components"]["schemas"]
    assert "0.5" in schemas["WeightsBody"]["properties"]["channel"]["description"]
    assert (
        "the name of the channel" in schemas["SourcesBody"]["properties"]["channel"]["description"]
    )
    types = served.ask("GET", "/static/client.d.ts")[2].decode()
    assert 'Lens = "title" | "words" | "thumbnail" | "channel" | "tags";' in types


def test_a_sparse_one_is_asked_by_text_and_weighed(served):
    weights = {"title": 0, "words": 0, "thumbnail": 0, "channel": 0, "tags": 2}
    _, problem = served.post("/api/v1/search", text="x", weights=weights | {"colour": 1})
    assert problem["errors"][0]["field"] == "weights.colour"
    assert problem["errors"][0]["expected"] == f"one of: {', '.join(weights)}"
    found = find(served, "/api/v1/search?q=TAG3&limit=100", **weights)
    assert len(found["hits"]) == 100
    assert all("tag3" in hit["video"]["tags"] for hit in found["hits"])
    first = found["hits"][0]["sources"]
    assert first["tags"]["rank"] == 1
    assert first.keys() == {"title", "thumbnail", "words", "channel", "tags"}
    assert first["title"] is None


def test_what_a_text_can_t_ask_is_lent_by_the_best_hits(served):
    found = find(served, "/api/v1/search?q=Episode+4&expand=1&limit=5", channel=100)
    [lender] = found["borrowed_from"]
    _, lent = served.get(f"/api/v1/videos/{lender}")
    assert {hit["video"]["channel"] for hit in found["hits"]} == {lent["video"]["channel"]}
    assert found["hits"][0]["sources"]["channel"] is not None


def test_similar_and_recommended_go_by_it(served):
    only = {"title": 0, "words": 0, "thumbnail": 0, "tags": 0, "channel": 1}
    found = find(served, "/api/v1/videos/v1/similar?limit=20", **only)
    assert {hit["video"]["channel"] for hit in found["hits"]} == {CHANNELS[1]}
    assert found["hits"][0]["sources"]["channel"]["rank"] == 1
    body = {"liked": ["v2", "v0"], "weights": only, "explain": True}
    status, found = served.post("/api/v1/recommendations", **body)
    assert status == 200, found
    assert {hit["video"]["channel"] for hit in found["hits"]} == {CHANNELS[0], CHANNELS[2]}


def test_an_index_is_served_by_its_own_lenses_when_another_is_installed(tmp_path, package):
    (tmp_path / "videos.csv").write_text("video_id,title\nv1,Tea\nv2,Rice\n", encoding="utf-8")
    data = DataDir(tmp_path / "data")
    code, said = ended("index", tmp_path / "videos.csv", "--data-dir", data.path, package=None)
    assert code == 0, said
    with Served(data, packages=[package]) as served:
        assert find(served, "/api/v1/search?q=tea")["hits"][0]["video"]["video_id"] == "v1"
        unknown = {"text": "tea", "weights": {"channel": 1}}
        status, problem = served.post("/api/v1/search", **unknown)
        assert (status, problem["errors"][0]["field"]) == (422, "weights.channel")
        assert problem["errors"][0]["expected"] == "one of: title, thumbnail, words"
        for fuse in (True, False):
            searches = [{"text": "tea"}, unknown]
            status, problem = served.post("/api/v1/multi-search", searches=searches, fuse=fuse)
            [error] = problem["errors"]
            assert (status, error["field"]) == (422, "searches.1.weights.channel")
        assert b'"about": "the name of the channel"' not in served.ask("GET", "/")[2]


def test_the_own_lenses_are_those_that_are_listed(monkeypatch):
    class Length(Lens[str]):
        name = "length"
        about = "how long the title is"
        dim = 2
        fingerprint = "1"

        def looks_at(self, video, picture):
            return video.title

        def encode(self, items):
            return [[1.0, float(len(item))] for item in items]

    monkeypatch.setattr(lenses, "_OWN", (*lenses._OWN, Length))
    made = lenses.make_own_lenses(WordEncoder(), ColourEncoder())
    assert [*made] == ["title", "words", "thumbnail", "length"]
    request = SearchRequest(text="tea", weights={"words": 2.0}).weigh(made)
    assert request.weights == {"title": 1.0, "words": 2.0, "thumbnail": 1.0, "length": 1.0}


@needs_chromium
def test_the_page_weighs_and_explains_by_them(served):
    with launched() as browser, watched_page(browser, served.url) as page:
        page.goto("/?q=tag3&weights=0-0-0-1-2")
        found = page.locator("#results .why")
        expect(found.first).to_contain_text("Tags #")
        expect(found.first.get_by_title("by the tags, score ")).to_be_visible()
        channel = found.get_by_title("by the name of the channel, similarity ").first
        expect(channel).to_have_text(re.compile("Channel #"))
        page.get_by_role("button", name="Refine").click()
        sliders = page.locator("#weights input")
        shown = ["0", "0", "0", "1", "2"]
        assert sliders.evaluate_all("all => all.map(one => one.value)") == shown
        expect(page.get_by_label("Channel", exact=True)).to_have_value("1")
        expect(page.locator("body")).not_to_contain_text("undefined")


def test_without_its_package_the_index_is_refused_and_says_why(index):
    for command, expected in (
        (["serve", "--port", 0], "no lens named channel, tags is installed here"),
        (["verify"], "no lens named tags is installed here"),
    ):
        code, said = ended(*command, "--data-dir", index[0].path, package=None)
        assert code == 2
        assert expected in said


class Nothing(Lens[str]):
    name = "nothing"
    about = "nothing"
    dim = None
    fingerprint = "0"

    def looks_at(self, video, picture):
        return None

    def encode(self, items):
        return []


class Loud(Nothing):
    name = "Loud!"


class AnotherTitle(Nothing):
    name = "title"


class Negative(Nothing):
    weight = -1.0


@pytest.mark.parametrize(
    ("registered", "said"),
    [
        ("tests.test_lenses:Loud", "a name has lower-case letters"),
        ("tests.test_lenses:AnotherTitle", "is named title, as another one is"),
        ("tests.test_lenses:Negative", "has the weight -1.0"),
        ("tests.test_lenses:ROOT", "is no subclass of Lens"),
        ("tests.no_such_module:X", "can't be loaded: ModuleNotFoundError"),
    ],
)
def test_what_can_t_be_a_lens_is_refused_with_a_sentence(monkeypatch, tmp_path, registered, said):
    install(tmp_path, "odd", {"odd": registered})
    monkeypatch.syspath_prepend(tmp_path)
    lenses.find_lenses.cache_clear()
    try:
        with pytest.raises(EncoderUnavailable, match=re.escape(said)):
            lenses.find_lenses()
    finally:
        monkeypatch.undo()
        lenses.find_lenses.cache_clear()
