"""The wizards that register, divide requests, promote and choose an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.core import InferenceConfig, Model, Workspace
from mljupyter.core.webservice import AksEndpoint
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.docker_engines import address_rule
from mljupyter.notebook.sources.model_sources import files_near, fitted_variables
from mljupyter.widgets.pages.shares_page import SharesPage
from mljupyter.widgets.wizard import Wizard
from mljupyter.widgets.wizards.attach_wizard import AttachWizard
from mljupyter.widgets.wizards.compare_wizard import CompareWizard
from mljupyter.widgets.wizards.register_wizard import RegisterWizard
from mljupyter.widgets.wizards.traffic_wizard import TrafficWizard
from tests.waiting import wait_until
from tests.widgets.conftest import User


def opened(wizard: Wizard) -> Iterator[User]:
    yield User(wizard)
    wizard.close()


class Forest:
    def predict(self, rows: Any) -> Any:
        return rows


def test_only_fitted_variables_and_files_of_models_are_offered(tmp_path: Path) -> None:
    fitted = Forest()
    fitted.trees_ = 3  # type: ignore[attr-defined]
    assert [source.name for source in fitted_variables({"a": Forest(), "b": fitted, "_c": fitted, "D": Forest})] == [
        "b"
    ]
    for name in (
        "model.onnx",
        "notes.txt",
        "deep/er/net.pt",
        "deep/er/still/lost.pt",
        ".hidden/x.onnx",
        "flow/MLmodel",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    found = {source.name: source.framework for source in files_near(tmp_path)}
    assert found == {"model.onnx": "Onnx", "deep/er/net.pt": "PyTorch", "flow": "Custom"}


def test_a_file_is_registered_and_the_code_does_the_same(session: Session, workspace: Workspace) -> None:
    Path("churn.onnx").write_text("1")
    wizard = RegisterWizard(session, {})
    user = User(wizard)
    user.type(source="other")
    user.press()
    assert "Which file" in user.error("path")
    user.type(path="missing.pkl")
    assert "no file or directory 'missing.pkl'" in user.error("path")
    user.type(source="path:churn.onnx")
    user.press()
    user.type(name="churn model")
    user.press()
    assert "Invalid " in user.error("name")
    user.type(name="churn", tags="area=demo, owner=ml")
    user.press()
    code = user.field("code")["value"]
    user.press("register")
    wait_until(lambda: user.has("use"), "the registration")
    assert user.button("register")["reason"]
    model = Model(workspace, "churn")
    assert (model.version, model.tags, model.model_framework) == (1, {"area": "demo", "owner": "ml"}, "Onnx")
    exec(code, {})
    assert (again := Model(workspace, "churn")).version == 2
    assert (again.tags, again.model_framework) == (model.tags, model.model_framework)
    wizard.close()


@pytest.fixture
def endpoint(workspace: Workspace) -> AksEndpoint:
    Path("score.py").write_text("def init(): pass\ndef run(data): return data\n")
    config, size = InferenceConfig("score.py"), {"num_replicas": 1, "cpu_cores": 0.1, "memory_gb": 0.2}
    configuration = AksEndpoint.deploy_configuration(version_name="version-a", **size)
    found = Model.deploy(workspace, "churn", [], config, configuration)
    assert isinstance(found, AksEndpoint)
    found.create_version("version-b", inference_config=config, traffic_percentile=10, **size)
    found.create_version("version-c", inference_config=config, traffic_percentile=20, **size)
    return found


def test_shares_make_a_hundred_whatever_is_asked_for(session: Session, endpoint: AksEndpoint) -> None:
    from mljupyter.widgets.pages.endpoint_pages import Chosen

    page = SharesPage(Chosen(session, "churn"))
    page.enter()
    assert page.shares == {"version-a": 70, "version-b": 10, "version-c": 20}

    @given(st.lists(st.tuples(st.sampled_from(["version-a", "version-b", "version-c", "x"]), st.integers(-50, 200))))
    def holds(moves: list[tuple[str, int]]) -> None:
        for name, percent in moves:
            page.change("shares", {"name": name, "percent": percent})
        assert sum(page.shares.values()) == 100
        assert all(0 <= share <= 100 for share in page.shares.values())

    holds()


def test_requests_are_divided_and_a_version_promoted(session: Session, endpoint: AksEndpoint) -> None:
    endpoint.wait_for_deployment()
    wizard: Wizard = TrafficWizard(session)
    user = User(wizard)
    user.press()
    assert [part["percent"] for part in user.field("shares")["parts"]] == [70, 10, 20]
    user.press()
    assert user.error("shares") == "These are the shares now: change one."
    user.type(shares={"name": "version-b", "percent": 95})
    assert user.field("shares")["help"] == "version-b cannot get 95 %: the others have 20 %."
    user.press()
    assert user.field("plan")["rows"] == [
        ["version-a", "70 %", "0 %"],
        ["version-b", "10 %", "80 %"],
        ["version-c", "20 %", "20 %"],
    ]
    assert user.field("line")["value"] == "%traffic churn version-a=0 version-b=80 version-c=20"
    user.press("apply")
    wait_until(lambda: "done" in user.button("apply")["reason"], "the division")
    endpoint.update_deployment_state()
    assert endpoint.versions["version-b"].traffic_percentile == 80
    wizard.close()

    wizard = TrafficWizard(session, "churn")
    user = User(wizard)
    user.type(way="stepwise", version="version-c", steps="50,25", guard="p95 is nice")
    user.press()
    assert "each step must be above the one before" in user.error("steps")
    assert "p95 is nice" in user.error("guard")
    user.type(steps="25, 50", every="10m", guard="p95 is nice")
    user.press()
    assert "p95 is nice" in user.error("guard")
    user.type(guard="p95<200ms, errors<1%")
    user.press()
    assert user.field("plan")["rows"][-1] == ["version-c", "20 %", "50 %"]
    line = "%rollout churn version-c --steps 25,50 --every 10m --guard 'p95<200ms,errors<1%'"
    assert user.field("line")["value"] == line
    user.press("apply")
    wait_until(lambda: "done" in user.button("apply")["reason"], "the begin of the rollout")
    rollout = endpoint.rollout_status()
    assert rollout is not None
    assert (rollout.plan.steps, rollout.plan.guard, rollout.share) == ([25, 50], "p95<200ms, errors<1%", 25)
    wizard.close()
    wizard = TrafficWizard(session, "churn")
    assert "A rollout is under way: version-c Running: 25 %" in User(wizard).button("next")["reason"]
    wizard.close()
    endpoint.rollback()

    wizard = CompareWizard(session, "churn")
    user = User(wizard)
    assert [row[0] for row in user.field("versions")["rows"]] == ["version-a", "version-b", "version-c"]
    user.press()
    assert user.error("version")
    user.type(version="version-b")
    user.press()
    user.press("promote")
    wait_until(lambda: "done" in user.button("promote")["reason"], "the promotion")
    endpoint.update_deployment_state()
    assert endpoint.serialize()["defaultVersion"] == "version-b"
    assert endpoint.serialize()["controlVersion"] == "version-b"
    assert user.press("back")["fields"][0]["rows"][0][:3] == ["version-b", "default, control", "100 %"]
    wizard.close()


def test_an_endpoint_that_is_not_there_blocks_the_way_and_says_so(session: Session) -> None:
    for wizard in (TrafficWizard(session, "nobody"), CompareWizard(session, "nobody")):
        user = User(wizard)
        assert "There is no endpoint 'nobody'" in user.view["about"]
        assert user.press()["heading"] == user.view["heading"]
        assert user.button("next")["reason"] == "There is no such endpoint."
        wizard.close()
    wizard = TrafficWizard(session)
    assert "%deploy NAME --version" in User(wizard).button("next")["reason"]
    wizard.close()


def test_an_engine_that_does_not_answer_is_not_offered_as_code(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    wizard = AttachWizard(session)
    user = User(wizard)
    wait_until(lambda: user.field("targets")["stages"][1]["state"] == "failed", "the look at the engine")
    assert "does not answer" in user.field("targets")["stages"][1]["remark"]
    user.press()
    user.type(engine="other", address=f"unix://{tmp_path}/other.sock")
    user.press()
    wait_until(lambda: "does not answer" in user.button("insert")["reason"], "the second look")
    wizard.close()


@pytest.mark.parametrize(
    ("address", "fits"),
    [("unix:///var/run/docker.sock", True), ("ssh://me@host", True), ("docker.example", False), ("tcp://", False)],
)
def test_an_address_of_an_engine_has_a_scheme_and_a_place(address: str, fits: bool) -> None:
    assert (address_rule(address) == "") is fits
