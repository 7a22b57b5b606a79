"""Keys, tokens and TLS as a data scientist uses them: the SDK and the command line with everything real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from mljupyter.cli.app import app
from mljupyter.core.inference import InferenceConfig
from mljupyter.core.model import Model
from mljupyter.core.router import SslConfiguration
from mljupyter.core.webservice import (
    AciWebservice,
    AksServiceAccessToken,
    AksWebservice,
    Webservice,
    WebServiceAccessToken,
)
from mljupyter.core.workspace import Workspace
from mljupyter.exceptions import ComputeTargetException, WebserviceException
from tests.system.certificates import Files

pytestmark = pytest.mark.system
SCRIPT = """
import json


def init():
    pass


def run(data):
    return sum(json.loads(data))
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(tmp_path_factory.mktemp("security") / "home"))
        workspace = Workspace.create("secure")
        yield workspace
        for service in workspace.webservices.values():
            service.delete()
        workspace.controller.stop(force=True)


@pytest.fixture
def inference(tmp_path: Path) -> InferenceConfig:
    script = tmp_path / "score.py"
    script.write_text(SCRIPT)
    return InferenceConfig(entry_script=str(script))


def deploy(workspace: Workspace, name: str, inference: InferenceConfig, configuration: object) -> Webservice:
    service = Model.deploy(workspace, name, [], inference, configuration, overwrite=True)
    service.wait_for_deployment()
    return service


def command(workspace: Workspace, *arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments, "--workspace", str(workspace.directory)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_service_with_tokens_is_scored_and_asks_for_the_next_token_by_itself(
    workspace: Workspace, inference: InferenceConfig
) -> None:
    service = deploy(workspace, "tokens", inference, AksWebservice.deploy_configuration(token_auth_enabled=True))
    assert (service.auth_enabled, service.token_auth_enabled) == (False, True)
    assert service.run("[1, 2]") == 3
    text, refresh_by = service.get_token()
    assert len(text.split(".")) == 3
    whole = service.get_access_token()
    assert isinstance(whole, AksServiceAccessToken)
    assert whole.token_type == "Bearer"
    assert datetime.now(UTC) < refresh_by <= whole.refresh_after < whole.expiry_on
    assert whole.expiry_on - datetime.now(UTC) < timedelta(hours=12, seconds=1)
    assert whole.access_token not in repr(whole)
    assert WebServiceAccessToken.deserialize(whole.serialize()).expiry_on == whole.expiry_on
    with pytest.raises(WebserviceException, match="key authentication is off"):
        service.get_keys()
    workspace.router.rotate_token_keys(revoke=True)
    assert service.run("[1, 2]") == 3  # 401 once, then with a new token
    printed = command(workspace, "endpoint", "token", "tokens").strip()
    assert len(printed.split(".")) == 3
    document = json.loads(command(workspace, "endpoint", "token", "tokens", "--json"))
    assert set(document) == {"accessToken", "tokenType", "refreshAfter", "expiryOn"}
    assert "signs tokens" in command(workspace, "endpoint", "rotate-token-key")
    assert service.run("[1]") == 1
    with pytest.raises(WebserviceException, match="token_auth_enabled=False in the same call"):
        service.update(auth_enabled=True)
    service.update(auth_enabled=True, token_auth_enabled=False)
    service.wait_for_deployment()
    assert service.run("[1]") == 1
    with pytest.raises(WebserviceException, match="no token authentication"):
        service.get_token()
    service.delete()


def test_a_key_that_another_client_replaced_is_asked_for_anew(workspace: Workspace, inference: InferenceConfig) -> None:
    service = deploy(workspace, "keys", inference, AksWebservice.deploy_configuration(primary_key="a-key-of-my-own"))
    assert service.run("[1]") == 1
    command(workspace, "endpoint", "regen-key", "keys", "primary", "--set-key", "another-key-of-mine")
    assert service.run("[2]") == 2
    assert service.get_keys()[0] == "another-key-of-mine"
    assert "another-key-of-mine" in command(workspace, "endpoint", "keys", "keys")
    service.delete()


def test_the_workspace_signs_and_run_trusts_it(workspace: Workspace, inference: InferenceConfig) -> None:
    service = deploy(workspace, "secure", inference, AksWebservice.deploy_configuration())
    assert service.run("[1]") == 1
    workspace.compute_targets["local"].enable_ssl(leaf_domain_label="churn-team")
    assert service.run("[1]") == 1  # sent on by the redirect
    assert str(service.scoring_uri).startswith("https://localhost:")
    with pytest.raises(WebserviceException, match="overwrite_existing_domain=True"):
        workspace.compute_targets["local"].enable_ssl(leaf_domain_label="other")
    workspace.compute_targets["local"].enable_ssl(leaf_domain_label="other", overwrite_existing_domain=True)
    assert service.run("[1]") == 1
    assert "--cacert" in command(workspace, "router", "trust")
    shown = command(workspace, "router", "show")
    assert "other.localhost" in shown
    assert "Certificate" in command(workspace, "endpoint", "show", "secure")
    SslConfiguration(status="Disabled").apply(workspace.router)
    assert json.loads(command(workspace, "router", "show", "--json"))["spec"].get("tls") is None
    service.delete()


def test_a_service_with_a_certificate_of_its_own_is_scored_by_its_name(
    workspace: Workspace, inference: InferenceConfig, tmp_path: Path
) -> None:
    files = Files(tmp_path / "pki", "scoring.example.org")
    configuration = AciWebservice.deploy_configuration(
        auth_enabled=True,
        ssl_enabled=True,
        ssl_cert_pem_file=str(files.certificate),
        ssl_key_pem_file=str(files.key),
        ssl_cname="scoring.example.org",
    )
    service = deploy(workspace, "own", inference, configuration)
    assert isinstance(service, AciWebservice)
    assert (service.ssl_enabled, service.cname) == (True, "scoring.example.org")
    assert str(service.scoring_uri).startswith("https://scoring.example.org:")
    assert service.run("[1, 2]") == 3
    service.update(ssl_enabled=False)
    service.wait_for_deployment()
    assert str(service.scoring_uri).startswith("http://localhost:")
    assert service.run("[1, 2]") == 3
    service.delete()


def test_more_requests_a_second_than_allowed_are_refused(workspace: Workspace, inference: InferenceConfig) -> None:
    service = deploy(workspace, "limited", inference, AciWebservice.deploy_configuration())
    service.limit_rate(1, burst=2)
    service.wait_for_deployment()
    with pytest.raises(WebserviceException, match="TooManyRequests") as caught:
        for _ in range(20):
            service.run("[1]")
    assert caught.value.status_code == 429
    service.limit_rate(None)
    service.wait_for_deployment()
    assert [service.run("[1]") for _ in range(20)] == [1] * 20
    service.delete()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"leaf_domain_label": "a", "ssl_cname": "b"}, "leaf_domain_label and ssl_cname cannot be combined"),
        ({"ssl_cname": "b"}, "ssl_cname given without ssl_cert_pem_file and ssl_key_pem_file"),
        ({}, "leaf_domain_label"),
    ],
)
def test_tls_of_a_target_is_asked_for_in_one_of_two_ways(
    workspace: Workspace, arguments: dict[str, str], told: str
) -> None:
    with pytest.raises(ComputeTargetException, match=told):
        workspace.compute_targets["local"].enable_ssl(**arguments)
