from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from packaging.specifiers import SpecifierSet

from mljupyter.build.environments.definition import EnvironmentDefinition, fingerprint
from mljupyter.build.environments.interpreters import choose, on_this_machine
from mljupyter.build.environments.record import BuiltEnvironment
from mljupyter.build.environments.relaxation import exact_versions
from mljupyter.build.environments.requirements import WantedPackage, python_versions
from mljupyter.build.environments.resolver import Resolution, SourceBuilds
from mljupyter.build.environments.uv import Finished, Uv, uv_platform
from mljupyter.build.environments.uv_environments import ensure_environment, find_environment, first_versions
from mljupyter.build.failures import BuildCancelledError, EnvironmentBuildError, MissingPinError
from mljupyter.build.images import ImagePlan, plan_image
from mljupyter.build.images.errors import BuildFailedError, ImageError
from mljupyter.build.images.events import BuildLog
from mljupyter.build.images.plan.pins import with_pins_that_exist
from tests.registry.processes import on_small_disk
from tests.waiting import HANG_SECONDS, promised, wait_until

from .package_index import PASSWORD, PackageIndex, wheel

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
BUILD = """
    import sys
    from pathlib import Path
    from mljupyter.build.environments.definition import EnvironmentDefinition
    from mljupyter.build.environments.uv_environments import ensure_environment
    definition = EnvironmentDefinition.parse(sys.argv[1])
    ensure_environment(definition, Path(sys.argv[2]), lambda line: print(line, flush=True))
"""


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


def definition(*pip: str, conda: tuple[str, ...] = (), **python: Any) -> EnvironmentDefinition:
    conda_dependencies = {"dependencies": [*conda, {"pip": list(pip)}]}
    return EnvironmentDefinition.parse({"python": {"condaDependencies": conda_dependencies, **python}})


def evaluate(built: BuiltEnvironment, expression: str, module: str) -> str:
    code = f"import {module}; print({expression})"
    return subprocess.run(
        [built.interpreter, "-I", "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def start_build(wanted: EnvironmentDefinition, root: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(BUILD), wanted.json_text(), str(root)]
    with output.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def changes(built: BuiltEnvironment) -> list[tuple[str, str | None, str]]:
    return [(change.requirement, change.became, change.kind) for change in built.changes]


def test_packages_of_pypi_are_there_in_an_interpreter_of_its_own(root: Path) -> None:
    built = ensure_environment(definition("six==1.16.0", "toolz"), root)
    assert evaluate(built, "six.__version__", "six") == "1.16.0"
    assert "site-packages" in evaluate(built, "toolz.__file__", "toolz")
    assert built.interpreter == str(root / built.fingerprint / "bin" / "python")
    with pytest.raises(subprocess.CalledProcessError):
        evaluate(built, "pydantic", "pydantic")  # what mljupyter itself needs is not in it


@pytest.mark.alone
def test_the_second_time_nothing_is_done(index: PackageIndex, root: Path) -> None:
    first = ensure_environment(definition("tiny", index.option), root)
    served = index.served.total()
    lines: list[str] = []
    start = time.monotonic()
    again = ensure_environment(definition("Tiny", index.option), root, lines.append)
    assert time.monotonic() - start < promised(0.5)
    assert (again, lines) == (first, [])
    assert index.served.total() == served


def test_two_processes_build_once(index: PackageIndex, root: Path, tmp_path: Path) -> None:
    index.go.clear()
    wanted = definition("tiny", index.option)
    outputs = [tmp_path / "first.txt", tmp_path / "second.txt"]
    processes = [start_build(wanted, root, output) for output in outputs]
    wait_until(
        lambda: any("Another process is building" in output.read_text() for output in outputs), "one of them waits"
    )
    assert index.asked.wait(HANG_SECONDS)
    index.go.set()
    statuses = [process.wait(HANG_SECONDS) for process in processes]
    texts = [output.read_text() for output in outputs]
    assert statuses == [0, 0], texts
    assert sum("Built with 1 packages" in text for text in texts) == 1


def test_a_killed_build_leaves_nothing_that_looks_finished(index: PackageIndex, root: Path, tmp_path: Path) -> None:
    index.go.clear()
    wanted = definition("tiny", index.option)
    process = start_build(wanted, root, tmp_path / "output.txt")
    assert index.asked.wait(HANG_SECONDS)
    (root / fingerprint(wanted) / "bin" / "python").resolve(strict=True)  # it was in the middle
    uv = [child for child in psutil.Process(process.pid).children(recursive=True) if "uv" in child.name()]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert find_environment(wanted, [root]) is None
    assert uv and runs(uv[0]), "the lock is held while it still writes"
    index.go.set()
    built = ensure_environment(wanted, root)
    assert not runs(uv[0])
    assert evaluate(built, "tiny.VERSION", "tiny") == "1.0"


def test_a_cancelled_build_ends_at_once_and_is_gone(index: PackageIndex, root: Path) -> None:
    index.go.clear()
    wanted = definition("tiny", index.option)
    cancel = threading.Event()

    def cancel_in_the_middle() -> None:
        index.asked.wait(HANG_SECONDS)
        cancel.set()

    threading.Thread(target=cancel_in_the_middle, daemon=True).start()
    with pytest.raises(BuildCancelledError):
        ensure_environment(wanted, root, cancel=cancel)
    assert not (root / fingerprint(wanted)).exists()
    assert not [child for child in psutil.Process().children(recursive=True) if child.name() == "uv"]
    assert not list(root.glob(".build-*"))


def test_waiting_for_another_build_can_be_cancelled(index: PackageIndex, root: Path, tmp_path: Path) -> None:
    index.go.clear()
    wanted = definition("tiny", index.option)
    process = start_build(wanted, root, tmp_path / "output.txt")
    assert index.asked.wait(HANG_SECONDS)
    cancel = threading.Event()
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        cancel.set()

    with pytest.raises(BuildCancelledError):
        ensure_environment(wanted, root, show, cancel=cancel)
    assert lines == ["Another process is building this environment: waiting for it."]
    index.go.set()
    assert process.wait(HANG_SECONDS) == 0


def test_a_pin_that_no_longer_exists_is_relaxed_and_said(index: PackageIndex, root: Path) -> None:
    lines: list[str] = []
    built = ensure_environment(definition("tiny==0.3", index.option), root, lines.append)
    assert changes(built) == [("tiny==0.3", "tiny>=0.3", "relaxed")]
    assert any(line.startswith("Relaxed: tiny==0.3 -> tiny>=0.3: ") for line in lines)
    assert find_environment(definition("tiny==0.3", index.option), [root]) == built, "the record keeps it"


def test_a_pin_that_does_not_exist_stops_with_the_versions_that_do(index: PackageIndex, root: Path) -> None:
    with pytest.raises(MissingPinError) as caught:
        ensure_environment(definition("tiny==9", "six", index.option), root, policy="exact")
    assert "tiny==9 does not exist for Python" in caught.value.message
    assert "Available are 1.0." in caught.value.message
    assert "six" not in caught.value.message.partition("The whole log")[0]
    assert "python.pins" not in caught.value.message.replace("environment.python.pins = 'compatible'", "")
    file = root.parent / "requirements.txt"
    file.write_text("# exact\nsix\ntiny==9  # the newest\n")
    assert "tiny==9 (line 3 of requirements.txt) does not exist for" in caught.value.in_file(file).message
    assert caught.value.in_file(root.parent / "gone.txt").message == caught.value.message
    built = ensure_environment(definition("tiny", index.option), root, policy="exact")
    assert changes(built) == []
    assert find_environment(definition("tiny", index.option), [root]) == built, (
        "it serves the policy compatible as well"
    )
    assert find_environment(definition("tiny", index.option), [root], policy="strict") is None


def test_a_pin_between_existing_versions_is_told_with_the_nearest_and_the_newest() -> None:
    there = [f"{number}.0" for number in range(1, 11)]

    class Releases:
        python = SimpleNamespace(minor="3.12")

        def resolve(self, lines: list[str], *, wheels_only: bool) -> Resolution:
            allowed = SpecifierSet(lines[0].removeprefix("tiny"))
            found = [one for one in there if one in allowed]
            finished = Finished(0 if found else 1, [])
            return Resolution([f"tiny=={found[-1]}"] if found else None, wheels_only, finished)

    with pytest.raises(MissingPinError) as caught:
        exact_versions([WantedPackage("tiny==3.5")], Releases(), "exact")  # type: ignore[arg-type]
    assert caught.value.message.splitlines()[0] == (
        "tiny==3.5 does not exist for Python 3.12. "
        "Available are 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, and earlier versions. The nearest is 3.0."
    )


def test_a_pin_above_everything_there_is_loses_its_version(index: PackageIndex, root: Path) -> None:
    built = ensure_environment(definition("tiny==9", index.option), root)
    assert changes(built) == [("tiny==9", "tiny", "relaxed")]


def test_a_pin_made_for_another_python_is_relaxed_and_says_for_which(index: PackageIndex, root: Path) -> None:
    index.add("native", "1.0", tag="cp38-none-any")
    index.add("native", "2.0", tag=f"cp{HERE.replace('.', '')}-none-any")
    built = ensure_environment(definition("native==1.0", "tiny", index.option), root)
    (change,) = built.relaxations
    assert (change.became, change.reason) == ("native>=1.0", f"not made for Python {HERE}, but for 3.8")
    assert evaluate(built, "native.VERSION", "native") == "2.0"


def test_a_pin_that_is_there_only_as_source_that_cannot_be_built_is_relaxed(index: PackageIndex, root: Path) -> None:
    index.add_source("native", "1.0")
    index.add("native", "2.0")
    built = ensure_environment(definition("native==1.0", "tiny", index.option), root)
    (change,) = built.relaxations
    assert (change.became, change.reason) == (
        "native>=1.0",
        f"there only as source, which cannot be built on Python {HERE}",
    )
    assert evaluate(built, "native.VERSION", "native") == "2.0"


def test_a_pin_of_inference_schema_is_lifted_to_the_version_of_the_scoring_server(
    index: PackageIndex, root: Path
) -> None:
    index.add("inference_schema", "1.1.0")
    index.add("inference_schema", "1.8")
    built = ensure_environment(definition("inference-schema==1.1.0", index.option), root)
    assert changes(built) == [("inference-schema==1.1.0", "inference-schema>=1.8", "relaxed")]
    with pytest.raises(EnvironmentBuildError):
        ensure_environment(definition("inference-schema==1.2.0", index.option), root, policy="strict")


def test_pins_that_exclude_each_other_only_after_a_relaxation_are_loosened(index: PackageIndex, root: Path) -> None:
    index.add("native", "2.0", requires=("tiny>=2",))
    index.add("tiny", "2.0")
    built = ensure_environment(definition("native==1.0", "tiny==1.0", index.option), root)
    assert changes(built) == [("native==1.0", "native>=1.0", "relaxed"), ("tiny==1.0", "tiny>=1.0", "relaxed")]
    assert set(built.packages) == {"native==2.0", "tiny==2.0"}


def test_pins_that_exclude_each_other_as_asked_for_are_an_error(index: PackageIndex, root: Path) -> None:
    index.add("native", "2.0", requires=("tiny>=2",))
    index.add("tiny", "2.0")
    with pytest.raises(EnvironmentBuildError, match=r"tiny(.|\n)*exclude each other"):
        ensure_environment(definition("native==2.0", "tiny==1.0", index.option), root)


def test_strict_relaxes_nothing(index: PackageIndex, root: Path) -> None:
    wanted = definition("tiny==0.3", index.option)
    relaxed = ensure_environment(wanted, root)
    with pytest.raises(EnvironmentBuildError, match=r"tiny==0\.3(.|\n)*Write a version that exists"):
        ensure_environment(wanted, root, policy="strict")
    assert find_environment(wanted, [root]) == relaxed
    strict = ensure_environment(definition("tiny", index.option), root, policy="strict")
    assert ensure_environment(definition("tiny", index.option), root) == strict, "what is strict serves both"


def test_packages_without_version_keep_that_of_the_first_build(index: PackageIndex, root: Path) -> None:
    wanted = definition("tiny", index.option)
    shutil.rmtree(ensure_environment(wanted, root).directory)
    index.add("tiny", "1.1")
    again = ensure_environment(wanted, root)
    assert (again.packages, first_versions(wanted, root)) == (("tiny==1.0",), ["tiny==1.0"])
    shutil.rmtree(again.directory)
    del index.files["tiny-1.0-py3-none-any.whl"]
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    assert ensure_environment(wanted, root).packages == ("tiny==1.1",), "unless it is gone"


def test_an_environment_whose_python_is_gone_is_built_again(index: PackageIndex, root: Path) -> None:
    wanted = definition("tiny", index.option)
    built = ensure_environment(wanted, root)
    (built.directory / "bin" / "python").unlink()
    (built.directory / "bin" / "python").symlink_to(root / "removed")
    assert find_environment(wanted, [root]) is None
    assert evaluate(ensure_environment(wanted, root), "tiny.VERSION", "tiny") == "1.0"


def test_a_shared_environment_is_used_and_the_own_one_comes_first(
    index: PackageIndex, root: Path, tmp_path: Path
) -> None:
    wanted, shared = definition("tiny", index.option), tmp_path / "shared"
    theirs = ensure_environment(wanted, shared)
    assert ensure_environment(wanted, root, shared=shared) == theirs
    assert not root.exists()
    mine = ensure_environment(wanted, root)
    assert ensure_environment(wanted, root, shared=shared) == mine


def test_secrets_of_an_index_are_in_no_line_file_or_error(index: PackageIndex, root: Path) -> None:
    lines: list[str] = []
    with pytest.raises(EnvironmentBuildError) as caught:
        ensure_environment(definition("tiny", "missing", index.option), root, lines.append)
    built = ensure_environment(definition("tiny", index.option), root, lines.append)
    files = [*root.glob("*.log"), *root.glob("*.json"), *built.directory.glob("*.json")]
    texts = [str(caught.value), *lines, *(file.read_text() for file in files)]
    assert len(files) >= 4
    assert not [text for text in texts if PASSWORD in text]
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}


def test_a_failure_carries_step_last_lines_hint_and_log(index: PackageIndex, root: Path) -> None:
    with pytest.raises(EnvironmentBuildError) as caught:
        ensure_environment(definition("missing-package", index.option), root)
    error = caught.value
    assert error.step == "Looking for versions of the packages"
    assert any("missing-package" in line for line in error.last_lines)
    assert error.hint is not None and "no such package" in error.hint
    assert error.log is not None and "missing-package" in error.log.read_text()
    assert list(root.glob("*.log")) == [error.log]
    assert find_environment(definition("missing-package", index.option), [root]) is None


def test_a_narrow_terminal_does_not_break_the_lines_that_a_hint_is_found_by(
    index: PackageIndex, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(EnvironmentBuildError) as caught:
        ensure_environment(definition("missing-package", index.option), root)
    assert caught.value.hint is not None and "no such package" in caught.value.hint


def test_an_index_out_of_reach_relaxes_nothing_and_says_so(index: PackageIndex, root: Path) -> None:
    option = "--index-url http://127.0.0.1:9/simple"
    with pytest.raises(EnvironmentBuildError, match="index cannot be reached"):
        ensure_environment(definition("tiny==1.0", option), root)


def test_wrong_credentials_are_said(index: PackageIndex, root: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match="check user and password"):
        ensure_environment(definition("tiny", index.option.replace(PASSWORD, "wrong")), root)


def test_a_full_disk_stops_a_build_and_is_said(index: PackageIndex, root: Path, tmp_path: Path) -> None:
    root.mkdir()
    wanted = definition("tiny", index.option)
    index.files["tiny-1.0-py3-none-any.whl"] = wheel("tiny", "1.0", size=400_000)
    command = [sys.executable, "-c", textwrap.dedent(BUILD), wanted.json_text(), str(root)]
    prefix = on_small_disk(root, "300k")
    process = subprocess.run([*prefix, *command], capture_output=True, text=True, check=False)
    assert process.returncode != 0
    assert "No space is left: free some" in process.stderr


def test_packages_that_need_conda_are_named(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentBuildError, match=r"not Python packages: ffmpeg=4, r-base(.|\n)*micromamba"):
        ensure_environment(definition(conda=("ffmpeg=4", "r-base", "numpy")), root)


def test_conda_makes_the_environment_where_it_is_there(
    index: PackageIndex, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Stands in for micromamba: makes a Python at the prefix, and keeps what it was asked for.
    tool = tmp_path / "bin" / "micromamba"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\necho conda solves\ncp "$6" {tmp_path}/asked.yml\nexec {sys.executable} -m venv --without-pip $4\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    lines: list[str] = []
    wanted = definition("tiny", index.option, conda=(f"python={HERE}", "ffmpeg=4"))
    built = ensure_environment(wanted, root, lines.append)
    assert "conda solves" in lines
    assert evaluate(built, "tiny.VERSION", "tiny") == "1.0"
    assert f'"python={HERE}", "ffmpeg=4"' in (tmp_path / "asked.yml").read_text()


def test_the_python_that_runs_this_is_chosen_when_it_will_do(tmp_path: Path) -> None:
    uv = Uv(tmp_path, print)
    for text in (None, python_versions(HERE), ">=3.9"):
        python, change = choose(text, uv, strict=True)
        assert (python.path, change) == (sys.executable, None)


def test_a_python_that_is_not_there_becomes_the_nearest_one(tmp_path: Path) -> None:
    uv = Uv(tmp_path, print)
    there = on_this_machine(uv)
    assert sys.executable in [python.path for python in there]
    python, change = choose(python_versions("3.6.2"), uv, strict=False)
    assert python.version == min(candidate.version for candidate in there)
    assert change is not None and change.kind == "relaxed" and str(python.version) in change.reason
    with pytest.raises(EnvironmentBuildError, match="not on this machine"):
        choose(python_versions("3.6.2"), uv, strict=True)


def test_another_python_of_this_machine_is_used(index: PackageIndex, root: Path, tmp_path: Path) -> None:
    others = [python for python in on_this_machine(Uv(tmp_path, print)) if python.minor != HERE]
    if not others:
        pytest.skip("this machine has one version of Python")
    built = ensure_environment(definition("tiny", index.option, conda=(f"python={others[0].minor}",)), root)
    assert evaluate(built, "'%d.%d' % sys.version_info[:2]", "sys") == others[0].minor
    assert built.changes == ()


def test_a_user_managed_environment_is_not_built(root: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match="nothing to build"):
        ensure_environment(definition("six", userManagedDependencies=True), root)
    assert not root.exists()


def test_the_log_is_streamed_while_the_build_runs(index: PackageIndex, root: Path) -> None:
    index.go.clear()
    lines: list[str] = []
    thread = threading.Thread(target=ensure_environment, args=(definition("tiny", index.option), root, lines.append))
    thread.start()
    assert index.asked.wait(HANG_SECONDS)
    wait_until(lambda: any(line.startswith(f"Python {HERE}") for line in lines), what="the first line is shown")
    assert not any("Built with" in line for line in lines)
    index.go.set()
    thread.join(HANG_SECONDS)
    assert lines[-1].startswith("Built with 1 packages in ")


def test_an_image_is_not_built_with_a_pin_that_does_not_exist(index: PackageIndex, tmp_path: Path) -> None:
    def checked(*packages: str) -> ImagePlan:
        return with_pins_that_exist(
            plan_image(definition(*packages, index.option), code=None, environment_only=True, pins="exact"),
            minor=sys.version_info.minor,
            platform=uv_platform("amd64", musl=False),
            sources=SourceBuilds("anywhere", "none", lambda line: pytest.fail("it builds nothing")),
            scratch=tmp_path / "scratch",
            cache=tmp_path,
            log=BuildLog(lambda event: None, []),
        )

    with pytest.raises(ImageError, match=r"tiny==9 does not exist for Python(.|\n)*Available are 1\.0\.") as caught:
        checked("tiny==9")
    (tmp_path / "env.yml").write_text("dependencies:\n- pip:\n  - 'tiny==9'\n")
    failed = BuildFailedError("environment", caught.value.message.splitlines()[0], [], None)
    assert "'environment': tiny==9 (line 3 of env.yml) does not exist" in failed.in_file(tmp_path / "env.yml").message
    assert checked("tiny==1.0").packages.exact == (), "what is asked is installed as it is"
    checked("unknown-here==1")  # the installer in the image may reach another index


def test_a_pin_that_is_there_only_as_source_is_relaxed_in_an_image_that_cannot_build_it(
    index: PackageIndex, tmp_path: Path
) -> None:
    index.add_source("native", "1.0")
    index.add("native", "2.0")
    asked: list[str] = []
    lines: list[str] = []

    def planned(key: str, builds: bool) -> ImagePlan:
        wanted = definition("native==1.0", "tiny", index.option)
        return with_pins_that_exist(
            plan_image(wanted, code=None, environment_only=True, pins="compatible"),
            minor=sys.version_info.minor,
            platform=uv_platform("amd64", musl=False),
            sources=SourceBuilds(f"with {key}", key, lambda line: asked.append(line) or builds),
            scratch=tmp_path / "scratch",
            cache=tmp_path,
            log=BuildLog(lambda event: lines.append(event.text), []),
        )

    with_compiler = planned("gcc", True).packages
    assert (with_compiler.exact, with_compiler.relaxations) == ((), ()), "the installer of the image builds it"
    without = planned("nothing", False).packages
    assert without.exact == ("native==2.0", "tiny==1.0")
    assert [str(change) for change in without.relaxations] == [
        "native==1.0 -> native>=1.0: there only as source, which cannot be built with nothing"
    ]
    assert [line for line in lines if line.startswith("Relaxed: ")] == [f"Relaxed: {without.relaxations[0]}"]
    assert planned("nothing", False).packages == without, "the answer is stored for each place of builds"
    assert asked == ["native==1.0"] * 2
