"""The Job that checks from a node."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from mljupyter.kubernetes import connectivity
from mljupyter.kubernetes.objects import connectivity_job, names
from tests.kubernetes.objects import schemas

JOB = connectivity_job.connectivity_job(
    "check", "registry.example/mljupyter:1", "team", destinations={"store": "tcp://s3:443"}, pull_secrets=("login",)
)
POD = JOB["spec"]["template"]["spec"]


@pytest.mark.parametrize("release", [schemas.OLDEST, schemas.NEWEST])
def test_it_obeys_the_schemas_of_old_and_new_releases(release: str) -> None:
    schemas.check(JOB, release)


def test_its_pod_is_restricted_and_has_no_token() -> None:
    container = POD["containers"][0]
    assert POD["automountServiceAccountToken"] is False
    assert POD["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert set(container["resources"]["limits"]) == set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_it_runs_once_and_ends_and_goes_by_itself_where_nobody_deletes_it() -> None:
    assert JOB["spec"]["backoffLimit"] == 0
    assert JOB["spec"]["activeDeadlineSeconds"] > 0
    assert JOB["spec"]["ttlSecondsAfterFinished"] > 0
    assert POD["restartPolicy"] == "Never"


def test_it_runs_the_check_with_its_destinations_and_the_logins_of_the_registry() -> None:
    module = POD["containers"][0]["command"][2]
    assert find_spec(module).origin == connectivity.__file__  # type: ignore[union-attr]
    assert POD["containers"][0]["command"][3:] == ["store=tcp://s3:443"]
    assert POD["imagePullSecrets"] == [{"name": "login"}]
    assert "imagePullSecrets" not in connectivity_job.connectivity_job("a", "b", "c")["spec"]["template"]["spec"]


def test_the_authority_of_the_api_server_is_where_the_check_reads_it() -> None:
    mount = POD["containers"][0]["volumeMounts"][0]
    assert f"{mount['mountPath']}/ca.crt" == connectivity.CERTIFICATE


def test_detaching_recognises_it_by_its_label() -> None:
    assert JOB["metadata"]["labels"][names.PART_OF_LABEL] == "mljupyter"
    assert names.object_path(JOB) == "/apis/batch/v1/namespaces/team/jobs/check"
