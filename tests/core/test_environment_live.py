"""Environments that are built with real packages and serve."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from mljupyter.build.environments.uv import Uv
from mljupyter.core import AksWebservice, CondaDependencies, Environment, InferenceConfig, Model, Workspace
from mljupyter.deploy.environments import environments_directory, interpreter_of
from mljupyter.exceptions import UserErrorException, WebserviceException

pytestmark = pytest.mark.system

SCRIPT = """
import os
import sys

import humanize
from azureml.core.model import Model


def init():
    pass


def run(data):
    here = [name for name in ("pydantic", "mljupyter.core") if importable(name)]
    return {
        "humanize": humanize.__version__,
        "python": "%d.%d" % sys.version_info[:2],
        "frontsPackages": here,
        "pythonPath": os.environ.get("PYTHONPATH"),
        "number": humanize.intcomma(12345),
    }


def importable(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True
"""
ONE = AksWebservice.deploy_configuration(num_replicas=1, auth_enabled=False)


@pytest.fixture
def live(shared_workspace: Workspace, project: Path) -> Workspace:
    (project / "score.py").write_text(SCRIPT)
    return shared_workspace


def with_humanize(version: str = "4.9.0") -> Environment:
    environment = Environment("serving")
    packages = ["azureml-defaults", f"humanize=={version}"]
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=packages)
    return environment


def answer(workspace: Workspace, config: InferenceConfig, name: str = "sizes") -> dict[str, object]:
    service = Model.deploy(workspace, name, [], config, ONE)
    service.wait_for_deployment()
    found = service.run(json.dumps({}))
    assert isinstance(found, dict)
    return found


def test_a_script_runs_with_packages_that_the_notebook_does_not_have(
    live: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert importlib.util.find_spec("humanize") is None, "this test is about a package that is not here"
    environment = with_humanize()
    environment.environment_variables = {"PYTHONPATH": "/of/the/script"}
    found = answer(live, InferenceConfig("score.py", environment=environment))
    assert (found["humanize"], found["number"], found["pythonPath"]) == ("4.9.0", "12,345", "/of/the/script")
    assert found["frontsPackages"] == []
    assert "Building the environment 'serving'" in capsys.readouterr().out
    again = answer(live, InferenceConfig("score.py", environment=environment.clone("other")), "again")
    assert again["humanize"] == "4.9.0"
    assert "Building" not in capsys.readouterr().out, "the same content is the same environment"


def test_a_script_runs_with_another_python_through_the_older_form(live: Workspace, project: Path) -> None:
    from mljupyter.build.environments.interpreters import on_this_machine

    oldest = min(on_this_machine(Uv(project, print)), key=lambda python: python.version)
    text = f"dependencies:\n- python={oldest.minor}\n- pip:\n  - humanize==4.9.0\n"
    (project / "env.yml").write_text(text)
    found = answer(live, InferenceConfig("score.py", runtime="python", conda_file="env.yml"))
    assert (found["python"], found["humanize"]) == (oldest.minor, "4.9.0")


def test_what_was_relaxed_is_shown_when_deploying(live: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(live, InferenceConfig("score.py", environment=with_humanize("4.9.999")))
    assert Version(str(found["humanize"])) > Version("4.9.999")
    assert "Warning: environment 'serving': humanize==4.9.999 -> humanize>=4.9.999: " in capsys.readouterr().out
    live.webservices["sizes"].delete()
    answer(live, InferenceConfig("score.py", environment=with_humanize("4.9.999")))
    assert "humanize" not in capsys.readouterr().out, "said once for each environment"


def test_an_environment_that_cannot_be_built_deploys_nothing(live: Workspace) -> None:
    environment = with_humanize("4.9.999")
    environment.python.pins = "strict"
    with pytest.raises(WebserviceException, match=r"humanize==4\.9\.999(.|\n)*The whole log: "):
        Model.deploy(live, "sizes", [], InferenceConfig("score.py", environment=environment), ONE)
    assert live.webservices == {}
    assert [path.suffix for path in environments_directory().iterdir() if path.is_dir()] == []


def test_build_local_shows_its_log_and_what_was_built_serves(
    live: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = with_humanize()
    assert interpreter_of(environment.serving(), build=False).endswith("bin/python"), "a plan knows where it will be"
    details = environment.build_local(live)
    details.wait_for_completion(show_output=True)
    assert details.status == "Succeeded"
    assert details.environment is not None
    assert details.environment.interpreter == interpreter_of(environment.serving(), build=False)
    output = capsys.readouterr().out
    assert "humanize==4.9.0" in output and "Built with" in output
    assert details.get_log() == output.strip()


def test_a_build_that_fails_or_is_cancelled_says_so(workspace: Workspace) -> None:
    failed = with_humanize("0.0.0").clone("strict")
    failed.python.pins = "strict"
    details = failed.build_local(workspace)
    with pytest.raises(UserErrorException, match="humanize==0.0.0"):
        details.wait_for_completion(show_output=False)
    assert details.status == "Failed"
    cancelled = with_humanize().build_local(workspace)
    cancelled.cancel()
    with pytest.raises(UserErrorException, match="cancelled"):
        cancelled.wait_for_completion(show_output=False)
    assert cancelled.status == "Canceled"


def test_a_user_managed_environment_needs_no_build(workspace: Workspace) -> None:
    environment = Environment("serving")
    environment.python.user_managed_dependencies = True
    assert interpreter_of(environment.serving()) == sys.executable
    assert not environments_directory().exists()
