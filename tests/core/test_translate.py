from __future__ import annotations

from typing import Any

import pytest

from mljupyter.core.webservice import AciWebservice, AksWebservice, LocalWebservice
from mljupyter.core.webservice.configuration import WebserviceDeploymentConfiguration
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.spec_builder import changed_endpoint, new_endpoint
from mljupyter.deploy.versions import with_new_version
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import CodeReference, EndpointSpec, EndpointTls, ModelReference, SpecError, Toleration, VersionSpec

AKS, ACI = AksWebservice.deploy_configuration, AciWebservice.deploy_configuration
LOCAL = LocalWebservice.deploy_configuration
CODE = CodeReference(digest="sha256:" + "0" * 64, entry_script="score.py")
OTHER_CODE = CodeReference(digest="sha256:" + "1" * 64, entry_script="score.py")
MODEL = ModelReference(name="ridge", version=3, digest="sha256:" + "2" * 64, entry="model.pkl")
SERVED = VersionContent(code=CODE, models=[MODEL], interpreter="/usr/bin/python3", source="/project/score.py")


def endpoint(configuration: WebserviceDeploymentConfiguration) -> EndpointSpec:
    return new_endpoint("diabetes", configuration, SERVED)


def version(spec: EndpointSpec) -> VersionSpec:
    return spec.versions[spec.default_version]


def part(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else getattr(document, key)
    return document


@pytest.mark.parametrize(
    ("configuration", "path", "value"),
    [
        (AKS(), "kind", "AKS"),
        (AKS(), "compute_target", "local"),
        (AKS(), "authentication", "key"),
        (AKS(auth_enabled=False), "authentication", "none"),
        (AKS(token_auth_enabled=False), "authentication", "key"),
        (AKS(), "port", None),
        (AKS(description="d"), "description", "d"),
        (AKS(tags={"a": "b"}), "tags", {"a": "b"}),
        (AKS(properties={"a": "b"}), "properties", {"a": "b", "mljupyter.source": "/project/score.py"}),
        (ACI(), "kind", "ACI"),
        (ACI(), "authentication", "none"),
        (ACI(auth_enabled=True), "authentication", "key"),
        (LOCAL(), "kind", "LOCAL"),
        (LOCAL(), "authentication", "none"),
        (LOCAL(port=6789), "port", 6789),
        (LOCAL(), "default_version", "diabetes"),
    ],
)
def test_what_a_configuration_means_for_the_endpoint(configuration: Any, path: str, value: Any) -> None:
    assert part(endpoint(configuration), path) == value


@pytest.mark.parametrize(
    ("configuration", "path", "value"),
    [
        (AKS(), "batching", None),
        (AKS(batching=True), "batching", True),
        (ACI(batching=False), "batching", False),
        (LOCAL(batching=True, preload=True), "preload", True),
        (AKS(), "preload", False),
        (AKS(), "collect_model_data", False),
        (AKS(collect_model_data=True), "collect_model_data", True),
        (AKS(), "resources.cpu", 0.1),
        (AKS(), "resources.memory_in_gb", 0.5),
        (AKS(), "resources.cpu_limit", None),
        (AKS(), "resources.gpu", 0),
        (AKS(cpu_cores=2, memory_gb=4), "resources.cpu", 2.0),
        (AKS(cpu_cores=2, memory_gb=4), "resources.memory_in_gb", 4.0),
        (AKS(cpu_cores_limit=3), "resources.cpu_limit", 3.0),
        (AKS(memory_gb_limit=3), "resources.memory_in_gb_limit", 3.0),
        (AKS(gpu_cores=2), "resources.gpu", 2),
        (AKS(gpu_cores=2), "resources.gpu_resource", None),
        (AKS(gpu_cores=2, gpu_resource="amd.com/gpu"), "resources.gpu_resource", "amd.com/gpu"),
        (AKS(), "placement", None),
        (AKS(tolerations=[]), "placement", None),
        (AKS(node_selector={"disk": "fast"}), "placement.node_selector", {"disk": "fast"}),
        (
            AKS(tolerations=["gpu", {"key": "a", "value": "b"}]),
            "placement.tolerations",
            [Toleration.of("gpu"), Toleration.of("a=b")],
        ),
        (AKS(runtime_class="gvisor"), "placement.runtime_class", "gvisor"),
        (AKS(namespace="team-b"), "placement.namespace", "team-b"),
        (AKS(), "scaling.replicas", None),
        (AKS(), "scaling.autoscale.min_replicas", 1),
        (AKS(), "scaling.autoscale.max_replicas", 10),
        (AKS(), "scaling.autoscale.refresh_seconds", 1),
        (AKS(), "scaling.autoscale.target_utilization", 70),
        (AKS(autoscale_enabled=True, autoscale_target_utilization=30), "scaling.autoscale.target_utilization", 30),
        (AKS(autoscale_enabled=True, autoscale_min_replicas=2), "scaling.autoscale.min_replicas", 2),
        (AKS(autoscale_enabled=True, autoscale_max_replicas=4), "scaling.autoscale.max_replicas", 4),
        (AKS(autoscale_enabled=True, autoscale_refresh_seconds=5), "scaling.autoscale.refresh_seconds", 5),
        (AKS(num_replicas=3), "scaling.replicas", 3),
        (AKS(num_replicas=3), "scaling.autoscale", None),
        (AKS(autoscale_enabled=False, num_replicas=3), "scaling.replicas", 3),
        (AKS(), "limits.scoring_timeout_ms", 60_000),
        (AKS(), "limits.max_concurrent_requests", 1),
        (AKS(), "limits.max_queue_wait_ms", 500),
        (AKS(scoring_timeout_ms=1), "limits.scoring_timeout_ms", 1),
        (AKS(replica_max_concurrent_requests=4), "limits.max_concurrent_requests", 4),
        (AKS(max_request_wait_time=9), "limits.max_queue_wait_ms", 9),
        (AKS(), "probe.period_seconds", 10),
        (AKS(), "probe.initial_delay_seconds", 310),
        (AKS(), "probe.timeout_seconds", 2),
        (AKS(), "probe.success_threshold", 1),
        (AKS(), "probe.failure_threshold", 3),
        (AKS(period_seconds=1, failure_threshold=7), "probe.failure_threshold", 7),
        (ACI(), "scaling.replicas", 1),
        (ACI(cpu_cores=1, memory_gb=1), "resources.memory_in_gb", 1.0),
        (ACI(), "limits.max_queue_wait_ms", 60_000),
        (LOCAL(), "scaling.replicas", 1),
        (LOCAL(), "code", CODE),
        (LOCAL(), "models", [MODEL]),
        (LOCAL(), "interpreter", "/usr/bin/python3"),
    ],
)
def test_what_a_configuration_means_for_the_version(configuration: Any, path: str, value: Any) -> None:
    assert part(version(endpoint(configuration)), path) == value


@pytest.mark.parametrize("name", ["My-Service", "ab", "a" * 33, "1st", "a_b", "ends-"])
def test_a_service_name_against_the_rule_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="Invalid web service name"):
        new_endpoint(name, AKS(), SERVED)


@pytest.mark.parametrize(
    ("configuration", "authentication"),
    [
        (AKS(), "key"),
        (AKS(token_auth_enabled=True), "token"),
        (AKS(token_auth_enabled=True, auth_enabled=False), "token"),
        (AKS(token_auth_enabled=False), "key"),
        (AKS(auth_enabled=False), "none"),
        (ACI(), "none"),
        (ACI(auth_enabled=True), "key"),
    ],
)
def test_keys_are_on_by_default_where_they_were_and_tokens_turn_them_off(
    configuration: Any, authentication: str
) -> None:
    assert endpoint(configuration).authentication == authentication


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (AKS(), AKS(token_auth_enabled=True, auth_enabled=False), "token"),
        (AKS(), AKS(token_auth_enabled=True), "auth_enabled=False in the same call"),
        (AKS(auth_enabled=False), AKS(token_auth_enabled=True), "token"),
        (AKS(token_auth_enabled=True), AKS(token_auth_enabled=True), "token"),
        (AKS(token_auth_enabled=True), AKS(description="new"), "token"),
        (AKS(token_auth_enabled=True), AKS(auth_enabled=True), "token_auth_enabled=False in the same call"),
        (AKS(token_auth_enabled=True), AKS(auth_enabled=True, token_auth_enabled=False), "key"),
        (AKS(token_auth_enabled=True), AKS(token_auth_enabled=False), "everybody could call"),
        (AKS(token_auth_enabled=True), AKS(token_auth_enabled=False, auth_enabled=False), "none"),
        (AKS(token_auth_enabled=True), AKS(auth_enabled=False), "token"),
    ],
)
def test_a_change_has_keys_or_tokens_and_never_opens_by_accident(before: Any, change: Any, after: str) -> None:
    present = endpoint(before)
    if " " in after:
        with pytest.raises(WebserviceException, match=after):
            changed_endpoint(present, change)
    else:
        assert changed_endpoint(present, change).authentication == after


def test_an_endpoint_certificate_can_be_kept_replaced_and_removed(tmp_path: Any) -> None:
    for name in ("cert.pem", "key.pem", "other.pem"):
        (tmp_path / name).touch()
    cert, key, other = (str(tmp_path / name) for name in ("cert.pem", "key.pem", "other.pem"))
    secure = endpoint(ACI(ssl_enabled=True, ssl_cname="example.org", ssl_cert_pem_file=cert, ssl_key_pem_file=key))
    assert secure.tls is not None
    assert (secure.tls.host, secure.tls.certificate_file, secure.tls.key_file) == ("example.org", cert, key)
    assert changed_endpoint(secure, ACI(description="new")).tls == secure.tls
    changed = changed_endpoint(secure, ACI(ssl_cert_pem_file=other)).tls
    assert changed is not None
    assert (changed.host, changed.certificate_file) == ("example.org", other)
    assert changed_endpoint(secure, ACI(ssl_enabled=False)).tls is None
    stored = secure.model_copy(update={"tls": EndpointTls(host="example.org", secret="mlj-tls-diabetes-0")})
    assert changed_endpoint(stored, ACI(description="new")).tls == stored.tls
    assert changed_endpoint(stored, ACI(ssl_cert_pem_file=cert, ssl_key_pem_file=key)).tls == secure.tls
    with pytest.raises(WebserviceException, match="ssl_cert_pem_file given without ssl_key_pem_file"):
        changed_endpoint(stored, ACI(ssl_cert_pem_file=cert))
    with pytest.raises(WebserviceException, match="without ssl_cert_pem_file and ssl_key_pem_file"):
        endpoint(ACI(ssl_cname="example.org"))


def test_the_size_of_a_container_instance_is_also_its_limit() -> None:
    sized = endpoint(ACI(cpu_cores=0.5, memory_gb=1)).versions["diabetes"].resources
    assert (sized.cpu, sized.cpu_limit, sized.memory_in_gb_limit) == (0.5, 0.5, 1)
    assert endpoint(ACI()).versions["diabetes"].resources.cpu_limit is None
    assert endpoint(AKS(cpu_cores=0.5)).versions["diabetes"].resources.cpu_limit is None


def test_a_minimum_above_the_default_maximum_is_refused() -> None:
    with pytest.raises(SpecError, match="minReplicas is 12, maxReplicas 10"):
        endpoint(AKS(autoscale_enabled=True, autoscale_min_replicas=12))


def test_records_of_requests_are_off_until_asked_for_and_an_update_turns_them_off_again() -> None:
    before = endpoint(AKS())
    assert not version(before).app_insights_enabled
    on = changed_endpoint(before, AKS(enable_app_insights=True))
    assert version(on).app_insights_enabled
    assert version(changed_endpoint(on, AKS(cpu_cores=1))).app_insights_enabled
    assert not version(changed_endpoint(on, AKS(enable_app_insights=False))).app_insights_enabled
    assert version(endpoint(ACI(enable_app_insights=True))).app_insights_enabled


def test_a_change_keeps_what_is_not_given() -> None:
    before = endpoint(AKS(cpu_cores=2, num_replicas=3, tags={"a": "b"}, description="d", scoring_timeout_ms=5))
    after = changed_endpoint(before, AKS(memory_gb=4))
    assert version(after).resources.memory_in_gb == 4
    assert version(after).resources.cpu == 2
    assert version(after).scaling.replicas == 3
    assert version(after).limits.scoring_timeout_ms == 5
    assert (after.tags, after.description, after.authentication) == ({"a": "b"}, "d", "key")


def test_a_change_of_the_placement_keeps_the_rest_of_it_and_an_empty_value_takes_it_away() -> None:
    before = endpoint(AKS(node_selector={"disk": "fast"}, tolerations=["gpu"], runtime_class="gvisor"))
    other = changed_endpoint(before, AKS(tolerations=["spot"]))
    assert part(version(other), "placement.node_selector") == {"disk": "fast"}
    assert part(version(other), "placement.tolerations") == [Toleration.of("spot")]
    assert version(changed_endpoint(other, AKS(cpu_cores=1))).placement == version(other).placement
    assert version(changed_endpoint(other, AKS(node_selector={}, tolerations=[], runtime_class=""))).placement is None


def test_all_versions_of_an_endpoint_run_in_its_namespace() -> None:
    before = endpoint(AKS(namespace="team-a", cpu_cores=2))
    served = VersionContent(code=OTHER_CODE, models=[], interpreter="/usr/bin/python3")
    two = with_new_version(before, AKS(cpu_cores=3), served, name="two")
    assert two.namespace == part(two.versions["two"], "placement.namespace") == "team-a"
    moved = changed_endpoint(two, AKS(namespace="team-b"))
    assert {part(one, "placement.namespace") for one in moved.versions.values()} == {"team-b"}
    assert [part(one, "resources.cpu") for one in moved.versions.values()] == [2, 3]
    document = moved.document()
    document["versions"]["two"]["placement"]["namespace"] = "team-c"
    with pytest.raises(
        SpecError, match=r"different namespaces \(.* in team-b, two in team-c\): an endpoint runs in one"
    ):
        EndpointSpec.parse(document)


def test_an_update_without_arguments_returns_an_equal_spec() -> None:
    before = endpoint(AKS(num_replicas=3))
    assert changed_endpoint(before, AKS(collect_model_data=False)) == before


def test_autoscaling_is_changed_in_part_or_turned_on_and_off() -> None:
    before = endpoint(AKS(autoscale_enabled=True, autoscale_max_replicas=4))
    more = changed_endpoint(before, AKS(autoscale_enabled=True, autoscale_min_replicas=2))
    policy = version(more).scaling.autoscale
    assert policy is not None and (policy.min_replicas, policy.max_replicas) == (2, 4)
    fixed = changed_endpoint(before, AKS(autoscale_enabled=False, num_replicas=2))
    assert (version(fixed).scaling.replicas, version(fixed).scaling.autoscale) == (2, None)
    assert version(changed_endpoint(fixed, AKS(autoscale_enabled=True))).scaling.autoscale is not None


def test_tags_are_replaced_and_properties_only_added() -> None:
    before = endpoint(ACI(tags={"a": "1"}, properties={"p": "1"}))
    after = changed_endpoint(before, ACI(tags={"b": "2"}, properties={"q": "2"}))
    assert after.tags == {"b": "2"}
    assert after.properties == {"p": "1", "q": "2", "mljupyter.source": "/project/score.py"}
    with pytest.raises(WebserviceException, match="p exist"):
        changed_endpoint(before, ACI(properties={"p": "1"}))


def test_new_code_and_models_replace_the_old_ones() -> None:
    before = endpoint(AKS())
    after = changed_endpoint(before, AKS(), VersionContent(code=OTHER_CODE, models=[], interpreter="/usr/bin/python3"))
    assert (version(after).code, version(after).models) == (OTHER_CODE, [])


def test_authentication_is_turned_on_and_off() -> None:
    open_to_all = changed_endpoint(endpoint(AKS()), AKS(auth_enabled=False))
    assert open_to_all.authentication == "none"
    assert changed_endpoint(open_to_all, AKS(auth_enabled=True)).authentication == "key"
