"""Old command lines of Azure as they stand: what each is here, formats, exit status; nothing is deployed."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from pathlib import Path

import click
import pytest

import mljupyter
from mljupyter.cli import az
from mljupyter.cli.app import _COMMANDS, app
from mljupyter.cli.az.table import TABLE, Same
from mljupyter.cli.flags import with_two_dashes
from mljupyter.cli.hints import as_commands
from mljupyter.cli.options import named_endpoint
from mljupyter.core import Workspace
from mljupyter.errors import MLJupyterError

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("MLJUPYTER_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    Workspace.create("default")
    (tmp_path / "kubeconfig").write_text("contexts:\n- {name: myexistingcluster}\ncurrent-context: myexistingcluster\n")
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    (tmp_path / "model.txt").write_text("1")
    return tmp_path


def run(line: str, expected: int = 0) -> None:
    assert az.run(line.split()) == expected


def command(words: str) -> click.Command:
    """Return the command of mljupyter for words; that of the first two where they are one name."""
    found: click.Command = app
    rest = words.split()
    while rest:
        assert isinstance(found, click.Group)
        context = click.Context(found)
        paired = " ".join(rest[:2])
        step = paired if paired in found.commands and paired not in _COMMANDS else rest[0]
        after = found.get_command(context, step)
        assert after is not None, words
        found, rest = after, rest[len(step.split()) :]
    return found


# Section 5 of the reference: commands and flags of azure-cli-ml.
CONTENT = "-m -f --ic --es --sd -e --ev --ed --cf"
SIZES = "--cc --ccl --gb --gbl --gc --as --mi --ma --ar --at --nr --tm --rm --mr --ps --id --ts --st --ft --md"
OF_VERSIONS = "-n --vn --tp --is-default --cvt --add-tag --add-property -d --no-wait"
OF_SERVICES = {
    "list": "--model-id --model-name --tag --property",
    "show": "-n",
    "delete": "-n",
    "get-keys": "-n",
    "get-access-token": "-n",
    "run": "-n -d --input-data",
    "get-logs": "-n -i --init -l --num_lines",
    "regen-key": "-n -k -s --set-key",
}
FLAGS = {
    "model register": "-n -p --model-path --asset-path --cc --cpu-cores --gb --memory-gb --gc --gpu-cores -d "
    "--experiment-name --model-framework --model-framework-version -t --output-metadata-file --property -r --run-id -f "
    "--run-metadata-file --sample-input-dataset-id --sample-output-dataset-id --tag",
    "model deploy": f"-n {CONTENT} {SIZES} --dc --deploy-config-file --ct --compute-target --cp --compute-type "
    "--overwrite --no-wait --description --tag --property --rt --ds --eg --cv --bi --ir --ae --auth-enabled "
    "--token-auth-enabled --kp --ks --ai --lo --dn --se --sc --sp --sk --vault-base-url --key-name --key-version "
    "--vnet-name --subnet-name --namespace --vn --tp --po --pi --inference-config-file --entry-script",
    "model list": "-n -l --latest --tag --property --run-id --dataset-id",
    "model show": "-i -n --version --run-id",
    "model update": "-i --add-tag --remove-tag --add-property --description --cc --gb --gc --sample-input-dataset-id",
    "model download": "-i -t --target-dir --overwrite",
    "model delete": "-i",
    "model package": f"{CONTENT} --rt --in --image-name --il --image-label --output-path --no-wait",
    "model profile": f"-n {CONTENT} --idi --input-dataset-id --bi --ir --cc --gb --description -t",
    **{f"service {name}": flags for name, flags in OF_SERVICES.items()},
    **{f"endpoint realtime {name}": flags for name, flags in OF_SERVICES.items()},
    "service update": f"-n {CONTENT} {SIZES} --ae --ai --token-auth-enabled --add-tag --remove-tag --add-property -d "
    "--compute-target --is-migration --no-wait",
    "endpoint realtime create-version": f"{OF_VERSIONS} {CONTENT} {SIZES}",
    "endpoint realtime update-version": f"{OF_VERSIONS} {CONTENT} {SIZES}",
    "endpoint realtime delete-version": "-n --vn --no-wait",
    "endpoint realtime update": "-n --ae --ai --token-auth-enabled -d --add-tag --remove-tag --add-property --no-wait",
    "computetarget create aks": "-n -a -s --cluster-purpose -l --load-balancer-type --load-balancer-subnet --ssl-cname "
    "--ssl-cert-file --ssl-key-file --ssl-leaf-domain-label --ssl-overwrite-domain --vnet-resourcegroup-name "
    "--vnet-name --subnet-name --service-cidr --dns-service-ip --docker-bridge-cidr --no-wait",
    "computetarget attach aks": "-n -i --compute-resource-id",
    "computetarget attach kubernetes": "-n -i --namespace",
    "computetarget update aks": "-n --ssl-disable --ssl-renew --ssl-cname --load-balancer-type",
    "computetarget get-credentials": "-n",
    "environment scaffold": "-n -d --directory",
    "environment register": "-d",
    "environment list": "-n",
    "environment show": "-n -v --version",
    "environment download": "-n -v -d --overwrite",
    "folder attach": "-e -w -g -t",
    "workspace list": "-g",
    "workspace show": "-w -g",
}
EVERYWHERE = "--path -g --resource-group --subscription-id -w --workspace-name -o --output --query"


@pytest.mark.parametrize("words", sorted(FLAGS))
def test_each_command_of_azure_ml_has_its_flags(words: str) -> None:
    found = command(words)
    options = {name for param in found.params for name in param.opts}
    assert not set(f"{FLAGS[words]} {EVERYWHERE}".split()) - options


@pytest.mark.parametrize("words", sorted(row.words for row in TABLE.values() if isinstance(row, Same) and not row.own))
def test_each_row_of_the_table_leads_to_a_command(words: str) -> None:
    assert command(words)


def test_a_single_dash_before_two_letters_is_read_as_two() -> None:
    params = command("model deploy").params
    line = "-ct myaks -m mymodel:1 -n myservice -ic a.json -dc b.json -ccl 2 -ic=c.json"
    assert " ".join(with_two_dashes(line.split(), params)) == (
        "--ct myaks -m mymodel:1 -n myservice --ic a.json --dc b.json --ccl 2 --ic=c.json"
    )
    assert with_two_dashes(["-xy", "--", "-ct"], params) == ["-xy", "--", "-ct"]


@pytest.mark.parametrize(
    "line",
    [
        "az login",
        "az account set -s 11111111-0000-0000-0000-000000000000",
        "az extension add -n azure-cli-ml",
        "az configure --defaults workspace=w",
        "az group create -n g -l westeurope",
    ],
)
def test_what_has_nothing_to_do_succeeds_and_says_so(line: str, capsys: Printed) -> None:
    run(line)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nothing to do, since" in printed.err


@pytest.mark.parametrize(
    "line", ["az group delete -n g", "az ml pipeline list", "az acr login -n r", "az aks create -n c"]
)
def test_what_is_not_there_ends_with_1_and_a_way_out(line: str, capsys: Printed) -> None:
    run(line, expected=1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "is not there:" in printed.err


def test_an_unknown_command_ends_with_2_and_the_nearest_name(capsys: Printed) -> None:
    run("az acount set", expected=2)
    assert "Did you mean 'account'?" in capsys.readouterr().err


def test_wrong_use_ends_with_2_and_names_the_old_command(here: Path, capsys: Printed) -> None:
    run("az ml model register -p model.txt", expected=2)
    run("az ml model deploy -n x --cc much", expected=2)
    told = capsys.readouterr().err
    assert "Usage: az ml model register" in told
    assert "'much' is not a valid float" in told


def test_help_needs_nothing(capsys: Printed) -> None:
    run("az --help")
    run("az ml model deploy --help")
    assert "Usage: az ml model deploy" in capsys.readouterr().out


def test_results_are_json_and_a_query_takes_a_part(here: Path, capsys: Printed) -> None:
    run("az ml model register -n mymodel -p model.txt --tag area=demo --tag x --property a=b -t model.json")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["id"] == "mymodel:1"
    assert "Registering model mymodel" in printed.err
    assert json.loads((here / "model.json").read_text())["modelId"] == "mymodel:1"
    run("az ml model list --query [].id -o tsv")
    assert capsys.readouterr().out == "mymodel:1\n"
    run("az ml model show -i mymodel:1 --query tags -o yaml")
    assert capsys.readouterr().out == "area: demo\nx: ''\n"
    run("az ml model list --query [].{Model:name,Tags:tags} -o table")
    assert capsys.readouterr().out.split() == ["Model", "mymodel"]
    run("az ml model list -o none")
    assert capsys.readouterr().out == ""


def test_a_wrong_query_ends_with_2(here: Path, capsys: Printed) -> None:
    run("az ml model list --query [", expected=2)
    assert "'[' is not a JMESPath expression" in capsys.readouterr().err


def test_a_command_that_has_happened_reports_no_error(here: Path, capsys: Printed) -> None:
    run("az ml model register -n mymodel -p model.txt --query length(version)")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["id"] == "mymodel:1"
    assert "Warning: register is done, but --query cannot be applied to this result" in printed.err
    run("az ml model list --query [].length(version)", expected=2)
    run("az ml model register -n other -p model.txt -t missing/model.json", expected=2)
    assert "there is no directory 'missing'. Nothing was done." in capsys.readouterr().err
    run("az ml model show -n other", expected=1)


def test_models_are_listed_by_their_tags_changed_downloaded_and_deleted(here: Path, capsys: Printed) -> None:
    run("az ml model register -n one -p model.txt --tag area=demo")
    run("az ml model register -n two -p model.txt")
    capsys.readouterr()
    run("az ml model list --tag area=demo --query [].id -o tsv")
    assert capsys.readouterr().out == "one:1\n"
    run("az ml model update -i one:1 --add-tag stage=test --remove-tag area --cc 0.5 --gb 1 --query tags")
    assert json.loads(capsys.readouterr().out) == {"stage": "test"}
    run("az ml model download -i one:1 -t files")
    assert (here / "files/model.txt").read_text() == "1"
    run("az ml model download -i one:1 -t files", expected=1)
    assert "--overwrite replaces it" in capsys.readouterr().err
    run("az ml model delete -i one:1")
    run("az ml model show -i one:1", expected=1)
    assert "ModelNotFound" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("az ml service show -n nowhere", "WebserviceNotFound"),
        ("az ml model show -i nothing:1", "ModelNotFound"),
        ("az ml model deploy -n svc -ct nowhere --es score.py", "ComputeTargetNotFound"),
        ("az ml model deploy -n svc -ic nowhere.json", "'nowhere.json' cannot be read"),
        ("az ml model register -n m -p nowhere", "--model-path 'nowhere' does not exist"),
        ("az ml model deploy -n svc --es score.py --cp ACI --nr 2", "num-replicas: not for a web service of kind ACI"),
        ("az ml model deploy -n svc --es score.py --cp AKS --cc -1", "--cpu-cores is -1"),
        ("az ml workspace show -w nowhere", "WorkspaceNotFound"),
        ("az ml computetarget attach aks -n myaks -i aksresourceid", "it must be /subscriptions/ID/"),
        ("az aks show -n nowhere -g g --query id", "ResourceNotFound"),
        ("az ml image show -i nothing:1 --path .", "ImageNotFound"),
        ("az ml computetarget show -n nowhere -g g", "ComputeTargetNotFound"),
        ("az ml computetarget detach -n nowhere -w default", "ComputeTargetNotFound"),
    ],
)
def test_failures_end_with_1_the_token_that_scripts_look_for_and_no_traceback(
    here: Path, line: str, told: str, capsys: Printed
) -> None:
    run(line, expected=1)
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert "=True" not in printed.err


def test_a_context_of_the_kubeconfig_is_shown_with_a_resource_id(here: Path, capsys: Printed) -> None:
    run("az aks show -n myexistingcluster -g myresourcegroup --query id -o tsv")
    assert capsys.readouterr().out == (
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/myresourcegroup/providers/"
        "Microsoft.ContainerService/managedClusters/myexistingcluster\n"
    )


def test_another_resource_group_is_said_to_have_no_effect(here: Path, capsys: Printed) -> None:
    Workspace.create("team", resource_group="mygroup")
    run("az ml model list -g othergroup -w team")
    run("az ml model list -g mygroup -w team")
    told = capsys.readouterr().err
    assert told.count("Without effect: --resource-group 'othergroup'; workspace 'team' notes 'mygroup'.") == 1
    assert told.count("Without effect") == 1


def test_a_folder_is_attached_to_a_workspace(here: Path, capsys: Printed) -> None:
    run("az ml folder attach -w myworkspace -g mygroup -e exp")
    run("az ml workspace show --query name -o tsv")
    assert capsys.readouterr().out.endswith("myworkspace\n")
    (here / "deep/er").mkdir(parents=True)
    run(f"az ml workspace show --path {here / 'deep/er'} --query name -o tsv")
    assert capsys.readouterr().out == "myworkspace\n"


def test_environments_are_scaffolded_registered_and_downloaded(here: Path, capsys: Printed) -> None:
    run("az ml environment scaffold -n myenv -d envdir")
    run("az ml environment register -d envdir")
    run("az ml environment show -n myenv -v 1")
    run("az ml environment download -n myenv -d copy")
    capsys.readouterr()
    run("az ml environment list --query [].name -o tsv")
    assert capsys.readouterr().out == "myenv\n"
    assert (here / "copy/conda_dependencies.yml").read_text() == (here / "envdir/conda_dependencies.yml").read_text()
    run("az ml environment download -n myenv -d copy", expected=1)
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        ("pass overwrite=True to replace it", "give --overwrite to replace it"),
        ("There are: ws.compute_targets['local'].", "There are: 'local'."),
        (
            "endpoint.update_version('b', is_default=True)",
            "mljupyter endpoint realtime update-version -n NAME --vn b --is-default",
        ),
        (
            "agent_count=3 or cluster_purpose=AksCompute.ClusterPurpose.DEV_TEST",
            "--agent-count 3 or --cluster-purpose DevTest",
        ),
        ("token_auth_enabled is False: pass auth_enabled=True", "--token-auth-enabled is False: give --auth-enabled"),
        ("use Model.register(ws, PATH, NAME)", "use mljupyter model register -n NAME -p PATH"),
        ("failed on line 7 of the cell:", "failed on line 7 of the script:"),
        ("my-auth_enabled stays", "my-auth_enabled stays"),
    ],
)
def test_hints_are_commands(said: str, becomes: str) -> None:
    assert as_commands(said) == becomes


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        (
            "Wait longer with service.wait_for_deployment(), or look into service.get_logs()",
            "Wait longer with mljupyter service show -n iris, or look into mljupyter service get-logs -n iris",
        ),
        (
            "endpoint.abort_rollout(), %rollout iris --abort, mljupyter endpoint rollout iris --abort",
            "mljupyter endpoint rollout iris --abort",
        ),
        (
            "Turn it on: service.update(token_auth_enabled=True, auth_enabled=False)",
            "Turn it on: mljupyter service update -n iris --token-auth-enabled --auth-enabled false",
        ),
        ("Workspace.create('team', path='/x')", "mljupyter workspace create team"),
    ],
)
def test_hints_name_the_endpoint_of_the_command(said: str, becomes: str) -> None:
    assert as_commands(said, "iris") == becomes


def test_every_call_on_an_endpoint_in_a_message_becomes_a_command_with_its_name() -> None:
    calls = re.compile(r"(?:service|endpoint)\.[a-z_]+\([^()]*\)(?!\.)")
    package = Path(mljupyter.__file__).parent
    hints: set[str] = set()
    for part in ("deploy", "core", "engine", "controller"):
        for file in sorted((package / part).rglob("*.py")):
            source = file.read_text(encoding="utf-8")
            if not re.search(r"(?:service|endpoint)\.[a-z_]", source):
                continue  # to parse all of them takes seconds
            tree = ast.parse(source)
            docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs]
            hints |= {hint for node in texts if isinstance(node.value, str) for hint in calls.findall(node.value)}
    assert "endpoint.abort_rollout()" in hints
    for hint in sorted(hints):
        assert as_commands(hint, "iris").startswith("mljupyter "), hint
        assert "iris" in as_commands(hint, "iris"), hint


def test_an_error_names_the_endpoint_that_the_command_was_given(here: Path, capsys: Printed) -> None:
    assert named_by("mljupyter endpoint rollout iris --abort") == "iris"
    assert named_by("mljupyter service get-keys -n iris") == "iris"
    assert named_by("mljupyter endpoint delete iris other") == "iris"
    assert named_by("mljupyter model show -n ridge") == ""


def named_by(line: str) -> str:
    """Return the endpoint that a command line is about; there is none of that name."""
    with contextlib.suppress(MLJupyterError):
        app(line.split()[1:], prog_name="mljupyter", standalone_mode=False)
    return named_endpoint()


def test_several_models_are_deleted_all_or_none(here: Path, capsys: Printed) -> None:
    for _ in range(3):
        run("az ml model register -n ridge -p model.txt")
    registry = Workspace.get("default").registry
    registry.models.add_reference("image ridge:1", ["ridge:2"])
    capsys.readouterr()
    app(["model", "delete", "-i", "ridge:1", "-i", "ridge:2", "--dry-run"], "mljupyter", standalone_mode=False)
    assert capsys.readouterr().out == (
        "ridge:1: would be deleted (dry run, nothing done)\n"
        "ridge:2: stays: in use by image ridge:1 (dry run, nothing done)\n"
    )
    run("az ml model delete -i ridge:1 -i ridge:2", expected=1)
    assert "ridge:2 is in use by image ridge:1: it cannot be deleted.\nNothing was deleted" in capsys.readouterr().err
    run("az ml model delete -i ridge:1 -i ridge:9", expected=1)
    assert [one.version for one in registry.models.list("ridge")] == [3, 2, 1]
    capsys.readouterr()
    run("az ml model delete -i ridge:1 -i ridge:3 -i ridge:1")
    deleted = [{"id": "ridge:1", "deleted": True}, {"id": "ridge:3", "deleted": True}]
    assert json.loads(capsys.readouterr().out) == deleted


def test_mapped_aks_targets_are_shown_created_attached_and_deleted(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setenv("MLJUPYTER_AKS", "local")
    run("az aks show -n gone -g myresourcegroup --query id -o tsv")
    resource_id = capsys.readouterr().out.strip()
    assert resource_id.endswith("/managedClusters/gone")
    run(f"az ml computetarget attach aks -n attached -i {resource_id} -g myresourcegroup -w default")
    run("az ml computetarget create aks -n created -a 3 -s Standard_D3_v2")
    capsys.readouterr()
    for name in ("attached", "created"):
        run(f"az ml computetarget show -n {name} --query [mappedTo,provisioningState] -o tsv")
        assert capsys.readouterr().out.split() == ["local", "Succeeded"]
    run("az ml computetarget delete -n created")
    run("az ml computetarget detach -n attached")
    run("az ml computetarget show -n attached", expected=1)
