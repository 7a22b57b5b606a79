from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core.webservice import AciWebservice, AksWebservice, LocalWebservice
from mljupyter.exceptions import WebserviceException

AKS, ACI = AksWebservice.deploy_configuration, AciWebservice.deploy_configuration


def test_what_is_not_given_is_none() -> None:
    configuration = AKS()
    assert configuration.cpu_cores is None
    assert configuration.auth_enabled is None
    assert configuration.given() == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cpu_cores": 0}, "cpu_cores is 0: it must be a number above 0"),
        ({"cpu_cores": "1"}, "cpu_cores is '1'"),
        ({"memory_gb": -1}, "memory_gb is -1"),
        ({"memory_gb": True}, "memory_gb is True"),
        ({"memory_gb": float("nan")}, "memory_gb is nan"),
        ({"num_replicas": 0}, "num_replicas is 0"),
        ({"num_replicas": 1.5}, "num_replicas is 1.5: it must be a whole number above 0"),
        ({"scoring_timeout_ms": 0}, "scoring_timeout_ms is 0"),
        ({"replica_max_concurrent_requests": 0}, "replica_max_concurrent_requests is 0"),
        ({"max_request_wait_time": -5}, "max_request_wait_time is -5"),
        ({"period_seconds": 0}, "period_seconds is 0"),
        ({"gpu_cores": -1}, "gpu_cores is -1"),
        ({"gpu_resource": "gpu"}, "gpu_resource: 'gpu' is not the resource of an accelerator"),
        ({"node_selector": {"disk": "a b"}}, "node_selector.disk is 'a b'"),
        ({"node_selector": ["disk"]}, "node_selector"),
        ({"tolerations": "gpu"}, "tolerations is 'gpu'"),
        ({"tolerations": ["gpu=yes:Never"]}, "NoSchedule"),
        ({"tolerations": ["a=b=c"]}, "toleration 'a=b=c': this is not a taint"),
        ({"tolerations": ["a b"]}, "toleration 'a b': key: 'a b' is not a key of Kubernetes"),
        ({"tolerations": [{"key": "gpu", "operator": "Exists", "value": "x"}]}, "operator is 'Exists' and value 'x'"),
        ({"runtime_class": "G Visor"}, "runtime_class is 'G Visor'"),
        ({"runtime_class": 5}, "runtime_class is 5"),
        ({"model_delivery": "ship"}, "model_delivery is 'ship': it must be 'mount' or 'bake'"),
        ({"cpu_cores": 2, "cpu_cores_limit": 1}, "cpu_cores_limit is 1, below cpu_cores 2"),
        ({"memory_gb": 2, "memory_gb_limit": 1}, "memory_gb_limit is 1, below memory_gb 2"),
        ({"autoscale_enabled": True, "num_replicas": 2}, "autoscale_enabled=True and num_replicas cannot be combined"),
        ({"autoscale_enabled": False}, "num_replicas must be given"),
        ({"autoscale_min_replicas": 1}, "autoscale_min_replicas given: pass autoscale_enabled=True"),
        ({"autoscale_target_utilization": 70, "num_replicas": 1}, "autoscale_target_utilization given"),
        (
            {"autoscale_enabled": True, "autoscale_min_replicas": 5, "autoscale_max_replicas": 4},
            "autoscale_min_replicas is 5, above autoscale_max_replicas 4",
        ),
        ({"auth_enabled": True, "token_auth_enabled": True}, "both True"),
        ({"auth_enabled": "yes"}, "auth_enabled is 'yes': it must be True or False"),
        ({"auth_enabled": False, "primary_key": "long-enough"}, "key authentication is off"),
        ({"namespace": "-team"}, "namespace is '-team'"),
        ({"tags": ["a"]}, "tags is"),
        ({"tags": {"a": 1}}, "tags is"),
        ({"properties": {"mljupyter.source": "/"}}, "reserved"),
    ],
)
def test_aks_rules(given: dict[str, Any], message: str) -> None:
    with pytest.raises(WebserviceException, match=message.replace("[", r"\[")):
        AKS(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"token_auth_enabled": True},
        {"gpu_cores": 0},
        {"autoscale_enabled": True, "autoscale_target_utilization": 250},
        {"autoscale_enabled": False, "num_replicas": 3},
        {"cpu_cores": 0.5, "cpu_cores_limit": 0.5},
        {"namespace": "team-a"},
        {"primary_key": "long-enough"},
        {"tags": {}},
    ],
)
def test_what_aks_allows(given: dict[str, Any]) -> None:
    AKS(**given)


def test_all_messages_come_in_one_error() -> None:
    with pytest.raises(WebserviceException) as caught:
        AKS(cpu_cores=0, memory_gb=0, autoscale_enabled=False, namespace="A")
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cpu_cores": 0}, "cpu_cores is 0"),
        ({"primary_key": "long-enough"}, "pass auth_enabled=True"),
        ({"ssl_enabled": True}, "ssl_cert_pem_file, ssl_key_pem_file, ssl_cname must be given, too"),
        ({"ssl_cert_pem_file": "no.pem"}, r"'no\.pem': this file does not exist"),
        ({"cmk_key_name": "k"}, "cmk_vault_base_url, cmk_key_version must be given, too"),
        ({"vnet_name": "v"}, "subnet_name must be given, too"),
    ],
)
def test_aci_rules(project: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(WebserviceException, match=message):
        ACI(**given)


@pytest.mark.parametrize("port", [0, 65536, "6789", True, 1.0])
def test_a_port_outside_1_to_65535_is_refused(port: Any) -> None:
    with pytest.raises(WebserviceException, match="whole number from 1 to 65535"):
        LocalWebservice.deploy_configuration(port)


def test_keys_are_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    configuration = ACI(auth_enabled=True, primary_key="first-key-1", secondary_key="second-key", cpu_cores=1)
    configuration.print_deploy_configuration()
    shown = capsys.readouterr().out + repr(configuration)
    assert "cpu_cores=1" in shown
    assert "first-key-1" not in shown and "second-key" not in shown


def test_update_takes_what_deploy_configuration_takes() -> None:
    at_deploy = set(inspect.signature(AKS).parameters) - {
        "primary_key",
        "secondary_key",
        "compute_target_name",
        "blobfuse_enabled",
    }
    at_update = set(inspect.signature(AksWebservice.update).parameters)
    assert at_update - at_deploy == {"self", "image", "models", "inference_config", "kwargs"}
    assert at_deploy <= at_update
