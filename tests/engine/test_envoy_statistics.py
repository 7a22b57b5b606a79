"""Envoy keeps the statistics that are read, and no others of a cluster."""

from __future__ import annotations

import re

import pytest

from mljupyter.controller.router import demand, files, request_statistics
from mljupyter.engine.envoy.statistics import OF_CLUSTER, kept
from mljupyter.telemetry.metrics.router_statistics import QUESTION


def is_kept(name: str) -> bool:
    patterns = kept()["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    return any(re.fullmatch(one["safe_regex"]["regex"], name) for one in patterns)


@pytest.mark.parametrize("cluster", ["iris.blue", "iris.blue.mirror"])
def test_what_is_asked_for_is_kept(cluster: str) -> None:
    asked = [QUESTION["filter"], demand._GAUGES, rf"\.{request_statistics._NAMES}", "version_text$"]
    for pattern in (*asked, "update_(rejected|failure)$"):
        assert any(re.search(pattern, f"cluster.{cluster}.{name}") for name in OF_CLUSTER), pattern
    assert all(is_kept(f"cluster.{cluster}.{name}") for name in OF_CLUSTER)


@pytest.mark.parametrize("name", ["upstream_cx_active", "lb_healthy_panic", "circuit_breakers.high.rq_open"])
def test_other_statistics_of_clusters_are_not_kept(name: str) -> None:
    assert not is_kept(f"cluster.iris.blue.{name}")


@pytest.mark.parametrize(
    "name",
    [
        "cluster_manager.cds.version_text",
        "cluster_manager.update_rejected",
        "http.router.downstream_rq_active",
        "http.router.rds.router.version_text",
        "listener.0.0.0.0_8600.downstream_cx_active",
        "listener_manager.lds.version_text",
        "server.live",
        "answers.given.version.iris.blue.status.200",
        "control_plane.connected_state",
        "sds.tls.version_text",
        files._statistic("ecds-tokens.json"),
    ],
)
def test_statistics_of_everything_else_are_kept(name: str) -> None:
    assert is_kept(name)
