"""What answers say, for the tests that ask: hits, pages of them, and problems."""

from __future__ import annotations

from twinlens.backend.problem_kinds import KINDS, Code

SEARCH = "/api/v1/search"
MULTI = "/api/v1/multi-search"
RECOMMEND = "/api/v1/recommendations"
LOOKUP = "/api/v1/lookup"
# What an answer has beside its hits.
PAGE_FIELDS = {
    *("next_cursor", "window", "total", "total_relation"),
    *("took_ms", "timings_ms", "query_id", "generation"),
}


def problem(response, code: str) -> dict:
    """The problem document of an answer, held to RFC 9457 and to its code."""
    body = response.get_json(force=True)
    assert (body["code"], response.status_code) == (code, body["status"]), body
    assert KINDS[Code(code)].status == response.status_code or code == "bad_request"
    assert response.content_type == "application/problem+json"
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert body["title"] == KINDS[Code(code)].title
    assert body["type"] == f"/docs/errors#{code}"
    assert body["detail"]
    return body


def body_of(response) -> dict:
    assert response.status_code == 200, response.text
    return response.get_json()


def shown_ids(body: dict) -> list[str]:
    return [hit["video"]["video_id"] for hit in body["hits"]]


def hit_ids(response) -> list[str]:
    return shown_ids(body_of(response))


def every_page(ask) -> list:
    """The answers that ``ask`` gives for one cursor after another, the first for none."""
    answers = [ask({})]
    while (cursor := body_of(answers[-1])["next_cursor"]) is not None:
        answers.append(ask({"cursor": cursor}))
    return answers


def paged_ids(ask) -> list[str]:
    return [one for answer in every_page(ask) for one in hit_ids(answer)]
