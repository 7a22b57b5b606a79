"""Checks from the nodes of a cluster, by a Job that is deleted at the end: DNS, API server, image, stores, token keys.

The order is that in which an installation needs them. Each finding is one line with its remedy.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mljupyter.client.errors import ControllerError
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes import connectivity
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.connectivity_job import MODULE, connectivity_job
from mljupyter.targets.base import Finding
from mljupyter.targets.kubernetes.attached import AttachedCluster
from mljupyter.targets.kubernetes.cluster import FORBIDDEN, NOT_FOUND, Cluster, ClusterError
from mljupyter.targets.kubernetes.image_check import PULL_ERRORS, pull_remedy
from mljupyter.visible import one_line

ENDED_WITHIN_SECONDS = 300.0
NO_ROOM_SECONDS = 240.0
"""The time in which a cluster autoscaler adds a node."""

ATTACHED_NO_ROOM_SECONDS = 30.0
_REFUSED_SECONDS = 10.0
_ACCOUNT_WITHIN_SECONDS = 30.0
_PAUSE_SECONDS = 0.25
_MOST_CHARACTERS = 300
_MOST_RESULTS = 10
_CANNOT_START = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff")

STORE, TOKEN_KEYS = "artifact-store", "token-keys"
TITLES = {
    connectivity.DNS: "nodes: DNS",
    connectivity.API_SERVER: "nodes: API server",
    "registry": "nodes: registry",
    STORE: "nodes: artifact store",
    TOKEN_KEYS: "nodes: token keys",
}
_PORTS = {"http": 80, "https": 443, "ftp": 21, "sftp": 22, "ssh": 22}


@dataclass(frozen=True)
class NodeChecks:
    """The settings of the checks from nodes.

    Parameters:
        namespace: the namespace of the installation.
        image: the image of the control plane.
        store: the location of the workspace's artifact store: a directory or a URL.
        operator: the address of the Service of the operator, which signs tokens; empty if there is none yet.
        pull_secrets: names of the Secrets with logins of the image's registry.

    """

    namespace: str
    image: str
    store: str = ""
    operator: str = ""
    pull_secrets: tuple[str, ...] = ()

    def destinations(self, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the URLs that the pod is to reach, by the name of the check."""
        found = {}
        if (place := store_address(self.store, environment)) is not None:
            found[STORE] = f"tcp://{place}"
        if self.operator:
            host = f"[{self.operator}]" if ":" in self.operator else self.operator
            found[TOKEN_KEYS] = f"http://{host}:{names.OPERATOR_PORT}/healthz"
        return found


def store_address(location: str, environment: Mapping[str, str]) -> str | None:
    """Return ``HOST:PORT`` of an artifact store; None for a directory, and where the location does not tell.

    Example:
        >>> store_address("gs://models/team", {}), store_address("/home/me/artifacts", {})
        ('storage.googleapis.com:443', None)

    """
    scheme, separator, _ = location.partition("://")
    if not separator:
        return None
    account = environment.get("AZURE_STORAGE_ACCOUNT_NAME") or environment.get("AZURE_STORAGE_ACCOUNT")
    clouds = {
        "s3": environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or "https://s3.amazonaws.com",
        "gs": "https://storage.googleapis.com",
        "az": f"https://{account}.blob.core.windows.net" if account else "",
    }
    clouds |= {"s3a": clouds["s3"], "gcs": clouds["gs"], "abfs": clouds["az"], "abfss": clouds["az"]}
    wanted = urlsplit(clouds.get(scheme, location))
    with contextlib.suppress(ValueError):  # a port that is none
        port = wanted.port or _PORTS.get(wanted.scheme)
        if wanted.hostname and port:
            return f"{wanted.hostname}:{port}"
    return None


def check_nodes(
    cluster: Cluster,
    checks: NodeChecks,
    on_line: Callable[[str], None] = lambda line: None,
    stopped: threading.Event | None = None,
) -> list[Finding]:
    """Run the checks on a node and return the findings. The Job is deleted at the end in any case.

    Parameters:
        cluster: the API server.
        checks: the settings.
        on_line: called with the reason for which the Job waits.
        stopped: ends the wait when it is set.

    Raises:
        ControllerError: the API server cannot be asked.
        ComputeTargetException: `stopped` was set.

    """
    name = f"mljupyter-connectivity-{secrets.token_hex(4)}"
    job = connectivity_job(
        name, checks.image, checks.namespace, destinations=checks.destinations(), pull_secrets=checks.pull_secrets
    )
    stopped = stopped or threading.Event()
    _wait_for_account(cluster, checks.namespace, stopped)
    path = names.object_path(job)
    try:
        cluster.create(names.collection_path(job), job)
        return _result(cluster, checks, name, on_line, stopped)
    except ClusterError as error:
        if error.status not in (FORBIDDEN, NOT_FOUND):
            raise
        # A quota or an administrator may keep Jobs away. That says nothing about the network.
        reason = error.message.partition("\n")[0]
        return [Finding("nodes", "note", f"not checked: {reason}", "the right to create Jobs and to read their pods")]
    finally:
        with contextlib.suppress(ControllerError):
            cluster.delete(path)


def check_attached_nodes(cluster: Cluster, attached: AttachedCluster, store: str) -> list[Finding]:
    """Run the checks on a node of an attached cluster, with the image that it runs, and return the findings.

    Parameters:
        cluster: the API server.
        attached: the cluster.
        store: the location of the workspace's artifact store.

    """
    namespace = attached.namespace
    if not attached.image:
        return [Finding("nodes", "note", "not checked: no image of the control plane has been made yet")]
    try:
        account = cluster.find(f"/api/v1/namespaces/{namespace}/serviceaccounts/{names.REPLICA}") or {}
        logins = tuple(str(secret["name"]) for secret in account.get("imagePullSecrets") or ())
        service = cluster.find(f"{names.services(namespace)}/{names.OPERATOR}") or {}
        operator = str((service.get("spec") or {}).get("clusterIP") or "")
        return check_nodes(cluster, NodeChecks(namespace, attached.image, store, operator, logins))
    except ControllerError as error:
        first, _, rest = error.message.partition("\n")
        return [Finding("nodes", "failed", first, rest)]


def findings_of(results: Mapping[str, connectivity.Reached], checks: NodeChecks, node: str) -> list[Finding]:
    """Return the findings for what the pod has reported, in the order of the checks.

    Parameters:
        results: by the name of the check.
        checks: the settings.
        node: the node on which it ran.

    """
    return [
        _dns(results),
        _finding(results, connectivity.API_SERVER, _API_SERVER_REMEDY),
        Finding(TITLES["registry"], "ok", f"node {node} has {checks.image}"),
        _store(results, checks),
        _token_keys(results, checks),
    ]


_DNS_REMEDY = (
    "the cluster's DNS: kubectl get pods -n kube-system -l k8s-app=kube-dns; pods must reach its port 53 "
    "(NetworkPolicies, firewall between nodes)"
)
_API_SERVER_REMEDY = "let pods reach the API server: NetworkPolicies with egress rules, firewall or proxy of the nodes"


def _finding(results: Mapping[str, connectivity.Reached], name: str, remedy: str) -> Finding:
    result = results.get(name)
    if result is None:
        return Finding(TITLES[name], "failed", "the check gave no result", remedy)
    return (
        Finding(TITLES[name], "ok", result.text)
        if result.reached
        else Finding(TITLES[name], "failed", result.text, remedy)
    )


def _dns(results: Mapping[str, connectivity.Reached]) -> Finding:
    """Return the finding about names. Operator, routers and replicas find each other by addresses: it is no failure."""
    found = _finding(results, connectivity.DNS, _DNS_REMEDY)
    if found.state != "failed":
        return found
    text = f"no name is resolved ({found.text}): scoring scripts reach nothing by its name, endpoints work without"
    return Finding(found.name, "note", text, found.fix)


def _store(results: Mapping[str, connectivity.Reached], checks: NodeChecks) -> Finding:
    if STORE not in results:
        where = checks.store if "://" in checks.store else "a directory of this machine"
        return Finding(TITLES[STORE], "note", f"not needed: images contain the models, and the store is {where}")
    result = results[STORE]
    if result.reached:
        return Finding(TITLES[STORE], "ok", result.text)
    # Replicas have their models in the image: this must not keep anybody from attaching.
    return Finding(
        TITLES[STORE],
        "note",
        f"{checks.store} cannot be reached: {result.text}; images contain the models",
        "only for scripts that read it: let the nodes reach it (DNS, firewall, private link)",
    )


def _token_keys(results: Mapping[str, connectivity.Reached], checks: NodeChecks) -> Finding:
    if not checks.operator:
        return Finding(
            TITLES[TOKEN_KEYS], "note", "not needed: operator and routers sign and check tokens by themselves"
        )
    remedy = (
        f"kubectl get pods -n {checks.namespace} -l {names.COMPONENT_LABEL}={names.COMPONENT_OPERATOR}; let pods of "
        f"the namespace reach its port {names.OPERATOR_PORT}"
    )
    found = _finding(results, TOKEN_KEYS, remedy)
    text = f"the operator, which signs tokens: {found.text}"
    return Finding(found.name, found.state, text, found.fix)


def _wait_for_account(cluster: Cluster, namespace: str, stopped: threading.Event) -> None:
    """Wait for the account of the Job's pod, which Kubernetes makes a moment after a namespace."""
    deadline = time.monotonic() + _ACCOUNT_WITHIN_SECONDS
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    with contextlib.suppress(ClusterError):  # no right to read it: then the Job itself waits
        while cluster.find(path) is None and time.monotonic() < deadline:
            pause(stopped, _PAUSE_SECONDS)


def _result(
    cluster: Cluster, checks: NodeChecks, name: str, on_line: Callable[[str], None], stopped: threading.Event
) -> list[Finding]:
    """Wait until the Job's pod has ended, or cannot start, and return the findings."""
    began = time.monotonic()
    said = ""
    while (waited := time.monotonic() - began) < ENDED_WITHIN_SECONDS:
        pods = cluster.items(names.pods(checks.namespace), labels=f"job-name={name}")
        if pods:
            reason, findings = _of_pod(pods[0], checks, waited)
        else:
            reason, findings = _of_refusal(cluster, checks.namespace, name, waited)
        if findings:
            return findings
        if reason and reason != said:
            on_line(f"checking from a node: {reason}")
            said = reason
        pause(stopped, _PAUSE_SECONDS)
    return [
        Finding("nodes", "failed", f"no result after {ENDED_WITHIN_SECONDS:g} s: {said}".rstrip(": "), _look(checks))
    ]


def _look(checks: NodeChecks) -> str:
    return f"look at the nodes: kubectl get nodes, kubectl get events -n {checks.namespace}"


def _of_pod(pod: Mapping[str, Any], checks: NodeChecks, waited: float) -> tuple[str, list[Finding]]:
    """Return for what a pod waits, or the findings."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason = f"no node has room for a pod: {_short(condition.get('message'))}"
            if waited < (ATTACHED_NO_ROOM_SECONDS if checks.operator else NO_ROOM_SECONDS):
                return reason, []
            # An attached cluster may be full: that is no failure of its network.
            severity = "note" if checks.operator else "failed"
            return "", [Finding("nodes", severity, reason, "add nodes, or make room on those that there are")]
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        if (ended := state.get("terminated")) is not None:
            return "", _of_end(ended, checks, str(pod["spec"].get("nodeName", "?")))
        waiting = state.get("waiting") or {}
        reason = f"{waiting.get('reason', '')} {_short(waiting.get('message'))}".strip()
        if waiting.get("reason") in PULL_ERRORS:
            return "", [
                Finding(TITLES["registry"], "failed", _pull_text(checks.image, reason), pull_remedy(checks.image))
            ]
        if waiting.get("reason") in _CANNOT_START:
            return "", [Finding("nodes", "failed", f"the check cannot start: {reason}", _look(checks))]
    if status.get("phase") == "Failed":
        reason = f"{status.get('reason', '')} {_short(status.get('message'))}".strip()
        return "", [Finding("nodes", "failed", f"the check was ended: {reason}", _look(checks))]
    return "", []


def _pull_text(image: str, reason: str) -> str:
    return f"the nodes cannot pull {image}: {reason}"


def _of_end(ended: Mapping[str, Any], checks: NodeChecks, node: str) -> list[Finding]:
    results = results_in(str(ended.get("message") or ""))
    if results:
        return findings_of(results, checks, node)
    text = _short(ended.get("message")) or f"exit status {ended.get('exitCode')} {ended.get('reason') or ''}".rstrip()
    remedy = f"give an image of the control plane of this release, with {MODULE}; by default it is built"
    return [Finding("nodes", "failed", f"{checks.image} cannot run the check: {text}", remedy)]


def results_in(text: str) -> dict[str, connectivity.Reached]:
    """Return the results that a pod has written, by the name of the check; none if the text has none."""
    try:
        document = json.loads(text)
        found = [
            connectivity.Reached(str(item["name"]), item["reached"] is True, _short(item["text"]))
            for item in document[:_MOST_RESULTS]
        ]
    except (ValueError, KeyError, TypeError):
        return {}
    return {result.name: result for result in found}


def _of_refusal(cluster: Cluster, namespace: str, name: str, waited: float) -> tuple[str, list[Finding]]:
    """Return why a Job has no pod, from its events: admission or a quota refuses it."""
    if waited < _REFUSED_SECONDS:
        return "", []
    try:
        events = cluster.get(names.events(namespace), fieldSelector=f"involvedObject.name={name}").get("items") or []
    except ClusterError:
        events = []
    refused = [event for event in events if event.get("reason") == "FailedCreate"]
    if not refused:
        return "no pod so far", []
    text = _short(refused[-1].get("message"))
    remedy = "ask the administrator of the cluster: pods of mljupyter are restricted, and have requests and limits"
    return "", [Finding("nodes", "failed", f"no pod is admitted in {namespace!r}: {text}", remedy)]


def pause(stopped: threading.Event, seconds: float) -> None:
    """Wait.

    Raises:
        ComputeTargetException: `stopped` is set, or is set meanwhile.

    """
    if stopped.wait(seconds):
        raise ComputeTargetException("it was cancelled.")


def _short(text: object) -> str:
    return one_line(str(text or ""))[:_MOST_CHARACTERS]
