"""The extension of JupyterLab that is kept with the sources: up to date, small, and in every installation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from uv import find_uv_bin

import mljupyter
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[1]
BUILT = ROOT / "labextension" / "prebuilt"
PLACE = "data/share/jupyter/labextensions/mljupyter-labextension/"
MOST_BYTES = 120_000
CONFIGURATION = "data/etc/jupyter/jupyter_server_config.d/mljupyter.json"


def check_of(source: Path) -> subprocess.CompletedProcess[str]:
    """Return how the check of the kept extension beside some sources has ended."""
    command = [sys.executable, source / "labextension" / "built_from.py"]
    return subprocess.run(command, capture_output=True, text=True)


def test_what_is_kept_was_built_from_the_sources_beside_it() -> None:
    check = check_of(ROOT)
    assert check.returncode == 0, check.stderr


def test_it_is_small_and_its_entry_is_there() -> None:
    entry = json.loads((BUILT / "package.json").read_text())["jupyterlab"]["_build"]["load"]
    assert (BUILT / entry).is_file()
    assert sum(path.stat().st_size for path in BUILT.rglob("*.js")) < MOST_BYTES


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_an_installation_without_node_brings_it(kind: str, tmp_path: Path) -> None:
    build = f"import hatchling.build, sys; hatchling.build.build_{kind}(sys.argv[1])"
    command = [sys.executable, "-c", build, tmp_path]
    subprocess.run(command, cwd=ROOT, env={"PATH": ""}, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    built = {path.relative_to(BUILT).as_posix() for path in BUILT.rglob("*") if path.is_file()}
    packed = {name.partition(PLACE)[2] for name in names if PLACE in name}
    assert packed == {*built, "install.json"}
    assert any(name.endswith(CONFIGURATION) for name in names)  # the server extension needs no command to be on


def test_a_wheel_from_the_source_distribution_is_that_of_the_sources_without_node(tmp_path: Path) -> None:
    build = "import hatchling.build, sys; print(getattr(hatchling.build, sys.argv[1])(sys.argv[2]))"

    def built(kind: str, source: Path) -> Path:
        place = tmp_path / f"{kind} of {source.name}"
        command = [sys.executable, "-c", build, f"build_{kind}", place]
        done = subprocess.run(command, cwd=source, env={"PATH": ""}, check=True, capture_output=True, text=True)
        return place / done.stdout.split()[-1]

    archive = built("sdist", ROOT)
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    source = tmp_path / archive.name.removesuffix(".tar.gz")
    first, second = built("wheel", source), built("wheel", ROOT)
    contents = []
    for wheel in (first, second):
        with zipfile.ZipFile(wheel) as found:
            contents.append({name: found.getinfo(name).CRC for name in found.namelist()})
    assert contents[0] == contents[1]
    assert check_of(source).returncode == 0  # with Node, the same sources build the same extension again


def test_an_installed_wheel_is_listed_as_ok_and_answers_without_node(tmp_path: Path) -> None:
    build = "import hatchling.build, sys; hatchling.build.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    place = tmp_path / "clean"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    packages = place / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    uv = [find_uv_bin(), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel]
    subprocess.run(uv, check=True, timeout=HANG_SECONDS)
    # The packages that it needs are those of this environment, but not this one: it is of the sources.
    (packages / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")

    def run(*arguments: str) -> str:
        environment = {"PATH": "", "HOME": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
        done = subprocess.run(
            [python, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_SECONDS
        )
        return re.sub(r"\x1b\[\d*m", "", done.stdout + done.stderr)

    assert str(packages) in run("-c", "import mljupyter.labserver; print(mljupyter.__file__)")
    version = mljupyter.__version__
    with ThreadPoolExecutor() as threads:
        page, server, doctor = threads.map(
            lambda one: run("-m", *one),
            (
                ("jupyterlab.labextensions", "list"),
                ("jupyter_server.extension.serverextension", "list"),
                ("mljupyter.cli", "doctor"),
            ),
        )
    assert f"mljupyter-labextension v{version} enabled OK (python, mljupyter)" in page
    assert re.search(r"mljupyter\.labserver +OK", server)
    assert f"✓ jupyter labextension: mljupyter-labextension {version} is enabled" in doctor
    assert "✓ jupyter server extension: mljupyter.labserver is enabled" in doctor


def test_python_npm_and_the_page_have_one_version() -> None:
    package = json.loads((ROOT / "labextension" / "package.json").read_text())["version"]
    lock = json.loads((ROOT / "labextension" / "package-lock.json").read_text())
    kept = json.loads((BUILT / "package.json").read_text())["version"]
    page = re.search(r"VERSION = '(.+)'", (ROOT / "labextension" / "src" / "version.ts").read_text())
    assert page is not None
    assert {package, lock["version"], lock["packages"][""]["version"], kept, page.group(1)} == {mljupyter.__version__}
    assert json.loads((ROOT / "labextension" / "install.json").read_text())["packageName"] == "mljupyter"


def test_texts_of_the_page_can_be_translated() -> None:
    bare = re.compile(
        r"""^ *[A-Za-z][a-z]+ [a-z ]+(<|$)|>[A-Z]?[a-z]+ [a-z ]+<|(aria-label|title|placeholder|caption)=["]"""
    )
    lines = [
        f"{path.name}: {line}"
        for path in sorted((ROOT / "labextension" / "src").glob("*.tsx"))
        for line in re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL).splitlines()
        if bare.search(line)
    ]
    assert not lines
