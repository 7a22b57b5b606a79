"""The logs of pods that have ended stay, whatever the cluster says of them afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from mljupyter.kubernetes.api_server.connection import ApiServer
from mljupyter.kubernetes.operator.pod_logs import PodLogs
from mljupyter.runtimes.base import RunningReplica

REPLICA = RunningReplica("pod-1", "iris", "one", "r1", "team", "10.0.0.1:5001", None, 1000.0)
LINE = "2026-11-29T19:15:20.841074Z 2026-11-29T19:15:20Z I [9] azmlinfsrv.print | init of one\n"
GONE = 'failed to try resolving symlinks in path "/var/log/pods/x/server/0.log": no such file or directory'


@pytest.fixture
async def answers() -> list[str]:
    return []


@pytest.fixture
async def logs(answers: list[str], tmp_path: Path) -> PodLogs:
    """Logs from a server that gives the answers of a kubelet, one after the other."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=answers.pop(0))

    application = web.Application()
    application.router.add_get("/api/v1/namespaces/team/pods/pod-1/log", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {token: t}}],"
        f" clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}],"
        " contexts: [{name: c, context: {cluster: c, user: u}}]}"
    )
    return PodLogs(await ApiServer.connect(kubeconfig), "team", tmp_path / "logs")


async def test_an_error_of_kubelet_does_not_replace_a_log(logs: PodLogs, answers: list[str]) -> None:
    answers += [LINE, GONE]
    assert await logs.keep(REPLICA, 0, 5, previous=False) == [LINE.partition(" ")[2].rstrip("\n")]
    await logs.keep(REPLICA, 0, 5, previous=False)
    [kept] = logs.ended("iris", None, {}, records=False)
    assert list(kept.lines()) == [LINE.partition(" ")[2]]


async def test_a_container_that_still_runs_is_not_listed_twice(logs: PodLogs, answers: list[str]) -> None:
    answers += [LINE]
    await logs.keep(REPLICA, 0, 5, previous=False)
    assert logs.ended("iris", None, {"pod-1": 0}, records=False) == []
    [earlier] = logs.ended("iris", None, {"pod-1": 1}, records=False)
    assert earlier.replica_id == "pod-1@0"
