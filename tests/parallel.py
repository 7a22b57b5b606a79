"""How tests are dealt out to the workers of pytest-xdist: whole files, those that take long before the others.

A lane is a number of files, or tests of them, that one worker gets, since they share something that takes long to
start: one browser, one attached cluster.
"""

from __future__ import annotations

from typing import Any

import pytest

CLUSTER_LANE = "the shared cluster"
LANES = {
    "tests/kubernetes/test_cluster_tls.py": CLUSTER_LANE,
    "tests/kubernetes/test_cluster_faults.py": CLUSTER_LANE,
    "tests/kubernetes/test_cluster_damage.py": CLUSTER_LANE,
    "tests/kubernetes/test_admission.py": CLUSTER_LANE,
    "tests/kubernetes/clients/": "the cluster with an operator of the tests",
    "tests/browser/": "the browser",
}
"""Lanes by the path of a file or directory."""
_ON_CLUSTER = ("tests/conformance/", "tests/seeds/", "tests/system/faults/test_hostile_requests.py")
"""Files with tests for several compute targets; those for the cluster are in its lane."""
_CLUSTER_ID = "[kubernetes"


def lane_of(nodeid: str) -> str | None:
    """Return the lane of a test; None where its file is all that it shares something with.

    Example:
        >>> lane_of("tests/conformance/test_contract.py::test_list[kubernetes]")
        'the shared cluster'

    """
    if nodeid.startswith(_ON_CLUSTER):
        return CLUSTER_LANE if _CLUSTER_ID in nodeid else None
    return next((lane for path, lane in LANES.items() if nodeid.startswith(path)), None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all tests of a lane to one worker."""
    from xdist.scheduler import LoadFileScheduling  # pytest runs without xdist, too

    class InLanes(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return lane_of(nodeid) or super()._split_scope(nodeid)

    return InLanes(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put lanes first, then files that start real controllers: the short ones keep all workers busy to the last."""
    for item in items:
        if "attached" in getattr(item, "fixturenames", ()) and lane_of(item.nodeid) != CLUSTER_LANE:
            raise pytest.UsageError(f"{item.nodeid} uses the shared cluster, and is not in its lane: tests/parallel.py")
    if not hasattr(config, "workerinput"):
        return
    slow = {item.path for item in items if item.get_closest_marker("system")}
    lanes = [*dict.fromkeys(LANES.values()), None]
    items.sort(
        key=lambda item: (
            lanes.index(lane_of(item.nodeid)),
            getattr(getattr(item, "module", None), "DETACHES_CLUSTER", False),
            item.path not in slow,
        )
    )
