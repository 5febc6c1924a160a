"""The contract and the fault suite, against a server that the environment names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.nodes import CommandedNode
from tests.stores.qdrant_process import own_address
from twinlens.stores.address import ServerAddress
from twinlens.stores.server_client import ServerClient

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def test_both_suites_run_against_a_server_that_is_named_and_leave_nothing_there(tmp_path):
    host, pid, folder = own_address(), tmp_path / "pid", tmp_path / "kept"
    folder.mkdir()
    address = ServerAddress(f"http://{host}:6333")
    stand_in = f"{sys.executable} -m tests.stores.qdrant_kept {folder} {host} 6333 6334 --alone"
    commands = {
        "kill": f"kill -KILL $(cat {pid})",
        "start": f"{stand_in} > /dev/null 2>&1 & echo $! > {pid}",
    }
    node = CommandedNode(address, **commands)
    node.start()
    try:
        # In a process of their own, as the environment is read when they are imported.
        found = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("-m", "slow or not slow", "-k", "server]"),
                *("tests/stores/test_contract.py", "tests/faults/test_killed_jobs.py"),
                "tests/faults/test_killed_server.py",
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "TWINLENS_TEST_KILLS": "1",
                "TWINLENS_TEST_QDRANT_URL": address.url,
                "TWINLENS_TEST_QDRANT_KILL": commands["kill"],
                "TWINLENS_TEST_QDRANT_START": commands["start"],
            },
            capture_output=True,
            text=True,
        )
        assert found.returncode == 0, found.stdout
        assert re.search(r"\n\d\d passed, \d+ deselected in", found.stdout), found.stdout
        with closing(ServerClient.connect(address)) as client:
            assert client.list_collections() == []
    finally:
        node.kill()
