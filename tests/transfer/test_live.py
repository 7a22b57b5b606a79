"""Export, import, backup and restore with endpoints that serve: on `local`, with one controller for each workspace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.core import AciWebservice, InferenceConfig, LocalWebservice, Model, Webservice, Workspace
from tests.cli.in_process import run

pytestmark = pytest.mark.system

SCRIPT = """
import os

def init():
    global text
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "word.txt")) as file:
        text = file.read()

def run(data):
    return [text, os.environ.get("GREETING"), data]
"""


class Served:
    """A workspace with two web services of one model: `keyed` with keys and a variable, `plain` on its own port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = folder / "code"
        self.code.mkdir()
        (self.code / "score.py").write_text(SCRIPT)
        self.workspace = Workspace.create("source")
        model = self.register("first")
        config = InferenceConfig("score.py", source_directory=str(self.code))
        keyed = AciWebservice.deploy_configuration(cpu_cores=0.1, memory_gb=0.1, auth_enabled=True)
        plain = LocalWebservice.deploy_configuration()
        Model.deploy(self.workspace, "keyed", [model], config, keyed)
        Model.deploy(self.workspace, "plain", [model], config, plain)
        for name in ("keyed", "plain"):
            self.service(name).wait_for_deployment()

    def register(self, word: str) -> Model:
        (self.folder / "word.txt").write_text(word)
        return Model.register(self.workspace, str(self.folder / "word.txt"), "word")

    def service(self, name: str, workspace: Workspace | None = None) -> Webservice:
        return Webservice(workspace or self.workspace, name)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("served")
        patch.setenv("MLJUPYTER_HOME", str(folder / "home"))
        served = Served(folder)
        yield served
        for name in ("target", "source", "copy"):
            if name in Workspace.list():
                Workspace.get(name).delete(delete_dependent_resources=True)


def test_imported_endpoints_serve_with_the_keys_of_the_archive(served: Served, tmp_path: Path) -> None:
    served.workspace.export_archive(tmp_path / "team.zip", passphrase="correct horse")
    target = Workspace.create("target")
    done = target.import_archive(tmp_path / "team.zip", deploy=True, passphrase="correct horse")
    assert (sorted(done.endpoints), done.other_ports) == (["keyed", "plain"], ["plain"])
    for name in ("keyed", "plain"):
        service = served.service(name, target)
        service.wait_for_deployment()
        assert service.run("1") == ["first", None, "1"]
        assert service.scoring_uri != served.service(name).scoring_uri, "the source still serves"
        assert served.service(name).run("2") == ["first", None, "2"]
    assert served.service("keyed", target).get_keys() == served.service("keyed").get_keys()
    again = run("workspace", "import", str(tmp_path / "team.zip"), "--deploy", "--workspace", "target").stdout
    assert "endpoints not deployed: keyed, plain" in again
    assert "models there already: word:1" in again
    target.delete(delete_dependent_resources=True)


def test_a_replaced_workspace_serves_as_at_its_backup(served: Served, tmp_path: Path) -> None:
    uris = {name: served.service(name).scoring_uri for name in ("keyed", "plain")}
    keys = served.service("keyed").get_keys()
    backup = served.workspace.backup(tmp_path / "backup.zip").path
    model = served.register("second")
    config = InferenceConfig("score.py", source_directory=str(served.code))
    service = served.service("plain")
    service.update(models=[model], inference_config=config)
    assert service.run("1") == ["second", None, "1"]
    served.service("keyed").delete()

    said = run("workspace", "restore", str(backup), "--replace").stdout
    assert "Restored workspace 'source'" in said
    served.workspace = Workspace.get("source")
    assert [model.id for model in Model.list(served.workspace)] == ["word:1"]
    for name in ("keyed", "plain"):
        service = served.service(name)
        service.wait_for_deployment()
        assert service.run("3") == ["first", None, "3"]
        assert service.scoring_uri == uris[name]
    assert served.service("keyed").get_keys() == keys


def test_a_copy_beside_the_workspace_serves_without_taking_its_ports(served: Served, tmp_path: Path) -> None:
    backup = served.workspace.backup(tmp_path / "backup.zip").path
    copy = Workspace.restore(backup, name="copy")
    keyed = served.service("keyed", copy)
    keyed.wait_for_deployment()
    assert keyed.run("4") == ["first", None, "4"]
    plain = served.service("plain", copy)
    plain.wait_for_deployment()
    assert plain.scoring_uri != served.service("plain").scoring_uri, "requests would be divided between both"
    assert plain.run("4") == ["first", None, "4"]
    for name in ("keyed", "plain"):
        assert served.service(name).run("5") == ["first", None, "5"]
    copy.delete(delete_dependent_resources=True)
