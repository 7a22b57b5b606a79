"""Old command lines that deploy, on real endpoints of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.cli import az
from mljupyter.core import Workspace
from tests.cli.conftest import SCRIPT

pytestmark = pytest.mark.system
DATA = '{"data":[[1,2]]}'


class Shell:
    """Runs old command lines in one directory, and returns what they print."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory, self.capsys = directory, capsys

    def __call__(self, line: str, *more: str, expected: int = 0) -> str:
        self.capsys.readouterr()
        status = az.run([*line.split(), *more])
        printed = self.capsys.readouterr()
        assert status == expected, printed
        return printed.out if expected == 0 else printed.err

    def json(self, line: str, *more: str) -> Any:
        return json.loads(self(line, *more))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with model, script and configuration files, attached to a workspace."""
    directory = tmp_path_factory.mktemp("az")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(directory / "home"))
        patch.delenv("MLJUPYTER_WORKSPACE", raising=False)
        patch.chdir(directory)
        workspace = Workspace.create("myworkspace")
        workspace.write_config()
        (directory / "score.py").write_text(SCRIPT)
        (directory / "model.txt").write_text("1")
        (directory / "data.json").write_text(DATA)
        (directory / "inferenceconfig.json").write_text(json.dumps({"entryScript": "score.py"}))
        size = {"containerResourceRequirements": {"cpu": 0.1, "memoryInGB": 0.5}}
        aci = {"computeType": "ACI", "authEnabled": True, **size}
        endpoint = {"computeType": "AKSENDPOINT", "versionName": "versiona", "trafficPercentile": 20, "numReplicas": 1}
        (directory / "deploymentconfig.json").write_text(json.dumps(aci))
        (directory / "endpointconfig.json").write_text(json.dumps({**endpoint, **size}))
        yield directory
        workspace.delete(delete_dependent_resources=True)


@pytest.fixture
def shell(directory: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(directory, capsys)


def test_an_old_script_registers_deploys_calls_changes_and_deletes(shell: Shell) -> None:
    shell("az ml model register -n mymodel -p model.txt -t model.json")
    deploy = "az ml model deploy -n myservice -ic inferenceconfig.json -dc deploymentconfig.json"
    assert shell.json(f"{deploy} -f model.json --query [state,computeType,modelIds]") == [
        "Healthy",
        "ACI",
        ["mymodel:1"],
    ]
    assert "--overwrite to replace it" in shell(f"{deploy} -m mymodel:1", expected=1)
    shell(f"{deploy} -m mymodel:1 --overwrite --gb 0.6 --tag team=a")
    assert shell("az ml service show -n myservice --query containerResourceRequirements.memoryInGB -o tsv") == "0.6\n"
    assert shell.json("az ml service run -n myservice -d", DATA) == [3]
    assert shell.json("az ml service run -n myservice -d @data.json") == [3]
    primary = shell("az ml service get-keys -n myservice --query primaryKey -o tsv").strip()
    assert (
        shell.json("az ml service regen-key -n myservice -k Primary -s", "k" * 32)["primaryKey"] == "k" * 32 != primary
    )
    assert "ready to add" in shell("az ml service get-logs -n myservice")
    no_token = "az ml: ACI web services have key authentication only: mljupyter service get-keys -n NAME\n"
    assert shell("az ml service get-access-token -n myservice", expected=1) == no_token
    shell("az ml service update -n myservice -ae false --add-tag stage=test --remove-tag team -d changed")
    shown = shell.json("az ml service show -n myservice")
    assert (shown["authEnabled"], shown["tags"], shown["description"]) == (False, {"stage": "test"}, "changed")
    assert shell("az ml service list -c aci --tag stage --query [].name -o tsv") == "myservice\n"
    assert "not for a web service of kind ACI" in shell("az ml service update -n myservice --nr 2", expected=1)
    shell("az ml service delete -n myservice")
    assert "WebserviceNotFound" in shell("az ml service show -n myservice", expected=1)


def test_an_endpoint_gets_versions_shares_and_tokens(shell: Shell) -> None:
    shell("az ml model deploy -n myendpoint -ic inferenceconfig.json -dc endpointconfig.json --ae false")
    realtime = "az ml endpoint realtime"
    shell(f"{realtime} create-version -n myendpoint -vn versionb -tp 10 -es score.py -nr 1 --add-tag a=b")
    shell(f"{realtime} update-version -n myendpoint -vn versionb -tp 40 --is-default --cvt true")
    shown = shell.json(f"{realtime} show -n myendpoint")
    assert (shown["defaultVersion"], shown["controlVersion"]) == ("versionb", "versionb")
    assert shell.json(f"{realtime} list --query [].name") == ["myendpoint"]
    shell(f"{realtime} delete-version -n myendpoint -vn versiona")
    shell(f"{realtime} update -n myendpoint --token-auth-enabled --add-tag c=d")
    token = shell.json("az ml service get-access-token -n myendpoint")
    assert set(token) == {"accessToken", "tokenType", "refreshAfter", "expiryOn"}
    assert shell.json(f"{realtime} run -n myendpoint -d", DATA) == [3]
    assert "is the only" in shell(f"{realtime} delete-version -n myendpoint -vn versionb", expected=1)
    shell(f"{realtime} delete -n myendpoint")


def test_a_local_web_service_is_deployed_by_its_port(shell: Shell) -> None:
    document = shell.json("az ml model deploy -n mylocal -es score.py --cp LOCAL")
    assert (document["state"], document["computeType"]) == ("running", "LOCAL")
    assert shell.json("az ml service run -n mylocal -d", DATA) == [3]
    assert "ready to add" in shell("az ml service get-logs -n mylocal")
    for command in ("get-keys", "get-access-token"):
        told = shell(f"az ml service {command} -n mylocal", expected=1)
        assert told.startswith("az ml: Local web services have no keys or tokens"), told
    shell("az ml service delete -n mylocal")
