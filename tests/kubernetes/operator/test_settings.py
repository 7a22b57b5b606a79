"""The settings of the operator: the self-scaling of the router by the variables of its Deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import SIZES, Purpose, ServiceType
from mljupyter.kubernetes.operator.settings import OperatorSettings, OperatorSettingsError, scaling_of
from mljupyter.spec import RouterScaling

PRODUCTION = {names.PURPOSE_VARIABLE: "FastProd"}


@pytest.mark.parametrize("environment", [{}, {names.PURPOSE_VARIABLE: "DevTest", "MLJUPYTER_ROUTER_MAX_PODS": "9"}])
def test_only_production_scales_its_router(environment: dict[str, str]) -> None:
    assert scaling_of(environment) is None


def test_a_router_for_production_has_three_pods_at_least() -> None:
    assert scaling_of(PRODUCTION) == RouterScaling()
    assert RouterScaling().min_pods == SIZES[Purpose.FAST_PROD, names.COMPONENT_ROUTER].pods == 3


def test_each_setting_has_a_variable() -> None:
    values = {"MIN_PODS": "4", "MAX_PODS": "40", "MIN_CPU": "0.25", "MAX_CPU": "2", "ROUTING_MS": "1.5"}
    values |= {"UP_SECONDS": "5", "OUT_SECONDS": "6", "SHRINK_SECONDS": "7", "ROOM_SECONDS": "8"}
    values |= {"DOWN_UTILIZATION": "40", "IN_UTILIZATION": "10"}
    assert set(values) == {name.upper() for name in RouterScaling.model_fields}
    found = scaling_of(PRODUCTION | {f"MLJUPYTER_ROUTER_{name}": value for name, value in values.items()})
    assert found == RouterScaling.parse({name.lower(): float(value) for name, value in values.items()})


def test_the_operator_is_told_what_publishes_its_router(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (names.API_KEY, names.INTERNAL_KEY):
        (tmp_path / name).write_text("0" * 64)
    monkeypatch.setattr(names, "ACCESS_DIRECTORY", str(tmp_path))
    needed = (names.NAMESPACE_VARIABLE, names.POD_NAME_VARIABLE, names.TARGET_VARIABLE, names.WORKSPACE_VARIABLE)
    given = dict.fromkeys(needed, "team")
    assert OperatorSettings.of_pod(given).service is ServiceType.CLUSTER_IP
    route = {names.GATEWAY_NAMESPACE_VARIABLE: "infra", names.GATEWAY_VARIABLE: "public"}
    found = OperatorSettings.of_pod(given | route | {names.SERVICE_TYPE_VARIABLE: "HTTPRoute"})
    assert (found.service, found.gateway) == (ServiceType.HTTP_ROUTE, ("infra", "public"))


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("MAX_PODS", "2", "min_pods is 3, above max_pods 2"),
        ("MAX_PODS", "many", "max_pods"),
        ("ROUTING_MS", "nan", "routing_ms"),
        ("DOWN_UTILIZATION", "100", "down_utilization"),
    ],
)
def test_a_value_that_breaks_a_rule_is_named(name: str, value: str, rule: str) -> None:
    with pytest.raises(OperatorSettingsError, match=rule) as error:
        scaling_of(PRODUCTION | {f"MLJUPYTER_ROUTER_{name}": value})
    assert "MLJUPYTER_ROUTER_..." in error.value.message
    assert len(error.value.message.splitlines()) <= 5
