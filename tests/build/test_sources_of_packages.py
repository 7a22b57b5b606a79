"""Packages that are named by their source, and lines for pip, in environments of this machine.

The source of truth is pip: `pip install -r FILE` installs each of these packages, and behaves as the tests say.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.build.environments.definition import EnvironmentDefinition, fingerprint
from mljupyter.build.environments.local_files import lines_of_file
from mljupyter.build.environments.pip_settings import index_settings
from mljupyter.build.environments.uv_environments import ensure_environment
from mljupyter.build.failures import EnvironmentBuildError
from mljupyter.errors import MLJupyterError

from . import source_packages
from .package_index import PASSWORD, USER, PackageIndex
from .test_environments import definition, evaluate


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with PackageIndex() as index:
        index.add("tiny", "1.0")
        yield index


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "environments"


def test_packages_of_all_kinds_are_installed_as_pip_installs_them(
    index: PackageIndex, root: Path, tmp_path: Path
) -> None:
    place = tmp_path / "pro ject"
    file = source_packages.requirements(place)
    built = ensure_environment(definition(index.option, "tiny", *lines_of_file(file)), root)
    names = [f"of_{kind}" for kind in source_packages.KINDS]
    code = f"import json; print(json.dumps([__import__(name).VERSION for name in {names}]))"
    answer = subprocess.run([built.interpreter, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(answer.stdout) == ["1.0"] * len(names)
    assert [change.requirement for change in built.changes if "installed as a copy" in change.reason] == [
        f"-e git+{place.as_uri()}/of_editable_git#egg=of_editable_git",
        f"-e '{place}/of_editable'",
    ]


def test_the_code_of_a_directory_is_part_of_its_environment(index: PackageIndex, root: Path, tmp_path: Path) -> None:
    folder = source_packages.directory(tmp_path, "mine", requires=("tiny",))
    asked = definition(index.option, str(folder))
    first = ensure_environment(asked, root)
    assert evaluate(first, "mine.VERSION, tiny.VERSION", "mine, tiny") == "1.0 1.0"
    (folder / "mine.py").write_text("VERSION = 'changed'\n")
    second = ensure_environment(asked, root)
    assert evaluate(second, "mine.VERSION", "mine") == "changed"
    assert evaluate(first, "mine.VERSION", "mine") == "1.0"  # what serves already keeps its code


def test_a_source_that_cannot_be_built_shows_the_end_of_its_log(
    index: PackageIndex, root: Path, tmp_path: Path
) -> None:
    folder = source_packages.directory(tmp_path, "broken")
    (folder / "backend.py").write_text("raise OSError(\"error: command 'gcc' failed: No such file or directory\")")
    with pytest.raises(EnvironmentBuildError) as caught:
        ensure_environment(definition(index.option, str(folder)), root)
    assert "command 'gcc' failed" in "\n".join(caught.value.last_lines)
    assert caught.value.hint is not None
    assert "compiler" in caught.value.hint
    assert caught.value.log is not None
    assert "command 'gcc' failed" in caught.value.log.read_text()


def test_git_that_is_missing_is_said(
    index: PackageIndex, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = source_packages.repository(tmp_path, "mine")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentBuildError) as caught:
        ensure_environment(definition(index.option, f"git+file://{folder}"), root)
    assert caught.value.hint is not None
    assert "git is not installed" in caught.value.hint


def test_the_index_of_a_file_replaces_that_of_the_settings_as_in_pip(
    index: PackageIndex, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # uv alone asks UV_DEFAULT_INDEX and UV_INDEX first: a private package would come from the public index.
    with PackageIndex() as public:
        public.add("tiny", "9.0")
        public_url = public.option.partition(" ")[2]
        for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX"):
            monkeypatch.setenv(name, public_url)
        built = ensure_environment(definition(index.option.replace("--index-url ", "-i"), "tiny"), root)
        assert evaluate(built, "tiny.VERSION", "tiny") == "1.0"
        assert not public.served


def test_a_variable_is_expanded_and_its_value_is_in_no_line_file_or_error(
    index: PackageIndex, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX_TOKEN", f"{USER}:{PASSWORD}")
    monkeypatch.setenv("PATH_TOKEN", "simple")
    host = index.option.partition("@")[2].removesuffix("/simple")
    option = f"--index-url http://${{INDEX_TOKEN}}@{host}/${{PATH_TOKEN}}"
    lines: list[str] = []
    built = ensure_environment(definition(option, "tiny"), root, lines.append)
    assert evaluate(built, "tiny.VERSION", "tiny") == "1.0"
    with pytest.raises(MLJupyterError) as caught:
        ensure_environment(definition(option, "nowhere"), root, lines.append)
    written = [path.read_text(errors="replace") for path in root.glob("*.*") if path.is_file()]
    assert not [text for text in [*lines, *written, caught.value.message] if PASSWORD in text]
    monkeypatch.delenv("INDEX_TOKEN")
    with pytest.raises(MLJupyterError, match="INDEX_TOKEN of the line .* is not set"):
        ensure_environment(definition(option, "tiny"), root / "other")


def test_hashes_are_checked_and_hold_for_all_packages_as_in_pip(
    index: PackageIndex, root: Path, tmp_path: Path
) -> None:
    index.add("outer", "1.0", requires=("tiny",))
    digests = {
        name: hashlib.sha256(index.files[f"{name}-1.0-py3-none-any.whl"]).hexdigest() for name in ("outer", "tiny")
    }
    outer, tiny = (f"{name}==1.0 --hash=sha256:{digest}" for name, digest in digests.items())
    assert len(ensure_environment(definition(index.option, outer, tiny), root).packages) == 2
    with pytest.raises(EnvironmentBuildError) as caught:  # pip: all requirements must have a hash
        ensure_environment(definition(index.option, outer), root)
    assert "tiny" in caught.value.message
    wheel = source_packages.wheel_file(tmp_path, "mine")
    for digest, fits in ((hashlib.sha256(wheel.read_bytes()).hexdigest(), True), ("0" * 64, False)):
        wanted = definition(index.option, f"{wheel} --hash=sha256:{digest}")
        with contextlib.nullcontext() if fits else pytest.raises(EnvironmentBuildError, match=r"[Hh]ash mismatch"):
            assert len(ensure_environment(wanted, root).packages) == 1
    with pytest.raises(EnvironmentBuildError, match=r"[Hh]ash mismatch"):
        ensure_environment(definition(index.option, f"tiny==1.0 --hash=sha256:{'0' * 64}"), root)


def test_settings_of_pip_hold_for_uv(
    index: PackageIndex, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pip reads these variables: lists are separated by spaces. With an extra index the best version of all counts.
    index.add("tiny", "2.0")
    source_packages.wheel_file(tmp_path / "one", "linked")
    with PackageIndex() as other:
        other.add("tiny", "1.5")
        monkeypatch.setenv("PIP_INDEX_URL", index.option.partition(" ")[2])
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", other.option.partition(" ")[2])
        monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path / 'one'} {tmp_path}")
        (tmp_path / "c.txt").write_text("tiny<3\n")
        monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "c.txt"))
        index.add("tiny", "3.0")
        built = ensure_environment(definition("tiny", "linked"), root)
    assert evaluate(built, "tiny.VERSION, linked.VERSION", "tiny, linked") == "2.0 1.0"


def test_the_index_of_pip_s_configuration_is_asked_and_not_the_public_one(
    index: PackageIndex, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pip reads it (`pip config set global.index-url`); with uv alone the package would come from the public index.
    url = index.option.partition(" ")[2]
    (tmp_path / "pip.conf").write_text(f"[global]\nindex_url = http://wrong.invalid\n[install]\nindex-url = {url}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert index_settings(os.environ)["PIP_INDEX_URL"] == url
    assert evaluate(ensure_environment(definition("tiny"), root), "tiny.VERSION", "tiny") == "1.0"
    assert "PIP_INDEX_URL" not in index_settings({"PIP_CONFIG_FILE": os.devnull})
    assert index_settings({**os.environ, "PIP_INDEX_URL": "x"})["PIP_INDEX_URL"] == "x"


def test_an_extra_index_of_pip_s_configuration_is_asked_beside_the_others(
    index: PackageIndex, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `pip config set global.extra-index-url`, without an index-url: pip asks both, and takes the best version.
    index.add("own", "1.0")
    source_packages.wheel_file(tmp_path / "links", "linked")
    with PackageIndex() as public, PackageIndex() as third:
        public.add("tiny", "0.9")
        third.add("own", "1.5")
        urls = f"{index.option.partition(' ')[2]}\n    {third.option.partition(' ')[2]}"
        settings = f"[global]\nextra-index-url = {urls}\nfind-links = {tmp_path / 'links'}\n"
        (tmp_path / "pip.conf").write_text(settings)
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        assert "PIP_INDEX_URL" not in index_settings({"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "HOME": "/x"})
        monkeypatch.setenv("PIP_INDEX_URL", public.option.partition(" ")[2])  # stands in for PyPI
        built = ensure_environment(definition("tiny", "own", "linked"), root)
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", tmp_path / "pip"]
        subprocess.run([*pip, "tiny", "own", "linked"], check=True)
    assert evaluate(built, "tiny.VERSION, own.VERSION, linked.VERSION", "tiny, own, linked") == "1.0 1.5 1.0"
    assert {file.name.partition("-py3")[0] for file in (tmp_path / "pip").iterdir()} == {
        "tiny-1.0",
        "own-1.5",
        "linked-1.0",
    }


def test_constraints_and_links_hold(index: PackageIndex, root: Path, tmp_path: Path) -> None:
    index.add("tiny", "2.0")
    source_packages.wheel_file(tmp_path / "links", "linked")
    (tmp_path / "c.txt").write_bytes("-c d.txt\n".encode("utf-16"))
    (tmp_path / "d.txt").write_text("tiny<2\n")
    (tmp_path / "requirements.txt").write_text(f"{index.option}\n-cc.txt\n--find-links=links\ntiny\nlinked\n")
    built = ensure_environment(definition(*lines_of_file(tmp_path / "requirements.txt")), root)
    assert evaluate(built, "tiny.VERSION, linked.VERSION", "tiny, linked") == "1.0 1.0"


def test_a_package_that_the_file_wants_as_source_is_built(index: PackageIndex, root: Path, tmp_path: Path) -> None:
    index.add("built", "1.0")
    index.files["built-1.0.tar.gz"] = source_packages.archive(tmp_path, "built").read_bytes()
    built = ensure_environment(definition(index.option, "--no-binary=built", "built", "tiny"), root)
    assert evaluate(built, "built.ORIGIN", "built") == "source"


def test_fingerprints_without_local_files_stay_as_they_were() -> None:
    # Calculated before local files were part of it: environments that exist are found again.
    asked = EnvironmentDefinition.parse(
        {"python": {"condaDependencies": {"dependencies": [{"pip": ["-i https://a.b", "six==1.16.0"]}]}}}
    )
    assert fingerprint(asked) == "4b66deeb555511933c4928510c4aa2810b4ee5b2f1e8a6c1682d7464246e5716"
