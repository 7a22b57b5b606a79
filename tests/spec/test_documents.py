"""Documents: camelCase round trip, and errors that name field, value and rule."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.spec import (
    CertificateFiles,
    CertificateSecret,
    EndpointSpec,
    EndpointTls,
    SpecError,
    VersionSpec,
    names,
)

CODE = {"digest": "sha256:" + "a" * 64, "entryScript": "score.py"}
SPEC = {"name": "iris", "defaultVersion": "iris", "versions": {"iris": {"code": CODE}}}


def spec(**changes: object) -> dict[str, object]:
    return {**SPEC, **changes}


def version(**changes: object) -> dict[str, object]:
    return spec(versions={"iris": {"code": CODE, **changes}})


def test_a_document_survives_the_way_through_json() -> None:
    parsed = EndpointSpec.parse(version(resources={"cpu": 1, "memoryInGB": 2}, scaling={"autoscale": {}}))
    assert EndpointSpec.parse(parsed.json_text()) == parsed
    assert parsed.document()["versions"]["iris"]["resources"]["memoryInGB"] == 2
    assert EndpointSpec.parse(json.loads(parsed.json_text())) == parsed


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (spec(name="Iris"), r"Invalid endpoint name 'Iris'\. Use 3 to 32 lower-case"),
        (spec(versions={}), r"versions: .*at least 1"),
        (spec(defaultVersion="other"), r"defaultVersion is 'other', which is not a version of 'iris'.*iris"),
        (spec(colour="red"), r"colour is not a known field"),
        (spec(defaultVerson="iris"), r"Did you mean 'defaultVersion'"),
        (version(resource={"cpu": 1}), r"versions\.iris\.resource is not a known field\. Did you mean 'resources'"),
        (version(resources={"cpu": -1}), r"versions\.iris\.resources\.cpu is -1: .*greater than 0"),
        (version(resources={"cpu": 2, "cpuLimit": 1}), r"cpuLimit is 1\.0, below cpu 2\.0"),
        (version(resources={"memoryInGB": 2, "memoryInGBLimit": 1}), r"memoryInGBLimit is 1\.0, below memoryInGB 2\.0"),
        (version(scaling={"replicas": 1, "autoscale": {}}), r"replicas and autoscale cannot be combined"),
        (version(scaling={"autoscale": {"minReplicas": 3, "maxReplicas": 2}}), r"minReplicas is 3, maxReplicas 2"),
        (version(trafficPercentile=101), r"trafficPercentile is 101: .*less than or equal to 100"),
        (version(limits={"maxConcurrentRequests": 0}), r"maxConcurrentRequests is 0: "),
        ({"name": "iris"}, r"defaultVersion is missing: it is required"),
        (version(mirrorPercentile=10), r"'iris' is the default and has a mirrorPercentile"),
        (version(mirrorPercentile=10, trafficPercentile=1), r"mirrorPercentile is 10, trafficPercentile 1: .*to 0"),
        (spec(controlVersion="other"), r"controlVersion is 'other': it has iris"),
        (spec(stickyHeader="a b"), r"stickyHeader is 'a b': "),
        (spec(stickyHeader=":path"), r"stickyHeader is ':path': "),
        (spec(kind="LOCAL", authentication="key"), r"a local web service has no authentication"),
        (spec(port=70000), r"port is 70000"),
    ],
)
def test_an_error_names_the_field_the_value_and_the_rule(document: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        EndpointSpec.parse(document)
    assert len(str(caught.value).splitlines()) <= 6


def test_traffic_percentiles_add_up_to_at_most_100() -> None:
    versions = {name: {"code": CODE, "trafficPercentile": 60} for name in ("one", "two")}
    with pytest.raises(SpecError, match=r"add up to 120 \(one 60, two 60\): at most 100"):
        EndpointSpec.parse(spec(versions=versions, defaultVersion="one"))


def test_there_are_at_most_six_versions() -> None:
    versions = {f"v-{number}": {"code": CODE} for number in range(7)}
    with pytest.raises(SpecError, match="at most 6"):
        EndpointSpec.parse(spec(versions=versions, defaultVersion="v-0"))


def test_not_a_number_is_refused() -> None:
    with pytest.raises(SpecError, match="cpu"):
        VersionSpec.parse(
            '{"code": {"digest": "sha256:' + "a" * 64 + '", "entryScript": "s.py"}, "resources": {"cpu": NaN}}'
        )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["name", "versions", "code", "iris"]), inner)
        ),
    )
)
@pytest.mark.faults(29, "any JSON as a deployment")
def test_any_json_is_a_document_or_a_spec_error(data: object) -> None:
    try:
        EndpointSpec.parse(data)  # type: ignore[arg-type]
    except SpecError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (names.MODEL, ["a", "A-1._x", "x" * 255], ["", "-a", "a b", "x" * 256, "ä", "a/b"]),
        (names.SERVICE, ["abc", "a-1", "a" * 32], ["ab", "a" * 33, "Abc", "abc-", "1abc", "a_b", "abc\n"]),
        (names.WORKSPACE, ["abc", "A_b-1"], ["ab", "_ab", "a" * 34, "a b"]),
        (names.COMPUTE, ["abc", "My-1"], ["ab", "1ab", "a_b", "a" * 25]),
    ],
)
def test_names_follow_their_rules(rule: names.NameRule, good: list[str], bad: list[str]) -> None:
    for name in good:
        assert rule.check(name) == name
    for name in bad:
        with pytest.raises(SpecError, match=r"Invalid .* name (.|\n)*\. Use "):
            rule.check(name)


@pytest.mark.parametrize(
    "given",
    [{}, {"certificateFile": "/c.pem"}, {"secret": "tls", "keyFile": "/k.pem"}],
)
def test_the_certificate_of_an_endpoint_is_in_two_files_or_in_a_secret(given: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="give either certificateFile and keyFile, or on a cluster"):
        EndpointTls.parse({"host": "ml.example.org", **given})
    files = {"certificateFile": "/c.pem", "keyFile": "/k.pem"}
    assert EndpointTls.parse({"host": "ml.example.org", **files}).own == CertificateFiles.parse(
        {"host": "ml.example.org", **files}
    )
    stored = EndpointTls.parse({"host": "ml.example.org", "secret": "tls"})
    assert stored.own == CertificateSecret(host="ml.example.org", name="tls")
