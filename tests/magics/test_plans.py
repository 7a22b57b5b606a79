"""%deploy without deploying: checks, plan, Python; and the other magics where nothing is deployed yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mljupyter.magics.commands import rollout
from mljupyter.notebook.session import session_of
from tests.magics.conftest import SCRIPT, Shell
from tests.waiting import promised, wait_until

REGISTER = """
from mljupyter.core import Model, Workspace
ws = Workspace.create("default", exist_ok=True)
model = Model.register(ws, "weights.json", "weights")
"""


@pytest.fixture
def prepared(shell: Shell) -> Shell:
    """A shell whose workspace has a model and a scoring script."""
    Path("weights.json").write_text("[3]")
    shell.run(REGISTER)
    shell.run(f"%%score sums\n{SCRIPT}")
    return shell


def test_without_arguments_a_magic_shows_help_and_does_nothing(shell: Shell, home: Path) -> None:
    for name in ("deploy", "score", "invoke", "logs", "undeploy"):
        assert shell.run(f"%{name}").text().startswith(f"usage: %{'%' if name == 'score' else ''}{name} NAME")
    assert not home.exists()


def test_the_plan_of_a_new_endpoint_starts_nothing(prepared: Shell, home: Path) -> None:
    text = prepared.run("%deploy adder --model weights --score sums --replicas 2 --cpu 500m --dry-run").text()
    assert text.startswith("adder → local: create (dry run, nothing done)\n  authentication = key\n")
    assert "scaling.replicas = 2" in text
    assert "resources.cpu = 0.5" in text
    assert not (home / "workspaces/default/control").exists()


def test_accelerators_and_placement_are_options(prepared: Shell) -> None:
    line = "%deploy adder --model weights --score sums --gpu 1 --gpu-resource example.com/fpga"
    line += " --node-selector disk=fast --node-selector zone=a --toleration gpu=yes:NoSchedule --runtime-class gvisor"
    line += " --model-delivery mount"
    line += " --namespace team-b"
    text = prepared.run(f"{line} --dry-run").text()
    for part in ("resources.gpu = 1", "resources.gpuResource = example.com/fpga", "placement.runtimeClass = gvisor"):
        assert part in text
    assert "placement.namespace = team-b" in text
    assert "placement.nodeSelector.disk = fast" in text and "placement.nodeSelector.zone = a" in text
    assert "placement.tolerations[0].key = gpu" in text
    code = prepared.run(f"{line} --code").text()
    assert "node_selector={'disk': 'fast', 'zone': 'a'}, tolerations=['gpu=yes:NoSchedule']" in code
    assert "model_delivery='mount'" in code


def test_placement_is_written_in_a_cell_as_options_or_in_a_specification(prepared: Shell) -> None:
    options = "model: weights\nscore: sums\ngpu: 1\nnodeSelector: {disk: fast}\ntoleration: [gpu, spot]\n"
    text = prepared.run(f"%%deploy adder --dry-run\n{options}").text()
    assert "placement.nodeSelector.disk = fast" in text and "placement.tolerations[1].key = spot" in text
    specification = "versions:\n  one: {models: [weights], code: sums, placement: {nodeSelector: {disk: fast}}}\n"
    text = prepared.run(f"%%deploy adder --dry-run --toleration gpu\n{specification}").text()
    assert "placement.nodeSelector.disk = fast" in text and "placement.tolerations[0].key = gpu" in text


def test_batching_and_preloading_are_switches_that_leave_alone_what_is_not_said(prepared: Shell) -> None:
    line = "%deploy adder --model weights --score sums --dry-run"
    text = prepared.run(f"{line} --no-batching --preload").text()
    assert "batching = False" in text and "preload = True" in text
    assert "batching" not in prepared.run(line).text()
    code = prepared.run(f"{line.replace('--dry-run', '--code')} --kind local --batching").text()
    assert "LocalWebservice.deploy_configuration(batching=True)" in code


def test_the_plan_can_be_had_as_json(prepared: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    prepared.run("%deploy adder --model weights --score sums --kind aci --memory 2 --json --dry-run")
    plan = json.loads(capsys.readouterr().out)
    assert (plan["kind"], plan["authentication"]) == ("ACI", "none")
    assert plan["versions"]["adder"]["resources"]["memoryInGB"] == 2


def test_the_python_it_shows_runs_and_names_the_same_things(prepared: Shell) -> None:
    text = prepared.run(
        "%deploy adder --model weights:1 --score sums --max-queue-wait-ms 900 --auth none --code"
    ).text()
    compile(text, "code", "exec")
    assert "AksWebservice.deploy_configuration(max_request_wait_time=900, auth_enabled=False)" in text
    assert "Model(ws, 'weights', version=1)" in text
    namespace: dict[str, object] = {}
    exec(text[: text.index("service =")], namespace)
    assert "AksServiceDeploymentConfiguration" in type(namespace["deployment_config"]).__name__


def test_a_variable_with_a_model_or_an_inference_config_is_understood(prepared: Shell) -> None:
    prepared.run(f"%%score sums -o config\n{SCRIPT}")
    assert "models[0].name = weights" in prepared.run("%deploy adder --model model --score config --dry-run").text()


def test_a_scoring_script_outlives_the_kernel(prepared: Shell) -> None:
    another = Shell()
    try:
        assert another.run("%deploy adder --model weights --score sums --dry-run").text().startswith("adder → local")
    finally:
        another.close()


def test_a_script_in_a_file_is_understood(prepared: Shell) -> None:
    Path("own.py").write_text(SCRIPT)
    assert "entryScript = own.py" in prepared.run("%deploy adder --score own.py --dry-run").text()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("adder", "Nothing to deploy is named: a fitted estimator (%deploy NAME ESTIMATOR), or --model MODEL"),
        ("adder --score sms", "There is no scoring script 'sms' in this workspace. Did you mean 'sums'?"),
        ("adder --score sums --model wights", "There is no registered model 'wights' in this workspace. Did you mean"),
        (
            "adder --score sums --model weights:7",
            "There is no registered model 'weights:7' in this workspace. It has v",
        ),
        ("adder --score sums --model weights:x", "--model weights:x: the version after ':' is a number"),
        ("Adder! --score sums --dry-run", "Invalid web service name 'Adder!'. Use 3 to 32 lower-case letters"),
        ("adder --score sums --to mars --dry-run", "ComputeTargetNotFound: there is no compute target 'mars'."),
        ("adder --score sums --kind aci --auth token", "--auth token is not available with --kind aci"),
        ("adder --score sums --kind local --auth key", "--auth key is not available with --kind local"),
        ("adder --score sums --kind aci --replicas 2", "--replicas is not available with --kind aci: only with aks."),
        ("adder --score sums --port 80", "--port is not available with --kind aks: only with local."),
        ("adder --score sums --cpu 0 --dry-run", "cpu_cores is 0.0: it must be a number above 0."),
        ("adder --score sums -o 5x", "-o 5x: that is not a name for a variable."),
        ("adder --score {oops}", "{oops} in '{oops}' has no value: There is no variable 'oops'."),
    ],
)
def test_a_deployment_that_cannot_work_says_why_before_anything_happens(
    prepared: Shell, home: Path, line: str, said: str
) -> None:
    assert prepared.error(f"%deploy {line}").startswith(said)
    assert not (home / "workspaces/default/control").exists()


def test_a_workspace_without_endpoints_says_how_to_begin(shell: Shell, home: Path) -> None:
    shown = shell.run("%endpoints")
    assert len(shown) == 0
    assert shown.text().startswith("No endpoints yet. Deploy one with %deploy")
    assert "No endpoints yet" in shown._repr_html_()
    assert not (home / "workspaces/default/control").exists()


@pytest.mark.parametrize("magic", ["invoke adder 5", "logs adder", "undeploy adder"])
def test_an_endpoint_that_does_not_exist_is_an_error(shell: Shell, magic: str) -> None:
    assert shell.error(f"%{magic}").startswith("There is no endpoint 'adder' in this workspace.")


def test_output_goes_into_a_variable_and_a_change_of_type_is_told(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.variables["found"] = 5
    capsys.readouterr()
    assert shell.run("%endpoints -o found") is None
    assert capsys.readouterr().out == "found: int replaced by Table\n"
    assert len(shell.variables["found"]) == 0


def test_the_workspace_can_be_chosen_by_name_and_by_directory(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run("%mlj workspace churn-team --create")
    shell.run(f"%mlj workspace {tmp_path / 'there'} --create")
    shell.run("%mlj workspace churn-team -o ws")
    assert shell.variables["ws"].name == "churn-team"
    shell.run(f"%mlj workspace {tmp_path / 'there'} --create")
    capsys.readouterr()
    shell.run("%mlj workspace")
    assert capsys.readouterr().out == "Workspace 'there'\n"


def test_an_unknown_workspace_is_an_error_with_the_nearest_name(shell: Shell, tmp_path: Path) -> None:
    shell.run("%mlj workspace churn-team --create")
    assert "Did you mean 'churn-team'?\nTo make it: %mlj workspace churn --create" in shell.error(
        "%mlj workspace churn"
    )
    assert "there is no workspace in the directory" in shell.error(f"%mlj workspace {tmp_path / 'nowhere'}")


def test_a_workspace_that_was_deleted_is_not_silently_replaced(shell: Shell) -> None:
    shell.run("%mlj workspace churn-team --create")
    shell.run("from mljupyter.core import Workspace; Workspace.get('churn-team').delete()")
    assert shell.error("%endpoints").startswith("The workspace 'churn-team' was deleted.")


def test_an_unknown_subcommand_is_an_error_with_the_nearest_name(shell: Shell) -> None:
    assert shell.error("%mlj deplo x") == "%mlj has no subcommand 'deplo'. Did you mean 'deploy'?"


def test_doctor_finds_all_that_is_needed(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run("%mlj doctor -o checks")
    assert {"python", "router", "workspace", "controller", "sockets", "ports"} <= {
        check["name"] for check in shell.variables["checks"]
    }
    assert "✗" not in capsys.readouterr().out


def test_doctor_fails_loudly_when_something_is_wrong(shell: Shell, home: Path) -> None:
    shell.run("%mlj workspace")
    (home / "workspaces/default").chmod(0o755)
    assert "workspace: chmod 700" in shell.error("%mlj doctor")


def test_names_are_completed_from_what_was_read_before(prepared: Shell) -> None:
    session_of(prepared.ip).cache.refresh()
    assert prepared.complete("%deploy adder --model wei") == ["weights"]
    assert prepared.complete("%deploy adder --model weights:") == ["weights:1"]
    assert prepared.complete("%deploy adder --score s") == ["sums"]
    assert prepared.complete("%mlj workspace de") == ["default"]


def test_names_appear_soon_after_the_first_request_for_them(prepared: Shell) -> None:
    wait_until(lambda: prepared.complete("%deploy adder --score s") == ["sums"], what="completion of the name")


@pytest.mark.alone
def test_completion_answers_within_50_ms_and_starts_nothing(prepared: Shell, home: Path) -> None:
    import time

    def seconds() -> float:
        start = time.perf_counter()
        prepared.complete("%deploy adder --max")
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < promised(0.05)
    session_of(prepared.ip).cache.refresh()
    assert not (home / "workspaces/default/control").exists()


def test_completion_makes_no_workspace(shell: Shell, home: Path) -> None:
    session_of(shell.ip).cache.refresh()
    shell.complete("%undeploy adder")
    assert not home.exists()


def test_after_a_restart_names_are_completed_before_anything_else_was_run(prepared: Shell) -> None:
    another = Shell()
    try:
        session_of(another.ip).cache.refresh()
        assert another.complete("%deploy adder --score s") == ["sums"]
    finally:
        another.close()


def test_an_interrupted_wait_for_a_rollout_names_the_endpoint(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(call: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rollout, "run", interrupted)
    assert shell.error("%rollout iris --wait") == (
        "%rollout was interrupted. The rollout continues: %rollout iris shows it, %rollout iris --abort ends it."
    )


def test_models_are_not_deleted_while_an_image_uses_one(prepared: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = prepared.variables["ws"]
    workspace.registry.models.add_reference("image weights:1", ["weights:1"])
    said = prepared.error("%models delete weights:1")
    assert said.startswith("In use: weights:1 by image weights:1. Nothing was deleted.")
    assert said.endswith("mljupyter image delete weights:1")
    capsys.readouterr()
    prepared.run("%models delete weights:1 --dry-run")
    assert capsys.readouterr().out == "weights:1: in use by image weights:1 (dry run, nothing done)\n"


def test_models_are_deleted_by_name_all_or_none(prepared: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("[4]", "[5]"):
        Path("weights.json").write_text(text)
        prepared.run('Model.register(ws, "weights.json", "weights")')
    said = prepared.error("%models delete weights")
    assert said.startswith("'weights' has the versions 1, 2, 3: name one, weights:3, or add --all-versions.")
    said = prepared.error("%models delete weights:1 wights:2")
    assert said.startswith("There is no registered model 'wights:2' in this workspace. Did you mean 'weights'?")
    assert prepared.error("%models weights other").startswith("'other' is one value too many")
    assert prepared.error("%models delete").startswith("%models delete needs the models: NAME:VERSION")
    capsys.readouterr()
    prepared.run("%models delete weights --all-versions --dry-run")
    assert "weights:1, weights:2, weights:3: would be deleted (dry run, nothing done)" in capsys.readouterr().out
    prepared.run("%mlj models delete weights:1 weights:2")
    assert "weights:1, weights:2: deleted" in capsys.readouterr().out
    assert [item["id"] for item in prepared.run("%models weights").data] == ["weights:3"]
