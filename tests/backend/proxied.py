"""Debian's nginx with the file that docker-compose.yml mounts, in front of a running ``serve``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.backend.served import ROOT, wait_until

# What is bounded by 10 s in the file is bounded by so much here.
PATIENCE_S = 3.0
CONFIGURATION = ROOT / "deploy" / "nginx.conf"
NEEDS_NGINX = pytest.mark.skipif(
    shutil.which("nginx") is None and "TWINLENS_TEST_REQUIRE_NGINX" not in os.environ,
    reason="needs nginx",
)


@contextmanager
def proxied(
    folder: Path, *, backend: int, changes: Mapping[str, str] = MappingProxyType({})
) -> Iterator[int]:
    """The port of nginx, by the file but for addresses, the folder to write to, and patience.

    An operator has made ``changes`` to it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = CONFIGURATION.read_text(encoding="utf-8")
    for written, here, times in (
        ("listen 8080 ", f"listen 127.0.0.1:{port} ", 1),
        ("server backend:8000 ", f"server 127.0.0.1:{backend} ", 1),
        ("timeout 10s;", f"timeout {PATIENCE_S:.0f}s;", 4),
        *((one, other, 1) for one, other in changes.items()),
    ):
        assert text.count(written) == times
        text = text.replace(written, here)
    path = folder / "nginx.conf"
    path.write_text(text.replace(" /tmp/", f" {folder}/"), encoding="utf-8")
    # In its image it is nobody privileged; root would give its workers to another user here.
    more = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    with (folder / "nginx.log").open("w") as log:
        process = subprocess.Popen(["nginx", "-c", path, "-g", more], stdout=log, stderr=log)

        def listens() -> bool:
            assert process.poll() is None, (folder / "nginx.log").read_text()
            with socket.socket() as asking:
                return asking.connect_ex(("127.0.0.1", port)) == 0

        try:
            wait_until(listens, seconds=20)
            yield port
        finally:
            process.terminate()
            process.wait(20)
