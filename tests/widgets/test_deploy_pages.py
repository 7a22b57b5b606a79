"""The pages of the deploy wizard: what they ask, what they refuse, what they write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import InferenceConfig, Model, Workspace
from mljupyter.core.compute import AksCompute, ComputeTarget
from mljupyter.core.webservice import AciWebservice
from mljupyter.deploy.cell_script import first_line
from mljupyter.notebook.session import Session
from mljupyter.targets.docker import DockerTarget
from mljupyter.targets.mapped import setting
from mljupyter.widgets.wizards.deploy_wizard import DeployWizard
from tests.system.certificates import Files
from tests.waiting import HANG_SECONDS, wait_until
from tests.widgets.conftest import User

SCRIPT = "def init(): pass\ndef run(data): return data\n"
SLOW = "import time\ndef init(): time.sleep(600)\ndef run(data): return data\n"


def config(name: str, script: str = SCRIPT, **more: Any) -> InferenceConfig:
    Path(f"{name}.py").write_text(script)
    return InferenceConfig(f"{name}.py", **more)


@pytest.fixture
def user(session: Session) -> Iterator[User]:
    wizard = DeployWizard(session, {"answers": config("answers"), "slow": config("slow", SLOW)}, {"name": "churn"})
    yield User(wizard)
    wizard.close()


def go_to(user: User, heading: str) -> None:
    if user.view["heading"] == "What do you want to deploy?":
        user.type(score=user.field("score")["value"] or "answers")
    while user.view["heading"] != heading:
        before = user.view["heading"]
        wait_until(lambda: not (user.button("next") or {}).get("reason"), "the way on")
        assert user.press()["heading"] != before, user.view


def test_a_target_is_looked_at_while_the_page_answers(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, reason = threading.Event(), "The engine does not answer.\nStart it."

    def slowly(self: DockerTarget) -> str:
        answer.wait(HANG_SECONDS)
        return reason

    monkeypatch.setattr(DockerTarget, "availability", slowly)
    go_to(user, "Where should it run?")
    assert user.choice("to", "docker")["state"] == "running"
    user.type(to="docker")
    assert "Still looking" in user.button("next")["reason"]
    assert user.press()["heading"] == "Where should it run?"
    answer.set()
    wait_until(lambda: user.choice("to", "docker")["state"] == "failed", "the look at the engine")
    assert user.choice("to", "docker")["reason"] == reason
    user.press()
    assert user.error("to") == reason
    monkeypatch.setattr(DockerTarget, "availability", lambda self: None)
    user.press("check")
    wait_until(lambda: user.choice("to", "docker")["state"] == "ok", "the second look")
    assert user.press()["heading"] == "How large, and how many?"


def test_a_target_says_which_names_of_old_notebooks_are_mapped_to_it(
    user: User, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting.VARIABLE, "local")
    workspace = session.workspace()
    ComputeTarget.create(workspace, "my-aks", AksCompute.provisioning_configuration())
    go_to(user, "Where should it run?")
    wait_until(lambda: user.choice("to", "local")["state"] == "ok", "the look at this machine")
    assert user.choice("to", "local")["help"].endswith(" my-aks of old notebooks is mapped to it.")
    assert "my-aks" not in [choice["value"] for choice in user.field("to")["options"]]
    assert "my-aks" not in user.choice("to", "docker")["help"]


@pytest.mark.parametrize(
    ("answers", "key", "text"),
    [
        ({"way": "fixed"}, "replicas", "How many?"),
        ({"way": "fixed", "replicas": "two"}, "replicas", "'two' is not a whole number"),
        ({"way": "following", "least": "3", "most": "2"}, "most", "2 is below the minimum, 3."),
        ({"way": "following", "most": ""}, "most", "it is needed"),
        ({"way": "following", "target_utilization": "0"}, "target_utilization", "below 1"),
        ({"cpu": "much"}, "cpu", "a number of cores"),
        ({"cpu": "0"}, "cpu", "must be a number above 0"),
        ({"max_queue_wait_ms": "99999999999"}, "max_queue_wait_ms", "less than or equal to"),
        ({"rate": "-1"}, "rate", "below 0"),
    ],
)
def test_a_wrong_answer_is_explained_under_its_field(user: User, answers: dict[str, str], key: str, text: str) -> None:
    go_to(user, "How large, and how many?")
    for name, value in answers.items():
        user.type(**{name: value})
    user.press()
    assert user.view["heading"] == "How large, and how many?"
    assert text in user.error(key)
    assert user.view["focus"]["key"] == key


@pytest.fixture
def newcomer(session: Session) -> Iterator[User]:
    """Somebody with two fitted estimators, the second one newer."""
    import numpy as np
    from sklearn.linear_model import LinearRegression, LogisticRegression

    rows = np.arange(6.0).reshape(-1, 1)
    namespace = {
        "old_line": LinearRegression().fit(rows, rows[:, 0]),
        "lr": LogisticRegression().fit(rows, rows[:, 0] > 2),
        "unfitted": LinearRegression(),
        "rows": rows,
    }
    wizard = DeployWizard(session, namespace)
    yield User(wizard)
    wizard.close()


@pytest.mark.parametrize(("model", "served"), [("line", True), ("line:2", True), ("line:1", False), ("line:9", False)])
def test_a_version_of_a_model_that_its_framework_serves_needs_no_script(
    session: Session, workspace: Workspace, model: str, served: bool
) -> None:
    Path("line.pkl").write_bytes(b"content")
    Model.register(workspace, "line.pkl", "line")
    Model.register(workspace, "line.pkl", "line", model_framework=Model.Framework.SCIKITLEARN)
    wizard = DeployWizard(session, {"one": config("one"), "two": config("two")}, {"name": "churn", "model": model})
    user = User(wizard)
    assert ("framework" in user.choice("score", "")["label"]) is served
    assert (user.press()["heading"] != "What do you want to deploy?") is served
    if served:
        go_to(user, "Is this what you want?")
        assert ["Script", "none: the model is served by sklearn"] in [list(row) for row in user.field("plan")["rows"]]
    wizard.close()


def test_the_newest_estimator_is_offered_first_under_a_proposed_name(newcomer: User) -> None:
    model = newcomer.field("model")
    assert [choice["value"] for choice in model["options"]] == ["estimator lr", "estimator old_line", ""]
    assert (model["value"], newcomer.field("name")["value"]) == ("estimator lr", "lr-model")
    assert "%%score" in newcomer.choice("model", "")["reason"]  # there is no script
    newcomer.type(model="estimator old_line")
    assert newcomer.field("name")["value"] == "old-line"
    assert newcomer.choice("method", "predict_proba")["reason"] == "LinearRegression does not have it"
    newcomer.type(name="mine", model="estimator lr")
    assert newcomer.field("name")["value"] == "mine"
    assert newcomer.choice("method", "predict_proba")["reason"] == ""


def test_sample_and_method_are_checked_on_their_page_with_all_other_fields(newcomer: User) -> None:
    newcomer.type(model="estimator old_line", name="Not a name", sample="nope[:3]", method="predict_proba")
    view = newcomer.press()
    assert view["heading"] == "What do you want to deploy?" and view["focus"]["key"] == "name"
    assert "'nope'" in newcomer.error("sample")
    assert "has no predict_proba()" in newcomer.error("method")
    assert "Invalid endpoint name" in newcomer.error("name")
    newcomer.type(name="line", method="", sample="rows[")
    assert newcomer.error("sample") == ""  # what is being typed is evaluated only when somebody goes on
    newcomer.press()
    assert "rows[" in newcomer.error("sample")
    newcomer.type(sample="rows[:2]")
    assert newcomer.press()["heading"] == "Where should it run?"


def test_what_was_chosen_before_leaves_nothing_in_the_line(user: User) -> None:
    go_to(user, "How large, and how many?")
    user.type(way="following", least="2")
    user.type(most="4", target_utilization="50")
    user.type(rate="20", duration="100")
    assert user.field("duration")["help"].startswith("4 replicas would be 50 % busy with that.")
    go_to(user, "Is this what you want?")
    assert user.field("line")["value"] == "%deploy churn --score answers --autoscale 2:4 --target-utilization 50"
    assert ["Replicas", "2 to 4, following the load: 50 % of them busy"] in user.field("plan")["rows"]
    for _ in range(3):
        user.press("back")
    assert user.field("least")["value"] == "2"
    user.type(way="fixed", replicas="3")
    go_to(user, "Is this what you want?")
    assert user.field("line")["value"] == "%deploy churn --score answers --replicas 3"
    user.press("back")
    user.press("back")
    user.type(kind="aci")
    go_to(user, "Is this what you want?")
    assert user.field("line")["value"] == "%deploy churn --score answers --kind aci"
    assert user.field("plan")["rows"][-1] == ["Who may score", "open to everybody who reaches the address"]


def test_a_deployment_shows_its_stages_and_its_address(user: User, workspace: Workspace) -> None:
    go_to(user, "Is this what you want?")
    user.press()
    wait_until(lambda: user.view["heading"] == "Endpoint is ready", "the endpoint")
    assert [stage["state"] for stage in user.field("stages")["stages"]] == ["ok", "ok", "ok"]
    assert user.field("address")["rows"][0][1] == workspace.webservices["churn"].scoring_uri
    assert "ready" in user.field("log")["value"]
    service = workspace.webservices["churn"]
    texts = {key: str(user.field(key)["value"]) for key in ("use", "uri", "key", "curl", "client")}
    assert texts["uri"] == service.scoring_uri
    assert "$SCORING_KEY" in texts["curl"] and "os.environ['SCORING_KEY']" in texts["client"]
    assert not any(secret in text for secret in service.get_keys() for text in texts.values())


def test_cancelling_takes_away_what_is_new(user: User, workspace: Workspace) -> None:
    user.type(score="slow")
    go_to(user, "Is this what you want?")
    user.press()
    wait_until(lambda: "churn" in workspace.webservices, "the endpoint")
    assert user.button("back") is None
    user.press("cancel")
    wait_until(lambda: user.view["heading"] == "Cancelled", "the end")
    states = [stage["state"] for stage in user.field("stages")["stages"]]
    assert "cancelled" in states and "failed" not in states
    assert "churn" not in workspace.webservices
    assert [stage["state"] for stage in user.field("stages")["stages"]] == ["ok", "cancelled", "skipped"]
    user.press("back")
    assert user.field("line")["value"] == "%deploy churn --score slow"


def test_cancelling_an_update_gives_the_endpoint_what_it_was(user: User, workspace: Workspace) -> None:
    go_to(user, "Is this what you want?")
    user.press()
    wait_until(lambda: user.view["heading"] == "Endpoint is ready", "the endpoint")
    before = workspace.endpoints.endpoint("churn").spec
    keys = workspace.webservices["churn"].get_keys()
    for _ in range(6):
        user.press("back")
    user.type(score="slow")
    go_to(user, "Is this what you want?")
    assert user.field("plan")["label"].startswith("The endpoint is changed")
    assert not user.has("replaced"), "this kernel has deployed it"
    user.wizard.page.draft.session.deployed.clear()  # another kernel
    user.press("back")
    user.press()
    assert user.field("replaced")["value"].startswith("replaces answers.py, deployed by")
    user.press()
    wait_until(lambda: workspace.endpoints.endpoint("churn").spec != before, "the update")
    user.press("cancel")
    wait_until(lambda: user.view["heading"] == "Cancelled", "the end")
    after = workspace.endpoints.endpoint("churn").spec
    assert after.versions["churn"].code == before.versions["churn"].code
    assert workspace.webservices["churn"].get_keys() == keys


def test_what_an_endpoint_keeps_can_return_to_its_default_on_the_last_page(session: Session) -> None:
    typed = {"name": "churn", "score": "answers", "cpu": "0.2", "max_queue_wait_ms": "900", "preload": True}
    first = User(DeployWizard(session, {"answers": config("answers")}, typed))
    go_to(first, "Is this what you want?")
    assert not any(field["kind"] == "check" for field in first.view["fields"]), "a new endpoint keeps nothing"
    first.press()
    wait_until(lambda: first.view["heading"] == "Endpoint is ready", "the endpoint")
    first.wizard.close()
    user = User(DeployWizard(session, {"answers": config("answers")}, {"name": "churn", "score": "answers"}))
    go_to(user, "Is this what you want?")
    boxes = {field["key"]: field["help"] for field in user.view["fields"] if field["kind"] == "check"}
    assert boxes == {
        "reset cpu": "resources.cpu: 0.2 → 0.1",
        "reset max-queue-wait-ms": "limits.maxQueueWaitMs: 900 → 500",
        "reset preload": "preload: True → False",
    }
    assert user.field("plan")["label"].startswith("Nothing changes"), "a switch that nobody has touched stays"
    user.type(**{"reset cpu": True})
    assert user.field("line")["value"] == "%deploy churn --score answers --reset cpu"
    assert user.field("plan")["rows"] == [["versions.churn.resources.cpu", "0.2", "0.1"]]
    assert user.field("reset cpu")["value"] is True
    user.type(**{"reset cpu": False})
    assert user.field("plan")["label"].startswith("Nothing changes")
    user.type(**{"reset cpu": True, "reset name": True, "name": True})
    user.press("back"), user.press("back"), user.press("back")
    user.type(cpu="0.3")
    go_to(user, "Is this what you want?")
    assert user.field("line")["value"] == "%deploy churn --score answers --cpu 0.3", "what is set is not reset"
    user.wizard.close()


def test_the_last_page_names_what_another_kernel_has_deployed_and_would_be_replaced(session: Session) -> None:
    first = User(DeployWizard(session, {"answers": config("answers")}, {"name": "churn", "score": "answers"}))
    go_to(first, "Is this what you want?")
    first.press()
    wait_until(lambda: first.view["heading"] == "Endpoint is ready", "the endpoint")
    first.wizard.close()
    user = User(DeployWizard(session, {"answers": config("answers")}, {"name": "churn", "score": "answers"}))
    go_to(user, "Is this what you want?")
    assert not user.has("replaced"), "it is from here"
    service = session.workspace().webservices["churn"]
    service.update(models=[], inference_config=config("others", f"{SCRIPT}# other\n"))
    service.wait_for_deployment()
    user.press("back")
    go_to(user, "Is this what you want?")
    assert user.field("replaced")["label"] == "What is replaced"
    assert "replaces" in user.field("replaced")["value"]
    user.wizard.close()


def test_a_certificate_of_an_endpoint_stays_unless_its_box_is_ticked(session: Session, tmp_path: Path) -> None:
    files = Files(tmp_path / "pki", "scoring.example.org")
    size = AciWebservice.deploy_configuration(
        auth_enabled=True,
        ssl_enabled=True,
        ssl_cert_pem_file=str(files.certificate),
        ssl_key_pem_file=str(files.key),
        ssl_cname="scoring.example.org",
    )
    workspace = session.workspace()
    Model.deploy(
        workspace, "churn", [], config("answers"), size, workspace.compute_targets["local"]
    ).wait_for_deployment()
    user = User(DeployWizard(session, {"answers": config("answers")}, {"name": "churn", "score": "answers"}))
    go_to(user, "Is this what you want?")
    box = user.field("remove_tls")
    assert (box["label"], box["value"]) == ("Remove its own certificate", False)
    assert not any("tls" in row[0] for row in user.field("plan")["rows"]), "it stays"
    user.type(remove_tls=True)
    assert "--remove-tls" in user.field("line")["value"]
    assert any(row[0].startswith("tls") for row in user.field("plan")["rows"])
    user.type(remove_tls=False)
    assert "--remove-tls" not in user.field("line")["value"]
    user.type(remove_tls=True)
    user.press()
    wait_until(lambda: user.view["heading"] == "Endpoint is ready", "the update")
    user.wizard.close()
    assert workspace.endpoints.endpoint("churn").spec.tls is None


def test_a_failure_names_the_step_and_shows_the_last_lines(session: Session) -> None:
    broken = config(
        "broken", f"{first_line('broken')}def init():\n    raise RuntimeError('no weights')\ndef run(data): pass\n"
    )
    wizard = DeployWizard(session, {"broken": broken}, {"name": "churn", "score": "broken"})
    user = User(wizard)
    go_to(user, "Is this what you want?")
    user.press()
    wait_until(lambda: user.view["heading"] == "Deployment failed", "the failure")
    assert "start replicas" in user.field("problem")["label"]
    said = user.field("problem")["value"]
    assert "init() failed in line 3 of the cell: RuntimeError: no weights" in said, "line 1 is %%score"
    user.press("back")
    assert user.field("line")["value"] == "%deploy churn --score broken"
    wizard.close()


def test_a_new_version_of_an_endpoint_keeps_its_kind_and_authentication(session: Session) -> None:
    first = DeployWizard(session, {"answers": config("answers")}, {"name": "churn", "version": "first"})
    user = User(first)
    go_to(user, "Is this what you want?")
    user.press()
    wait_until(lambda: user.view["heading"] == "Endpoint is ready", "the endpoint")
    first.close()
    wizard = DeployWizard(session, {"answers": config("answers")}, {"name": "churn"})
    user = User(wizard)
    go_to(user, "Who may send requests?")
    assert "keeps its kind" in user.choice("kind", "aci")["reason"]
    assert "all versions" in user.choice("auth", "none")["reason"] and not user.choice("auth", "key")["reason"]
    user.press()
    user.type(version="second", traffic={"name": "second", "percent": 30})
    assert user.press()["heading"] == "Is this what you want?"
    assert not user.has("problem") and "--version second --traffic 30" in user.field("line")["value"]
    wizard.close()
