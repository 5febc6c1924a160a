"""What is sent as a body or a picture, and what comes back."""

from __future__ import annotations

import base64
import gzip
import struct
import zlib

from tests.backend.attacks import (
    CRLF,
    EPS,
    SAME,
    SVG,
    SVG_BOMB,
    Row,
    animated_gif,
    bomb,
    chunked,
    comment_in_a_gif,
    exif_in_a_jpeg,
    into_a_jpeg,
    js,
    numbers_in_exif,
    picture,
    post,
    scans_hidden_in_a_jpeg,
    scans_in_a_jpeg,
    script_in_a_gif,
    zip_behind_a_picture,
)
from tests.backend.catalogue import picture_bytes
from tests.catalog.encoded import chunk, png, resized, run_lengths_in_a_bmp, segment
from tests.catalog.encoded import picture as encoded
from twinlens.backend.access import MAX_BODY_BYTES

SECTIONS: dict[str, dict[str, Row]] = {
    "Bodies": {
        "body-beyond-the-limit": Row(
            lambda: post(b" " * (MAX_BODY_BYTES + 1)),
            "a body of 16 MiB and a byte",
            "413 `body_too_large`",
            SAME,
        ),
        "length-beyond-the-limit": Row(
            post(b"{}", b"Content-Length: 99999999999999"),
            "`Content-Length: 99999999999999`",
            "413 `body_too_large`",
            SAME,
        ),
        "length-of-a-thousand-digits": Row(
            post(b"{}", b"Content-Length: " + b"9" * 1000),
            "a `Content-Length` of a thousand digits",
            "413 `body_too_large`",
            "400 `bad_request`",
        ),
        "chunks-beyond-the-limit": Row(
            lambda: chunked((b"100000\r\n" + b" " * 0x100000 + CRLF) * 17 + b"0\r\n\r\n"),
            "17 MiB in chunks, of no stated length",
            "413 `body_too_large`",
            SAME,
        ),
        "body-cut-short": Row(
            post(b'{"text": "a"', b"Content-Length: 99"),
            "JSON that ends before its `Content-Length`",
            "400 `bad_request`",
            "closed",
        ),
        "chunk-cut-short": Row(
            chunked(b'10\r\n{"text"'),
            "a chunk that ends before its size",
            "400 `bad_request`",
            "closed",
        ),
        "form-cut-short": Row(
            post(
                b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\nabc',
                b"Content-Length: 9999",
                kind=b"multipart/form-data; boundary=b",
            ),
            "a form that ends before its boundary",
            "400 `bad_request`",
            "closed",
        ),
        "picture-cut-short": Row(
            lambda: picture(picture_bytes((1, 2, 3))[:-40]),
            "a PNG without its last bytes",
            "422 `picture_rejected`",
            SAME,
        ),
    },
    "Bombs": {
        "png-of-a-billion-pixels": Row(
            lambda: picture(png(32000, 32000, b"")),
            "a PNG of 100 bytes that says 32,000 × 32,000",
            "422 `picture_rejected`",
        ),
        "png-whose-data-is-a-bomb": Row(
            lambda: picture(png(8, 8, b"", packed=bomb(b"\0", 256))),
            "a PNG of 8 × 8 whose data unpacks to 256 MiB",
            "200",
        ),
        "png-whose-text-is-a-bomb": Row(
            lambda: picture(png(8, 8, b"\0" * 72, chunk(b"zTXt", b"k\0\0" + bomb(b"a", 128)))),
            "a PNG with a text that unpacks to 128 MiB",
            "422 `picture_rejected`",
        ),
        "png-in-json-of-a-billion-pixels": Row(
            lambda: post(js(image=base64.b64encode(png(32000, 32000, b"")).decode())),
            "the first of these as base64 in JSON",
            "422 `picture_rejected`",
        ),
        "gif-of-four-billion-pixels": Row(
            lambda: picture(b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"),
            "a GIF that says 65,535 × 65,535",
            "422 `picture_rejected`",
        ),
        "jpeg-of-ten-thousand-scans": Row(
            lambda: picture(scans_in_a_jpeg(10_000)),
            (
                "a progressive JPEG of 40 million pixels whose last scan comes 10,000 times, 65 "
                "bytes each: three minutes of decoding"
            ),
            "422 `picture_rejected`",
        ),
        "jpeg-of-fifty-scans": Row(
            lambda: picture(scans_in_a_jpeg(44)),
            "the same with 50 scans: a second",
            "422 `picture_rejected`",
        ),
        "jpeg-of-arithmetic-scans": Row(
            lambda: picture(scans_in_a_jpeg(44).replace(b"\xff\xc2", b"\xff\xca", 1)),
            "the same 50 scans, coded arithmetically: twenty seconds of decoding, from 4 kB",
            "422 `picture_rejected`",
        ),
        "jpeg-of-scans-in-hiding": Row(
            lambda: picture(scans_hidden_in_a_jpeg(10_000)),
            (
                "the same with the scans where a reader of segments doesn't see them, and libjpeg"
                " does: behind a marker FF 02 in a scan with restarts"
            ),
            "422 `picture_rejected`",
        ),
        "jpeg-of-a-million-segments": Row(
            lambda: picture(into_a_jpeg(b"\xff\xfe\0\2" * 1_000_000)),
            "a JPEG with a million empty comments",
            "422 `picture_rejected`",
        ),
        "jpeg-of-fifteen-megabytes-of-padding": Row(
            lambda: picture(into_a_jpeg(b"\xff" * 15_000_000)),
            "a JPEG with 15 MB of padding between two segments",
            "422 `picture_rejected`",
        ),
        "jpeg-of-many-frames": Row(
            lambda: picture(
                into_a_jpeg(segment(0xC0, b"\x08\0\x30\0\x40\3" + b"\1\x22\0" * 20_000) * 200)
            ),
            "a JPEG of 200 frames of 20,000 components each",
            "422 `picture_rejected`",
        ),
        "png-of-fifteen-megabytes-of-exif": Row(
            lambda: picture(png(8, 8, bytes(72), chunk(b"eXIf", numbers_in_exif(15)))),
            (
                "a PNG of 8 × 8, on its head by 15 MB of EXIF: twenty seconds and 2.5 GB for "
                "Pillow to write it anew"
            ),
            "200",
        ),
        "jpeg-of-fifteen-megabytes-of-exif": Row(
            lambda: picture(exif_in_a_jpeg(15)),
            "the same in the segments of a JPEG, as its resolution",
            "422 `picture_rejected`",
        ),
        "test_what_lies_in_a_picture_is_not_in_the_log": Row(
            None,
            (
                "a JPEG with 5,000 EXIF tags that each lie about their length; the log says "
                "nothing of them"
            ),
            "200",
        ),
        "png-of-a-million-chunks": Row(
            lambda: picture(png(8, 8, bytes(72), chunk(b"aaAa", b"") * 1_000_000)),
            "a PNG of a million empty chunks",
            "422 `picture_rejected`",
        ),
        "png-of-ten-thousand-profiles": Row(
            lambda: picture(
                png(8, 8, b"", chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 20), 9)) * 10_000)
            ),
            "a PNG with 10,000 colour profiles that each unpack to 1 MiB",
            "422 `picture_rejected`",
        ),
        "bmp-of-run-lengths": Row(
            lambda: picture(run_lengths_in_a_bmp(6300)),
            "a BMP of 6,300 × 6,300 in 14 kB, by run lengths, which Pillow decodes in Python",
            "422 `picture_rejected`",
        ),
        "gif-whose-comment-is-seven-million-blocks": Row(
            lambda: picture(comment_in_a_gif(7_000_000)),
            "a GIF whose comment is seven million blocks of a byte",
            "422 `picture_rejected`",
        ),
        "avif-of-a-billion-pixels": Row(
            lambda: picture(resized(encoded("AVIF"), 32000, 32000)),
            "an AVIF of 64 × 48 that says 32,000 × 32,000",
            "422 `picture_rejected`",
        ),
        "avif-larger-than-it-says": Row(
            lambda: picture(resized(encoded("AVIF", size=(3000, 3000), speed=10), 8, 8)),
            "an AVIF of 3,000 × 3,000 that says 8 × 8, decoded by a process with limits",
            "200",
        ),
        "gif-of-two-thousand-frames": Row(
            lambda: picture(animated_gif(2000)), "a GIF of 2,000 frames; the first is used", "200"
        ),
        "gzip-bomb": Row(
            lambda: post(gzip.compress(b" " * (1 << 20)) * 256, b"Content-Encoding: gzip"),
            "`Content-Encoding: gzip`, 256 MiB in 256 KiB",
            "415 `unsupported_media_type`",
        ),
        "deflate-and-brotli": Row(
            post(b"{}", b"Content-Encoding: deflate, br"),
            "`Content-Encoding: deflate, br`",
            "415 `unsupported_media_type`",
        ),
    },
    "What is no picture, or more than one thing": {
        "svg-with-a-script": Row(
            picture(SVG, kind=b"image/svg+xml", name=b"x.svg"),
            "an SVG with a script",
            "422 `picture_rejected`",
        ),
        "svg-with-entities": Row(
            picture(SVG_BOMB),
            "an SVG with entities in entities, and one that names `/etc/passwd`",
            "422 `picture_rejected`",
        ),
        "eps-with-a-program": Row(
            picture(EPS, kind=b"application/postscript", name=b"x.eps"),
            "an EPS that opens a pipe",
            "422 `picture_rejected`",
        ),
        "html-called-png": Row(
            picture(b"<script>alert(1)</script>"), "HTML called `x.png`", "422 `picture_rejected`"
        ),
        "gif-that-is-a-script": Row(
            lambda: picture(script_in_a_gif()),
            "a GIF with a script in its comment: a picture, of which the pixels are used",
            "200",
        ),
        "gif-in-name-only": Row(
            picture(b"GIF89a/*\0\0\0\0*/=1;alert(1)//;"),
            "`GIF89a/*` and a script",
            "422 `picture_rejected`",
        ),
        "png-that-is-an-archive": Row(
            lambda: picture(zip_behind_a_picture()),
            "a PNG with a ZIP behind it: a picture, of which the pixels are used",
            "200",
        ),
        "file-name-that-leads-elsewhere": Row(
            lambda: picture(picture_bytes((1, 2, 3)), name=b"../../../etc/passwd"),
            "a picture called `../../../etc/passwd`: nothing is written anywhere",
            "200",
        ),
        "address-for-a-picture": Row(
            post(js(image="http://127.0.0.1:1/x.png")),
            "an `image` that is `http://127.0.0.1:1/x.png`",
            "422 `validation_failed`",
        ),
        "file-for-a-picture": Row(
            post(js(image="file:///etc/passwd")),
            "an `image` that is `file:///etc/passwd`",
            "422 `validation_failed`",
        ),
        "address-in-an-unknown-field": Row(
            post(js(text="a", image_url="http://127.0.0.1:1/")),
            "an `image_url`",
            "422 `validation_failed`",
        ),
    },
}
