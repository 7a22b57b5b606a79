"""The SDK's endpoints with a real controller, router and replicas: the controlled rollout of the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.core import AksEndpoint, AksWebservice, InferenceConfig, Model, Webservice, Workspace
from mljupyter.exceptions import WebserviceException
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system


@pytest.fixture
def workspace(shared_workspace: Workspace) -> Workspace:
    return shared_workspace


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
    with pytest.raises(WebserviceException, match="Use Webservice"):
        AksEndpoint(workspace, "plain")
    with pytest.raises(WebserviceException, match="give the settings to change"):
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
    wait_until(lambda: endpoint.metrics("10m")["requests"].sum() == 5, "all requests are counted")
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
        "gpu_percent",
        "gpu_memory_mb",
    }
    assert "version" not in endpoint.metrics("10m", by="endpoint")
    figure = endpoint.plot("traffic", since="10m")
    assert figure.layout.title.text.startswith("Traffic of measured")
    for wrong, rule in (
        ({"by": "day"}, "'version', 'endpoint' or 'replica'"),
        ({"since": "soon"}, "since is 'soon': it must be a duration above 0, such as 30s"),
        ({"every": "90s"}, "whole minutes"),
    ):
        with pytest.raises(WebserviceException, match=rule):
            endpoint.metrics(**wrong)
    endpoint.delete()
    with pytest.raises(WebserviceException, match="WebserviceNotFound"):
        endpoint.metrics()


def test_a_guarded_rollout_its_history_and_the_way_back(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.pkl").touch()
    model = Model.register(workspace, str(tmp_path / "model.pkl"), "ridge")
    configuration = AksEndpoint.deploy_configuration(version_name="old", num_replicas=1)
    endpoint = Model.deploy(workspace, "shared", [model], script(tmp_path, "old"), configuration)
    endpoint.wait_for_deployment()
    assert endpoint.rollout_status() is None
    with pytest.raises(WebserviceException, match="has no version 'new'"):
        endpoint.rollout("new")
    endpoint.create_version("new", models=[], inference_config=script(tmp_path, "new"))
    endpoint.wait_for_deployment()
    with pytest.raises(WebserviceException, match="'fast', which is not a condition"):
        endpoint.rollout("new", guard="fast")
    with pytest.raises(WebserviceException, match="every is 'soon': it must be a duration"):
        endpoint.rollout("new", every="soon")

    begun = endpoint.rollout("new", steps=[50, 100], every=2, promote=True)
    assert (begun.share, begun.active) == (50, True)
    capsys.readouterr()
    done = endpoint.wait_for_rollout(show_output=True, timeout_sec=HANG_SECONDS)
    assert done is not None
    assert done.phase == "Completed"
    assert capsys.readouterr().out.splitlines()[-2:] == ["new: 100 %", "new: Completed at 100 %"]
    assert endpoint.run("{}") == "new"
    assert endpoint.versions["new"].is_default
    assert endpoint.serialize()["rollout"]["phase"] == "Completed"

    endpoint.rollback()
    endpoint.wait_for_deployment()
    assert endpoint.run("{}") == "old"
    endpoint.rollback(1)  # only the first version
    endpoint.wait_for_deployment()
    assert list(endpoint.versions) == ["old"]
    actions = ["created", "updated", "rolled out new to 100 %", "rolled back to 2", "rolled back to 1"]
    assert [entry.action for entry in endpoint.history()] == actions
    endpoint.promote("old")  # has it all already
    assert len(endpoint.history()) == len(actions)

    endpoint.create_version("third", models=[], inference_config=script(tmp_path, "third"))
    endpoint.wait_for_deployment()
    paused = endpoint.rollout("third", steps=[30], every=600)
    assert endpoint.pause_rollout().phase == "Paused"
    with pytest.raises(WebserviceException, match="has not ended after 0.1 s"):
        endpoint.wait_for_rollout(timeout_sec=0.1)
    assert endpoint.resume_rollout().step_time > paused.step_time
    with pytest.raises(WebserviceException, match="a rollout of version 'third'") as refused:
        endpoint.set_traffic({"third": 10})
    assert refused.value.status_code == 409
    assert endpoint.abort_rollout().phase == "Aborted"
    endpoint.set_traffic({"third": 10})
    assert endpoint.wait_for_rollout().reason.startswith("aborted by ")


def test_a_rollback_to_a_model_that_was_deleted_is_refused_with_its_name(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").touch()
    model = Model.register(workspace, str(tmp_path / "model.pkl"), "ridge")
    configuration = AksEndpoint.deploy_configuration(num_replicas=1)
    endpoint = Model.deploy(workspace, "shared", [model], script(tmp_path, "old"), configuration)
    endpoint.wait_for_deployment()
    endpoint.update_version("shared", models=[], inference_config=script(tmp_path, "new"))
    endpoint.wait_for_deployment()
    model.delete()
    with pytest.raises(WebserviceException, match="ridge"):
        endpoint.rollback()
    assert endpoint.run("{}") == "new"
