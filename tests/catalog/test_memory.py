"""Memory that is asked for ahead."""

import resource
from pathlib import Path

import pytest

from twinlens.catalog import memory
from twinlens.catalog.errors import OutOfRoom
from twinlens.catalog.memory import require_memory

MEGABYTE = 10**6


def test_what_no_machine_has_is_refused_and_what_any_has_is_not():
    require_memory(1, addresses_bytes=2**50, to="try")  # addresses are free without a limit
    with pytest.raises(OutOfRoom, match=r"to try takes at least \d+ MB of memory, and \d+ MB are"):
        require_memory(2**60, to="try")


def test_ulimit_counts_addresses(monkeypatch):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 500 * MEGABYTE
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    require_memory(MEGABYTE, addresses_bytes=100 * MEGABYTE, to="try")
    with pytest.raises(OutOfRoom, match=r"at least 601 MB of memory, and \d+ MB are left under"):
        require_memory(MEGABYTE, addresses_bytes=600 * MEGABYTE, to="try")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_control_group_s_files_in_memory_are_free(version, tmp_path, monkeypatch):
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    names = ("memory.max", "memory.current") if version == "v2" else names
    for name, value in zip(names, (700 * MEGABYTE, 650 * MEGABYTE), strict=True):
        (tmp_path / name).write_text(f"{value}\n")
    stat = f"anon 1\ninactive_file {60 * MEGABYTE}\nactive_file {90 * MEGABYTE}\n"
    (tmp_path / "memory.stat").write_text(stat)
    monkeypatch.setattr(memory, "_FILES", dict.fromkeys(("", "memory"), (tmp_path, *names)))
    swap = memory._read_numbers(Path("/proc/meminfo"))["SwapFree"] * 1024
    require_memory(199 * MEGABYTE, to="try")
    with pytest.raises(OutOfRoom, match="container or control group"):
        require_memory(201 * MEGABYTE + swap, to="try")
