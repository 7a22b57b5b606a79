"""What is refused before anything is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.core import deployment
from mljupyter.core.inference import InferenceConfig
from mljupyter.core.model import Model
from mljupyter.core.webservice import AciWebservice, AksWebservice, LocalWebservice
from mljupyter.core.webservice.configuration import WebserviceDeploymentConfiguration
from mljupyter.core.workspace import Workspace
from mljupyter.deploy.prepare import model_references
from mljupyter.exceptions import AzureMLException, WebserviceException
from mljupyter.spec import EndpointKind


@pytest.fixture
def inference(script: Path) -> InferenceConfig:
    return InferenceConfig("score.py")


@pytest.fixture
def nothing_started(workspace: Workspace) -> Iterator[None]:
    yield
    assert workspace.controller.running() is None


@pytest.mark.usefixtures("nothing_started")
class TestRefused:
    def test_a_name_against_the_rule(self, workspace: Workspace, inference: InferenceConfig) -> None:
        with pytest.raises(WebserviceException, match="Invalid web service name 'My_Service'"):
            Model.deploy(workspace, "My_Service", [], inference)

    @pytest.mark.parametrize("framework", [None, "Custom", "PyTorch", "TfKeras"])
    def test_no_scoring_script_for_an_unknown_framework(self, workspace: Workspace, framework: str | None) -> None:
        Path("model.bin").touch()
        model = Model.register(workspace, "model.bin", "net", model_framework=framework)
        with pytest.raises(WebserviceException, match=f"net:1 has the framework '{framework or 'Custom'}'(.|\n)*Onnx"):
            Model.deploy(workspace, "diabetes", [model])

    @pytest.mark.parametrize("count", [0, 2])
    def test_deploying_without_a_scoring_script_needs_exactly_one_model(self, workspace: Workspace, count: int) -> None:
        Path("model.pkl").touch()
        models = [
            Model.register(workspace, "model.pkl", f"ridge-{number}", model_framework="ScikitLearn")
            for number in range(count)
        ]
        with pytest.raises(WebserviceException, match="exactly one model is served"):
            Model.deploy(workspace, "diabetes", models)

    @pytest.mark.parametrize("target", ["myaks", object()])
    def test_another_target(self, workspace: Workspace, inference: InferenceConfig, target: object) -> None:
        with pytest.raises(AzureMLException, match=r"ComputeTargetNotFound.*'myaks'|must be a compute target"):
            Model.deploy(workspace, "diabetes", [], inference, None, target)  # type: ignore[arg-type]

    def test_a_configuration_of_another_kind(self, workspace: Workspace, inference: InferenceConfig) -> None:
        with pytest.raises(WebserviceException, match="must come from deploy_configuration"):
            Model.deploy(workspace, "diabetes", [], inference, {"cpu_cores": 1})  # type: ignore[arg-type]

    def test_a_configuration_changed_against_the_rules(self, workspace: Workspace, inference: InferenceConfig) -> None:
        configuration = AciWebservice.deploy_configuration()
        configuration.cpu_cores = -1
        with pytest.raises(WebserviceException, match="cpu_cores is -1"):
            Model.deploy(workspace, "diabetes", [], inference, configuration)

    def test_a_model_that_is_not_registered(self, workspace: Workspace, inference: InferenceConfig) -> None:
        with pytest.raises(WebserviceException, match="ModelNotFound"):
            Model.deploy(workspace, "diabetes", ["ridge:1"], inference)

    def test_a_script_that_was_broken_meanwhile(
        self, workspace: Workspace, inference: InferenceConfig, script: Path
    ) -> None:
        script.write_text("def run(")
        with pytest.raises(WebserviceException, match=r"score\.py, line 1"):
            Model.deploy(workspace, "diabetes", [], inference)

    def test_a_path_as_model_of_a_service_that_is_not_local(
        self, workspace: Workspace, inference: InferenceConfig, project: Path
    ) -> None:
        (project / "model.pkl").touch()
        with pytest.raises(WebserviceException, match=r"Model\.register"):
            Model.deploy(workspace, "diabetes", ["model.pkl"], inference)


def test_models_are_given_in_any_way(workspace: Workspace, project: Path) -> None:
    (project / "model.pkl").touch()
    (project / "a-file-with-a-name-of-more-than-thirty-letters.bin").touch()
    first = Model.register(workspace, "model.pkl", "ridge")
    Model.register(workspace, "model.pkl", "ridge")
    given = [first, "ridge:2", "model.pkl", "a-file-with-a-name-of-more-than-thirty-letters.bin"]
    references = model_references(workspace.context, deployment.model_arguments(given), paths=True)
    assert [reference.id for reference in references] == [
        "ridge:1",
        "ridge:2",
        "model.pkl:0",
        "a-file-with-a-name-of-more-tha:0",
    ]
    assert references[2].entry == "model.pkl"
    assert model_references(workspace.context, ["ridge"], paths=True)[0].id == "ridge:2"
    with pytest.raises(WebserviceException, match="ridge:1 is given twice"):
        model_references(workspace.context, deployment.model_arguments([first, "ridge:1"]), paths=True)


def test_a_source_directory_keeps_its_name_and_its_tree(workspace: Workspace, project: Path, script: Path) -> None:
    source = project / "my source"
    (source / "inner").mkdir(parents=True)
    script.rename(source / "inner" / "score.py")
    config = InferenceConfig("inner/score.py", source_directory="my source")
    target = workspace.context.target("local")
    content = deployment.prepare_version(
        workspace, [], config, kind=EndpointKind.AKS, service="diabetes", target=target
    ).content
    assert content.code.entry_script == "my source/inner/score.py"
    assert content.code.source_directory == "my source"
    assert content.source == str(source)
    fetched = workspace.artifacts.fetch(content.code.digest, project / "fetched")
    assert (fetched / "inner" / "score.py").is_file()


@pytest.mark.parametrize(
    ("configuration", "line"),
    [
        (
            AciWebservice.deploy_configuration(
                location="westeurope", dns_name_label="x", vnet_name="v", subnet_name="s", cpu_cores=1
            ),
            "Without effect on target 'local': location, dns_name_label, vnet_name, subnet_name\n",
        ),
        (
            AksWebservice.deploy_configuration(namespace="team", enable_app_insights=True, collect_model_data=False),
            "Without effect on target 'local': namespace\n",
        ),
        (
            AksWebservice.deploy_configuration(
                gpu_cores=1,
                gpu_resource="amd.com/gpu",
                node_selector={"disk": "fast"},
                tolerations=["gpu"],
                model_delivery="mount",
            ),
            "Without effect on target 'local': gpu_cores, gpu_resource, node_selector, tolerations, model_delivery\n",
        ),
        (LocalWebservice.deploy_configuration(6789), ""),
    ],
)
def test_arguments_without_effect_are_told_in_one_line(
    workspace: Workspace,
    capsys: pytest.CaptureFixture[str],
    configuration: WebserviceDeploymentConfiguration,
    line: str,
) -> None:
    deployment.print_without_effect(configuration, workspace.context.target("local"))
    assert capsys.readouterr().out == line
