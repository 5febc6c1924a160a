"""What the served process does with requests that mean harm; docs/attacks.md is its table.

Each attack ends in a clear refusal or a closed connection, in time, and the server answers on.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import resource
import socket
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.backend.catalogue import picture_bytes
from tests.backend.served import Served, publish_embedded
from twinlens.backend.access import MAX_BODY_BYTES
from twinlens.backend.server import HEAD_TIMEOUT_S
from twinlens.stores.generations import DataDir

TABLE = Path(__file__).parents[2] / "docs" / "attacks.md"
# Within which a whole request must be answered, whatever is in it.
IN_TIME_S = 8.0
RECEIVE_TIMEOUT_S = 3.0
CRLF = b"\r\n"


# ---- what is sent at once


def http(
    line: bytes, *fields: bytes, body: bytes = b"", length: bool = True, close: bool = True
) -> bytes:
    head = [line, b"Host: x"]
    if close:
        head.append(b"Connection: close")
    if length and line.startswith(b"POST"):
        head.append(b"Content-Length: %d" % len(body))
    return CRLF.join([*head, *fields, b"", b""]) + body


def get(target: str | bytes, *fields: bytes) -> bytes:
    target = target if isinstance(target, bytes) else target.encode()
    return http(b"GET " + target + b" HTTP/1.1", *fields)


def post(body: bytes, *fields: bytes, kind: bytes = b"application/json", **more: bool) -> bytes:
    line = b"POST /api/v1/search HTTP/1.1"
    return http(line, b"Content-Type: " + kind, *fields, body=body, **more)


def js(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def parts(*several: tuple[bytes, bytes]) -> bytes:
    """A multipart body of (head of the part, content)."""
    lines = [b"--b\r\n" + head + b"\r\n\r\n" + content + CRLF for head, content in several]
    return post(b"".join(lines) + b"--b--\r\n", kind=b"multipart/form-data; boundary=b")


def picture(content: bytes, *, kind: bytes = b"image/png", name: bytes = b"x.png") -> bytes:
    head = b'Content-Disposition: form-data; name="image"; filename="' + name + b'"\r\n'
    return parts((head + b"Content-Type: " + kind, content))


def field(name: bytes, content: bytes) -> tuple[bytes, bytes]:
    return b'Content-Disposition: form-data; name="' + name + b'"', content


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png(width: int, height: int, pixels: bytes, *more: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *more,
            chunk(b"IDAT", zlib.compress(pixels, 9)),
            chunk(b"IEND", b""),
        ]
    )


def animated_gif(frames: int) -> bytes:
    buffer = io.BytesIO()
    pictures = [Image.new("P", (8, 8), number % 256) for number in range(frames)]
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], loop=0)
    return buffer.getvalue()


def scans_in_a_jpeg(number: int) -> bytes:
    """As large a picture as is allowed, and its last scan ``number`` times: each is 65 bytes."""
    buffer = io.BytesIO()
    Image.new("L", (6320, 6320), 77).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    return whole[:-2] + whole[whole.rindex(b"\xff\xda") : -2] * number + whole[-2:]


def scans_hidden_in_a_jpeg(number: int) -> bytes:
    """The same, each thousand of these inside what libjpeg drops in a scan that has restarts."""
    buffer = io.BytesIO()
    Image.new("L", (6320, 6320), 77).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    last = whole.rindex(b"\xff\xda")
    scan = whole[last : last + 10] + bytes(12)
    hidden = b"\xff\x02" + (22 * 1000 + 2).to_bytes(2) + scan * 1000
    restarts = b"\xff\xdd\0\4\0\1"
    return whole[:last] + restarts + (scan + hidden) * (number // 1000) + whole[last:]


def into_a_jpeg(*pieces: bytes) -> bytes:
    """A JPEG with ``pieces`` behind its beginning."""
    whole = picture_bytes((1, 2, 3), kind="JPEG")
    return whole[:2] + b"".join(pieces) + whole[2:]


def segment(kind: int, content: bytes) -> bytes:
    return bytes([0xFF, kind]) + (len(content) + 2).to_bytes(2) + content


def exif_of_lies(tags: int) -> bytes:
    """Each of whose tags says that it is longer than all of them."""
    entries = b"".join(struct.pack("<HHLL", tag, 7, 60_000, 0) for tag in range(tags))
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", tags) + entries + bytes(4)


def numbers_in_exif(megabytes: int) -> bytes:
    """A picture on its head, and a tag of so many numbers."""
    entries = struct.pack("<HHLL", 0x112, 3, 1, 3)
    entries += struct.pack("<HHLL", 0x11A, 5, megabytes * 125_000, 50)
    entries += struct.pack("<HHLL", 0x128, 3, 1, 2)
    numbers = struct.pack("<LL", 7, 3) * (megabytes * 125_000)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 3) + entries + bytes(4) + numbers


def exif_in_a_jpeg(megabytes: int) -> bytes:
    """In as many segments as it takes, which Pillow joins."""
    exif = numbers_in_exif(megabytes)
    pieces = [exif[at : at + 65_000] for at in range(0, len(exif), 65_000)]
    return into_a_jpeg(*(segment(0xE1, b"Exif\0\0" + one) for one in pieces))


def comment_in_a_gif(blocks: int) -> bytes:
    """In blocks of one byte."""
    whole = picture_bytes((1, 2, 3), kind="GIF")
    first = 13 + (6 << (whole[10] & 7))
    return whole[:first] + b"!\xfe" + b"\1a" * blocks + b"\0" + whole[first:]


def run_lengths_in_a_bmp(side: int) -> bytes:
    """Of rows that each end at once, which Pillow decodes in Python, pixel by pixel."""
    rows = b"\0\0" * side + b"\0\1"
    start = 14 + 40 + 1024
    head = struct.pack("<IHHI", start + len(rows), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(rows), 0, 0, 256, 256)
    return b"BM" + head + info + bytes(1024) + rows


def filters(most: int, *more: int) -> bytes:
    """A filter of ``most`` that each consist of so many ``more``, and so on."""
    inner = filters(*more) if more else b"{}"
    return b'{"and":[' + b",".join([inner] * most) + b"]}"


def zip_behind_a_picture() -> bytes:
    buffer = io.BytesIO(picture_bytes((200, 60, 60)))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("../../evil.py", "raise SystemExit")
    return buffer.getvalue()


def script_in_a_gif() -> bytes:
    # Its comment holds a script; its first bytes are sound JavaScript, too.
    buffer = io.BytesIO()
    Image.new("P", (0x2F2A & 0xFF, 4)).save(buffer, "GIF", comment=b"*/=1;alert(document.domain)//")
    return buffer.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
SVG_BOMB = (
    b'<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    b'<svg xmlns="http://www.w3.org/2000/svg"><text>&b;&f;</text></svg>'
)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\nshowpage\n"
SMUGGLED = b"GET /api/v1/stats HTTP/1.1\r\nHost: x\r\n\r\n"
JSON = b"Content-Type: application/json"
POST = b"POST /api/v1/search HTTP/1.1"


@dataclass(frozen=True)
class Attack:
    """What is sent, and what may come of it.

    ``codes`` are the problems' codes that are right, none for what never reaches the application;
    with ``answers`` a good answer is right as well. No status is a connection that is closed.
    """

    sent: Callable[[], bytes]
    statuses: frozenset[int | None]
    codes: frozenset[str] = frozenset()


def attack(sent: bytes | Callable[[], bytes], *right: int | str | None) -> Attack:
    made = sent if callable(sent) else lambda: sent
    return Attack(
        made,
        frozenset(one for one in right if not isinstance(one, str)),
        frozenset(one for one in right if isinstance(one, str)),
    )


REJECTED = (422, "picture_rejected")
INVALID = (422, "validation_failed")
NO_VIDEO = (404, "video_not_found", "not_found")

ATTACKS: dict[str, Attack] = {
    # bodies
    "body-beyond-the-limit": attack(
        lambda: post(b" " * (MAX_BODY_BYTES + 1)), 413, "body_too_large"
    ),
    "length-beyond-the-limit": attack(
        post(b"{}", b"Content-Length: 99999999999999", length=False), 413, "body_too_large"
    ),
    "length-of-a-thousand-digits": attack(
        post(b"{}", b"Content-Length: " + b"9" * 1000, length=False), 400, 413
    ),
    "chunks-beyond-the-limit": attack(
        lambda: post(
            (b"100000\r\n" + b" " * 0x100000 + CRLF) * 17 + b"0\r\n\r\n",
            b"Transfer-Encoding: chunked",
            length=False,
        ),
        413,
        "body_too_large",
    ),
    "body-cut-short": attack(
        post(b'{"text": "a"', b"Content-Length: 99", length=False), 400, "bad_request"
    ),
    "chunk-cut-short": attack(
        post(b'10\r\n{"text"', b"Transfer-Encoding: chunked", length=False), 400, "bad_request"
    ),
    "form-cut-short": attack(
        post(
            b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\nabc',
            b"Content-Length: 9999",
            kind=b"multipart/form-data; boundary=b",
            length=False,
        ),
        400,
        422,
        "bad_request",
        "validation_failed",
        "picture_rejected",
    ),
    "picture-cut-short": attack(lambda: picture(picture_bytes((1, 2, 3))[:-40]), *REJECTED),
    # bombs
    "png-of-a-billion-pixels": attack(lambda: picture(png(32000, 32000, b"")), *REJECTED),
    "png-whose-data-is-a-bomb": attack(
        lambda: picture(png(8, 8, b"\0" * (256 << 20))), 200, *REJECTED
    ),
    "png-whose-text-is-a-bomb": attack(
        lambda: picture(
            png(8, 8, b"\0" * 72, chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * (128 << 20), 9)))
        ),
        200,
        *REJECTED,
    ),
    "png-in-json-of-a-billion-pixels": attack(
        lambda: post(js(image=base64.b64encode(png(32000, 32000, b"")).decode())), *REJECTED
    ),
    "gif-of-four-billion-pixels": attack(
        lambda: picture(b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"), *REJECTED
    ),
    "jpeg-of-ten-thousand-scans": attack(lambda: picture(scans_in_a_jpeg(10_000)), *REJECTED),
    "jpeg-of-as-many-scans-as-are-read": attack(lambda: picture(scans_in_a_jpeg(44)), 200),
    "jpeg-of-arithmetic-scans": attack(
        lambda: picture(scans_in_a_jpeg(44).replace(b"\xff\xc2", b"\xff\xca", 1)), *REJECTED
    ),
    "jpeg-of-scans-in-hiding": attack(lambda: picture(scans_hidden_in_a_jpeg(10_000)), *REJECTED),
    "png-of-fifteen-megabytes-of-exif": attack(
        lambda: picture(png(8, 8, bytes(72), chunk(b"eXIf", numbers_in_exif(15)))), 200
    ),
    "jpeg-of-fifteen-megabytes-of-exif": attack(lambda: picture(exif_in_a_jpeg(15)), *REJECTED),
    "jpeg-of-a-million-segments": attack(
        lambda: picture(into_a_jpeg(b"\xff\xfe\0\2" * 1_000_000)), *REJECTED
    ),
    "jpeg-of-fifteen-megabytes-of-padding": attack(
        lambda: picture(into_a_jpeg(b"\xff" * 15_000_000)), *REJECTED
    ),
    "jpeg-of-many-frames": attack(
        lambda: picture(
            into_a_jpeg(segment(0xC0, b"\x08\0\x30\0\x40\3" + b"\1\x22\0" * 20_000) * 200)
        ),
        *REJECTED,
    ),
    "png-of-a-million-chunks": attack(
        lambda: picture(png(8, 8, bytes(72), chunk(b"aaAa", b"") * 1_000_000)), *REJECTED
    ),
    "png-of-ten-thousand-profiles": attack(
        lambda: picture(
            png(8, 8, b"", chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 20), 9)) * 10_000)
        ),
        *REJECTED,
    ),
    "gif-whose-comment-is-seven-million-blocks": attack(
        lambda: picture(comment_in_a_gif(7_000_000)), *REJECTED
    ),
    "bmp-of-run-lengths": attack(lambda: picture(run_lengths_in_a_bmp(6300)), *REJECTED),
    "gif-of-two-thousand-frames": attack(lambda: picture(animated_gif(2000)), 200, *REJECTED),
    "gzip-bomb": attack(
        lambda: post(gzip.compress(b" " * (256 << 20)), b"Content-Encoding: gzip"),
        415,
        "unsupported_media_type",
    ),
    "deflate-and-brotli": attack(
        post(b"{}", b"Content-Encoding: deflate, br"), 415, "unsupported_media_type"
    ),
    # what is no picture, or more than one thing
    "svg-with-a-script": attack(picture(SVG, kind=b"image/svg+xml", name=b"x.svg"), *REJECTED),
    "svg-with-entities": attack(picture(SVG_BOMB), *REJECTED),
    "eps-with-a-program": attack(
        picture(EPS, kind=b"application/postscript", name=b"x.eps"), *REJECTED
    ),
    "html-called-png": attack(picture(b"<script>alert(1)</script>"), *REJECTED),
    "gif-that-is-a-script": attack(lambda: picture(script_in_a_gif()), 200, *REJECTED),
    "gif-in-name-only": attack(picture(b"GIF89a/*\0\0\0\0*/=1;alert(1)//;"), *REJECTED),
    "png-that-is-an-archive": attack(lambda: picture(zip_behind_a_picture()), 200),
    "file-name-that-leads-elsewhere": attack(
        lambda: picture(picture_bytes((1, 2, 3)), name=b"../../../etc/passwd"), 200
    ),
    "address-for-a-picture": attack(post(js(image="http://127.0.0.1:1/x.png")), *INVALID),
    "file-for-a-picture": attack(post(js(image="file:///etc/passwd")), *INVALID),
    "address-in-an-unknown-field": attack(
        post(js(text="a", image_url="http://127.0.0.1:1/")), *INVALID
    ),
    # types
    "json-called-text": attack(
        post(js(text="a"), kind=b"text/plain"), 415, "unsupported_media_type"
    ),
    "json-called-form": attack(
        post(js(text="a"), kind=b"application/x-www-form-urlencoded"),
        415,
        "unsupported_media_type",
    ),
    "xml": attack(post(SVG_BOMB, kind=b"application/xml"), 415, "unsupported_media_type"),
    "no-type": attack(http(POST, body=js(text="a")), 415, "unsupported_media_type"),
    "form-called-json": attack(post(b"--b\r\n\r\n--b--"), 400, "json_invalid"),
    "form-without-a-boundary": attack(
        post(b"--b\r\n", kind=b"multipart/form-data"), 400, 422, "bad_request", "validation_failed"
    ),
    "json-in-utf-16": attack(post('{"text": "a"}'.encode("utf-16")), 400, "json_invalid"),
    # JSON
    "lists-in-lists": attack(post(b"[" * 19_000), 400, "json_invalid"),
    "two-hundred-thousand-lists-in-lists": attack(post(b"[" * 200_000), 413, "body_too_large"),
    "objects-in-objects": attack(post(b'{"filter":' * 19_000 + b"1" + b"}" * 19_000), 400, 422),
    "conditions-in-conditions": attack(
        post(b'{"text":"a","filter":' + b'{"not":' * 60 + b"{}" + b"}" * 61), 400, *INVALID
    ),
    "a-million-fields": attack(
        lambda: post(b"{" + b",".join(b'"f%d":0' % n for n in range(1_000_000)) + b"}"),
        413,
        "body_too_large",
    ),
    "nineteen-thousand-fields": attack(
        lambda: post(b"{" + b",".join(b'"f%d":0' % n for n in range(19_000)) + b"}"), *INVALID
    ),
    "one-field-nineteen-thousand-times": attack(
        post(b'{"text":"a"' + b',"limit":0' * 19_000 + b"}"), *INVALID
    ),
    "a-million-filters": attack(
        lambda: post(b'{"text":"a","filter":' + filters(100, 100, 100) + b"}"),
        413,
        "body_too_large",
    ),
    "filters-in-filters-up-to-the-limit": attack(
        lambda: post(b'{"text":"a","filter":' + filters(90, 1, 1, 1, 1, 1, 90) + b"}"), *INVALID
    ),
    "a-hundred-thousand-filters-in-a-form": attack(
        lambda: parts(
            field(b"text", b"a"), field(b"filter", b'{"and":[' + b"{}," * 100_000 + b"{}]}")
        ),
        413,
        "body_too_large",
    ),
    "text-of-a-million-letters": attack(post(js(text="a" * 1_000_000)), *INVALID),
    "a-hundred-thousand-values": attack(
        post(js(text="a", filter={"tags": ["x"] * 100_000})), 413, "body_too_large"
    ),
    "nineteen-thousand-values": attack(
        post(js(text="a", filter={"tags": ["x"] * 19_000})), *INVALID
    ),
    "numbers-beyond-a-float": attack(post(b'{"text":"a","rrf_k":1e999}'), *INVALID, 400),
    "a-number-of-a-million-digits": attack(
        post(b'{"text":"a","limit":' + b"9" * 1_000_000 + b"}"), *INVALID, 400, "json_invalid"
    ),
    "limit-beyond-64-bits": attack(post(js(text="a", limit=2**64)), *INVALID),
    "limit-below-64-bits": attack(get(f"/api/v1/search?q=a&limit={-(2**70)}"), *INVALID),
    "not-a-number": attack(post(b'{"text":"a","rrf_k":NaN}'), *INVALID, 400, "json_invalid"),
    "numbers-in-a-filter": attack(
        post(b'{"text":"a","filter":{"view_count":{"gte":1e308}}}'), *INVALID
    ),
    "a-year-beyond-time": attack(
        post(js(text="a", filter={"published_at": {"gte": "999999999-01-01T00:00:00Z"}})), *INVALID
    ),
    # paths
    "dots-in-an-id": attack(get("/api/v1/videos/../../../../etc/passwd"), *NO_VIDEO),
    "escaped-dots-in-an-id": attack(
        get("/api/v1/videos/..%2f..%2f..%2fetc%2fpasswd/thumbnail"), *NO_VIDEO
    ),
    "twice-escaped-dots": attack(get("/api/v1/videos/%252e%252e%252fetc/thumbnail"), *NO_VIDEO),
    "overlong-dots": attack(get("/api/v1/videos/%c0%ae%c0%ae%c0%af/thumbnail"), *NO_VIDEO),
    "backslashes": attack(get("/api/v1/videos/..%5c..%5cwin.ini/thumbnail"), *NO_VIDEO),
    "nul-in-an-id": attack(get("/api/v1/videos/beach-1%00.png/thumbnail"), *NO_VIDEO),
    "an-id-of-eight-thousand-letters": attack(get("/api/v1/videos/" + "a" * 8000), *NO_VIDEO),
    "dots-in-static": attack(get("/static/../app.py"), 404, "not_found"),
    "escaped-dots-in-static": attack(get("/static/..%2f..%2fpyproject.toml"), 404, "not_found"),
    "dots-in-docs": attack(get("/docs/assets/..%2f..%2f__init__.py"), 404, "not_found"),
    "another-server-s-address": attack(get("http://169.254.169.254/latest/meta-data"), 404),
    "connect": attack(http(b"CONNECT 127.0.0.1:1 HTTP/1.1"), 400, 404, 405),
    "trace": attack(http(b"TRACE /api/v1/search HTTP/1.1"), 405, "method_not_allowed"),
    "two-slashes-for-one": attack(get("//metrics"), 404, "not_found"),
    "script-name-that-hides-a-path": attack(
        get("/x/metrics", b"SCRIPT_NAME: /x", b"Script-Name: /x"), 404, "not_found"
    ),
    "script-name-of-another-path": attack(get("/healthz", b"SCRIPT_NAME: /zzz"), 200),
    "script-name-that-redirects": attack(get("/healthz", b"SCRIPT_NAME: /healthz"), 200),
    # heads
    "three-hundred-fields": attack(get("/", *(b"X-%d: a" % n for n in range(300))), 431),
    "a-field-of-a-hundred-kilobytes": attack(get("/", b"X: " + b"a" * 100_000), 431),
    "a-name-of-a-hundred-kilobytes": attack(get("/", b"X" * 100_000 + b": a"), 431, 400),
    "a-line-of-ten-kilobytes": attack(get("/?q=" + "a" * 10_000), 414),
    "a-megabyte-without-an-end": attack(
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000, 431
    ),
    "a-cookie-of-eight-kilobytes": attack(get("/", b"Cookie: " + b"a=b; " * 1600), 200),
    "four-thousand-tags": attack(get("/api/v1/stats", b"If-None-Match: " + b'"a",' * 1900), 200),
    "a-thousand-ranges": attack(
        get("/static/style.css", b"Range: bytes=" + b",".join([b"0-"] * 1000)), 200, 416
    ),
    "encodings-without-end": attack(
        get("/api/v1/stats", b"Accept-Encoding: " + b"gzip;q=0.1," * 600), 200
    ),
    "a-cursor-made-up": attack(
        get("/api/v1/search?q=a&cursor=" + "A" * 4000), 400, 422, "cursor_invalid", *INVALID[1:]
    ),
    # parts
    "two-thousand-parts": attack(
        parts(*(field(b"f%d" % n, b"a") for n in range(2000))), 413, "body_too_large"
    ),
    "a-text-part-of-a-megabyte": attack(
        parts(field(b"text", b"a" * 1_000_000)), 413, "body_too_large"
    ),
    "a-part-with-a-head-of-a-megabyte": attack(
        parts((b'Content-Disposition: form-data; name="text"\r\nX: ' + b"a" * 1_000_000, b"a")),
        *(400, 413, "bad_request", "body_too_large"),
    ),
    "a-hundred-pictures": attack(
        lambda: parts(
            *[
                (
                    b'Content-Disposition: form-data; name="image"; filename="x"',
                    picture_bytes((1, 2, 3)),
                )
            ]
            * 100
        ),
        *INVALID,
    ),
    "a-boundary-of-seven-kilobytes": attack(
        post(b"x" * 100_000, kind=b"multipart/form-data; boundary=" + b"-" * 7000),
        *(400, 422, "bad_request", "validation_failed"),
    ),
    # bytes
    "nul-in-a-query": attack(get("/api/v1/search?q=%00"), *INVALID),
    "nul-in-a-filter": attack(post(b'{"text":"a","filter":{"channel":"\\u0000"}}'), 200, *INVALID),
    "nul-in-a-line": attack(get(b"/\0"), 400, 404),
    "nul-in-a-field": attack(get("/", b"X-Request-Id: a\0b"), 400),
    "a-bare-cr-in-a-field": attack(get("/", b"X: a\rSet-Cookie: b"), 400),
    "broken-utf-8-in-a-query": attack(get("/api/v1/search?q=%ff%fe%c3%28"), 200, *INVALID),
    "broken-utf-8-in-json": attack(post(b'{"text": "\xff\xfe"}'), 400, "json_invalid"),
    "broken-utf-8-in-a-path": attack(get(b"/api/v1/videos/\xff\xfe"), 400, "bad_request"),
    "broken-utf-8-in-a-part": attack(parts(field(b"text", b"\xff\xfe")), 200, *INVALID),
    "half-a-surrogate": attack(post(b'{"text": "\\ud800"}'), 200, 400, *INVALID, "json_invalid"),
    "bytes-that-are-no-http": attack(b"\x16\x03\x01\x00\xa5\x01\r\n\r\n", 400),
    # one request that another server may take for two
    "length-and-chunks": attack(
        post(
            b"0\r\n\r\n" + SMUGGLED,
            b"Content-Length: 6",
            b"Transfer-Encoding: chunked",
            length=False,
            close=False,
        ),
        400,
    ),
    "two-lengths": attack(
        post(
            b"{}" + SMUGGLED, b"Content-Length: 2", b"Content-Length: 44", length=False, close=False
        ),
        400,
    ),
    "a-length-with-a-sign": attack(
        post(b"{}", b"Content-Length: +2", length=False, close=False), 400
    ),
    "a-length-in-hex": attack(post(b"{}", b"Content-Length: 0x2", length=False, close=False), 400),
    "a-negative-length": attack(post(b"{}", b"Content-Length: -2", length=False, close=False), 400),
    "two-lengths-in-one-field": attack(
        post(b"{}", b"Content-Length: 2, 2", length=False, close=False), 400
    ),
    "chunked-twice": attack(
        post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, chunked", length=False, close=False), 400
    ),
    "chunked-not-last": attack(
        post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, identity", length=False, close=False),
        400,
        501,
    ),
    "coded-without-chunks": attack(
        post(b"{}", b"Transfer-Encoding: gzip", length=False, close=False), 400
    ),
    "chunked-misspelt": attack(
        post(b"0\r\n\r\n", b"Transfer-Encoding: xchunked", length=False, close=False), 400, 501
    ),
    "chunked-behind-a-tab": attack(
        post(b"0\r\n\r\n", b"Transfer-Encoding:\x0bchunked", length=False, close=False), 400, 501
    ),
    "a-space-before-the-colon": attack(
        post(b"0\r\n\r\n", b"Transfer-Encoding : chunked", length=False, close=False), 400
    ),
    "a-folded-field": attack(post(b"{}", b"X: a\r\n Transfer-Encoding: chunked", close=False), 400),
    "bare-line-feeds": attack(b"GET / HTTP/1.1\nHost: x\n\n" + CRLF + CRLF, 400),
    "a-chunk-size-with-a-prefix": attack(
        post(b"0x2\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked", length=False), 400
    ),
    "a-chunk-size-with-a-sign": attack(
        post(b"-2\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked", length=False), 400
    ),
    "a-chunk-size-beyond-64-bits": attack(
        post(b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked", length=False),
        400,
        413,
    ),
    "a-chunk-extension-without-end": attack(
        post(b"2;" + b"a" * 1_000_000, b"Transfer-Encoding: chunked", length=False), 400
    ),
    "a-chunk-longer-than-it-says": attack(
        post(b"2\r\n{}{}\r\n0\r\n\r\n" + SMUGGLED, b"Transfer-Encoding: chunked", length=False),
        400,
    ),
    "a-trailer-that-is-a-head": attack(
        post(
            b"2\r\n{}\r\n0\r\nContent-Length: 99\r\n\r\n",
            b"Transfer-Encoding: chunked",
            length=False,
        ),
        400,
        422,
    ),
    "http-0-9": attack(b"GET /\r\n\r\n", 400, 505),
    "http-2": attack(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505),
    "http-9-9": attack(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400, 505),
    "a-method-of-small-letters": attack(http(b"get / HTTP/1.1"), 400, 405),
    "an-expectation-made-up": attack(post(b"{}", b"Expect: miracles"), 417),
}


@pytest.fixture(scope="module")
def data(catalogue, tmp_path_factory) -> DataDir:
    data = DataDir(tmp_path_factory.mktemp("attacked"))
    publish_embedded(catalogue, data, "g1")
    return data


@pytest.fixture(scope="module")
def process(data) -> Iterator[Served]:
    # One process, so that what holds it up is seen.
    with Served(data, "--workers", "1", receive_timeout_s=str(RECEIVE_TIMEOUT_S)) as served:
        yield served


def worker_of(served: Served) -> psutil.Process:
    [worker] = psutil.Process(served.process.pid).children()
    return worker


@pytest.fixture
def served(process) -> Iterator[Served]:
    """The server; the very same process answers when the test is over."""
    before = worker_of(process).pid
    yield process
    assert worker_of(process).pid == before
    assert process.get("/readyz")[0] == 200
    assert search_s(process) < IN_TIME_S
    for line in process.log().splitlines():
        assert "Traceback" not in line, line


def search_s(served: Served) -> float:
    """How long a search takes."""
    started = time.monotonic()
    status, body = served.get("/api/v1/search?q=kitchen&limit=3")
    assert (status, len(body["hits"])) == (200, 3)
    return time.monotonic() - started


def connect(served: Served) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def everything(connection: socket.socket) -> bytes:
    """What is answered until the server closes."""
    answer = b""
    try:
        while part := connection.recv(1 << 16):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def exchange(served: Served, sent: bytes) -> bytes:
    with connect(served) as connection:

        def send() -> None:
            # It may close before it has read all of it.
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        sender = threading.Thread(target=send)
        sender.start()
        try:
            return everything(connection)
        finally:
            sender.join(30)


def status_of(answer: bytes) -> int | None:
    return int(answer.split(b" ", 2)[1]) if answer else None


@pytest.mark.parametrize("name", ATTACKS)
def test_at_once(served, name):
    tried = ATTACKS[name]
    sent = tried.sent()
    memory = worker_of(served).memory_info().rss
    started = time.monotonic()
    answer = exchange(served, sent)
    assert time.monotonic() - started < IN_TIME_S
    assert status_of(answer) in tried.statuses, answer[:500]
    head, _, body = answer.partition(b"\r\n\r\n")
    # One answer, and none to what was smuggled behind.
    assert answer.count(b"HTTP/1.1 ") == 1
    if status_of(answer) >= 400 and b"application/problem+json" in head:
        problem = json.loads(body)
        assert problem["code"] in tried.codes or not tried.codes
        assert len(body) < 5000
    assert worker_of(served).memory_info().rss - memory < 300 << 20


# ---- slow callers


@contextmanager
def crowd(served: Served, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(connect(served))) for _ in range(number)]


@contextmanager
def trickling(connections: list[socket.socket], drop: bytes, *, every_s: float) -> Iterator[None]:
    """Each of them is sent ``drop`` again and again."""
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(every_s):
            for connection in connections:
                with suppress(OSError):  # closed by the server, as it should
                    connection.sendall(drop)

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_slow_heads_hold_nobody_up(served):
    with crowd(served, 200) as connections:
        for connection in connections:
            connection.sendall(b"GET /api/v1/stats HTTP/1.1\r\nHost: x\r\n")
        started = time.monotonic()
        with trickling(connections, b"X: a\r\n", every_s=0.5):
            for _ in range(5):
                assert search_s(served) < 3
            answers = {status_of(everything(connection)) for connection in connections}
        assert time.monotonic() - started < HEAD_TIMEOUT_S + 5
        assert answers == {408}


def test_silent_connections_hold_nobody_up_and_are_closed(served):
    with crowd(served, 200) as connections:
        started = time.monotonic()
        for _ in range(5):
            assert search_s(served) < 3
        assert {everything(connection) for connection in connections} == {b""}
        assert time.monotonic() - started < HEAD_TIMEOUT_S + 5


def test_slow_bodies_hold_nobody_up(served):
    """More of them than there are threads; a caller that sends all at once finds one."""
    with crowd(served, 100) as connections:
        for connection in connections:
            connection.sendall(post(b"{", b"Content-Length: 100000", length=False))
        started = time.monotonic()
        with trickling(connections, b" ", every_s=0.2):
            while time.monotonic() - started < RECEIVE_TIMEOUT_S + 2:
                assert search_s(served) < 4
                answer = exchange(served, post(js(text="kitchen")))
                assert status_of(answer) == 200
            answers = {status_of(everything(connection)) for connection in connections}
        assert answers == {408}
        assert time.monotonic() - started < 6 * RECEIVE_TIMEOUT_S


def test_an_expected_body_that_never_comes_holds_nobody_up(served):
    with crowd(served, 60) as connections:
        for connection in connections:
            connection.sendall(
                post(b"", b"Expect: 100-continue", b"Content-Length: 100", length=False)
            )
        started = time.monotonic()
        for _ in range(5):
            assert search_s(served) < 4
        answers = [everything(connection) for connection in connections]
        assert time.monotonic() - started < 4 * RECEIVE_TIMEOUT_S
        for answer in answers:
            assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 ")


def test_callers_that_take_no_answers_hold_nobody_up(served):
    """Requests behind requests, and nothing is read of what comes back."""
    requests = (b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n") * 40
    with crowd(served, 60) as connections:
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(requests)
        for _ in range(10):
            assert search_s(served) < 4


def test_callers_that_do_not_close_hold_nobody_up(served):
    """A server that waits for each of them to close would be stopped for as long."""
    with crowd(served, 100) as connections:
        for connection in connections:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for _ in range(5):
            assert search_s(served) < 3
        for connection in connections:
            assert status_of(everything(connection)) == 200


def test_a_flood_of_connections_holds_nobody_up(served):
    """More than a process holds: the most silent one gives way."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(hard, 8192)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    resource.prlimit(worker_of(served).pid, resource.RLIMIT_NOFILE, (soft, hard))
    with crowd(served, 1500):
        for _ in range(5):
            assert search_s(served) < 5


def test_no_file_left_for_a_connection_ends_no_process(served):
    worker = worker_of(served)
    before = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (worker.num_fds() + 20, before[1]))
    try:
        with crowd(served, 100):
            for _ in range(5):
                assert search_s(served) < 5
    finally:
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, before)


def test_many_large_pictures_at_once_are_decoded_one_by_one(served):
    """Each is as large as is allowed, and takes 760 MB while it is decoded."""
    buffer = io.BytesIO()
    Image.new("RGBA", (6300, 6300)).save(buffer, "PNG")
    bomb = picture(buffer.getvalue())
    answers: list[int | None] = []
    threads = [
        threading.Thread(target=lambda: answers.append(status_of(exchange(served, bomb))))
        for _ in range(4)
    ]
    worker = worker_of(served)
    before = most = worker.memory_info().rss
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, worker.memory_info().rss)
        time.sleep(0.02)
    assert set(answers) <= {200, 503}
    assert 200 in answers
    assert most - before < 1200 << 20  # two at once would take more


def test_what_lies_in_a_picture_is_not_in_the_log(served):
    """Pillow warns of each of its thousands of tags, in words of its own each time."""
    lying = picture(into_a_jpeg(segment(0xE1, exif_of_lies(5000))))
    before = len(served.log())
    for _ in range(3):
        assert status_of(exchange(served, lying)) == 200
    assert len(served.log()) - before < 3000


def test_a_request_behind_a_refused_one_is_not_answered(served):
    """What follows a body that can't be told from the next request is never read as one."""
    for name in ("length-and-chunks", "two-lengths", "a-chunk-longer-than-it-says"):
        answer = exchange(served, ATTACKS[name].sent() + SMUGGLED)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b'"generation"' not in answer


def test_requests_behind_requests_are_each_answered_once(served):
    """Sent in one go, as an honest caller may: so many answers as requests, in their order."""
    sent = b"".join(
        b"GET /api/v1/videos/beach-%d HTTP/1.1\r\nHost: x\r\n\r\n" % (number % 10)
        for number in range(50)
    )
    answer = exchange(served, sent)
    assert [int(one) for one in re.findall(rb'"video_id":"beach-(\d)"', answer)] == [
        number % 10 for number in range(50)
    ]


# ---- the table


def rows() -> list[tuple[str, str]]:
    """What each row of the table sends, and the test that it names."""
    return re.findall(
        r"^\| (.+?) \|.*\| `([\w\[\]-]+)` \|$", TABLE.read_text("utf-8"), re.MULTILINE
    )


def test_every_row_of_the_table_is_a_test_and_every_test_has_a_row():
    tests = {f"test_at_once[{name}]" for name in ATTACKS} | {
        name
        for name, value in globals().items()
        if name.startswith("test_") and "served" in value.__code__.co_varnames[:1]
    }
    tests.remove("test_at_once")
    named = [test for _, test in rows()]
    assert set(named) == tests
    assert len(named) == len(tests)


def test_every_row_says_what_comes_of_it_as_the_test_has_it():
    text = TABLE.read_text("utf-8")
    for name, tried in ATTACKS.items():
        row = re.search(
            rf"^\| [^|]* \| ([^|]*) \|.* `test_at_once\[{re.escape(name)}\]` \|$",
            text,
            re.MULTILINE,
        )
        assert row, name
        assert {int(one) for one in re.findall(r"\b\d{3}\b", row[1])} <= tried.statuses, name
