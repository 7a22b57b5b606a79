from __future__ import annotations

import pytest

from tests.parallel import CLUSTER_LANE, LANES, lane_of


@pytest.mark.parametrize(
    ("nodeid", "lane"),
    [
        ("tests/conformance/test_contract.py::test_list[kubernetes-<lambda>0]", CLUSTER_LANE),
        ("tests/conformance/test_contract.py::test_list[local-<lambda>0]", None),
        ("tests/system/faults/test_hostile_requests.py::test_a_request[kubernetes]", CLUSTER_LANE),
        ("tests/system/faults/test_hostile_requests.py::test_a_request[local]", None),
        ("tests/kubernetes/test_cluster_tls.py::test_a_new_operator", CLUSTER_LANE),
        ("tests/kubernetes/test_placement.py::test_a_claim", None),
        ("tests/kubernetes/clients/test_attach.py::test_a", LANES["tests/kubernetes/clients/"]),
        ("tests/browser/test_panels.py::test_log", LANES["tests/browser/"]),
        ("tests/engine/test_kubernetes.py::test_a", None),
    ],
)
def test_tests_that_share_a_cluster_or_a_browser_are_in_one_lane(nodeid: str, lane: str | None) -> None:
    assert lane_of(nodeid) == lane
