"""AVIF and HEIC, decoded by a process of their own.

What these may cost can't be read from their heads: a film's picture in a box that says 8 x 8, tiles
that all lie in the same bytes, frames that are decoded and never shown. So the process that decodes
them is ended once it takes too much, and started anew for the next picture; so it is when a decoder
crashes. Started once, it decodes one picture at a time.

``python -m twinlens.catalog.decoding_apart`` is that process. For each picture it reads a line of
JSON and the picture's bytes, and writes a line of JSON and, where there are some, RGB pixels.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

from PIL import Image

from twinlens.catalog.errors import PictureRejected, RejectReason

# Of one picture: seconds of a core, in all threads, and bytes of address space.
MAX_CPU_S: Final = 2.0
MAX_MEMORY: Final = 380_000_000
# What has a plug-in: the extra, and its module.
_PLUGINS: Final = {"AVIF": ("", "PIL.AvifImagePlugin"), "HEIF": ("heic", "pillow_heif")}


class _Process:
    """The process of this one, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._of = 0

    def ask(self, asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """Return what it answers to a picture, and its pixels.

        Raises:
            PictureRejected: the picture has ended it.
        """
        with self._lock:
            running = self._start()
            assert running.stdin is not None
            assert running.stdout is not None
            try:
                running.stdin.write(json.dumps(asked).encode() + b"\n" + data)
                running.stdin.flush()
                answer = json.loads(running.stdout.readline())
                pixels = running.stdout.read(answer["bytes"])
                if len(pixels) == answer["bytes"]:
                    return answer, pixels
            except (OSError, ValueError):
                pass
            except BaseException:
                self.end()  # whose answer nobody has read
                raise
            self.end()
            raise PictureRejected(RejectReason.PICTURE_TOO_LARGE, _explain(running.wait()))

    def end(self) -> None:
        """End it; what it was at is not finished."""
        running, self._running = self._running, None
        if running is None or self._of != os.getpid():
            return
        for pipe in (running.stdin, running.stdout):
            if pipe is not None:
                pipe.close()
        try:
            running.wait(MAX_CPU_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        # A fork has its parent's pipes; one that ended while idle was no picture's fault.
        ours = self._of == os.getpid()
        if ours and self._running is not None and self._running.poll() is None:
            return self._running
        if ours:
            self.end()
        self._running, self._of = None, os.getpid()
        path = os.pathsep.join(filter(None, sys.path))
        self._running = subprocess.Popen(  # noqa: S603 - this Python
            [sys.executable, "-P", "-W", "ignore", "-m", __name__, str(MAX_MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Arenas are address space, too.
            env=os.environ | {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "1"},
        )
        return self._running


_process: Final = _Process()
atexit.register(_process.end)


def decode_apart(
    data: bytes, kind: str, *, at_least: tuple[int, int] | None, max_pixels: int, over: int
) -> Image.Image:
    """Return the picture as ``decode_image`` does; ``kind`` is ``AVIF`` or ``HEIF``.

    Raises:
        PictureRejected: it can't be decoded, or takes too much.
    """
    asked = {
        "bytes": len(data),
        "kind": kind,
        "at_least": at_least,
        "max_pixels": max_pixels,
        "over": over,
        "cpu_s": MAX_CPU_S,
    }
    answer, pixels = _process.ask(asked, data)
    if "reason" in answer:
        raise PictureRejected(RejectReason(answer["reason"]), answer["detail"])
    return Image.frombytes("RGB", (answer["size"][0], answer["size"][1]), pixels)


def _explain(status: int) -> str:
    if status == -signal.SIGPROF:
        return f"it takes more than {MAX_CPU_S:.0f} s of a core to decode"
    return f"its decoder gave up, maybe for want of memory; it may take {MAX_MEMORY / 1e6:.0f} MB"


# ---- in the process itself


def _serve() -> None:
    """Decode what comes, until the pipe is closed, whatever signals come."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    for kind in _PLUGINS:
        _plug_in(kind)
    _limit_memory(int(sys.argv[1]))
    asking, answering = sys.stdin.buffer, sys.stdout.buffer
    while line := asking.readline():
        asked = json.loads(line)
        data = asking.read(asked["bytes"])
        pixels, answer = b"", dict[str, Any]()
        signal.setitimer(signal.ITIMER_PROF, asked["cpu_s"])  # whose signal ends the process
        try:
            if not _plug_in(asked["kind"]):
                extra = _PLUGINS[asked["kind"]][0]
                how = f"pip install 'twinlens[{extra}]'" if extra else "Pillow with it"
                raise PictureRejected(
                    RejectReason.PICTURE_UNREADABLE, f"{asked['kind']} needs {how} to be read"
                )
            pixels, answer = _decode(data, **asked)
        except PictureRejected as error:
            answer = {"reason": error.reason.value, "detail": error.detail}
        except MemoryError:
            answer = {"reason": RejectReason.PICTURE_TOO_LARGE.value, "detail": _explain(0)}
        signal.setitimer(signal.ITIMER_PROF, 0)
        answering.write(json.dumps(answer | {"bytes": len(pixels)}).encode() + b"\n" + pixels)
        answering.flush()
        del data, pixels  # which are memory of the next


def _decode(
    data: bytes, *, kind: str, at_least: list[int] | None, max_pixels: int, over: int, **_: Any
) -> tuple[bytes, dict[str, Any]]:
    from twinlens.catalog.images import decode_here

    asked = (at_least[0], at_least[1]) if at_least else None
    image = decode_here(data, (kind,), at_least=asked, max_pixels=max_pixels, over=over)
    return image.tobytes(), {"size": image.size}


def _plug_in(kind: str) -> bool:
    """Have Pillow read ``kind``; return whether it does."""
    try:
        module = importlib.import_module(_PLUGINS[kind][1])
    except ImportError:
        return False
    if kind == "HEIF":
        module.register_heif_opener(thumbnails=False)
        return True
    return bool(module.SUPPORTED)


def _limit_memory(more: int) -> None:
    used = Path("/proc/self/statm")
    pages = int(used.read_text().split()[0]) if used.exists() else 0
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    _serve()
