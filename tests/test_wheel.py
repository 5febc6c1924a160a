"""The built wheel: complete, and usable where nothing of the checkout is."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory, ROOT],
        check=True,
        capture_output=True,
    )
    (built,) = directory.glob("*.whl")
    return built


def test_it_holds_the_weights_and_the_page_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "twinlens.py" in names
    assert "encoders/thumbnails/weights/denoiser/model.safetensors" in names
    assert {"backend/static/index.html", "backend/static/client.d.ts"} <= set(names)
    rooms = {name.split("/")[0] for name in names if "/" in name and ".dist-info" not in name}
    assert rooms == {"catalog", "encoders", "stores", "indexer", "backend", "benchmarks"}


def test_its_command_runs_in_an_environment_of_its_own(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    packages = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet"),
            *("--no-deps", "--no-index", "--disable-pip-version-check", wheel),
        ],
        check=True,
    )
    # The dependencies come from the environment of the tests, TwinLens itself does not: a path
    # named in a .pth file is searched, the .pth files (editable installs) in it are not.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = tmp_path / "venv" / "bin" / "twinlens"
    for arguments in (["--help"], ["--version"], ["index", "--help"], ["serve", "--help"]):
        done = subprocess.run(
            [command, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stderr
    where = subprocess.run(
        [python, "-c", "import backend; print(backend.__file__)"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert str(packages) in where.stdout
