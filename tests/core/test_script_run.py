"""Submitted scripts: real processes on this machine."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mljupyter.core import (
    CondaDependencies,
    Dataset,
    Datastore,
    Environment,
    Experiment,
    Run,
    RunConfiguration,
    ScriptRunConfig,
    Workspace,
)
from mljupyter.core.runconfig import MpiConfiguration
from mljupyter.exceptions import (
    ActivityFailedException,
    ExperimentExecutionException,
    RunConfigurationException,
    SnapshotException,
    UserErrorException,
)
from mljupyter.runtimes.process.processes import Identity
from mljupyter.workspace import submission
from tests.waiting import HANG_SECONDS, wait_until

TRAIN = """
import json, os, sys
from pathlib import Path
from mljupyter.core import Run

run = Run.get_context()
print("arguments", sys.argv[1:])
run.log("mse", 0.5)
run.tag("inside", "yes")
with run.child_run("fold") as child:
    child.log("mse", 1)
files = sorted(path.name for path in Path(sys.argv[2]).iterdir())
table = run.input_datasets["table"].to_pandas_dataframe()
Path("outputs/model.json").write_text(json.dumps({"files": files, "rows": len(table), "own": os.environ["OWN"]}))
Path("logs/own.txt").write_text("log")
run.register_model("trained", "outputs/model.json")
print("secret is", run.get_secret("pass-word") == "geheim", file=sys.stderr)
"""
SLEEPS = "import time\nopen('outputs/half.txt', 'w').write('half')\nprint('started', flush=True)\ntime.sleep(600)\n"


def source(project: Path, text: str, name: str = "train.py") -> Path:
    directory = project / "source"
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    return directory


@pytest.fixture
def experiment(shared_workspace: Workspace) -> Experiment:
    return Experiment(shared_workspace, "scripts")


def started(run: Run) -> None:
    """Wait until the script of a run has written its first line."""
    log = submission.log_of(run.experiment.workspace.context, run.id)
    wait_until(lambda: log.exists() and "started" in log.read_text(), "the script starts")


def test_a_script_trains_with_data_and_its_results_are_kept(
    experiment: Experiment, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = experiment.workspace
    workspace.get_default_keyvault().set_secret("pass-word", "geheim")
    (project / "iris.csv").write_text("a,b\n1,x\n2,y\n")
    reference = Datastore(workspace).upload_files(["iris.csv"], target_path="data", show_progress=False)
    table = Dataset.Tabular.from_delimited_files(reference.path("iris.csv"))
    environment = Environment("training")
    environment.environment_variables = {"OWN": "value"}
    directory = source(project, TRAIN)
    (directory / "outputs").mkdir()
    (directory / "outputs/old.txt").write_text("of an earlier run")
    config = ScriptRunConfig(
        directory,
        "train.py",
        arguments=["--data", reference.as_mount(), table.as_named_input("table"), "--alpha", 0.5],
        compute_target="local",
        environment=environment,
    )
    run = experiment.submit(config, tags={"area": "demo"})
    (directory / "train.py").write_text("raise SystemExit('a later version')")
    details = run.wait_for_completion(show_output=True)
    shown = capsys.readouterr().out
    assert details["status"] == "Completed" and details["runDefinition"]["script"] == "train.py"
    assert "arguments ['--data', " in shown and "'--alpha', '0.5']" in shown and "secret is True" in shown
    assert run.get_metrics() == {"mse": 0.5}
    assert run.get_tags() == {"area": "demo", "inside": "yes"}
    assert [child.get_metrics() for child in run.get_children()] == [{"mse": 1}]
    assert run.get_file_names() == ["azureml-logs/70_driver_log.txt", "logs/own.txt", "outputs/model.json"]
    run.download_file("outputs/model.json")
    assert json.loads(Path("model.json").read_text()) == {"files": ["iris.csv"], "rows": 2, "own": "value"}
    assert workspace.models["trained"].run_id == run.id
    assert [one.id for one in experiment.get_runs(type="azureml.scriptrun", tags={"area": "demo"})] == [run.id]
    assert not submission.source_of(workspace.context, run.id).exists(), "the copy of the source is removed"
    log = run.get_details_with_logs()["logFiles"]["azureml-logs/70_driver_log.txt"]
    assert "arguments" in log and "value" not in json.dumps(run.get_details())


def test_a_script_that_fails_says_why(experiment: Experiment, project: Path) -> None:
    run = experiment.submit(ScriptRunConfig(source(project, "print('before')\n1 / 0\n"), "train.py"))
    with pytest.raises(ActivityFailedException, match=r"(?s)exit status 1.*ZeroDivisionError"):
        run.wait_for_completion()
    assert run.wait_for_completion(raise_on_error=False)["error"]["error"]["code"] == "UserError"
    assert run.get_file_names() == ["azureml-logs/70_driver_log.txt"]


def test_a_cancelled_script_ends_and_keeps_its_outputs(experiment: Experiment, project: Path) -> None:
    run = experiment.submit(ScriptRunConfig(source(project, SLEEPS), "train.py"))
    started(run)
    script = run._read().process["script"]  # type: ignore[index]
    run.cancel()
    assert run.wait_for_completion()["status"] == "Canceled"
    assert not Identity(script["pid"], script["start"]).alive()
    assert "outputs/half.txt" in run.get_file_names()


def test_a_script_that_runs_too_long_is_stopped(experiment: Experiment, project: Path) -> None:
    config = ScriptRunConfig(source(project, SLEEPS), "train.py", max_run_duration_seconds=1)
    with pytest.raises(ActivityFailedException, match="max_run_duration_seconds"):
        experiment.submit(config).wait_for_completion()


def test_a_run_whose_supervisor_was_killed_ends(experiment: Experiment, project: Path) -> None:
    run = experiment.submit(ScriptRunConfig(source(project, SLEEPS), "train.py"))
    started(run)
    processes = run._read().process or {}
    os.kill(processes["supervisor"]["pid"], signal.SIGKILL)
    wait_until(lambda: run.get_status() == "Failed", "the run fails")
    assert "outputs/half.txt" in run.get_file_names()
    script = processes["script"]
    wait_until(lambda: not Identity(script["pid"], script["start"]).alive(), "the script is ended")


def refusing(error: BaseException) -> Callable[..., None]:
    def start_detached(*_: object) -> None:
        raise error

    return start_detached


def test_a_run_that_cannot_be_started_has_failed(
    experiment: Experiment, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(submission, "start_detached", refusing(full))
    with pytest.raises(ExperimentExecutionException, match=r"could not be started: No space left on device\. Run '"):
        experiment.submit(ScriptRunConfig(source(project, "print('done')\n"), "train.py"))
    run = next(iter(experiment.get_runs()))
    assert run.get_status() == "Failed"
    assert "No space left" in run.get_details()["error"]["error"]["message"]


def test_a_run_whose_submission_was_interrupted_can_be_canceled_and_holds_up_nothing(
    experiment: Experiment, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "start_detached", refusing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        experiment.submit(ScriptRunConfig(source(project, "print('done')\n"), "train.py"))
    run = next(iter(experiment.get_runs()))
    assert run.get_status() == "Starting"
    submission.cancel_all(experiment.workspace.context)
    assert run.get_status() == "Canceled"


def test_a_run_goes_on_when_the_process_that_submitted_it_ends(experiment: Experiment, project: Path) -> None:
    directory = source(project, "print('done')\n")
    program = (
        "from mljupyter.core import *; from pathlib import Path\n"
        f"ws = Workspace.at(Path({str(experiment.workspace.directory)!r}))\n"
        f"print(Experiment(ws, 'scripts').submit(ScriptRunConfig({str(directory)!r}, 'train.py')).id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    run = Run.get(experiment.workspace, done.stdout.split()[-1])
    assert run.wait_for_completion()["status"] == "Completed"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python train.py 'a b'", ["train.py", "a b"]),
        (["python3", "-m", "train", 1], ["-m", "train", "1"]),
        (["python"], []),
    ],
)
def test_a_command_runs_with_the_python_of_the_environment(command: object, expected: list[str]) -> None:
    config = ScriptRunConfig(".", command=command)  # type: ignore[arg-type]
    given = [command] if isinstance(command, str) else command
    words = config.command_line([str(word) for word in given])  # type: ignore[attr-defined]
    assert words[0] == sys.executable and words[-len(expected) or len(words) :] == expected


def test_another_command_stays_as_it_is() -> None:
    config = ScriptRunConfig(".", command=["bash", "run.sh"])
    assert config.command_line(["bash", "run.sh"]) == ["bash", "run.sh"]


def test_a_child_and_a_command_and_another_interpreter(experiment: Experiment, project: Path) -> None:
    environment = Environment("own-python")
    environment.python.user_managed_dependencies = True
    environment.python.interpreter_path = sys.executable
    directory = source(project, "import sys; print('words', sys.argv[1:])\n")
    config = ScriptRunConfig(directory, command=["python", "train.py", "--n", 1], environment=environment)
    with experiment.start_logging() as parent:
        child = parent.submit_child(config)
        child.wait_for_completion()
    assert child.parent is not None and child.parent.id == parent.id
    child.get_all_logs("copies")
    assert "words ['--n', '1']" in Path("copies/azureml-logs/70_driver_log.txt").read_text()


class TestRefusals:
    """Nothing is started."""

    def test_another_target(self, experiment: Experiment, project: Path) -> None:
        config = ScriptRunConfig(source(project, ""), "train.py", compute_target="cpu-cluster")
        with pytest.raises(ExperimentExecutionException, match="no training on clusters"):
            experiment.submit(config)

    @pytest.mark.parametrize(
        "change",
        [
            lambda config: setattr(config, "distributed_job_config", MpiConfiguration(2)),
            lambda config: setattr(config.run_config, "node_count", 2),
            lambda config: setattr(config.run_config, "communicator", "Mpi"),
        ],
    )
    def test_several_processes(self, experiment: Experiment, project: Path, change: object) -> None:
        config = ScriptRunConfig(source(project, ""), "train.py")
        change(config)  # type: ignore[operator]
        with pytest.raises(ExperimentExecutionException, match="runs as one"):
            experiment.submit(config)

    def test_spark(self, experiment: Experiment, project: Path) -> None:
        configuration = RunConfiguration(framework="PySpark")
        with pytest.raises(ExperimentExecutionException, match="PySpark"):
            experiment.submit(ScriptRunConfig(source(project, ""), "train.py", run_config=configuration))

    def test_a_script_that_does_not_exist(self, experiment: Experiment, project: Path) -> None:
        with pytest.raises(UserErrorException, match=r"no script 'nowhere\.py'"):
            experiment.submit(ScriptRunConfig(source(project, ""), "nowhere.py"))

    def test_a_source_directory_with_a_link_that_leads_out(self, experiment: Experiment, project: Path) -> None:
        directory = source(project, "")
        (directory / "link").symlink_to("/etc/hostname")
        with pytest.raises(SnapshotException, match="symbolic link"):
            experiment.submit(ScriptRunConfig(directory, "train.py"))

    @pytest.mark.parametrize("given", [{}, {"script": "a.py", "command": "python a.py"}])
    def test_a_script_or_a_command(self, given: dict[str, str]) -> None:
        with pytest.raises(UserErrorException, match="a script or a command"):
            ScriptRunConfig(".", **given)  # type: ignore[arg-type]


class TestNotes:
    """Settings that have no effect here are said."""

    def test_packages_that_are_missing(self, project: Path) -> None:
        environment = Environment("training")
        environment.python.conda_dependencies = CondaDependencies.create(
            pip_packages=["nowhere-to-be-found==1.0", "click", "azureml-defaults"]
        )
        (note,) = ScriptRunConfig(source(project, ""), "train.py", environment=environment).notes()
        assert "nowhere-to-be-found==1.0 (not installed)" in note and "click" not in note

    def test_a_container(self, project: Path) -> None:
        configuration = RunConfiguration()
        configuration.environment.python.conda_dependencies = CondaDependencies.create(pip_packages=[])
        configuration.docker.use_docker = True
        (note,) = ScriptRunConfig(source(project, ""), "train.py", run_config=configuration).notes()
        assert "not in a container" in note


class TestRunConfiguration:
    def test_it_is_written_and_read_again_without_variables(self, project: Path) -> None:
        configuration = RunConfiguration("train.py", ["--n", "1"])
        configuration.environment_variables = {"TOKEN": "geheim"}
        configuration.environment.python.conda_dependencies.add_pip_package("click")
        configuration.save(name="mine")
        assert "geheim" not in (project / ".azureml/mine.runconfig").read_text()
        again = RunConfiguration.load(".", "mine")
        assert (again.script, again.arguments, again.target) == ("train.py", ["--n", "1"], "local")
        assert "click" in again.environment.python.conda_dependencies.pip_packages  # type: ignore[union-attr]
        config = ScriptRunConfig(".", run_config=again)
        assert (config.script, config.arguments) == ("train.py", ["--n", "1"])

    @pytest.mark.parametrize("text", ["[]", "a: [", "arguments: 5", "environment: 5"])
    def test_a_file_of_another_form_is_refused(self, project: Path, text: str) -> None:
        (project / "x.runconfig").write_text(text)
        with pytest.raises(RunConfigurationException, match=r"x\.runconfig"):
            RunConfiguration.load("x.runconfig")

    def test_a_file_that_is_missing_is_named(self, project: Path) -> None:
        with pytest.raises(RunConfigurationException, match=r"local\.runconfig"):
            RunConfiguration.load(".")

    def test_the_target_may_be_an_object(self, workspace: Workspace) -> None:
        configuration = RunConfiguration()
        configuration.target = workspace.compute_targets["local"]
        assert configuration.target == "local"


def test_deleting_a_workspace_ends_its_scripts(workspace: Workspace, project: Path) -> None:
    run = Experiment(workspace, "scripts").submit(ScriptRunConfig(source(project, SLEEPS), "train.py"))
    started(run)
    script = run._read().process["script"]  # type: ignore[index]
    workspace.delete()
    assert not Identity(script["pid"], script["start"]).alive()
    assert not workspace.directory.exists()
