"""How to make what means harm: requests, bodies, pictures."""

from __future__ import annotations

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
from tests.catalog.encoded import segment

# Within which a whole request must be answered, whatever is in it.
IN_TIME_S = 8.0
CRLF = b"\r\n"


class Row(NamedTuple):
    """What is sent, also in words, what comes back, and what behind the proxy ("": not asked)."""

    sent: bytes | Callable[[], bytes] | None
    what: str
    comes: str
    behind: str = ""

    @property
    def status(self) -> int:
        return int(self.comes[:3])

    @property
    def code(self) -> str | None:
        """The problem's code, where the answer is one."""
        found = re.match(r"\d+ `(\w+)`", self.comes)
        return found and found[1]


SAME = "the same"


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


def padded_form(*, before: bytes = b"", after: bytes = b"") -> bytes:
    """A form with a text, and with what nobody reads before and after its parts."""
    part = b"--b\r\n%s\r\n\r\n%s\r\n--b--\r\n" % field(b"text", b"a")
    return post(before + CRLF + part + after, kind=b"multipart/form-data; boundary=b")


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
