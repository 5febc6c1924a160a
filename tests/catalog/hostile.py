"""Pictures that cost as much as their format lets them, and how much decoding each of them costs.

``python -m tests.catalog.hostile FILE`` prints that: CPU seconds, bytes beyond what the process
had, and why it was rejected. Memory is seen by the kernel, in a process that does nothing else.
"""

from __future__ import annotations

import ctypes
import json
import random
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.catalog.encoded import chunk, noise, picture, png, saved, segment
from twinlens.catalog.errors import PictureRejected
from twinlens.catalog.images import MAX_PIXELS, decode_image

# As large as may be, and what encoders are asked for; None is the whole picture.
SIDE = int(MAX_PIXELS**0.5)
ASKED = ((448, 448), None)
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))


class Cost(NamedTuple):
    """Of decoding a picture, once as each of ``ASKED``."""

    cpu_s: float
    memory: int
    rejected: list[str | None]


def paeth(
    width: int, height: int, colour: int, *more: bytes, depth: int = 8, interlaced: bool = False
) -> bytes:
    """A PNG of that colour type, of the filter that takes longest."""
    packer = zlib.compressobj(1)
    passes = (*_PASSES, (0, 1, 1, 2)) if interlaced else ((0, 0, 1, 1),)
    packed = []
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        row = b"\4" + b"\x55" * ((columns * _CHANNELS[colour] * depth + 7) // 8)
        packed += [packer.compress(row) for _ in range(rows)]
    packed.append(packer.flush())
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 else b""
    whole = png(1, 1, b"", palette, *more, packed=b"".join(packed))
    return whole[:8] + chunk(b"IHDR", head) + whole[33:]


def on_its_side(orientation: int = 5) -> bytes:
    tag = struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)
    return chunk(b"eXIf", b"II*\0" + tag)


def texts(count: int) -> bytes:
    """Of a MiB each, packed to a thousandth; one letter makes Python keep four bytes for each."""
    packed = zlib.compress(("\U0001f600" + "a" * ((1 << 20) - 8)).encode(), 9)
    return b"".join(chunk(b"iTXt", b"k%d\0\1\0\0\0" % at + packed) for at in range(count))


def scans(
    parts: int, count: int, body: bytes = b"", *, dc: bool = False, frame: int = 0xC2
) -> bytes:
    """A JPEG whose first scan has nothing, and whose others have ``body``."""
    kinds = [bytes([part + 1]) for part in range(parts)]
    size = struct.pack(">BHHB", 8, SIDE, SIDE, parts)
    tables = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC4, b"\0\1" + bytes(16))
    # Two codes: the next 16,384 blocks have nothing, and this block has nothing.
    tables += segment(0xC4, b"\x10\1\1" + bytes(14) + b"\xe0\0")
    first = segment(0xDA, bytes([parts]) + b"".join(kind + b"\0" for kind in kinds) + bytes(3))
    # One coefficient a scan, for each comes once.
    lasts = [b"\0\0\x10" if dc else bytes([1 + at // parts] * 2) + b"\0" for at in range(count)]
    others = (
        segment(0xDA, b"\1" + kinds[at % parts] + b"\0" + lasts[at]) + body
        for at in range(count - 1)
    )
    head = segment(frame, size + b"".join(kind + b"\x11\0" for kind in kinds))
    return b"\xff\xd8" + head + tables + first + b"".join(others) + b"\xff\xd9"


def refined(size: int) -> bytes:
    """A JPEG of all those bits that a scan of refinement has, again and again."""
    grey = Image.fromarray(np.asarray(noise((SIDE, SIDE)))[..., 0] // 8)
    whole = saved(grey, "JPEG", quality=30, progressive=True)
    last = whole.rindex(b"\xff\xda")
    scan = whole[last:-2]
    return whole[:last] + scan * ((size - len(whole)) // len(scan)) + whole[last:]


def twice(kind: str, size: tuple[int, int]) -> bytes:
    first, second = (Image.new("RGBA", size, colour) for colour in ((1, 2, 3, 99), "red"))
    return saved(first, kind, save_all=True, append_images=[second], lossless=True)


def part_of_a_gif(side: int) -> bytes:
    """A picture of 8 by 8 on a large and clear canvas, in 60 bytes."""
    small = picture("GIF", mode="P", size=(8, 8), colour=0, transparency=0)
    return small[:6] + struct.pack("<HH", side, side) + small[10:]


def many_segments(kind: int, head: bytes) -> bytes:
    small = picture("JPEG")
    return small[:2] + segment(kind, head + bytes(65_000)) * 300 + small[2:]


def dithered(size: tuple[int, int], *, most: int, bands: int = 3) -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, most, (*size[::-1], bands), dtype=np.uint8)
    return Image.fromarray(pixels)


_CLEAR = chunk(b"tRNS", bytes(range(256)))
_CONTROL = struct.pack(">IIIIIHHBB", 0, 4500, 4500, 0, 0, 1, 1, 2, 1)
_ANIMATED = chunk(b"acTL", b"\0\0\0\2\0\0\0\0") + chunk(b"fcTL", _CONTROL)
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_WEBP = (4500, 4500)
# Each with why it is refused, if it is.
PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    # As large as is decoded.
    "png-rgb": (lambda: paeth(5200, 5200, 2), ""),
    "png-rgb-on-its-side": (lambda: paeth(5200, 5200, 2, on_its_side()), ""),
    "png-rgb-interlaced": (lambda: paeth(5200, 5200, 2, interlaced=True), ""),
    "png-rgb-with-a-clear-colour": (lambda: paeth(4500, 4500, 2, chunk(b"tRNS", b"\0U" * 3)), ""),
    "png-rgba-on-its-side": (lambda: paeth(4500, 4500, 6, on_its_side(6)), ""),
    "png-rgba-16": (lambda: paeth(3200, 3200, 6, on_its_side(), depth=16, interlaced=True), ""),
    "png-grey-16": (lambda: paeth(3200, 3200, 0, on_its_side(7), depth=16), ""),
    "png-grey-alpha": (lambda: paeth(4500, 4500, 4), ""),
    "png-grey-alpha-16": (lambda: paeth(3200, 3200, 4, depth=16), ""),
    "png-palette-alpha": (lambda: paeth(4500, 4500, 3, _CLEAR, on_its_side(8)), ""),
    "png-bits-interlaced": (lambda: paeth(SIDE, SIDE, 0, depth=1, interlaced=True), ""),
    "png-as-high-as-may-be": (lambda: paeth(640, 32_767, 6, on_its_side()), ""),
    "png-as-wide-as-may-be": (lambda: paeth(32_767, 640, 6, on_its_side()), ""),
    "png-texts-before-and-behind": (
        lambda: paeth(5200, 5200, 2, texts(4))[:-12] + texts(4) + chunk(b"IEND"),
        "",
    ),
    "apng": (lambda: paeth(4500, 4500, 6, _ANIMATED), ""),
    "webp-lossy-alpha": (
        lambda: saved(dithered((4100, 4100), most=3, bands=4), "WEBP", quality=30, method=0),
        "",
    ),
    "webp-lossless": (lambda: picture("WEBP", size=(4100, 4100), lossless=True), ""),
    "webp-animated": (lambda: twice("WEBP", (4100, 4100)), ""),
    "gif": (lambda: picture("GIF", mode="P", size=(SIDE, SIDE), colour=0), ""),
    "gif-part": (lambda: part_of_a_gif(SIDE), ""),
    "bmp-bits": (lambda: picture("BMP", mode="1", size=(SIDE, SIDE), colour=1), ""),
    "bmp-cut-short": (lambda: picture("BMP", size=(SIDE, SIDE), mode="1", colour=1)[:99], "trunc"),
    "jpeg": (lambda: picture("JPEG", size=(SIDE, SIDE), subsampling=0), ""),
    "jpeg-restarts": (lambda: picture("JPEG", size=(SIDE, SIDE), restart_marker_blocks=1), ""),
    "jpeg-cmyk": (lambda: picture("JPEG", mode="CMYK", size=(SIDE, SIDE), colour=(1, 2, 3, 4)), ""),
    "jpeg-50-scans": (lambda: scans(1, 50), ""),
    "jpeg-34-scans-of-three": (lambda: scans(3, 34, bytes(290_000)), "|memory"),
    "jpeg-25-scans-of-four": (lambda: scans(4, 25), "|memory"),
    "jpeg-dc-again-and-again": (lambda: scans(4, 25, bytes(78_000), dc=True), "more than once"),
    "jpeg-smoothed": (lambda: scans(3, 1), "|memory"),
    "jpeg-refined": (lambda: refined(9_900_000), "more than once"),
    "jpeg-progressive": (
        lambda: saved(noise((4000, 3500)), "JPEG", quality=75, progressive=True),
        "",
    ),
    "jpeg-xmp": (lambda: many_segments(0xE1, _XMP), ""),
    "jpeg-profile": (lambda: many_segments(0xE2, b"ICC_PROFILE\0\1\1"), ""),
    # What would cost more.
    "png-1-by-40-million": (lambda: paeth(1, MAX_PIXELS, 0), "in a row"),
    "png-40-million-by-1": (lambda: paeth(MAX_PIXELS, 1, 0), "in a row"),
    "png-rgba-16-of-40-million": (lambda: paeth(SIDE, SIDE, 6, depth=16), "unpacks"),
    "png-63-texts": (lambda: png(8, 8, bytes(72), texts(63)), "bytes of text"),
    "webp-of-46-bytes": (lambda: picture("WEBP", size=(16383, 2441), lossless=True), "of memory"),
    "webp-animated-of-40-million": (lambda: twice("WEBP", (8000, 5000)), "of memory"),
    "webp-lossy-noise": (
        lambda: saved(noise((2200, 2200)), "WEBP", quality=100, method=0),
        "a WebP of",
    ),
    "jpeg-35-scans-of-three": (lambda: scans(3, 35), "more than 34 scans"),
    "jpeg-of-several-scans": (
        lambda: picture("JPEG", size=(99, 99), progressive=True) + bytes(12_000_000),
        "of several scans",
    ),
    "jpeg-lossless": (lambda: scans(3, 1, frame=0xC3), "lossless coding"),
    "jpeg-arithmetic": (lambda: scans(1, 50, frame=0xCA), "arithmetic coding"),
}


def mutate(count: int) -> Iterator[bytes]:
    """Yield small pictures of every kind with some bytes changed, cut out or put in."""
    small = [
        *(picture(kind, size=(20, 12)) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP")),
        *(paeth(20, 12, colour, texts(1)) for colour in (0, 2, 3, 4, 6)),
        picture("JPEG", size=(20, 12), progressive=True),
        picture("JPEG", size=(20, 12), mode="CMYK", colour=(1, 2, 3, 4)),
        paeth(20, 12, 6, on_its_side(), depth=16, interlaced=True),
        twice("WEBP", (20, 12)),
        twice("GIF", (20, 12)),
        part_of_a_gif(20),
    ]
    rng = random.Random(15)
    for at in range(count):
        data = bytearray(small[at % len(small)])
        for _ in range(rng.randint(1, 4)):
            # Most of what is said of the pixels stands at the beginning.
            place = rng.randrange(min(len(data), rng.choice((40, 100, len(data)))))
            if rng.random() < 0.8:
                data[place] = rng.choice((0, 1, 0x10, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            elif rng.random() < 0.5:
                del data[place : place + rng.randint(1, 9)]
            else:
                data[place:place] = rng.randbytes(rng.randint(1, 9))
        if data.startswith(b"\x89PNG"):  # that its checksums hold
            data[8:] = b"".join(_signed(bytes(data[8:])))
        yield bytes(data)


def _signed(chunks: bytes) -> Iterator[bytes]:
    while len(chunks) >= 12:
        length = int.from_bytes(chunks[:4])
        yield chunk(chunks[4:8], chunks[8 : 8 + length])
        chunks = chunks[12 + length :]


def measure(pictures: Path) -> list[Cost]:
    """Return what each of these costs, seen by a process of its own for them all.

    ``pictures`` is a file of lengths and bytes, as ``written`` writes it.
    """
    command = [sys.executable, "-W", "ignore", "-m", "tests.catalog.hostile", str(pictures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Cost(*cost) for cost in json.loads(done.stdout)]


def written(pictures: Iterator[bytes], path: Path) -> Path:
    with path.open("wb") as file:
        for data in pictures:
            file.write(len(data).to_bytes(8) + data)
    return path


def _memory(of: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(of)]
    return int(line.split()[1]) * 1024


def _measure_here(data: bytes) -> Cost:
    cpu, memory, rejected = 0.0, 0, []
    for at_least in ASKED:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, started = _memory("VmRSS"), time.process_time()
        try:
            decode_image(data, at_least=at_least)
            rejected.append(None)
        except PictureRejected as error:
            rejected.append(error.detail)
        cpu = max(cpu, time.process_time() - started)
        memory = max(memory, _memory("VmHWM") - before)
    return Cost(cpu, memory, rejected)


def _main(path: str) -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):  # their modules
        decode_image(picture(kind))
    costs = []
    with Path(path).open("rb") as file:
        while head := file.read(8):
            costs.append(_measure_here(file.read(int.from_bytes(head))))
    sys.stdout.write(json.dumps(costs))


if __name__ == "__main__":
    _main(sys.argv[1])
