"""The SDK's endpoints with a real controller, router and replicas: the controlled rollout of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.core import AksEndpoint, AksWebservice, InferenceConfig, Model, Webservice, Workspace
from mljupyter.core.exceptions import WebserviceException
from tests.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    workspace = Workspace.create("live")
    yield workspace
    workspace.delete(delete_dependent_resources=True)


def script(directory: Path, answer: str) -> InferenceConfig:
    path = directory / f"{answer}.py"
    path.write_text(f"def init(): print('this is {answer}')\ndef run(data): return {answer!r}")
    return InferenceConfig(str(path))


def test_a_controlled_rollout_from_the_first_version_to_the_second(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.pkl").touch()
    model = Model.register(workspace, str(tmp_path / "model.pkl"), "ridge")
    configuration = AksEndpoint.deploy_configuration(
        cpu_cores=0.1, memory_gb=0.2, version_name="versiona", traffic_percentile=20, description="d", tags={"a": "b"}
    )
    endpoint = Model.deploy(workspace, "mynewendpoint", [model], script(tmp_path, "old"), configuration)
    assert isinstance(endpoint, AksEndpoint)
    endpoint.wait_for_deployment(True)
    assert "Succeeded: AKSENDPOINT service 'mynewendpoint' is Healthy" in capsys.readouterr().out
    assert endpoint.run("{}") == "old"
    first = endpoint.versions["versiona"]
    assert (first.is_default, first.version_type, first.traffic_percentile, first.weight) == (True, "Control", 20, 100)

    endpoint.create_version(
        "versionb", models=[], inference_config=script(tmp_path, "new"), traffic_percentile=10, tags={"new": "yes"}
    )
    endpoint.wait_for_deployment()
    second = endpoint.versions["versionb"]
    assert (second.is_default, second.version_type, second.weight, second.state) == (False, "Treatment", 10, "Healthy")
    assert (second.tags, endpoint.tags) == ({"new": "yes"}, {"a": "b"})
    assert [item.id for item in endpoint.versions["versiona"].models] == [model.id]
    assert second.models == []
    assert second.run("{}") == "new"
    assert "this is new" in second.get_logs()
    assert "this is old" not in second.get_logs()

    endpoint.update_version("versionb", traffic_percentile=40, is_default=True, is_control_version_type=True)
    endpoint.wait_for_deployment()
    assert {name: item.weight for name, item in endpoint.versions.items()} == {"versiona": 20, "versionb": 80}
    assert {name: item.version_type for name, item in endpoint.versions.items()} == {
        "versiona": "Treatment",
        "versionb": "Control",
    }
    with pytest.raises(WebserviceException, match="the default version"):
        endpoint.delete_version("versionb")
    with pytest.raises(WebserviceException, match="in use"):
        model.delete()
    endpoint.versions["versiona"].delete()
    endpoint.wait_for_deployment()
    assert endpoint.run("{}") == "new"
    model.delete()


def test_an_endpoint_is_found_by_name_and_by_kind_and_changed_as_a_whole(workspace: Workspace, tmp_path: Path) -> None:
    inference = script(tmp_path, "one")
    Model.deploy(workspace, "shared", [], inference, AksEndpoint.deploy_configuration(num_replicas=1))
    Model.deploy(workspace, "plain", [], inference, AksWebservice.deploy_configuration(num_replicas=1))
    found = Webservice(workspace, "shared")
    assert isinstance(found, AksEndpoint)
    assert [item.name for item in Webservice.list(workspace, compute_type="AKSENDPOINT")] == ["shared"]
    assert [item.name for item in Webservice.list(workspace, compute_type="AKS")] == ["plain"]
    with pytest.raises(WebserviceException, match="use Webservice"):
        AksEndpoint(workspace, "plain")
    with pytest.raises(WebserviceException, match="give what is to change"):
        found.update_version("shared")
    found.update(auth_enabled=False, description="open", tags={"x": "y"}, properties={"p": "q"})
    assert (found.auth_enabled, found.description, found.tags["x"]) == (False, "open", "y")
    found.set_traffic({"shared": 100}, sticky_header="x-user")
    document = found.serialize()
    assert document["stickyHeader"] == "x-user"
    assert document["versions"]["shared"]["isDefault"] is True
    found.delete()
    with pytest.raises(WebserviceException, match="WebserviceNotFound"):
        AksEndpoint(workspace, "shared")


def test_two_who_change_an_endpoint_at_once_both_succeed(workspace: Workspace, tmp_path: Path) -> None:
    configuration = AksEndpoint.deploy_configuration(num_replicas=1)
    mine = Model.deploy(workspace, "shared", [], script(tmp_path, "one"), configuration)
    theirs = Webservice(workspace, "shared")
    mine.add_tags({"mine": "1"})
    changes = iter([{"theirs": "1"}])

    def change(spec: object) -> object:
        for tags in changes:
            theirs.add_tags(tags)  # between the moment mine was read and the moment it is handed over
        return spec.model_copy(update={"description": "changed"})  # type: ignore[attr-defined]

    mine._replace(change)  # type: ignore[arg-type]
    assert (mine.tags, mine.description) == ({"mine": "1", "theirs": "1"}, "changed")


def test_metrics_are_frames_and_plots_of_what_the_endpoint_did(workspace: Workspace, tmp_path: Path) -> None:
    configuration = AksEndpoint.deploy_configuration(version_name="one", num_replicas=1)
    endpoint = Model.deploy(workspace, "measured", [], script(tmp_path, "one"), configuration)
    endpoint.wait_for_deployment()
    for _ in range(5):
        endpoint.run("{}")
    wait_until(lambda: endpoint.metrics("10m")["requests"].sum() == 5, 15, "all requests are counted")
    metrics = endpoint.metrics(since="10m", every="1m")
    assert set(metrics["version"]) == {"one"}
    assert metrics["requests"].sum() == 5
    assert metrics["latency_p99_ms"].max() < 5000
    assert set(endpoint.metrics("10m", by="replica").columns) == {
        "time",
        "version",
        "replica",
        "cpu_cores",
        "memory_mb",
    }
    assert "version" not in endpoint.metrics("10m", by="endpoint")
    figure = endpoint.plot("traffic", since="10m")
    assert figure.layout.title.text.startswith("Traffic of measured")
    for wrong, rule in (
        ({"by": "day"}, "'version', 'endpoint' or 'replica'"),
        ({"since": "soon"}, "'30s', '15m'"),
        ({"every": "90s"}, "whole minutes"),
    ):
        with pytest.raises(WebserviceException, match=rule):
            endpoint.metrics(**wrong)
    endpoint.delete()
    with pytest.raises(WebserviceException, match="WebserviceNotFound"):
        endpoint.metrics()
