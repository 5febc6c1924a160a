"""What is sent as JSON, in forms and in paths, and what comes back."""

from __future__ import annotations

from tests.backend.attacks import (
    JSON,
    POST,
    SAME,
    SVG_BOMB,
    Row,
    field,
    filters,
    get,
    http,
    js,
    padded_form,
    parts,
    picture,
    post,
)
from tests.backend.catalogue import FACETS, picture_bytes
from twinlens.catalog.fields import FIELDS, FieldKind
from twinlens.search.cursor import Cursor

LOOKUP = b"POST /api/v1/lookup HTTP/1.1"
# A condition on each facet, and each of them counted without it.
DISJUNCTIVE = {
    "facets": FACETS,
    "disjunctive_facets": True,
    "filter": {
        row.name: ["n1", "none"]
        if row in FIELDS.counted
        else {"gte": "2000-01-01" if row.kind is FieldKind.MOMENT else 0}
        for row in FIELDS.facets
    },
}
SECTIONS: dict[str, dict[str, Row]] = {
    "Wrong types": {
        "json-called-text": Row(
            post(js(text="a"), kind=b"text/plain"),
            "JSON as `text/plain`",
            "415 `unsupported_media_type`",
        ),
        "json-called-form": Row(
            post(js(text="a"), kind=b"application/x-www-form-urlencoded"),
            "JSON as `application/x-www-form-urlencoded`",
            "415 `unsupported_media_type`",
        ),
        "xml": Row(
            post(SVG_BOMB, kind=b"application/xml"),
            "XML with entities",
            "415 `unsupported_media_type`",
        ),
        "no-type": Row(
            http(POST, body=js(text="a")),
            "JSON without a `Content-Type`",
            "415 `unsupported_media_type`",
        ),
        "form-called-json": Row(
            post(b"--b\r\n\r\n--b--"), "a form as `application/json`", "400 `json_invalid`"
        ),
        "form-without-a-boundary": Row(
            post(b"--b\r\n", kind=b"multipart/form-data"),
            "a form whose boundary is not said",
            "422 `validation_failed`",
        ),
        "json-in-utf-16": Row(
            post('{"text": "a"}'.encode("utf-16")), "JSON in UTF-16", "400 `json_invalid`"
        ),
    },
    "JSON": {
        "lists-in-lists": Row(post(b"[" * 19_000), "19,000 `[`", "400 `json_invalid`"),
        "two-hundred-thousand-lists-in-lists": Row(
            post(b"[" * 200_000), "200,000 `[`", "413 `body_too_large`"
        ),
        "objects-in-objects": Row(
            post(b'{"filter":' * 19_000 + b"1" + b"}" * 19_000),
            "19,000 objects in each other",
            "400 `json_invalid`",
        ),
        "conditions-in-conditions": Row(
            post(b'{"text":"a","filter":' + b'{"not":' * 60 + b"{}" + b"}" * 61),
            "60 `not` in each other",
            "422 `validation_failed`",
        ),
        "a-million-fields": Row(
            lambda: post(b"{" + b",".join(b'"f%d":0' % n for n in range(1_000_000)) + b"}"),
            "a million unknown fields",
            "413 `body_too_large`",
        ),
        "nineteen-thousand-fields": Row(
            lambda: post(b"{" + b",".join(b'"f%d":0' % n for n in range(19_000)) + b"}"),
            "19,000 unknown fields",
            "422 `validation_failed`",
        ),
        "one-field-nineteen-thousand-times": Row(
            post(b'{"text":"a"' + b',"limit":0' * 19_000 + b"}"),
            "`limit` 19,000 times",
            "422 `validation_failed`",
        ),
        "a-million-filters": Row(
            lambda: post(b'{"text":"a","filter":' + filters(100, 100, 100) + b"}"),
            "a filter of 100 filters of 100 filters of 100 filters",
            "413 `body_too_large`",
        ),
        "filters-in-filters-up-to-the-limit": Row(
            lambda: post(b'{"text":"a","filter":' + filters(90, 1, 1, 1, 1, 1, 90) + b"}"),
            "filters in filters, of as many values as are read: 0.3 s",
            "422 `validation_failed`",
        ),
        "a-hundred-thousand-filters-in-a-form": Row(
            lambda: parts(
                field(b"text", b"a"), field(b"filter", b'{"and":[' + b"{}," * 100_000 + b"{}]}")
            ),
            "a form with a filter of 100,000 filters",
            "413 `body_too_large`",
        ),
        "text-of-a-million-letters": Row(
            post(js(text="a" * 1_000_000)),
            "a `text` of a million letters",
            "422 `validation_failed`",
        ),
        "a-hundred-thousand-values": Row(
            post(js(text="a", filter={"tags": ["x"] * 100_000})),
            "a filter of 100,000 tags",
            "413 `body_too_large`",
        ),
        "nineteen-thousand-values": Row(
            post(js(text="a", filter={"tags": ["x"] * 19_000})),
            "a filter of 19,000 tags",
            "422 `validation_failed`",
        ),
        "numbers-beyond-a-float": Row(
            post(b'{"text":"a","rrf_k":1e999}'), "`1e999`", "422 `validation_failed`"
        ),
        "a-number-of-a-million-digits": Row(
            post(b'{"text":"a","limit":' + b"9" * 1_000_000 + b"}"),
            "a `limit` of a million digits",
            "400 `json_invalid`",
        ),
        "limit-beyond-64-bits": Row(
            post(js(text="a", limit=2**64)), "a `limit` of 2^64", "422 `validation_failed`"
        ),
        "limit-below-64-bits": Row(
            get(f"/api/v1/search?q=a&limit={-(2**70)}"),
            "a `limit` of -2^70 in a query string",
            "422 `validation_failed`",
        ),
        "not-a-number": Row(post(b'{"text":"a","rrf_k":NaN}'), "`NaN`", "422 `validation_failed`"),
        "numbers-in-a-filter": Row(
            post(b'{"text":"a","filter":{"view_count":{"gte":1e308}}}'),
            "`1e308` in a filter",
            "422 `validation_failed`",
        ),
        "a-year-beyond-time": Row(
            post(js(text="a", filter={"published_at": {"gte": "999999999-01-01T00:00:00Z"}})),
            "the year 999999999 in a filter",
            "422 `validation_failed`",
        ),
        "a-cursor-of-another-request": Row(
            post(js(text="a", cursor=Cursor("g1", "0" * 16, 10).encode())),
            "a cursor that a page of another request gave",
            "400 `cursor_invalid`",
        ),
        "facets-nineteen-thousand-times": Row(
            post(js(text="film", facets=["tags"] * 19_000)), "one facet 19,000 times", "200"
        ),
        "signs-that-stand-for-eighteen": Row(
            post(js(text="\ufdfa" * 2000, highlight=True)),
            "2,000 times U+FDFA, which NFKC writes out as eighteen letters",
            "422 `validation_failed`",
        ),
        "marks-in-falling-order": Row(
            post(js(text="a" + "\u0315\u0300\u0327\u0334" * 499, highlight=True)),
            "a letter with 1,996 marks, which NFD has to sort; the text is marked in titles",
            "200",
        ),
        "joiners-without-end": Row(
            post(js(text="\u200d\U0001f469" * 999, highlight=True)),
            "999 emoji joined to one sign; the text is marked in titles",
            "200",
        ),
        "windows-of-twenty-thousand-ranks": Row(
            http(
                b"POST /api/v1/multi-search HTTP/1.1",
                JSON,
                body=js(
                    searches=[{"text": f"a {n}", "window": 1000} for n in range(20)], fuse=True
                ),
            ),
            "20 searches of 1,000 ranks each, fused",
            "422 `validation_failed`",
        ),
        "facets-that-search-nine-thousand-ranks": Row(
            post(js(text="film", window=1000, **DISJUNCTIVE)),
            "`disjunctive_facets`, a condition on each of eight facets, and a window of 1,000",
            "422 `validation_failed`",
        ),
        "facets-that-search-as-much-as-is-allowed": Row(
            post(js(text="film", window=200, collapse_duplicates=True, **DISJUNCTIVE)),
            "the same with a window of 200, and `collapse_duplicates`",
            "200",
        ),
        "a-facet-query-of-eighteen-hundred-letters": Row(
            post(js(text="film", facets=["tags"], facet_query={"tags": "\ufdfa" * 100})),
            "a `facet_query` of 100 times U+FDFA, which NFKC writes out as eighteen letters",
            "200",
        ),
        "a-facet-query-of-marks": Row(
            post(js(text="film", facets=["tags"], facet_query={"tags": "\u0315\u0300" * 50})),
            "a `facet_query` of nothing but marks",
            "422 `validation_failed`",
        ),
        "nineteen-thousand-facet-queries": Row(
            lambda: post(js(text="film", facet_query={f"f{n}": "a" for n in range(19_000)})),
            "a `facet_query` of 19,000 fields",
            "422 `validation_failed`",
        ),
        "a-facet-query-of-lists-in-lists": Row(
            get('/api/v1/search?q=a&facet_query={"tags":' + "[" * 7000),
            "7,000 `[` as a `facet_query` in a query string",
            "422 `validation_failed`",
        ),
        "a-date-beyond-time": Row(
            post(js(text="a", filter={"published_at": {"lte": "999999999-01-01"}})),
            "a date in the year 999999999",
            "422 `validation_failed`",
        ),
        "a-date-of-no-calendar": Row(
            post(js(text="a", filter={"published_at": {"lte": "2023-02-29"}})),
            "29 February 2023",
            "422 `validation_failed`",
        ),
        "a-hundred-looks-for-thumbnails": Row(
            post(js(text="a", filter={"or": [{"has_thumbnail": False}] * 99})),
            "99 times `has_thumbnail` in an `or`",
            "200",
        ),
        "nineteen-thousand-ids-to-look-up": Row(
            http(LOOKUP, JSON, body=js(video_ids=["beach-1"] * 19_000)),
            "19,000 ids to look up",
            "422 `validation_failed`",
        ),
        "a-hundred-thousand-ids-to-look-up": Row(
            http(LOOKUP, JSON, body=js(video_ids=["beach-1"] * 100_000)),
            "100,000 ids to look up",
            "413 `body_too_large`",
        ),
        "odd-ids-to-look-up": Row(
            http(LOOKUP, JSON, body=js(video_ids=["../../etc/passwd", "\0", "\ud800", "%00"])),
            "ids to look up that are paths, NUL, and half a character",
            "400 `json_invalid`",
        ),
        "recommendations-of-what-is-gone": Row(
            http(
                b"POST /api/v1/recommendations HTTP/1.1",
                JSON,
                body=js(
                    liked=["beach-1", *("x" * 250 + str(n) for n in range(99))],
                    disliked=["y" * 250 + str(n) for n in range(100)],
                ),
            ),
            "recommendations of one video, and of 199 that are gone",
            "200",
        ),
    },
    "Parts of forms": {
        "two-thousand-parts": Row(
            parts(*(field(b"f%d" % n, b"a") for n in range(2000))),
            "2,000 parts",
            "413 `body_too_large`",
        ),
        "a-text-part-of-a-megabyte": Row(
            parts(field(b"text", b"a" * 1_000_000)),
            "a text part of a megabyte",
            "413 `body_too_large`",
        ),
        "a-part-with-a-head-of-a-megabyte": Row(
            parts((b'Content-Disposition: form-data; name="text"\r\nX: ' + b"a" * 1_000_000, b"a")),
            "a part with a head of a megabyte",
            "413 `body_too_large`",
        ),
        "a-hundred-pictures": Row(
            lambda: parts(
                *[
                    (
                        b'Content-Disposition: form-data; name="image"; filename="x"',
                        picture_bytes((1, 2, 3)),
                    )
                ]
                * 100
            ),
            "100 pictures",
            "422 `validation_failed`",
        ),
        "a-boundary-of-seven-kilobytes": Row(
            post(b"x" * 100_000, kind=b"multipart/form-data; boundary=" + b"-" * 7000),
            "a boundary of 7 kB",
            "422 `validation_failed`",
        ),
        "a-preamble-of-fifteen-megabytes": Row(
            lambda: padded_form(before=b"\r\n--c" * 3_000_000),
            "15 MB of almost boundaries before the first part",
            "413 `body_too_large`",
        ),
        "an-epilogue-of-fifteen-megabytes": Row(
            lambda: padded_form(after=b"x" * 15_000_000),
            "15 MB behind the last part",
            "413 `body_too_large`",
        ),
        "a-form-in-a-form": Row(
            picture(b"--c\r\n\r\n--c--\r\n", kind=b"multipart/mixed; boundary=c"),
            "a part that is a form itself",
            "422 `picture_rejected`",
        ),
        "a-name-in-nine-hundred-pieces": Row(
            parts((field(b"text", b"a")[0] + b"".join(b"; f*%d*=a" % n for n in range(900)), b"a")),
            "a part whose name is continued 900 times",
            "200",
        ),
        "a-charset-that-takes-long": Row(
            parts(
                (
                    field(b"text", b"")[0] + b"\r\nContent-Type: text/plain; charset=idna",
                    b"a" * 1900,
                )
            ),
            "a part in the charset `idna`, whose decoder is slow; it is read as UTF-8",
            "200",
        ),
    },
    "Paths": {
        "dots-in-an-id": Row(
            get("/api/v1/videos/../../../../etc/passwd"),
            "`/videos/../../../../etc/passwd`",
            "404 `not_found`",
            "400 `bad_request`",
        ),
        "escaped-dots-in-an-id": Row(
            get("/api/v1/videos/..%2f..%2f..%2fetc%2fpasswd/thumbnail"),
            "`/videos/..%2f..%2f..%2fetc%2fpasswd/thumbnail`",
            "404 `not_found`",
            SAME,
        ),
        "twice-escaped-dots": Row(
            get("/api/v1/videos/%252e%252e%252fetc/thumbnail"),
            "`%252e%252e%252f` in an id",
            "404 `video_not_found`",
            SAME,
        ),
        "overlong-dots": Row(
            get("/api/v1/videos/%c0%ae%c0%ae%c0%af/thumbnail"),
            "`%c0%ae%c0%ae%c0%af` in an id",
            "404 `video_not_found`",
            SAME,
        ),
        "backslashes": Row(
            get("/api/v1/videos/..%5c..%5cwin.ini/thumbnail"),
            "`..%5c..%5c` in an id",
            "404 `video_not_found`",
            SAME,
        ),
        "nul-in-an-id": Row(
            get("/api/v1/videos/beach-1%00.png/thumbnail"),
            "`beach-1%00.png`",
            "404 `video_not_found`",
            "400 `bad_request`",
        ),
        "an-id-of-eight-thousand-letters": Row(
            get("/api/v1/videos/" + "a" * 8000),
            "an id of 8,000 letters",
            "404 `video_not_found`",
            SAME,
        ),
        "dots-in-static": Row(
            get("/static/../app.py"), "`/static/../app.py`", "404 `not_found`", SAME
        ),
        "escaped-dots-in-static": Row(
            get("/static/..%2f..%2fpyproject.toml"),
            "`/static/..%2f..%2fpyproject.toml`",
            "404 `not_found`",
            "400 `bad_request`",
        ),
        "dots-in-docs": Row(
            get("/docs/assets/..%2f..%2f__init__.py"),
            "`/docs/assets/..%2f..%2f__init__.py`",
            "404 `not_found`",
            SAME,
        ),
        "another-server-s-address": Row(
            get("http://169.254.169.254/latest/meta-data"),
            "`GET http://169.254.169.254/latest/meta-data`",
            "404 `not_found`",
            SAME,
        ),
        "connect": Row(
            http(b"CONNECT 127.0.0.1:1 HTTP/1.1"),
            "`CONNECT 127.0.0.1:1`",
            "404 `not_found`",
            "400 `bad_request`",
        ),
        "trace": Row(
            http(b"TRACE /api/v1/search HTTP/1.1"), "`TRACE`", "405 `method_not_allowed`", SAME
        ),
        "two-slashes-for-one": Row(
            get("//metrics"),
            "`//metrics`, which a proxy's rule for `/metrics` doesn't see",
            "404 `not_found`",
            SAME,
        ),
        "script-name-that-hides-a-path": Row(
            get("/x/metrics", b"SCRIPT_NAME: /x", b"Script-Name: /x"),
            "`/x/metrics` with a field `SCRIPT_NAME: /x`, to the same end",
            "404 `not_found`",
            SAME,
        ),
        "script-name-of-another-path": Row(
            get("/healthz", b"SCRIPT_NAME: /zzz"),
            (
                "`/healthz` with a field `SCRIPT_NAME: /zzz`, from the machine itself; the field "
                "is ignored"
            ),
            "200",
            SAME,
        ),
        "script-name-that-redirects": Row(
            get("/healthz", b"SCRIPT_NAME: /healthz"),
            "`/healthz` with a field `SCRIPT_NAME: /healthz`, which led to another host",
            "200",
            SAME,
        ),
        "percent-signs-without-end": Row(
            get("/api/v1/videos/" + "%25" * 2600),
            "an id of 2,600 escaped percent signs",
            "404 `video_not_found`",
            SAME,
        ),
        "one-parameter-two-thousand-times": Row(
            get("/api/v1/search?" + "q=a&" * 2000),
            "`q` 2,000 times",
            "422 `validation_failed`",
            SAME,
        ),
    },
    "Steering": {
        "a-hundred-thousand-excluded": Row(
            post(js(text="a", exclude=["v"] * 100_000)),
            "100,000 ids in `exclude`",
            "413 `body_too_large`",
        ),
        "a-thousand-and-one-excluded": Row(
            post(js(text="a", exclude=["v"] * 1001)),
            "1,001 ids in `exclude`",
            "422 `validation_failed`",
        ),
        "a-thousand-long-ids-excluded": Row(
            post(js(text="a", exclude=[f"{number:0255}ක" for number in range(1000)])),
            "1,000 ids of 256 characters in `exclude`",
            "200",
        ),
        "nine-thousand-boosts": Row(
            post(js(text="a", boost=[{"field": "view_count"}] * 9_500)),
            "9,500 boosts",
            "422 `validation_failed`",
        ),
        "half-life-of-nothing": Row(
            post(js(text="a", boost=[{"field": "published_at", "half_life_days": 0}])),
            "a half-life of 0",
            "422 `validation_failed`",
        ),
        "half-life-too-small-to-divide-by": Row(
            post(b'{"text":"a","boost":[{"field":"published_at","half_life_days":1e-320}]}'),
            "a half-life of `1e-320`",
            "422 `validation_failed`",
        ),
        "boost-without-bounds": Row(
            post(b'{"text":"a","boost":[{"field":"view_count","weight":1e308}]}'),
            "a boost of weight `1e308`",
            "422 `validation_failed`",
        ),
        "boost-by-what-is-no-field": Row(
            post(js(text="a", boost=[{"field": "__class__"}])),
            "a boost by `__class__`",
            "422 `validation_failed`",
        ),
        "lists-in-lists-in-a-parameter": Row(
            get("/api/v1/search?q=a&boost=" + "[" * 7000),
            "`boost=` and 7,000 `[`",
            "422 `validation_failed`",
            SAME,
        ),
        "a-thousand-words-to-leave-out": Row(
            post(js(text="a" + " -b" * 600)), "600 words to leave out", "200"
        ),
        "eleven-words-to-leave-out": Row(
            post(js(text="a -" + " -".join("bcdefghijkl"))),
            "11 different words to leave out",
            "422 `validation_failed`",
        ),
        "nothing-but-words-to-leave-out": Row(
            post(js(text="-a")), "a text of a word to leave out alone", "422 `validation_failed`"
        ),
        "quotes-without-end": Row(
            post(js(text='"' * 1999 + "a")), "a text of 1,999 quotes and a letter", "200"
        ),
        "quotes-that-never-close": Row(
            post(js(text=' "a' * 600 + '"')), "600 quotes that open, and one that closes", "200"
        ),
        "dashes-without-end": Row(
            post(js(text=" -" * 999 + "a")), "a text of 999 dashes and a letter", "200"
        ),
        "a-phrase-of-a-thousand-words": Row(
            post(js(text='"' + "film " * 399 + '"')), "a phrase of 399 words in quotes", "200"
        ),
        "everything-that-steers-at-once": Row(
            post(
                js(
                    text='film "film number" -a -b -c -d -e -f -g -h -"i j"',
                    exclude=[f"beach-{number}" for number in range(1000)],
                    boost=[
                        {"field": "published_at", "half_life_days": 0.01 + number, "weight": 10}
                        for number in range(10)
                    ],
                    sort="view_count:desc",
                    max_per_channel=1,
                    window=1000,
                    collapse_duplicates=True,
                    explain=True,
                    limit=100,
                )
            ),
            "a phrase, nine words to leave out, 1,000 excluded ids, ten boosts, a sort and at most "
            "one of a channel, over a window of 1,000",
            "200",
        ),
    },
}
