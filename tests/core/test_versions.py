"""What may be done to the versions of an endpoint."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from mljupyter.core.webservice import AksEndpoint, AksWebservice
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.spec_builder import new_endpoint
from mljupyter.deploy.versions import (
    known_version,
    with_changed_version,
    with_new_version,
    with_traffic,
    without_version,
)
from mljupyter.engine.rollout.rules import refuse_promotion, refuse_start
from mljupyter.exceptions import WebserviceException
from mljupyter.magics.commands.endpoints import version_of
from mljupyter.spec import CodeReference, EndpointRecord, EndpointSpec, EndpointStatus, RolloutPlan, SpecError

CONFIG = AksEndpoint.deploy_configuration
SERVED = VersionContent(code=CodeReference(digest="sha256:" + "0" * 64, entry_script="score.py"))
OTHER = VersionContent(code=CodeReference(digest="sha256:" + "1" * 64, entry_script="score.py"))


def added(spec: EndpointSpec, name: str, percentile: int | None = None, **roles: bool) -> EndpointSpec:
    return with_new_version(spec, CONFIG(traffic_percentile=percentile), SERVED, name=name, **roles)


def updated(spec: EndpointSpec, name: str, percentile: int | None = None, **roles: bool) -> EndpointSpec:
    return with_changed_version(spec, CONFIG(traffic_percentile=percentile), None, name=name, **roles)


@pytest.fixture
def one() -> EndpointSpec:
    return new_endpoint("shared", CONFIG(version_name="versiona", traffic_percentile=20), SERVED)


@pytest.fixture
def two(one: EndpointSpec) -> EndpointSpec:
    return added(one, "versionb", 10)


def roles(spec: EndpointSpec) -> tuple[str, str]:
    return spec.default_version, spec.control


def test_the_first_version_is_default_and_control(one: EndpointSpec) -> None:
    assert one.kind == "AKSENDPOINT"
    assert one.versions["versiona"].traffic_percentile == 20
    assert roles(one) == ("versiona", "versiona")
    assert list(new_endpoint("shared", CONFIG(), SERVED).versions) == ["shared"]


def test_description_tags_and_properties_of_a_deployment_are_those_of_its_first_version_too() -> None:
    about = {"description": "the first", "tags": {"a": "b"}, "properties": {"p": "q"}}
    spec = new_endpoint("shared", CONFIG(version_name="versiona", **about), SERVED)
    for has in (spec, spec.versions["versiona"]):
        assert (has.description, has.tags, has.properties["p"]) == ("the first", {"a": "b"}, "q")
    plain = new_endpoint("single", AksWebservice.deploy_configuration(**about), SERVED).versions["single"]
    assert (plain.description, plain.tags) == (None, {})


def test_a_new_version_has_defaults_of_its_own_and_no_role(two: EndpointSpec) -> None:
    version = two.versions["versionb"]
    assert (version.traffic_percentile, version.limits.max_queue_wait_ms, version.resources.cpu) == (10, 500, 0.1)
    assert roles(two) == ("versiona", "versiona")
    assert added(two, "versionc").versions["versionc"].traffic_percentile == 0


def test_both_roles_are_taken_over_one_by_one(two: EndpointSpec) -> None:
    assert roles(updated(two, "versionb", is_default=True)) == ("versionb", "versiona")
    assert roles(updated(two, "versionb", is_control=True)) == ("versiona", "versionb")
    both = updated(two, "versionb", 40, is_default=True, is_control=True)
    assert roles(both) == ("versionb", "versionb")
    assert both.versions["versionb"].traffic_percentile == 40
    assert roles(added(two, "versionc", is_default=True)) == ("versionc", "versiona")


def test_a_change_keeps_what_is_not_given(two: EndpointSpec) -> None:
    changed = with_changed_version(
        two, CONFIG(cpu_cores=2, tags={"a": "1"}, properties={"p": "1"}), OTHER, name="versionb"
    )
    version = changed.versions["versionb"]
    assert (version.resources.cpu, version.traffic_percentile, version.code) == (2, 10, OTHER.code)
    assert (version.tags, version.properties, changed.tags) == ({"a": "1"}, {"p": "1"}, {})
    assert changed.versions["versiona"] == two.versions["versiona"]


def test_a_change_of_nothing_is_no_change(one: EndpointSpec, two: EndpointSpec) -> None:
    assert updated(one, "versiona") == one
    assert with_traffic(two) == two


def test_a_version_goes_and_its_control_role_falls_to_the_default(two: EndpointSpec) -> None:
    assert list(without_version(two, "versionb").versions) == ["versiona"]
    controlled = updated(two, "versionb", is_control=True)
    assert roles(without_version(controlled, "versionb")) == ("versiona", "versiona")


def test_percentiles_are_set_in_one_step_and_who_is_not_named_has_none(two: EndpointSpec) -> None:
    three = added(two, "versionc", 5)
    changed = with_traffic(three, {"versionb": 60}, mirror={"versionc": 30}, sticky_header="x-user")
    shares = {name: (item.traffic_percentile, item.mirror_percentile) for name, item in changed.versions.items()}
    assert shares == {"versiona": (0, 0), "versionb": (60, 0), "versionc": (0, 30)}
    assert changed.sticky_header == "x-user"
    assert with_traffic(changed, sticky_header="").sticky_header is None
    assert with_traffic(changed, {"versiona": 1}).sticky_header == "x-user"


def test_an_unknown_version_is_refused_with_one_sentence_everywhere(two: EndpointSpec) -> None:
    sentence = "'shared' has no version 'version-b'. Did you mean 'versionb'? It has versiona, versionb."
    spec = two.model_copy(update={"name": "shared"})
    now = datetime.now(UTC)
    record = EndpointRecord(
        spec=spec, status=EndpointStatus(), created_time=now, updated_time=now, generation=1, resource_version=1
    )
    plan = RolloutPlan.parse({"version": "version-b", "steps": [100], "everySeconds": 1})
    refusals = refuse_start(record, plan), refuse_promotion(record, "version-b")
    assert [refusal.message for refusal in refusals if refusal is not None] == [sentence, sentence]
    with pytest.raises(WebserviceException) as by_sdk:
        known_version(spec, "version-b")
    with pytest.raises(WebserviceException) as by_magics:
        version_of(SimpleNamespace(versions={}, record=record), "version-b")  # type: ignore[arg-type]
    assert (by_sdk.value.message, by_magics.value.message) == (sentence, sentence)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda spec: without_version(spec, "versiona"),
            r"'versiona' is the default(.|\n)*'versionb', is_default=True",
        ),
        (lambda spec: without_version(spec, "version-b"), r"no version 'version-b'. Did you mean 'versionb'"),
        (lambda spec: updated(spec, "other"), r"no version 'other'. It has versiona, versionb"),
        (lambda spec: added(spec, "versionb"), r"a version 'versionb' already: change it with update_version"),
        (lambda spec: added(spec, "B"), r"Invalid endpoint version name 'B'"),
        (lambda spec: added(spec, "versionc", 80), r"add up to 110 .*at most 100"),
        (lambda spec: updated(spec, "versiona", is_default=False), r"make another one the default"),
        (lambda spec: updated(spec, "versiona", is_control=False), r"make another one the control version"),
        (lambda spec: with_traffic(spec, {"versiona": 101}), r"percentile of versiona is 101"),
        (lambda spec: with_traffic(spec, {"versiona": 60, "versionb": 41}), r"add up to 101"),
        (lambda spec: with_traffic(spec, mirror={"versiona": 10}), r"is the default and has a mirrorPercentile|either"),
        (lambda spec: with_new_version(spec, CONFIG(), None, name="new"), r"inference_config is missing"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_way_out(
    two: EndpointSpec, change: Callable[[EndpointSpec], EndpointSpec], message: str
) -> None:
    with pytest.raises((WebserviceException, SpecError), match=message):
        change(two)


def test_the_only_version_is_not_deleted(one: EndpointSpec) -> None:
    with pytest.raises(WebserviceException, match=r"the only version(.|\n)*endpoint.delete\(\)"):
        without_version(one, "versiona")


def test_six_versions_are_the_most(one: EndpointSpec) -> None:
    spec = one
    for number in range(5):
        spec = added(spec, f"more-{number}")
    with pytest.raises(WebserviceException, match=r"6 versions, the most there may be(.|\n)*delete_version"):
        added(spec, "one-too-many")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"traffic_percentile": 101}, "traffic_percentile is 101: it must be a whole number from 0 to 100"),
        ({"traffic_percentile": 0.5}, "traffic_percentile is 0.5"),
        ({"version_name": "A"}, "Invalid endpoint version name 'A'"),
        ({"cpu_cores": 0, "traffic_percentile": -1}, r"cpu_cores is 0(.|\n)*traffic_percentile is -1"),
    ],
)
def test_rules_of_a_configuration(given: dict[str, object], message: str) -> None:
    with pytest.raises(WebserviceException, match=message):
        CONFIG(**given)  # type: ignore[arg-type]


def test_arguments_have_the_order_of_the_original() -> None:
    deploy = list(inspect.signature(CONFIG).parameters)
    first = deploy.index("version_name")
    assert deploy[first : first + 5] == [
        "version_name",
        "traffic_percentile",
        "compute_target_name",
        "cpu_cores_limit",
        "memory_gb_limit",
    ]
    create = list(inspect.signature(AksEndpoint.create_version).parameters)
    assert create == list(inspect.signature(AksEndpoint.update_version).parameters)
    assert create[:3] == ["self", "version_name", "autoscale_enabled"]
    first = create.index("traffic_percentile")
    assert create[first : first + 5] == [
        "traffic_percentile",
        "is_default",
        "is_control_version_type",
        "cpu_cores_limit",
        "memory_gb_limit",
    ]
    assert list(inspect.signature(AksEndpoint.update).parameters)[1:] == [
        "auth_enabled",
        "token_auth_enabled",
        "enable_app_insights",
        "description",
        "tags",
        "properties",
    ]
