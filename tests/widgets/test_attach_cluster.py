"""The form that attaches a cluster, up to what needs a cluster."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mljupyter.core.compute import ComputeTarget, KubernetesCompute
from mljupyter.kubernetes.objects.publishing import Publishing
from mljupyter.magics.catalog import ATTACH
from mljupyter.magics.parsing import parse, split
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.expressions import expanded
from mljupyter.widgets.wizards.attach_wizard import AttachWizard
from tests.ports import free_port
from tests.waiting import wait_until
from tests.widgets.conftest import User


def kubeconfig(path: Path, *contexts: str, current: str | None = None) -> Path:
    """A kubeconfig whose API server does not answer."""
    server = f"https://127.0.0.1:{free_port()}"
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "hunter2"}}],
        "contexts": [{"name": name, "context": {"cluster": "one", "user": "me"}} for name in contexts],
        "current-context": current,
    }
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def user(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """Somebody who has chosen to attach a cluster, with two contexts in the default kubeconfig."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "lab", "prod", current="prod")))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    wizard = AttachWizard(session)
    found = User(wizard)
    found.type(next="cluster")
    found.press()
    yield found
    wizard.close()


def test_the_choice_decides_which_pages_follow(user: User) -> None:
    def steps() -> list[str]:
        return [step["name"] for step in user.view["steps"]]

    assert steps() == ["Targets", "Cluster", "Check", "Review", "Progress"]
    user.press("back")
    assert user.button("next")["label"] == "Attach a cluster"  # type: ignore[index]
    user.type(next="engine")
    assert steps() == ["Targets", "Docker engine", "Use it"]
    assert user.button("next")["label"] == "Choose a Docker engine"  # type: ignore[index]
    user.press()
    assert user.view["heading"] == "Which Docker engine?"


def test_contexts_are_those_of_the_kubeconfig_with_the_current_one_chosen(user: User, tmp_path: Path) -> None:
    field = user.field("context")
    assert [option["label"] for option in field["options"]] == ["lab", "prod (current)"]
    assert field["value"] == "prod"
    assert "--context prod" in user.wizard.page.draft.line  # type: ignore[attr-defined]
    user.type(context="lab")
    user.type(kubeconfig=str(kubeconfig(tmp_path / "other", "edge")))
    assert [option["value"] for option in user.field("context")["options"]] == ["edge"]
    user.type(address="team")
    user.press()
    assert user.error("context") == "Choose one."
    user.type(context="edge")
    assert user.error("context") == ""


def test_input_that_breaks_a_rule_is_explained_at_its_field(user: User, tmp_path: Path) -> None:
    user.press()
    assert "Under which name?" in user.error("address")
    assert user.view["focus"]["key"] == "address"
    for name, rule in (("7up", "a letter first"), ("local", "of every workspace"), ("a" * 17, "2 to 16 letters")):
        user.type(address=name)
        assert rule in user.error("address")
    user.type(namespace="Team A")
    assert "lower-case letters" in user.error("namespace")
    user.type(namespace="kube-system")
    assert "not for applications" in user.error("namespace")
    user.type(endpoint_namespace="team-b Team-C")
    assert "Namespace is 'Team-C'" in user.error("endpoint_namespace")
    user.type(kubeconfig=str(tmp_path / "missing"))
    assert f"There is no kubeconfig at {tmp_path}/missing" in user.error("kubeconfig")
    (tmp_path / "broken").write_text("{")
    user.type(kubeconfig=str(tmp_path / "broken"))
    assert "is not a readable kubeconfig" in user.error("kubeconfig")
    for odd in ("~nobody-of-this-name/config", str(tmp_path), "a\0b"):
        user.type(kubeconfig=odd)
        assert "There is no kubeconfig at" in user.error("kubeconfig")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(5_000_001)
    user.type(kubeconfig=str(tmp_path / "large"))
    assert "more than 5000000 bytes" in user.error("kubeconfig")
    assert user.view["heading"] == "Which cluster?"


def test_values_of_no_form_change_no_page_and_are_explained(user: User) -> None:
    user.type(address="team", purpose={"x": 1}, service_type=7, context=["lab"], internal="yes")
    user.press()
    assert user.view["heading"] == "Which cluster?"
    assert user.error("purpose")
    assert user.error("service_type")
    assert user.error("context")
    user.press("back")
    user.type(next=["cluster"])
    user.type(next={})
    assert user.button("next")["label"] == "Attach a cluster"  # type: ignore[index]


def test_an_internal_load_balancer_and_its_subnet_are_asked_for_only_with_a_load_balancer(user: User) -> None:
    assert not user.has("internal")
    user.type(service_type="LoadBalancer")
    assert user.has("internal")
    assert not user.has("subnet")
    user.type(internal=True)
    assert user.has("subnet")
    user.type(subnet="apps")
    assert user.field("subnet")["value"] == "apps"
    page = user.wizard.page
    assert "--internal --subnet apps" in page.draft.line  # type: ignore[attr-defined]
    user.type(service_type="NodePort")
    assert not user.has("internal")
    assert user.view
    assert "--internal" not in page.draft.line  # type: ignore[attr-defined]
    assert not page.draft.settings().internal  # type: ignore[attr-defined]


def test_an_ingress_and_a_route_have_fields_of_their_own_and_a_broken_rule_is_at_its_field(user: User) -> None:
    page = user.wizard.page
    assert not user.has("scoring_host")
    user.type(service_type="Ingress", ingress_class="nginx", scoring_host="ml.example.org", tls_secret="ml-tls")
    assert user.has("ingress_class") and not user.has("gateway")
    assert "--ingress-class nginx --scoring-host ml.example.org --tls-secret ml-tls" in page.draft.line  # type: ignore[attr-defined]
    given = page.draft.settings().publishing  # type: ignore[attr-defined]
    assert given == Publishing(ingress_class="nginx", scoring_host="ml.example.org", tls_secret="ml-tls")
    for argument in ("ingress_class='nginx'", "scoring_host='ml.example.org'", "tls_secret='ml-tls'"):
        assert argument in page.draft.code  # type: ignore[attr-defined]
    user.type(service_type="HTTPRoute")
    assert user.has("gateway") and not user.has("tls_secret")
    user.press()
    assert "needs the Gateway" in user.error("gateway")
    user.type(gateway="infra/public", scoring_path="ml/")
    assert "must begin with '/'" in user.error("scoring_path")
    user.type(service_type="NodePort")
    assert not user.has("scoring_host")
    assert page.draft.settings().publishing == Publishing()  # type: ignore[attr-defined]


def test_a_claim_for_collected_data_is_part_of_the_line_the_code_and_the_settings(user: User) -> None:
    draft = user.wizard.page.draft  # type: ignore[attr-defined]
    user.type(address="team")
    assert "collected" not in draft.line + draft.code
    user.type(collected_data_claim="My Data")
    user.press()
    assert "cannot name a PersistentVolumeClaim" in user.error("collected_data_claim")
    user.type(collected_data_claim="data")
    assert user.error("collected_data_claim") == ""
    assert "--collected-data-claim data" in draft.line
    assert "collected_data_claim='data'" in draft.code
    assert draft.settings().replicas.collected_data_claim == "data"


def test_a_check_that_fails_shows_the_remedy_and_stops_there(user: User) -> None:
    user.type(address="team", purpose="DevTest")
    user.press()
    wait_until(lambda: user.field("findings")["stages"][0]["state"] == "failed", "the checks")
    row = user.field("findings")["stages"][0]
    assert row["name"] == "API server"
    assert "cannot be reached" in row["remark"]
    assert [
        "API server",
        "Check that the cluster runs, and the network or VPN to it. Endpoints there keep serving.",
    ] in (user.field("remedies")["rows"])
    reason = user.button("next")["reason"]  # type: ignore[index]
    assert "check again" in reason
    user.press()
    assert user.view["heading"] == "Can it be attached?"
    assert user.button("check")["reason"] == ""  # type: ignore[index]


def test_the_findings_of_an_earlier_check_are_not_shown_for_another_cluster(user: User, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, and never answers
        slow = kubeconfig(tmp_path / "slow", "slow", current="slow")
        document = yaml.safe_load(slow.read_text())
        document["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        slow.write_text(yaml.safe_dump(document))
        user.type(address="team", kubeconfig=str(slow))
        user.press()
        assert user.field("findings")["stages"][0]["state"] == "running"
        user.press("back")
        user.type(kubeconfig=str(kubeconfig(tmp_path / "fast", "fast", current="fast")))
        user.press()
        wait_until(lambda: user.field("findings")["stages"][0]["state"] == "failed", "the second check")
        assert str(tmp_path / "fast") in user.field("findings")["stages"][0]["remark"]


def test_line_and_code_have_the_same_settings(user: User, session: Session, tmp_path: Path) -> None:
    odd = kubeconfig(tmp_path / "a$b {c}", "lab", current="lab")
    user.type(kubeconfig=str(odd), context="lab", address="team", namespace="ml-team", purpose="DevTest")
    user.type(service_type="LoadBalancer", internal=True, subnet="apps", endpoint_namespace="team-b, team-c")
    assert user.view
    draft = user.wizard.page.draft  # type: ignore[attr-defined]
    words = [expanded(word, {}) for word in split(draft.line.removeprefix("%mlj attach"), ATTACH)]
    values = parse(ATTACH, words)
    assert values is not None
    assert (values["address"], values["kubeconfig"], values["context"]) == ("team", str(odd), "lab")
    given: dict[str, Any] = {}
    attached = {"attach": lambda ws, name, configuration: given.update(name=name, settings=configuration.settings)}
    names = {"KubernetesCompute": KubernetesCompute, "ComputeTarget": type("Targets", (ComputeTarget,), attached)}
    code = draft.code
    assert "from mljupyter.core import ComputeTarget, Workspace" in code
    assert "from mljupyter.core.compute import KubernetesCompute" in code
    body = "\n".join(line for line in code.splitlines() if line.startswith(("configuration", "target =")))
    exec(body, {**names, "ws": None})
    assert given == {"name": "team", "settings": draft.settings()}
    assert draft.settings().endpoint_namespaces == tuple(values["endpoint_namespace"]) == ("team-b", "team-c")
    assert "hunter2" not in code + draft.line
