"""Exit status, messages and speed of the command line; nothing is deployed here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mljupyter.cli import az
from mljupyter.cli.app import app
from mljupyter.core import Workspace
from tests.cli.conftest import Commands
from tests.cli.in_process import failed, run, run_json
from tests.waiting import promised


@pytest.fixture
def here(commands: Commands) -> Commands:
    """The command line in this process, which says and does the same."""
    return replace(commands, own_process=False)


@pytest.mark.alone
def test_help_comes_quickly_and_names_every_command(commands: Commands) -> None:
    def seconds() -> float:
        start = time.perf_counter()
        text = commands.run("--help").stdout
        assert all(name in text for name in ("doctor", "endpoint", "controller", "demo"))
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < promised(0.5)


@pytest.mark.parametrize(
    "group",
    [
        *(
            "",
            "computetarget",
            "controller",
            "endpoint",
            "endpoint realtime",
            "environment",
            "image",
            "model",
            "router",
        ),
        *("run", "service", "workspace"),
    ],
)
def test_lists_of_commands_have_one_uncut_line_for_each_command_at_80_columns(group: str) -> None:
    arguments = [*group.split(), "--help"]
    text = CliRunner().invoke(app, arguments, prog_name="mljupyter", terminal_width=78).stdout
    lines = text.partition("Commands:\n")[2].splitlines()
    assert len(lines) >= 4
    for line in lines:
        assert re.fullmatch(r"  [a-z][a-z-]*  +\S.*\.", line) and not line.endswith("..."), line


def test_a_workspace_is_created_once_or_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path))
    created = run("workspace", "create", "churn-team", "--friendly-name", "Churn", "-l", "westeurope").stdout
    assert created == f"churn-team: created in {tmp_path / 'workspaces' / 'churn-team'}\n"
    assert "There is a workspace 'churn-team' already; --exist-ok uses it." in failed(
        "workspace", "create", "churn-team"
    )
    for spelling in ("--exist-ok", "--exists-ok"):
        assert run_json("workspace", "create", "churn-team", spelling)["name"] == "churn-team"
    assert az.run(["ml", "workspace", "create", "-w", "old", "-g", "mygroup", "--exist-ok"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["resourceGroup"]) == ("old", "mygroup")


def every_command(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from every_command(found, (*words, name))


def test_the_help_of_every_command_fits_80_columns_and_says_what_it_does() -> None:
    runner, seen = CliRunner(), 0
    for seen, words in enumerate(every_command(app), 1):  # noqa: B007 - counted
        text = runner.invoke(app, [*words, "--help"], prog_name="mljupyter", terminal_width=80).stdout
        usage, _, rest = text.partition("\n\n")
        assert usage.startswith("Usage: mljupyter"), words
        assert re.match(r"  [A-Z`'].*[.:]", rest.partition("\n\n")[0], re.DOTALL), (words, rest)
        assert max(map(len, text.splitlines())) <= 80, words
        assert not re.search(r"^  \S.*[^ ]\.\.\.$", rest, re.MULTILINE), (words, "a line of a list is cut")
    assert seen > 100


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--service-type", "NodePort", "--scoring-host", "ml.example.org"], "it is for Ingress and HTTPRoute"),
        (["--service-type", "HTTPRoute"], "gateway is missing"),
        (["--service-type", "Ingress", "--annotation", "a"], "must be NAME=VALUE"),
        (["--service-type", "Ingress", "--annotation", "a=b=c", "--kubeconfig", "/nowhere"], "/nowhere"),
        (["--service-type", "HTTPRoute", "--gateway", "infra/public", "--kubeconfig", "/nowhere"], "/nowhere"),
    ],
)
def test_the_options_of_an_ingress_and_a_route_are_checked_before_the_cluster(
    options: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path))
    Workspace.create("default")
    found = CliRunner().invoke(app, ["computetarget", "attach", "team", "--workspace", "default", *options])
    assert found.exit_code != 0
    assert told in f"{found.output} {found.exception}"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mljupyter.cli import app\n"
        "print(sorted({'mljupyter.core', 'pydantic', 'sqlalchemy', 'httpx', 'rich', 'IPython'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("endpoint", "show"),
        ("endpoint", "logs", "adder", "-n", "0"),
        ("endpoint", "list", "--jsn"),
        ("demo", "--requests", "none"),
        ("endpoint", "invoke", "adder", "@/nowhere"),
        ("model", "deploy", "-n", "x", "-cc", "much"),
        ("az", "ml", "model", "delete"),
    ],
)
def test_wrong_use_ends_with_2(commands: Commands, arguments: tuple[str, ...]) -> None:
    assert commands.failed(*arguments, status=2)


def test_an_unknown_workspace_ends_with_1_and_one_message(here: Commands, tmp_path: Path) -> None:
    said = here.failed("endpoint", "list", "--workspace", "churn-team")
    assert said.startswith("mljupyter: WorkspaceNotFound: there is no workspace 'churn-team'")
    assert "there is no workspace in" in here.failed("endpoint", "list", "--workspace", str(tmp_path / "nowhere"))


def test_a_workspace_without_endpoints_lists_none_and_starts_nothing(here: Commands, tmp_path: Path) -> None:
    assert here.run("endpoint", "list").stdout == (
        "No endpoints. Deploy one with: mljupyter deploy NAME --model MODEL --score SCRIPT\n"
        "In a notebook, a fitted estimator: %deploy NAME ESTIMATOR\n"
    )
    assert here.json("endpoint", "list") == []
    assert here.json("controller", "status") == {
        "running": False,
        "workspace": str(tmp_path / "home/workspaces/default"),
    }
    assert here.run("controller", "stop").stdout == "not running\n"
    assert not (tmp_path / "home/workspaces/default/control").exists()


def test_doctor_ends_with_0_when_all_is_well_and_tells_each_check(here: Commands) -> None:
    checks = {check["name"]: check for check in here.json("doctor")}
    assert {"python", "router", "workspace", "controller", "sockets", "ports"} <= checks.keys()
    assert checks["router"]["text"].startswith("Envoy 1.")
    assert here.run("doctor").stdout.startswith("✓ python: 3.")


def test_doctor_ends_with_1_when_the_workspace_is_open_to_others(here: Commands, tmp_path: Path) -> None:
    here.run("endpoint", "list")
    directory = tmp_path / "home/workspaces/default"
    directory.chmod(0o755)
    checks = {check["name"]: check for check in here.json("doctor", expected=1)}
    assert checks["workspace"]["status"] == "failed"
    assert checks["workspace"]["fix"] == f"chmod 700 {directory}"


def test_doctor_ends_with_1_when_sockets_would_have_too_long_a_path(here: Commands, tmp_path: Path) -> None:
    here.environment["MLJUPYTER_RUNTIME_DIR"] = str(tmp_path / ("x" * 120))
    checks = {check["name"]: check for check in here.json("doctor", expected=1)}
    assert checks["sockets"]["status"] == "failed"
    assert "MLJUPYTER_RUNTIME_DIR" in checks["sockets"]["fix"]


def test_doctor_tells_which_extra_is_missing_and_how_to_install_it(commands: Commands) -> None:
    # A package that cannot be found stands in for one that is not installed.
    code = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'jupyterlab' else find(name, *rest)\n"
        "sys.argv = ['mljupyter', 'doctor']\n"
        "from mljupyter.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **commands.environment}
    )
    assert done.returncode == 0
    assert "· extra lab: not installed: jupyterlab\n" in done.stdout
    assert "-m pip install 'mljupyter[lab]'" in done.stdout
