"""A deployment: prepare, plan, build, apply; undo; waiting."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mljupyter.client.errors import EndpointChangedError, EndpointExistsError, EndpointNotFoundError
from mljupyter.core import Model, Workspace
from mljupyter.deploy import apply as deploy
from mljupyter.deploy.build import build
from mljupyter.deploy.plan import DeploymentPlan
from mljupyter.deploy.wait import follow
from mljupyter.exceptions import MLJupyterError, WebserviceException
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState
from tests.deploy.conftest import NAME, Planner, write_script


def deployed(workspace: Workspace, plan: DeploymentPlan) -> EndpointRecord:
    deploy.apply(workspace.context, build(workspace.context, plan))
    return follow(workspace.endpoints, NAME)


def answer(workspace: Workspace) -> object:
    return workspace.webservices[NAME].run("x")


def tagged(**tags: str):
    def change(spec: EndpointSpec) -> EndpointSpec:
        return spec.model_copy(update={"tags": {**spec.tags, **tags}})

    return change


def test_the_plan_that_was_made_is_applied_when_files_change_in_between(workspace: Workspace, plan: Planner) -> None:
    made = plan()
    write_script("second")
    record = deployed(workspace, made)
    assert answer(workspace) == "first"
    assert record.spec.versions == made.wanted.versions
    assert [path for path, _, _ in plan().changes] == [f"versions.{NAME}.code.digest"]


def test_a_plan_says_whether_it_creates_updates_or_changes_nothing(workspace: Workspace, plan: Planner) -> None:
    assert plan().action == "create"
    deployed(workspace, plan())
    assert (plan().action, plan().changes) == ("unchanged", [])
    write_script("second")
    assert plan().action == "update"


def test_a_plan_of_another_generation_is_refused_and_changes_nothing(workspace: Workspace, plan: Planner) -> None:
    deployed(workspace, plan())
    write_script("second")
    late = plan()
    between = deploy.change(workspace.context, NAME, tagged(by="somebody"))
    with pytest.raises(EndpointChangedError):
        deploy.apply(workspace.context, build(workspace.context, late))
    assert workspace.endpoints.endpoint(NAME).spec == between.spec
    assert answer(workspace) == "first"


def test_a_plan_whose_content_was_removed_deploys_nothing(workspace: Workspace, plan: Planner) -> None:
    made = plan()
    (version,) = made.wanted.versions.values()
    assert version.code is not None
    workspace.artifacts.delete(version.code.digest)
    with pytest.raises(WebserviceException, match="was deleted from the workspace after the plan was made"):
        deploy.apply(workspace.context, made)
    with pytest.raises(EndpointNotFoundError):
        workspace.endpoints.endpoint(NAME)


def test_an_endpoint_of_the_same_name_is_replaced_on_request_alone(workspace: Workspace, plan: Planner) -> None:
    new = plan()
    deployed(workspace, new)
    with pytest.raises(EndpointExistsError):
        deploy.apply(workspace.context, new, overwrite=False)


def test_a_model_cannot_be_deleted_while_an_endpoint_uses_it(workspace: Workspace, plan: Planner, model: Model) -> None:
    deployed(workspace, plan())
    with pytest.raises(MLJupyterError, match=NAME):
        model.delete()
    deploy.delete(workspace.context, NAME)
    model.delete()


def test_a_refused_deployment_leaves_no_model_in_use(
    workspace: Workspace, plan: Planner, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan()

    def refuse(*_: object, **__: object) -> None:
        raise EndpointExistsError("refused")

    monkeypatch.setattr(type(workspace.endpoints), "create", refuse)
    with pytest.raises(EndpointExistsError):
        deploy.apply(workspace.context, made)
    model.delete()


def test_concurrent_changes_are_all_made(workspace: Workspace, plan: Planner) -> None:
    deployed(workspace, plan())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: deploy.change(workspace.context, NAME, tagged(**{f"tag{n}": "set"})), range(16)))
    assert set(workspace.endpoints.endpoint(NAME).spec.tags) >= {f"tag{n}" for n in range(16)}


class TestUndo:
    def test_a_new_endpoint_is_deleted(self, workspace: Workspace, plan: Planner) -> None:
        deploy.apply(workspace.context, plan())
        assert "It was new" in deploy.undo(workspace.context, NAME, None)
        assert not workspace.endpoints.endpoints()

    def test_a_changed_endpoint_goes_back(self, workspace: Workspace, plan: Planner) -> None:
        before = deployed(workspace, plan())
        write_script("second")
        deploy.apply(workspace.context, plan())
        assert "being restored to its previous state" in deploy.undo(workspace.context, NAME, before)
        assert follow(workspace.endpoints, NAME).spec == before.spec
        assert answer(workspace) == "first"

    def test_an_endpoint_that_was_changed_since_stays(self, workspace: Workspace, plan: Planner) -> None:
        before = deployed(workspace, plan())
        write_script("second")
        deploy.apply(workspace.context, plan())
        last = deploy.change(workspace.context, NAME, tagged(by="somebody"))
        assert "changed concurrently" in deploy.undo(workspace.context, NAME, before)
        assert workspace.endpoints.endpoint(NAME).spec == last.spec

    def test_nothing_happens_when_nothing_was_handed_over(self, workspace: Workspace, plan: Planner) -> None:
        assert "Nothing was deployed; the endpoint does not exist" in deploy.undo(workspace.context, NAME, None)
        before = deployed(workspace, plan())
        assert "Nothing was deployed; the endpoint is unchanged" in deploy.undo(workspace.context, NAME, before)
        assert workspace.endpoints.endpoint(NAME).generation == before.generation


class TestWaiting:
    def test_each_record_is_reported_until_the_end(self, workspace: Workspace, plan: Planner) -> None:
        deploy.apply(workspace.context, plan())
        seen: list[EndpointRecord] = []
        last = follow(workspace.endpoints, NAME, on_record=seen.append)
        assert last.status.state is EndpointState.HEALTHY
        assert seen[-1] == last

    def test_waiting_ends_when_it_is_cancelled(self, workspace: Workspace, plan: Planner) -> None:
        deploy.apply(workspace.context, plan())
        cancel = threading.Event()
        seen: list[EndpointRecord] = []

        def look(record: EndpointRecord) -> None:
            seen.append(record)
            cancel.set()

        follow(workspace.endpoints, NAME, on_record=look, cancel=cancel, reached=lambda record: False)
        assert len(seen) == 1

    def test_the_time_is_up(self, workspace: Workspace, plan: Planner) -> None:
        deployed(workspace, plan())
        with pytest.raises(WebserviceException, match="is still Healthy after 0.1 s"):
            follow(workspace.endpoints, NAME, timeout=0.1, reached=lambda record: False)
