"""The built wheel, and the one built from the sdist: complete, and usable without a checkout."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist and the wheel of the checkout."""
    return build(ROOT, tmp_path_factory.mktemp("built"), "--sdist", "--wheel")


@pytest.fixture(scope="module")
def wheel(built):
    return next(built.glob("*.whl"))


def build(source, directory, *kinds):
    run(sys.executable, "-m", "build", *kinds, "--no-isolation", "--outdir", directory, source)
    return directory


def run(*command, cwd=ROOT):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_adds_one_name_and_holds_the_weights_and_the_page_and_no_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"twinlens"}
    assert {
        "twinlens/py.typed",
        "twinlens/encoders/thumbnails/weights/denoiser/model.safetensors",
        "twinlens/backend/static/index.html",
        "twinlens/backend/static/client.d.ts",
        "twinlens/samples/phrases/si.toml",
    } <= names
    assert not any("tests" in name.split("/") for name in names)


def test_the_wheel_of_the_sdist_is_the_same(built, wheel, tmp_path):
    def contents(path):
        with zipfile.ZipFile(path) as archive:
            return {info.filename: info.CRC for info in archive.infolist()}

    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    [unpacked] = tmp_path.iterdir()
    [again] = build(unpacked, tmp_path / "again", "--wheel").iterdir()
    assert contents(again) == contents(wheel)


@pytest.mark.slow
def test_its_command_runs_in_an_environment_of_its_own(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    install = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps")
    run(*install, "--no-index", "--disable-pip-version-check", wheel)
    # The dependencies come from the environment of the tests, TwinLens itself does not: a path
    # named in a .pth file is searched, the .pth files (editable installs) in it are not.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = tmp_path / "venv" / "bin" / "twinlens"
    for arguments in (
        *([command, "--version"], [command, "index", "--help"], [command, "serve", "--help"]),
        [command, "sample", "--videos", "9", "drawn"],
        ["-c", "import twinlens.backend; print(twinlens.backend.__file__)"],
    ):
        done = run(python, "-I", *arguments, cwd=tmp_path)
    assert str(packages) in done
