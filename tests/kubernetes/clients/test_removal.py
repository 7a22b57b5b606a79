"""The end of an installation's pods: those that their node keeps for long are deleted from the API server."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.kubernetes.objects import names
from mljupyter.targets.kubernetes import workloads
from mljupyter.targets.kubernetes.cluster import ClusterError

PODS = names.pods("team")


def pod(name: str, node: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "team", "uid": name}, "spec": {"nodeName": node}}


def node(ready: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "Ready", "status": ready}]}}


class Server:
    """An API server whose nodes keep pods that have ended."""

    def __init__(self, *pods: dict[str, Any], **nodes: dict[str, Any] | None) -> None:
        self.objects: dict[str, Any] = {f"{PODS}/{one['metadata']['name']}": one for one in pods}
        self.nodes = nodes
        self.deleted: list[tuple[str, int | None]] = []

    def find(self, path: str) -> dict[str, Any] | None:
        name = path.rpartition("/")[2]
        if path == f"{names.nodes()}/{name}":
            if (found := self.nodes[name]) is None:
                raise ClusterError("may not read nodes", 403)
            return found
        return self.objects.get(path)

    def delete(self, path: str, *, grace: int | None = None) -> None:
        self.deleted.append((path.rpartition("/")[2], grace))
        if grace == 0:
            del self.objects[path]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "_PODS_WITHIN_SECONDS", 0.2)
    monkeypatch.setattr(workloads, "PAUSE_SECONDS", 0.01)


def test_a_pod_that_its_node_keeps_is_deleted_from_the_api_server_after_it_could_end() -> None:
    pods = [pod("operator", "one"), pod("router", "one")]
    server = Server(*pods, one=node("True"))
    workloads.delete_pods(server, pods, ended_within=0)
    assert server.deleted == [("operator", 1), ("router", 1), ("operator", 0), ("router", 0)]
    assert server.objects == {}


@pytest.mark.parametrize("found", [node("Unknown"), None], ids=["away", "unknown to this user"])
def test_a_pod_whose_node_is_not_known_to_answer_may_run_and_is_left_to_kubernetes(
    found: dict[str, Any] | None,
) -> None:
    server = Server(pod("router", "two"), two=found)
    workloads.delete_pods(server, [pod("router", "two")], ended_within=0)
    assert server.deleted == [("router", 1)]


def test_pods_have_time_to_end_and_one_of_the_same_name_is_another() -> None:
    server = Server(pod("router", "one"), one=node("True"))
    workloads.delete_pods(server, [pod("router", "one")], ended_within=60)
    assert server.deleted == [("router", 1)]
    other = pod("router", "one")
    other["metadata"]["uid"] = "before"
    workloads.delete_pods(server, [other], ended_within=0)
    assert server.deleted == [("router", 1)] * 2
