"""Debian's nginx with the file that docker-compose.yml mounts, in front of a running ``serve``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.backend.served import ROOT, wait_until

# What is bounded by 10 s in the file is bounded by so much here.
PATIENCE_S = 3.0
CONFIGURATION = ROOT / "deploy" / "nginx.conf"
NEEDS_NGINX = pytest.mark.skipif(
    shutil.which("nginx") is None and "TWINLENS_TEST_REQUIRE_NGINX" not in os.environ,
    reason="needs nginx",
)


class Proxied:
    """nginx, by the file but for addresses, the folder that it may write to, and patience."""

    def __init__(self, folder: Path, *, backend: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        text = CONFIGURATION.read_text(encoding="utf-8")
        for written, here, times in (
            ("listen 8080 ", f"listen 127.0.0.1:{self.port} ", 1),
            ("server backend:8000 ", f"server 127.0.0.1:{backend} ", 1),
            ("timeout 10s;", f"timeout {PATIENCE_S:.0f}s;", 4),
        ):
            assert text.count(written) == times
            text = text.replace(written, here)
        path = folder / "nginx.conf"
        path.write_text(text.replace(" /tmp/", f" {folder}/"), encoding="utf-8")
        self._log = (folder / "nginx.log").open("w")
        # In its image it is nobody privileged; root would give its workers to another user here.
        more = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
        self.process = subprocess.Popen(
            ["nginx", "-c", str(path), "-g", more], stdout=self._log, stderr=self._log
        )
        wait_until(self._listens, seconds=20)
        assert self.process.poll() is None, (folder / "nginx.log").read_text()

    def _listens(self) -> bool:
        with socket.socket() as asking:
            return (
                asking.connect_ex(("127.0.0.1", self.port)) == 0 or self.process.poll() is not None
            )

    def __enter__(self) -> Proxied:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._log.close()
