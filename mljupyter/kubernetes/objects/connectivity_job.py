"""The Job that checks from a node whether it can pull the image of the control plane, and reach what that needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.security import USER, container_security, pod_security

COMPONENT = "connectivity"
MODULE = "mljupyter.kubernetes.connectivity"
ACTIVE_SECONDS = 330
"""The time after which Kubernetes ends the Job: a little more than anybody waits for it."""

KEPT_SECONDS = 60
"""The time for which an ended Job is kept if whoever started it cannot delete it."""

AUTHORITY_CONFIG_MAP = "kube-root-ca.crt"
"""The ConfigMap with the authority of the API server, which Kubernetes makes in every namespace."""

CERTIFICATE_DIRECTORY = "/etc/mljupyter/cluster"


def connectivity_job(
    name: str,
    image: str,
    namespace: str,
    *,
    destinations: Mapping[str, str] | None = None,
    pull_secrets: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the Job. It runs one pod once, without a token of the API server.

    Parameters:
        name: its name.
        image: the image of the control plane.
        namespace: the namespace of the installation.
        destinations: what the pod is to reach besides DNS and API server: URLs by the name of the check.
        pull_secrets: names of the Secrets with logins of the image's registry.

    Example:
        >>> connectivity_job("check", "registry.example/mljupyter:1", "team")["spec"]["backoffLimit"]
        0

    """
    labels = names.labels(COMPONENT)
    wanted = [f"{key}={url}" for key, url in (destinations or {}).items()]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": pod_security(),
        "containers": [
            {
                "name": COMPONENT,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", "-m", MODULE, *wanted],
                "resources": {
                    "requests": {"cpu": "10m", "memory": "32Mi"},
                    "limits": {"cpu": "500m", "memory": "128Mi"},
                },
                "securityContext": container_security(USER),
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [{"name": "authority", "mountPath": CERTIFICATE_DIRECTORY, "readOnly": True}],
            }
        ],
        "volumes": [{"name": "authority", "configMap": {"name": AUTHORITY_CONFIG_MAP, "optional": True}}],
    }
    if pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in pull_secrets]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": ACTIVE_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
