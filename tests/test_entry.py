"""The process that a person starts: it watches the command, hands signals on, and says why."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]
# A command that does what the test says, in the process where the real ones do their work.
PROGRAM = """
import os, signal, sys, time
import twinlens.entry

assert not {{"click", "ctypes", "numpy", "pydantic"}} & sys.modules.keys()
import twinlens.cli

def command(prog_name):
    {body}

twinlens.cli.main = command
sys.argv = ["twinlens", *sys.argv[1:]]
twinlens.entry.main()
"""
SLEEP = "print(os.getpid(), flush=True); time.sleep(60)"


def start(body: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", write(body), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def write(body: str) -> str:
    return PROGRAM.format(body=body)


def run(body: str, *arguments: str) -> tuple[int, str, str]:
    process = start(body, *arguments)
    out, said = process.communicate(timeout=60)
    return process.returncode, out, said


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("SIGBUS", r"disk filled up"),
        ("SIGKILL", "memory"),
        ("SIGABRT", "library"),
        ("SIGSEGV", "library"),
    ],
)
def test_an_end_by_the_machine_is_a_sentence_and_1(name, cause, tmp_path):
    body = f"os.kill(os.getpid(), signal.{name})"
    code, out, said = run(body, "verify", "--data-dir", str(tmp_path))
    assert (code, out, said.count("\n")) == (1, "", 1), said
    assert cause in said
    assert f"({name})" in said
    assert (f"MB are free in {tmp_path}" in said) == (name == "SIGBUS")


def test_what_has_said_why_it_failed_does_not_die_of_a_signal_after_that():
    body = """
    import atexit
    atexit.register(os.kill, os.getpid(), signal.SIGBUS)
    print("why", file=sys.stderr)
    sys.exit(1)"""
    assert run(body, "index", ".") == (1, "", "why\n")


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_codes_and_output_are_the_command_s(code):
    body = f"print('done'); print('said', file=sys.stderr); sys.exit({code})"
    assert run(body, "index", ".") == (code, "done\n", "said\n")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, -15), (signal.SIGINT, 130), (signal.SIGHUP, -1)]
)
def test_a_signal_sent_to_the_process_that_was_started_ends_the_command(number, code):
    body = f"""
    try: {SLEEP}
    except KeyboardInterrupt: sys.exit(130)"""
    process = start(body, "index", ".")
    child = psutil.Process(int(process.stdout.readline()))
    assert child.pid != process.pid
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, "")
    assert not child.is_running()


def test_the_command_ends_with_the_process_that_was_started_however_that_ends():
    process = start(SLEEP, "index", ".")
    child = psutil.Process(int(process.stdout.readline()))
    process.kill()
    process.communicate(timeout=60)  # until nobody has its output open
    child.wait(timeout=60)


def test_ctrl_c_in_a_terminal_reaches_the_command_once():
    body = """
    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    print('ready', flush=True)
    while not seen: time.sleep(0.01)
    time.sleep(0.5)
    sys.exit(40 + len(seen))"""
    process, terminal = pty.fork()
    if process == 0:
        os.environ["PYTHONPATH"] = str(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", write(body), "index", "."])
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 41


@pytest.mark.parametrize("arguments", [("serve",), ("--help",), ()])
def test_serve_which_watches_its_own_and_help_are_not_watched(arguments):
    process = start("print(os.getpid())", *arguments)
    out, said = process.communicate(timeout=60)
    assert (out, said) == (f"{process.pid}\n", "")
