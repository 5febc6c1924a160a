"""What is sent as HTTP itself, how slowly and how often, and what comes back."""

from __future__ import annotations

from tests.backend.attacks import (
    CRLF,
    SAME,
    SMUGGLED,
    Row,
    chunked,
    field,
    get,
    http,
    kept,
    parts,
    post,
)

SECTIONS: dict[str, dict[str, Row]] = {
    "Heads": {
        "three-hundred-fields": Row(
            get("/", *(b"X-%d: a" % n for n in range(300))),
            "300 header fields",
            "431 `headers_too_large`",
            SAME,
        ),
        "a-field-of-a-hundred-kilobytes": Row(
            get("/", b"X: " + b"a" * 100_000),
            "a header field of 100 kB",
            "431 `headers_too_large`",
            SAME,
        ),
        "a-field-of-nine-kilobytes": Row(
            get("/", b"X: " + b"a" * 9000),
            "a header field of 9 kB",
            "431 `headers_too_large`",
            SAME,
        ),
        "a-name-of-a-hundred-kilobytes": Row(
            get("/", b"X" * 100_000 + b": a"),
            "a field's name of 100 kB",
            "431 `headers_too_large`",
            SAME,
        ),
        "a-line-of-ten-kilobytes": Row(
            get("/?q=" + "a" * 10_000),
            "a request line of 10 kB",
            "414 `request_line_too_long`",
            SAME,
        ),
        "a-line-of-a-hundred-kilobytes": Row(
            get("/?q=" + "a" * 100_000),
            "a request line of 100 kB",
            "414 `request_line_too_long`",
            SAME,
        ),
        "a-megabyte-without-an-end": Row(
            b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000,
            "a megabyte of head without an end",
            "431 `headers_too_large`",
            SAME,
        ),
        "a-cookie-of-eight-kilobytes": Row(
            get("/", b"Cookie: " + b"a=b; " * 1600),
            "a cookie of 8 kB; there are no cookies",
            "200",
            SAME,
        ),
        "four-thousand-tags": Row(
            get("/api/v1/stats", b"If-None-Match: " + b'"a",' * 1900),
            "1,900 tags in `If-None-Match`",
            "200",
            SAME,
        ),
        "a-thousand-ranges": Row(
            get("/static/style.css", b"Range: bytes=" + b",".join([b"0-"] * 1000)),
            "1,000 ranges of one file",
            "416 `bad_request`",
            SAME,
        ),
        "encodings-without-end": Row(
            get("/api/v1/stats", b"Accept-Encoding: " + b"gzip;q=0.1," * 600),
            "600 entries in `Accept-Encoding`",
            "200",
            SAME,
        ),
        "a-cursor-made-up": Row(
            get("/api/v1/search?q=a&cursor=" + "A" * 4000),
            "a cursor of 4,000 letters",
            "422 `validation_failed`",
            SAME,
        ),
        "languages-without-end": Row(
            get("/", b"Accept-Language: " + b"en;q=0.1," * 800),
            "800 entries in `Accept-Language`",
            "200",
            SAME,
        ),
        "an-authorization-of-eight-kilobytes": Row(
            get("/api/v1/stats", b"Authorization: Digest " + b'a="b",' * 1300),
            "1,300 parameters in `Authorization`",
            "200",
            SAME,
        ),
        "a-range-beyond-64-bits": Row(
            get("/static/style.css", b"Range: bytes=99999999999999999999-"),
            "a range from 10^20 on",
            "416 `bad_request`",
            SAME,
        ),
        "conditions-of-all-kinds": Row(
            get(
                "/static/style.css",
                b"If-None-Match: *",
                b"If-Modified-Since: Thu, 99 Foo 99999 99:99:99 GMT",
                b"If-Range: x",
            ),
            "`If-None-Match: *`, `If-Range` and a date that is none",
            "304",
            SAME,
        ),
        "a-request-id-that-is-none": Row(
            get("/healthz", b"X-Request-Id: \xff<script>" + b"x" * 500),
            "an `X-Request-Id` with markup; another one is given",
            "200",
            SAME,
        ),
        "test_what_only_a_proxy_may_say_is_not_believed": Row(
            None,
            "`X-Forwarded-For`, `-Host`, `-Proto` and `-Prefix`, `Forwarded`, `X-Real-IP`, "
            "`Proxy`, `X-Script-Name`, `X-Original-URL`, `X-HTTP-Method-Override`",
            "200, and the log has the caller's own address",
        ),
        "test_a_refusal_has_the_id_that_the_caller_gave": Row(
            None, "an `X-Request-Id` beside a head that is refused", "400 with that id"
        ),
    },
    "Bytes": {
        "nul-in-a-query": Row(
            get("/api/v1/search?q=%00"), "`?q=%00`", "422 `validation_failed`", SAME
        ),
        "nul-in-a-filter": Row(
            post(b'{"text":"a","filter":{"channel":"\\u0000"}}'),
            "`\\u0000` in a filter: no video has it",
            "200",
            SAME,
        ),
        "nul-in-a-line": Row(
            get(b"/\0"), "a NUL in the request line", "404 `not_found`", "400 `bad_request`"
        ),
        "nul-in-a-field": Row(
            get("/", b"X-Request-Id: a\0b"), "a NUL in a header field", "400 `bad_request`", SAME
        ),
        "a-bare-cr-in-a-field": Row(
            get("/", b"X: a\rSet-Cookie: b"),
            "a carriage return in a header field",
            "400 `bad_request`",
            SAME,
        ),
        "broken-utf-8-in-a-query": Row(
            get("/api/v1/search?q=%ff%fe%c3%28"), "`?q=%ff%fe`: read as U+FFFD", "200", SAME
        ),
        "broken-utf-8-in-json": Row(
            post(b'{"text": "\xff\xfe"}'),
            "bytes in JSON that are no UTF-8",
            "400 `json_invalid`",
            SAME,
        ),
        "broken-utf-8-in-a-path": Row(
            get(b"/api/v1/videos/\xff\xfe"),
            "bytes in a path that are no UTF-8",
            "400 `bad_request`",
            SAME,
        ),
        "broken-utf-8-in-a-part": Row(
            parts(field(b"text", b"\xff\xfe")),
            "bytes in a text part that are no UTF-8",
            "200",
            SAME,
        ),
        "half-a-surrogate": Row(
            post(b'{"text": "\\ud800"}'), "`\\ud800`", "400 `json_invalid`", SAME
        ),
        "bytes-that-are-no-http": Row(
            b"\x16\x03\x01\x00\xa5\x01\r\n\r\n",
            "the beginning of a TLS handshake",
            "400 `bad_request`",
            SAME,
        ),
    },
    "One request that another server may take for two": {
        "length-and-chunks": Row(
            kept(b"0\r\n\r\n" + SMUGGLED, b"Content-Length: 6", b"Transfer-Encoding: chunked"),
            "`Content-Length` and `Transfer-Encoding`, a request in the body",
            "400 `bad_request`",
            SAME,
        ),
        "two-lengths": Row(
            kept(b"{}" + SMUGGLED, b"Content-Length: 2", b"Content-Length: 44"),
            "two `Content-Length`, a request in the body",
            "400 `bad_request`",
            SAME,
        ),
        "a-length-with-a-sign": Row(
            kept(b"{}", b"Content-Length: +2"), "`Content-Length: +2`", "400 `bad_request`", SAME
        ),
        "a-length-in-hex": Row(
            kept(b"{}", b"Content-Length: 0x2"), "`Content-Length: 0x2`", "400 `bad_request`", SAME
        ),
        "a-negative-length": Row(
            kept(b"{}", b"Content-Length: -2"), "`Content-Length: -2`", "400 `bad_request`", SAME
        ),
        "two-lengths-in-one-field": Row(
            kept(b"{}", b"Content-Length: 2, 2"),
            "`Content-Length: 2, 2`",
            "400 `bad_request`",
            SAME,
        ),
        "chunked-twice": Row(
            kept(b"0\r\n\r\n", b"Transfer-Encoding: chunked, chunked"),
            "`Transfer-Encoding: chunked, chunked`",
            "400 `json_invalid`: read as an empty body",
            "501 `bad_request`",
        ),
        "chunked-not-last": Row(
            kept(b"0\r\n\r\n", b"Transfer-Encoding: chunked, identity"),
            "`Transfer-Encoding: chunked, identity`",
            "501 `bad_request`",
            SAME,
        ),
        "coded-without-chunks": Row(
            kept(b"{}", b"Transfer-Encoding: gzip"),
            "`Transfer-Encoding: gzip`",
            "400 `bad_request`",
            "501 `bad_request`",
        ),
        "chunked-misspelt": Row(
            kept(b"0\r\n\r\n", b"Transfer-Encoding: xchunked"),
            "`Transfer-Encoding: xchunked`",
            "501 `bad_request`",
            SAME,
        ),
        "chunked-behind-a-tab": Row(
            kept(b"0\r\n\r\n", b"Transfer-Encoding:\x0bchunked"),
            "a vertical tab before `chunked`",
            "400 `bad_request`",
            "501 `bad_request`",
        ),
        "a-space-before-the-colon": Row(
            kept(b"0\r\n\r\n", b"Transfer-Encoding : chunked"),
            "`Transfer-Encoding : chunked`",
            "400 `bad_request`",
            SAME,
        ),
        "a-folded-field": Row(
            kept(b"{}", b"X: a\r\n Transfer-Encoding: chunked"),
            "a field folded over two lines",
            "400 `bad_request`",
            SAME,
        ),
        "bare-line-feeds": Row(
            b"GET / HTTP/1.1\nHost: x\nConnection: close\n\n",
            "lines that end with a line feed alone",
            "400 `bad_request`",
            "200",
        ),
        "a-chunk-size-of-letters": Row(
            chunked(b"zz\r\n{}\r\n0\r\n\r\n"), "a chunk's size of `zz`", "400 `bad_request`", SAME
        ),
        "a-chunk-size-with-a-prefix": Row(
            chunked(b"0x2\r\n{}\r\n0\r\n\r\n"), "a chunk's size of `0x2`", "400 `bad_request`", SAME
        ),
        "a-chunk-size-with-a-sign": Row(
            chunked(b"-2\r\n{}\r\n0\r\n\r\n"), "a chunk's size of `-2`", "400 `bad_request`", SAME
        ),
        "a-chunk-size-beyond-64-bits": Row(
            chunked(b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n"),
            "a chunk's size of 17 `f`",
            "400 `bad_request`",
            SAME,
        ),
        "a-chunk-extension-without-end": Row(
            chunked(b"2;" + b"a" * 1_000_000),
            "a chunk extension of a megabyte",
            "400 `bad_request`",
            "closed after 10 s",
        ),
        "a-chunk-longer-than-it-says": Row(
            chunked(b"2\r\n{}{}\r\n0\r\n\r\n" + SMUGGLED),
            "a chunk longer than its size",
            "400 `bad_request`",
            SAME,
        ),
        "a-trailer-that-is-a-head": Row(
            chunked(b"2\r\n{}\r\n0\r\nContent-Length: 99\r\n\r\n"),
            "`Content-Length` as a trailer",
            "422 `validation_failed`",
            SAME,
        ),
        "http-0-9": Row(
            b"GET /\r\n\r\n", "HTTP/0.9", "400 `bad_request`", "the page, without a head"
        ),
        "http-2": Row(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "the preface of HTTP/2", "400 `bad_request`", SAME
        ),
        "http-9-9": Row(
            b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
            "HTTP/9.9",
            "400 `bad_request`",
            "505 `bad_request`",
        ),
        "a-method-of-small-letters": Row(
            http(b"get / HTTP/1.1"), "`get`", "400 `bad_request`", SAME
        ),
        "an-expectation-made-up": Row(
            post(b"{}", b"Expect: miracles"),
            "`Expect: miracles`",
            "417 `bad_request`",
            "422 `validation_failed`: it is not passed on",
        ),
        "chunks-of-http-1-0": Row(
            b"POST /api/v1/search HTTP/1.0\r\nConnection: keep-alive\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
            "HTTP/1.0 with `Transfer-Encoding: chunked`, and one more request behind",
            "400 `bad_request`",
            SAME,
        ),
        "a-host-of-two-words": Row(
            b"GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
            "`Host: a b`",
            "400 `bad_request`",
            SAME,
        ),
        "two-hosts": Row(
            get("/healthz", b"Host: y"), "two `Host` fields", "400 `bad_request`", SAME
        ),
        "an-expectation-of-no-body": Row(
            get("/healthz", b"Expect: 100-continue"),
            "`Expect: 100-continue` with no body to come; the proxy says 100 itself",
            "200",
        ),
        "test_a_request_behind_a_refused_one_is_not_answered": Row(
            None,
            (
                "the first two of these, the chunk too long and the chunks of HTTP/1.0, and one "
                "more request behind"
            ),
            "the connection is closed; nothing behind is answered",
        ),
        "test_requests_behind_requests_are_each_answered_once": Row(
            None, "50 honest requests in one go", "50 answers, in order"
        ),
        "no-host": Row(
            b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 without a `Host`",
            "400 `bad_request`",
            SAME,
        ),
        "coded-and-in-chunks": Row(
            kept(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked"),
            "`Transfer-Encoding: gzip, chunked`",
            "501 `bad_request`",
            SAME,
        ),
        "chunks-of-a-byte": Row(
            lambda: chunked(b"1\r\n \r\n" * 2_500_000 + b"2\r\n{}\r\n0\r\n\r\n"),
            "2.5 MB in chunks of a byte: eight seconds to read",
            "400 `bad_request`",
            "422 `validation_failed`: it is passed on whole",
        ),
        "a-trailer-of-fifteen-megabytes": Row(
            lambda: chunked(b"2\r\n{}\r\n0\r\nX: " + b"a" * 15_000_000 + b"\r\n\r\n"),
            "a trailer of 15 MB: half a minute to read",
            "400 `bad_request`",
            "422 `validation_failed`: it is not passed on",
        ),
        "lines-in-place-of-chunks": Row(
            lambda: chunked(CRLF * 7_500_000),
            "15 MB of empty lines in place of chunks",
            "400 `bad_request`",
            SAME,
        ),
        "a-web-socket": Row(
            http(
                b"GET /api/v1/stats HTTP/1.1",
                b"Upgrade: websocket",
                b"Connection: Upgrade",
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                b"Sec-WebSocket-Version: 13",
            ),
            "an upgrade to WebSocket",
            "400 `bad_request`",
            "200: it is not passed on",
        ),
        "an-upgrade-to-http-2": Row(
            get("/api/v1/stats", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
            "an upgrade to HTTP/2",
            "200",
            SAME,
        ),
    },
    "Slow callers, and too many": {
        "test_others_are_answered_meanwhile[slow-heads]": Row(
            None,
            "200 heads, a field every half second",
            "408 after 10 s; others are answered meanwhile",
            "closed after 10 s; others are answered meanwhile",
        ),
        "test_others_are_answered_meanwhile[silent]": Row(
            None,
            "200 connections that say nothing",
            "closed after 10 s; others are answered meanwhile",
            SAME,
        ),
        "test_others_are_answered_meanwhile[slow-bodies]": Row(
            None,
            "100 bodies, a byte every 0.2 s",
            "408; others are answered meanwhile",
            "held for as long as bytes come; others are answered meanwhile",
        ),
        "test_others_are_answered_meanwhile[expected-bodies]": Row(
            None,
            "60 times `Expect: 100-continue`, and no body",
            "100, then 408; others are answered meanwhile",
            "100, then closed after 10 s; others are answered meanwhile",
        ),
        "test_others_are_answered_meanwhile[take-nothing]": Row(
            None,
            "60 callers that ask for 40 large files each and read nothing",
            "closed after 30 s; others are answered meanwhile",
            "the same, after 10 s",
        ),
        "test_others_are_answered_meanwhile[do-not-close]": Row(
            None,
            "100 callers that don't close when they are told that no more comes",
            "200; others are answered meanwhile",
            SAME,
        ),
        "test_a_flood_of_connections_holds_nobody_up": Row(
            None,
            "1,500 connections; a process holds 1,000",
            "the most silent are closed; others are answered meanwhile",
            (
                "held until they are silent for 10 s; a worker of nginx holds 4,096; others are "
                "answered meanwhile"
            ),
        ),
        "test_no_file_left_for_a_connection_ends_no_process": Row(
            None,
            "100 connections, and 20 files left to the process",
            "some are closed; others are answered meanwhile",
        ),
        "test_many_large_pictures_at_once_are_decoded_one_by_one": Row(
            None,
            "3 pictures at once of 40 million pixels with transparency, 760 MB each",
            "200, or 503 `overloaded`; less than 1.2 GB is taken",
        ),
    },
}
