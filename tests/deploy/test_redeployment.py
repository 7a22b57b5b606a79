"""%deploy of an endpoint that exists: it keeps what the line does not name, and opens only in words."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from sklearn.linear_model import Ridge

from mljupyter.build.environments.definition import EnvironmentDefinition
from mljupyter.build.environments.requirements import wanted
from mljupyter.build.images.events import BuildEvent
from mljupyter.core import AciWebservice, AksEndpoint, AksWebservice, InferenceConfig, Model, Workspace
from mljupyter.core.environment_build import LocalBuildDetails
from mljupyter.deploy.access import with_access_of
from mljupyter.deploy.environments import ServingEnvironment, ensure_with_events, policy_of
from mljupyter.engine.endpoints.origin import content_of
from mljupyter.engine.scaling.capacity import Capacity
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException
from mljupyter.magics.catalog import DEPLOY
from mljupyter.magics.parsing import parse, split
from mljupyter.notebook import endpoint_commands
from mljupyter.notebook.deployment import deployment_of
from mljupyter.notebook.endpoint_commands import roll_back
from mljupyter.notebook.plan import Plan
from mljupyter.notebook.session import Session
from mljupyter.runtimes import host
from mljupyter.spec import Authentication, EndpointSpec, EndpointTls, SpecError
from tests.build.package_index import PackageIndex
from tests.deploy.conftest import write_script

Deploy = Callable[..., Plan]


@pytest.fixture
def deploy(workspace: Workspace) -> Deploy:
    """Return a function that deploys a line to the target in memory, or only plans it, and returns the plan."""
    write_script("first")
    session = Session(None)
    session.use(workspace, refresh=False)

    def make(line: str, *, only_plan: bool = False) -> Plan:
        values = parse(DEPLOY, split(f"sums --score score.py {line}"))
        assert values is not None
        deployment = deployment_of(session, {}, values)
        plan = deployment.plan()
        if not only_plan:
            deployment.deploy(plan)
        return plan

    return make


def test_an_endpoint_keeps_what_a_later_line_does_not_name(deploy: Deploy) -> None:
    deploy(
        "--to fake --replicas 2 --cpu 0.5 --max-queue-wait-ms 900 --auth token --preload --env A=1 "
        "--node-selector disk=fast"
    )
    plan = deploy("", only_plan=True)
    assert plan.action == "unchanged", plan.summary()
    plan = deploy("--memory 2 --env B=2", only_plan=True)
    assert plan.change_lines() == [
        "versions.sums.environmentVariables.B: none → ***",
        "versions.sums.resources.memoryInGB: 0.5 → 2.0",
    ]
    assert plan.wanted.versions["sums"].environment_variables == {"A": "1", "B": "2"}


def test_a_setting_returns_to_its_default_when_it_is_reset(deploy: Deploy) -> None:
    deploy("--to fake --replicas 2 --cpu 0.5 --env A=1 --batching")
    plan = deploy("--reset replicas --reset batching --reset env --env C=3", only_plan=True)
    version = plan.wanted.versions["sums"]
    assert version.scaling.autoscale is not None and version.scaling.autoscale.max_replicas == 10
    assert (version.batching, version.environment_variables, version.resources.cpu) == (None, {"C": "3"}, 0.5)
    fresh = deploy("--reset all", only_plan=True).wanted.versions["sums"]
    assert (fresh.resources.cpu, fresh.scaling.replicas, fresh.batching) == (0.1, None, None)


def test_a_change_of_kind_keeps_authentication_and_size_and_takes_the_scaling_of_the_kind(deploy: Deploy) -> None:
    deploy("--to fake --cpu 0.5 --replicas 3")
    wanted = deploy("--kind aci", only_plan=True).wanted
    assert (wanted.kind, wanted.authentication) == ("ACI", "key")
    version = wanted.versions["sums"]
    assert (version.resources.cpu, version.scaling.replicas, version.limits.max_queue_wait_ms) == (0.5, 1, 60_000)
    deploy("--kind aci")
    assert deploy("", only_plan=True).wanted.kind == "ACI"


def test_an_endpoint_is_opened_only_in_words_and_with_a_warning(deploy: Deploy, workspace: Workspace) -> None:
    deploy("--to fake --auth key")
    with pytest.raises(MLJupyterError, match=r"--kind local has no authentication(.|\n)*add --auth none"):
        deploy("--kind local", only_plan=True)
    deploy("--kind aci")
    with pytest.raises(MLJupyterError, match="the default of --kind aci is none"):
        deploy("--reset auth", only_plan=True)
    for line in ("--auth none", "--kind local --auth none"):
        plan = deploy(line, only_plan=True)
        assert plan.wanted.authentication is Authentication.NONE
        assert "Warning: Authentication of 'sums' is turned off" in plan.summary()
    assert deploy("--auth key", only_plan=True).warnings == []


def test_options_of_the_content_are_recorded_and_kept(deploy: Deploy, workspace: Workspace) -> None:
    deploy("--to fake --environment current")
    recorded = deploy("", only_plan=True).wanted.versions["sums"].properties
    assert recorded == {"mljupyter.environment": "current"}
    assert deploy("--reset environment", only_plan=True).wanted.versions["sums"].properties == {}


def test_a_version_keeps_its_settings_too(deploy: Deploy) -> None:
    deploy("--to fake --version v1 --cpu 0.5 --env A=1")
    deploy("--version v2 --replicas 2")
    assert deploy("--version v1", only_plan=True).action == "unchanged"
    plan = deploy("--version v1 --reset cpu --reset env", only_plan=True)
    assert [line.split(":")[0] for line in plan.change_lines()] == [
        "versions.v1.environmentVariables.A",
        "versions.v1.resources.cpu",
    ]


def test_a_specification_without_authentication_keeps_it_and_tls() -> None:
    document = {"name": "sums", "defaultVersion": "sums", "versions": {"sums": {"image": "example.org/sums:1"}}}
    present = EndpointSpec.parse(
        {**document, "authentication": "key", "tls": EndpointTls(host="sums.example.org", secret="mlj-tls-sums")}
    )
    kept = with_access_of(present, EndpointSpec.parse(document))
    assert (kept.authentication, kept.tls) == (present.authentication, present.tls)
    opened = with_access_of(present, EndpointSpec.parse({**document, "authentication": "none", "tls": None}))
    assert (opened.authentication, opened.tls) == (Authentication.NONE, None)
    with pytest.raises(SpecError, match="a local web service has no authentication"):
        with_access_of(present, EndpointSpec.parse({**document, "kind": "LOCAL"}))


def test_the_sdk_warns_when_an_endpoint_is_opened(
    workspace: Workspace, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    write_script("first")
    config, target = InferenceConfig("score.py"), workspace.compute_targets["fake"]
    service = Model.deploy(workspace, "sums", [model], config, AksWebservice.deploy_configuration(), target)
    assert "Warning" not in capsys.readouterr().out
    service.update(auth_enabled=False)
    assert "Warning: Authentication of 'sums' is turned off" in capsys.readouterr().out
    service.update(auth_enabled=True)
    aci = AciWebservice.deploy_configuration()
    Model.deploy(workspace, "sums", [model], config, aci, target, overwrite=True)
    assert "Warning: Authentication of 'sums' is turned off" in capsys.readouterr().out


def test_the_python_of_a_kept_setting_names_it(deploy: Deploy, workspace: Workspace) -> None:
    deploy("--to fake --autoscale 1:3 --cpu 0.5")
    session = Session(None)
    session.use(workspace, refresh=False)
    values = parse(DEPLOY, split("sums --score score.py --memory 1"))
    assert values is not None
    code = deployment_of(session, {}, values).code()
    for part in ("cpu_cores=0.5", "autoscale_enabled=True", "autoscale_max_replicas=3", "memory_gb=1.0"):
        assert part in code


def test_a_rollback_over_a_change_of_kind_reports_no_error(deploy: Deploy, workspace: Workspace) -> None:
    deploy("--to fake")
    deploy("--kind aci")
    service = workspace.webservices["sums"]
    assert isinstance(service, AciWebservice)
    service.rollback()
    assert (type(service), service.compute_type) == (AksWebservice, "AKS")
    service.wait_for_deployment()
    deploy("--kind aci")
    entry, lines = roll_back(workspace, "sums", None)
    assert entry.spec.kind == "AKS" and lines[0].startswith("sums: ")


def test_the_names_of_azureml_keep_the_rule_of_azure_for_versions(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "azureml.core", raising=False)
    assert AksEndpoint.deploy_configuration(version_name="v").version_name == "v"
    monkeypatch.setitem(sys.modules, "azureml.core", ModuleType("azureml.core"))
    with pytest.raises(WebserviceException, match="Invalid endpoint version name 'v1'. Use 3 to 32"):
        AksEndpoint.deploy_configuration(version_name="v1")
    deploy("--to fake --version v1")  # our own API
    assert list(deploy("--version v2", only_plan=True).wanted.versions) == ["v1", "v2"]


def test_a_change_that_the_router_does_not_follow_yet_is_no_error(
    deploy: Deploy, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy("--to fake")
    monkeypatch.setattr(endpoint_commands, "in_force", lambda record: False)
    monkeypatch.setattr(endpoint_commands, "_IN_FORCE_WITHIN", 0.0)
    assert endpoint_commands.scale(workspace, "sums", replicas=2).spec.versions["sums"].scaling.replicas == 2
    assert "the change is stored" in capsys.readouterr().out


def test_a_deployment_says_what_it_replaces_unless_this_kernel_deployed_it(deploy: Deploy) -> None:
    first = deploy("--to fake").wanted
    write_script("second")
    plan = deploy("--replicas 2", only_plan=True)
    said = plan.replaced("sums")
    assert re.fullmatch(
        r"replaces score\.py, deployed by \S+ at [-0-9]{10} [:0-9]{8} UTC \(entry 1 of %mlj history sums\)", said
    ), said
    assert plan.replaced("sums", content_of(first, "sums")) == ""
    assert "versions.sums.code.digest: changed" in plan.told_lines()
    assert "versions.sums.scaling.replicas: none → 2" in plan.told_lines()


def test_a_plan_says_which_versions_and_replicas_it_replaces(deploy: Deploy) -> None:
    first = deploy("--to fake --replicas 2")
    assert (first.standing(), first.summary().count("replaces")) == ("", 0), "it is new"
    assert deploy("--replicas 1", only_plan=True).standing() == "", "the content stays"
    write_script("second")
    plan = deploy("", only_plan=True)
    assert plan.summary().splitlines()[:2] == [
        "sums → fake: update (dry run, nothing done)",
        "  replaces sums (2 replicas)",
    ]


def test_a_plan_names_the_version_that_it_replaces(deploy: Deploy) -> None:
    deploy("--to fake --version v1 --replicas 1")
    assert deploy("--version v2", only_plan=True).standing() == "", "it is added"
    deploy("--version v2")
    write_script("second")
    assert deploy("--version v1", only_plan=True).standing() == "replaces sums (version v1, 1 replica)"


def test_whole_versions_are_told_in_one_line(deploy: Deploy) -> None:
    deploy("--to fake --version v1")
    assert deploy("--version v2", only_plan=True).told_lines() == ["versions.v2: added"]


def test_an_environment_gets_the_packages_that_the_generated_script_needs(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("requirements.txt").write_text("pandas==2.2.3\n")
    session = Session(None)
    session.use(workspace, refresh=False)
    rows = [[0.0], [1.0]]
    namespace = {"ridge": Ridge().fit(rows, [0.0, 1.0]), "rows": rows}
    line = "sums ridge --sample rows --to fake --environment requirements.txt --pins exact"
    values = parse(DEPLOY, split(line))
    assert values is not None
    deployment = deployment_of(session, namespace, values)
    environment = deployment.preparation.environment
    assert environment is not None
    listed = [package.line for package in wanted(environment.definition()).packages]
    assert listed == [
        "pandas==2.2.3",
        "inference-schema",
        "joblib",
        "numpy",
        f"scikit-learn=={metadata.version('scikit-learn')}",
    ]
    assert environment.python.pins == "exact"
    assert "since the generated script needs them: inference-schema, joblib, numpy, scikit-learn==" in (
        capsys.readouterr().out
    )
    assert "add_pip_package('joblib')" in deployment.code()


@pytest.mark.parametrize(
    ("lines", "policy"),
    [(["scikit-learn==0.22.1"], "exact"), (["scikit-learn==0.22.1", "azureml-defaults"], "compatible")],
)
def test_pins_are_relaxed_only_in_environments_of_azure(lines: list[str], policy: str) -> None:
    conda = {"dependencies": [{"pip": lines}]}
    assert policy_of(EnvironmentDefinition.parse({"python": {"condaDependencies": conda}})) == policy
    asked = EnvironmentDefinition.parse({"python": {"condaDependencies": conda, "pins": "strict"}})
    assert policy_of(asked) == "strict"


def test_a_changed_pin_is_a_warning_also_where_the_log_is_not_shown_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path))
    with PackageIndex() as index:
        index.add("tiny", "1.0")

        def old(pin: str) -> ServingEnvironment:
            conda = {"dependencies": [{"pip": [pin, index.option]}]}
            document = {"name": "old", "python": {"condaDependencies": conda, "pins": "compatible"}}
            return ServingEnvironment(EnvironmentDefinition.parse(document))

        for warnings in (["Warning: environment 'old': tiny==0.3 -> tiny>=0.3: not there for Python"], []):
            events: list[BuildEvent] = []
            ensure_with_events(old("tiny==0.3"), events.append, None)
            assert [event.text.rpartition(" ")[0] for event in events if event.warning] == warnings
        LocalBuildDetails(old("tiny==0.2")).wait_for_completion(show_output=False)
        assert capsys.readouterr().out.startswith("Warning: environment 'old': tiny==0.2 -> tiny>=0.2: ")


def test_a_deployment_that_did_not_come_about_leaves_no_model(workspace: Workspace) -> None:
    session = Session(None)
    session.use(workspace, refresh=False)
    rows = [[0.0], [1.0]]
    namespace = {"ridge": Ridge().fit(rows, [0.0, 1.0]), "rows": rows}
    values = parse(DEPLOY, split("sums ridge --sample rows --to fake"))
    assert values is not None
    deployment = deployment_of(session, namespace, values)
    plan = deployment.plan()
    leftovers = deployment.leftovers(plan)
    deployment.register(plan)
    (model,) = Model.list(workspace)
    assert deployment.discard(leftovers) == f"Deleted: model {model.id}."
    assert Model.list(workspace) == []
    again = deployment_of(session, namespace, values)
    plan = again.plan()
    leftovers = again.leftovers(plan)
    again.deploy(plan)  # now the endpoint uses it
    (used,) = leftovers.models
    assert again.discard(leftovers) == f"To delete its model too: %undeploy sums, then %models delete {used}"
    assert again.leftovers(again.plan()).models == (), "a model that exists is nobody's leftover"


def test_more_replicas_than_the_machine_has_room_for_are_warned_of(
    deploy: Deploy, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy("--to fake")
    monkeypatch.setattr(host, "capacity", lambda: Capacity(cpu=2, memory_in_gb=8))
    monkeypatch.setattr(type(workspace.context.target("fake")), "shares_router", True)
    endpoint_commands.scale(workspace, "sums", replicas=2)
    assert capsys.readouterr().out == ""
    endpoint_commands.scale(workspace, "sums", replicas=1000)
    assert capsys.readouterr().out.startswith(
        "Warning: 1000 replicas request 100 cores and 500 GB; the machine has 2 cores and 8.0 GB: at most 16 can run."
    )
