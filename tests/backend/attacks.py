"""What means harm, as it is sent: docs/attacks.md has the table of it, and of what comes back."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from PIL import Image

from tests.backend.catalogue import picture_bytes
from tests.backend.served import ROOT
from tests.catalog.encoded import chunk, png, run_lengths_in_a_bmp, segment
from twinlens.backend.access import MAX_BODY_BYTES

TABLE = (ROOT / "docs" / "attacks.md").read_text("utf-8")
# Within which a whole request must be answered, whatever is in it.
IN_TIME_S = 8.0
CRLF = b"\r\n"


class Row(NamedTuple):
    """What the table says of an attack: what comes back, and what behind the proxy."""

    said: str
    behind: str = "—"

    @property
    def status(self) -> int:
        return int(self.said[:3])

    @property
    def code(self) -> str | None:
        """The problem's code, where the answer is one."""
        found = re.match(r"\d+ `(\w+)`", self.said)
        return found and found[1]


# By the tests that the rows name.
ROWS = {
    found[3]: Row(*filter(None, found.group(1, 2)))
    for found in re.finditer(
        r"^\| [^|]* \| ([^|]*) \|(?: ([^|]*) \|)? `(test_[\w\[\]-]+)` \|$", TABLE, re.MULTILINE
    )
}


def http(line: bytes, *fields: bytes, body: bytes = b"", close: bool = True) -> bytes:
    """A request, of the body's length where no field says how the body is sent."""
    head = [line, b"Host: x"]
    if close:
        head.append(b"Connection: close")
    says = (b"Content-Length", b"Transfer-Encoding")
    if line.startswith(b"POST") and not any(one.startswith(says) for one in fields):
        head.append(b"Content-Length: %d" % len(body))
    return CRLF.join([*head, *fields, b"", b""]) + body


def get(target: str | bytes, *fields: bytes) -> bytes:
    target = target if isinstance(target, bytes) else target.encode()
    return http(b"GET " + target + b" HTTP/1.1", *fields)


def post(body: bytes, *fields: bytes, kind: bytes = b"application/json", **more: bool) -> bytes:
    return http(POST, b"Content-Type: " + kind, *fields, body=body, **more)


def kept(body: bytes, *fields: bytes) -> bytes:
    """The same, on a connection that the caller would keep."""
    return post(body, *fields, close=False)


def chunked(body: bytes) -> bytes:
    return post(body, b"Transfer-Encoding: chunked")


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


def bomb(byte: bytes, megabytes: int) -> bytes:
    """So many of one byte by zlib: of one megabyte's blocks again and again."""
    packing = zlib.compressobj(9, wbits=-15)
    blocks = packing.compress(byte * (1 << 20)) + packing.flush(zlib.Z_FULL_FLUSH)
    check = zlib.adler32(byte * (megabytes << 20))
    return b"\x78\xda" + blocks * megabytes + b"\x03\x00" + struct.pack(">I", check)


def animated_gif(frames: int) -> bytes:
    buffer = io.BytesIO()
    pictures = [Image.new("P", (8, 8), number % 256) for number in range(frames)]
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], loop=0)
    return buffer.getvalue()


@cache
def progressive_jpeg() -> tuple[bytes, int]:
    """As large a picture as is allowed, and where its last scan begins."""
    buffer = io.BytesIO()
    Image.new("L", (6320, 6320), 77).save(buffer, "JPEG", progressive=True)
    return buffer.getvalue(), buffer.getvalue().rindex(b"\xff\xda")


def scans_in_a_jpeg(number: int) -> bytes:
    """The last scan ``number`` times more: each is 65 bytes."""
    whole, last = progressive_jpeg()
    return whole[:-2] + whole[last:-2] * number + whole[-2:]


def scans_hidden_in_a_jpeg(number: int) -> bytes:
    """The same, each thousand of these inside what libjpeg drops in a scan that has restarts."""
    whole, last = progressive_jpeg()
    scan = whole[last : last + 10] + bytes(12)
    hidden = b"\xff\x02" + (22 * 1000 + 2).to_bytes(2) + scan * 1000
    restarts = b"\xff\xdd\0\4\0\1"
    return whole[:last] + restarts + (scan + hidden) * (number // 1000) + whole[last:]


def into_a_jpeg(*pieces: bytes) -> bytes:
    """A JPEG with ``pieces`` behind its beginning."""
    whole = picture_bytes((1, 2, 3), kind="JPEG")
    return whole[:2] + b"".join(pieces) + whole[2:]


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

ATTACKS: dict[str, bytes | Callable[[], bytes]] = {
    # bodies
    "body-beyond-the-limit": lambda: post(b" " * (MAX_BODY_BYTES + 1)),
    "length-beyond-the-limit": post(b"{}", b"Content-Length: 99999999999999"),
    "length-of-a-thousand-digits": post(b"{}", b"Content-Length: " + b"9" * 1000),
    "chunks-beyond-the-limit": lambda: chunked(
        (b"100000\r\n" + b" " * 0x100000 + CRLF) * 17 + b"0\r\n\r\n"
    ),
    "body-cut-short": post(b'{"text": "a"', b"Content-Length: 99"),
    "chunk-cut-short": chunked(b'10\r\n{"text"'),
    "form-cut-short": post(
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\nabc',
        b"Content-Length: 9999",
        kind=b"multipart/form-data; boundary=b",
    ),
    "picture-cut-short": lambda: picture(picture_bytes((1, 2, 3))[:-40]),
    # bombs
    "png-of-a-billion-pixels": lambda: picture(png(32000, 32000, b"")),
    "png-whose-data-is-a-bomb": lambda: picture(png(8, 8, b"", packed=bomb(b"\0", 256))),
    "png-whose-text-is-a-bomb": lambda: picture(
        png(8, 8, b"\0" * 72, chunk(b"zTXt", b"k\0\0" + bomb(b"a", 128)))
    ),
    "png-in-json-of-a-billion-pixels": lambda: post(
        js(image=base64.b64encode(png(32000, 32000, b"")).decode())
    ),
    "gif-of-four-billion-pixels": lambda: picture(
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"
    ),
    "jpeg-of-ten-thousand-scans": lambda: picture(scans_in_a_jpeg(10_000)),
    "jpeg-of-as-many-scans-as-are-read": lambda: picture(scans_in_a_jpeg(44)),
    "jpeg-of-arithmetic-scans": lambda: picture(
        scans_in_a_jpeg(44).replace(b"\xff\xc2", b"\xff\xca", 1)
    ),
    "jpeg-of-scans-in-hiding": lambda: picture(scans_hidden_in_a_jpeg(10_000)),
    "png-of-fifteen-megabytes-of-exif": lambda: picture(
        png(8, 8, bytes(72), chunk(b"eXIf", numbers_in_exif(15)))
    ),
    "jpeg-of-fifteen-megabytes-of-exif": lambda: picture(exif_in_a_jpeg(15)),
    "jpeg-of-a-million-segments": lambda: picture(into_a_jpeg(b"\xff\xfe\0\2" * 1_000_000)),
    "jpeg-of-fifteen-megabytes-of-padding": lambda: picture(into_a_jpeg(b"\xff" * 15_000_000)),
    "jpeg-of-many-frames": lambda: picture(
        into_a_jpeg(segment(0xC0, b"\x08\0\x30\0\x40\3" + b"\1\x22\0" * 20_000) * 200)
    ),
    "png-of-a-million-chunks": lambda: picture(
        png(8, 8, bytes(72), chunk(b"aaAa", b"") * 1_000_000)
    ),
    "png-of-ten-thousand-profiles": lambda: picture(
        png(8, 8, b"", chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 20), 9)) * 10_000)
    ),
    "gif-whose-comment-is-seven-million-blocks": lambda: picture(comment_in_a_gif(7_000_000)),
    "bmp-of-run-lengths": lambda: picture(run_lengths_in_a_bmp(6300)),
    "gif-of-two-thousand-frames": lambda: picture(animated_gif(2000)),
    "gzip-bomb": lambda: post(gzip.compress(b" " * (1 << 20)) * 256, b"Content-Encoding: gzip"),
    "deflate-and-brotli": post(b"{}", b"Content-Encoding: deflate, br"),
    # what is no picture, or more than one thing
    "svg-with-a-script": picture(SVG, kind=b"image/svg+xml", name=b"x.svg"),
    "svg-with-entities": picture(SVG_BOMB),
    "eps-with-a-program": picture(EPS, kind=b"application/postscript", name=b"x.eps"),
    "html-called-png": picture(b"<script>alert(1)</script>"),
    "gif-that-is-a-script": lambda: picture(script_in_a_gif()),
    "gif-in-name-only": picture(b"GIF89a/*\0\0\0\0*/=1;alert(1)//;"),
    "png-that-is-an-archive": lambda: picture(zip_behind_a_picture()),
    "file-name-that-leads-elsewhere": lambda: picture(
        picture_bytes((1, 2, 3)), name=b"../../../etc/passwd"
    ),
    "address-for-a-picture": post(js(image="http://127.0.0.1:1/x.png")),
    "file-for-a-picture": post(js(image="file:///etc/passwd")),
    "address-in-an-unknown-field": post(js(text="a", image_url="http://127.0.0.1:1/")),
    # types
    "json-called-text": post(js(text="a"), kind=b"text/plain"),
    "json-called-form": post(js(text="a"), kind=b"application/x-www-form-urlencoded"),
    "xml": post(SVG_BOMB, kind=b"application/xml"),
    "no-type": http(POST, body=js(text="a")),
    "form-called-json": post(b"--b\r\n\r\n--b--"),
    "form-without-a-boundary": post(b"--b\r\n", kind=b"multipart/form-data"),
    "json-in-utf-16": post('{"text": "a"}'.encode("utf-16")),
    # JSON
    "lists-in-lists": post(b"[" * 19_000),
    "two-hundred-thousand-lists-in-lists": post(b"[" * 200_000),
    "objects-in-objects": post(b'{"filter":' * 19_000 + b"1" + b"}" * 19_000),
    "conditions-in-conditions": post(
        b'{"text":"a","filter":' + b'{"not":' * 60 + b"{}" + b"}" * 61
    ),
    "a-million-fields": lambda: post(
        b"{" + b",".join(b'"f%d":0' % n for n in range(1_000_000)) + b"}"
    ),
    "nineteen-thousand-fields": lambda: post(
        b"{" + b",".join(b'"f%d":0' % n for n in range(19_000)) + b"}"
    ),
    "one-field-nineteen-thousand-times": post(b'{"text":"a"' + b',"limit":0' * 19_000 + b"}"),
    "a-million-filters": lambda: post(b'{"text":"a","filter":' + filters(100, 100, 100) + b"}"),
    "filters-in-filters-up-to-the-limit": lambda: post(
        b'{"text":"a","filter":' + filters(90, 1, 1, 1, 1, 1, 90) + b"}"
    ),
    "a-hundred-thousand-filters-in-a-form": lambda: parts(
        field(b"text", b"a"), field(b"filter", b'{"and":[' + b"{}," * 100_000 + b"{}]}")
    ),
    "text-of-a-million-letters": post(js(text="a" * 1_000_000)),
    "a-hundred-thousand-values": post(js(text="a", filter={"tags": ["x"] * 100_000})),
    "nineteen-thousand-values": post(js(text="a", filter={"tags": ["x"] * 19_000})),
    "numbers-beyond-a-float": post(b'{"text":"a","rrf_k":1e999}'),
    "a-number-of-a-million-digits": post(b'{"text":"a","limit":' + b"9" * 1_000_000 + b"}"),
    "limit-beyond-64-bits": post(js(text="a", limit=2**64)),
    "limit-below-64-bits": get(f"/api/v1/search?q=a&limit={-(2**70)}"),
    "not-a-number": post(b'{"text":"a","rrf_k":NaN}'),
    "numbers-in-a-filter": post(b'{"text":"a","filter":{"view_count":{"gte":1e308}}}'),
    "a-year-beyond-time": post(
        js(text="a", filter={"published_at": {"gte": "999999999-01-01T00:00:00Z"}})
    ),
    # paths
    "dots-in-an-id": get("/api/v1/videos/../../../../etc/passwd"),
    "escaped-dots-in-an-id": get("/api/v1/videos/..%2f..%2f..%2fetc%2fpasswd/thumbnail"),
    "twice-escaped-dots": get("/api/v1/videos/%252e%252e%252fetc/thumbnail"),
    "overlong-dots": get("/api/v1/videos/%c0%ae%c0%ae%c0%af/thumbnail"),
    "backslashes": get("/api/v1/videos/..%5c..%5cwin.ini/thumbnail"),
    "nul-in-an-id": get("/api/v1/videos/beach-1%00.png/thumbnail"),
    "an-id-of-eight-thousand-letters": get("/api/v1/videos/" + "a" * 8000),
    "dots-in-static": get("/static/../app.py"),
    "escaped-dots-in-static": get("/static/..%2f..%2fpyproject.toml"),
    "dots-in-docs": get("/docs/assets/..%2f..%2f__init__.py"),
    "another-server-s-address": get("http://169.254.169.254/latest/meta-data"),
    "connect": http(b"CONNECT 127.0.0.1:1 HTTP/1.1"),
    "trace": http(b"TRACE /api/v1/search HTTP/1.1"),
    "two-slashes-for-one": get("//metrics"),
    "script-name-that-hides-a-path": get("/x/metrics", b"SCRIPT_NAME: /x", b"Script-Name: /x"),
    "script-name-of-another-path": get("/healthz", b"SCRIPT_NAME: /zzz"),
    "script-name-that-redirects": get("/healthz", b"SCRIPT_NAME: /healthz"),
    # heads
    "three-hundred-fields": get("/", *(b"X-%d: a" % n for n in range(300))),
    "a-field-of-a-hundred-kilobytes": get("/", b"X: " + b"a" * 100_000),
    "a-field-of-nine-kilobytes": get("/", b"X: " + b"a" * 9000),
    "a-name-of-a-hundred-kilobytes": get("/", b"X" * 100_000 + b": a"),
    "a-line-of-ten-kilobytes": get("/?q=" + "a" * 10_000),
    "a-line-of-a-hundred-kilobytes": get("/?q=" + "a" * 100_000),
    "a-megabyte-without-an-end": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000,
    "a-cookie-of-eight-kilobytes": get("/", b"Cookie: " + b"a=b; " * 1600),
    "four-thousand-tags": get("/api/v1/stats", b"If-None-Match: " + b'"a",' * 1900),
    "a-thousand-ranges": get("/static/style.css", b"Range: bytes=" + b",".join([b"0-"] * 1000)),
    "encodings-without-end": get("/api/v1/stats", b"Accept-Encoding: " + b"gzip;q=0.1," * 600),
    "a-cursor-made-up": get("/api/v1/search?q=a&cursor=" + "A" * 4000),
    # parts
    "two-thousand-parts": parts(*(field(b"f%d" % n, b"a") for n in range(2000))),
    "a-text-part-of-a-megabyte": parts(field(b"text", b"a" * 1_000_000)),
    "a-part-with-a-head-of-a-megabyte": parts(
        (b'Content-Disposition: form-data; name="text"\r\nX: ' + b"a" * 1_000_000, b"a")
    ),
    "a-hundred-pictures": lambda: parts(
        *[(b'Content-Disposition: form-data; name="image"; filename="x"', picture_bytes((1, 2, 3)))]
        * 100
    ),
    "a-boundary-of-seven-kilobytes": post(
        b"x" * 100_000, kind=b"multipart/form-data; boundary=" + b"-" * 7000
    ),
    # bytes
    "nul-in-a-query": get("/api/v1/search?q=%00"),
    "nul-in-a-filter": post(b'{"text":"a","filter":{"channel":"\\u0000"}}'),
    "nul-in-a-line": get(b"/\0"),
    "nul-in-a-field": get("/", b"X-Request-Id: a\0b"),
    "a-bare-cr-in-a-field": get("/", b"X: a\rSet-Cookie: b"),
    "broken-utf-8-in-a-query": get("/api/v1/search?q=%ff%fe%c3%28"),
    "broken-utf-8-in-json": post(b'{"text": "\xff\xfe"}'),
    "broken-utf-8-in-a-path": get(b"/api/v1/videos/\xff\xfe"),
    "broken-utf-8-in-a-part": parts(field(b"text", b"\xff\xfe")),
    "half-a-surrogate": post(b'{"text": "\\ud800"}'),
    "bytes-that-are-no-http": b"\x16\x03\x01\x00\xa5\x01\r\n\r\n",
    # one request that another server may take for two
    "length-and-chunks": kept(
        b"0\r\n\r\n" + SMUGGLED, b"Content-Length: 6", b"Transfer-Encoding: chunked"
    ),
    "two-lengths": kept(b"{}" + SMUGGLED, b"Content-Length: 2", b"Content-Length: 44"),
    "a-length-with-a-sign": kept(b"{}", b"Content-Length: +2"),
    "a-length-in-hex": kept(b"{}", b"Content-Length: 0x2"),
    "a-negative-length": kept(b"{}", b"Content-Length: -2"),
    "two-lengths-in-one-field": kept(b"{}", b"Content-Length: 2, 2"),
    "chunked-twice": kept(b"0\r\n\r\n", b"Transfer-Encoding: chunked, chunked"),
    "chunked-not-last": kept(b"0\r\n\r\n", b"Transfer-Encoding: chunked, identity"),
    "coded-without-chunks": kept(b"{}", b"Transfer-Encoding: gzip"),
    "chunked-misspelt": kept(b"0\r\n\r\n", b"Transfer-Encoding: xchunked"),
    "chunked-behind-a-tab": kept(b"0\r\n\r\n", b"Transfer-Encoding:\x0bchunked"),
    "a-space-before-the-colon": kept(b"0\r\n\r\n", b"Transfer-Encoding : chunked"),
    "a-folded-field": kept(b"{}", b"X: a\r\n Transfer-Encoding: chunked"),
    "bare-line-feeds": b"GET / HTTP/1.1\nHost: x\nConnection: close\n\n",
    "a-chunk-size-of-letters": chunked(b"zz\r\n{}\r\n0\r\n\r\n"),
    "a-chunk-size-with-a-prefix": chunked(b"0x2\r\n{}\r\n0\r\n\r\n"),
    "a-chunk-size-with-a-sign": chunked(b"-2\r\n{}\r\n0\r\n\r\n"),
    "a-chunk-size-beyond-64-bits": chunked(b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n"),
    "a-chunk-extension-without-end": chunked(b"2;" + b"a" * 1_000_000),
    "a-chunk-longer-than-it-says": chunked(b"2\r\n{}{}\r\n0\r\n\r\n" + SMUGGLED),
    "a-trailer-that-is-a-head": chunked(b"2\r\n{}\r\n0\r\nContent-Length: 99\r\n\r\n"),
    "http-0-9": b"GET /\r\n\r\n",
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http-9-9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "a-method-of-small-letters": http(b"get / HTTP/1.1"),
    "an-expectation-made-up": post(b"{}", b"Expect: miracles"),
    "chunks-of-http-1-0": b"POST /api/v1/search HTTP/1.0\r\nConnection: keep-alive\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
    "two-hosts": get("/healthz", b"Host: y"),
    "a-host-of-two-words": b"GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
    "an-expectation-of-no-body": get("/healthz", b"Expect: 100-continue"),
}


def attack(name: str) -> bytes:
    tried = ATTACKS[name]
    return tried() if callable(tried) else tried
