from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.parallel import (
    BROWSER_LANE,
    CLUSTER_LANE,
    LANES,
    SECOND_BROWSER_LANE,
    SECOND_LANE,
    lane_of,
    pytest_collection_modifyitems,
    spread,
)


@pytest.mark.parametrize(
    ("nodeid", "lane"),
    [
        ("tests/conformance/test_contract.py::test_list[kubernetes-<lambda>0]", CLUSTER_LANE),
        ("tests/conformance/test_contract.py::test_list[local-<lambda>0]", None),
        ("tests/system/faults/test_hostile_requests.py::test_a_request[kubernetes]", CLUSTER_LANE),
        ("tests/system/faults/test_hostile_requests.py::test_a_request[local]", None),
        ("tests/kubernetes/test_cluster_tls.py::test_a_new_operator", CLUSTER_LANE),
        ("tests/kubernetes/test_cluster_damage.py::test_a_route[kubernetes]", CLUSTER_LANE),
        ("tests/kubernetes/test_cluster_faults.py::test_a_kill[kubernetes]", SECOND_LANE),
        (
            "tests/kubernetes/test_cluster_damage.py::test_an_operator_that_dies_during_a_deploy[k]",
            SECOND_LANE,
        ),
        ("tests/kubernetes/test_placement.py::test_a_claim", None),
        ("tests/kubernetes/clients/test_attach.py::test_a", LANES["tests/kubernetes/clients/"]),
        ("tests/browser/test_panels.py::test_log", SECOND_BROWSER_LANE),
        ("tests/browser/test_side_panel.py::test_a_model", BROWSER_LANE),
        ("tests/engine/test_kubernetes.py::test_a", None),
    ],
)
def test_tests_that_share_a_cluster_or_a_browser_are_in_one_lane(nodeid: str, lane: str | None) -> None:
    assert lane_of(nodeid) == lane


def item(nodeid: str, *, system: bool = False, fixtures: tuple[str, ...] = (), **module: object) -> Any:
    path = nodeid.partition("::")[0]
    found = SimpleNamespace(nodeid=nodeid, path=path, fixturenames=fixtures, module=SimpleNamespace(**module))
    found.get_closest_marker = lambda name: name if system else None
    return found


def test_lanes_are_dealt_out_first_and_the_file_that_detaches_the_cluster_last_in_its_lane() -> None:
    quick, slow = item("tests/a.py::test_a"), item("tests/b.py::test_b", system=True)
    long = item("tests/scoring/test_no_code_real.py::test_a")
    detaching = item("tests/kubernetes/test_admission.py::test_a", system=True, DETACHES_CLUSTER=True)
    sharing = item("tests/kubernetes/test_cluster_tls.py::test_a", system=True, fixtures=("attached",))
    browser = item("tests/browser/test_a.py::test_a")
    items = [quick, long, slow, browser, detaching, sharing]
    pytest_collection_modifyitems(SimpleNamespace(workerinput={}), items)
    assert items == [sharing, detaching, browser, slow, long, quick]


@pytest.mark.parametrize("config", [SimpleNamespace(workerinput={}), SimpleNamespace()], ids=["worker", "alone"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_file_that_leaves_traces_on_the_node_runs_after_all_others_of_its_cluster(
    config: SimpleNamespace, is_first: bool
) -> None:
    leaving = item("tests/kubernetes/test_cluster_without_router.py::test_a", system=True, LEAVES_TRACES=True)
    others = [
        item("tests/kubernetes/test_cluster_faults.py::test_a", system=True, fixtures=("attached",)),
        item("tests/kubernetes/test_cluster_damage.py::test_an_operator_that_dies_during_a_deploy[k]", system=True),
    ]
    items = [leaving, *others] if is_first else [others[0], leaving, others[1]]
    pytest_collection_modifyitems(config, items)
    assert items == [*others, leaving]


def test_a_file_that_shares_the_cluster_and_is_in_no_lane_is_told() -> None:
    with pytest.raises(pytest.UsageError, match=r"test_new.py::test_a uses the shared cluster"):
        pytest_collection_modifyitems(
            SimpleNamespace(), [item("tests/kubernetes/test_new.py::test_a", fixtures=("attached",))]
        )


def test_files_that_wait_for_the_node_are_spread_among_the_others() -> None:
    local = [item(f"tests/system/test_{name}.py::test_a", system=True) for name in "abcd"]
    waiting = [item(f"/tests/kubernetes/test_{name}.py::test_a", system=True) for name in "xy"]
    quick = item("tests/engine/test_q.py::test_a")
    items = [quick, *waiting, *local]
    pytest_collection_modifyitems(SimpleNamespace(workerinput={}), items)
    assert items == [local[0], waiting[0], *local[1:3], waiting[1], local[3], quick]
    assert spread([], ["x"]) == {"x": 0}


def test_a_module_that_spans_others_begins_before_them_and_ends_after_them() -> None:
    begins, ends = (item(f"tests/system/test_step.py::test_{name}", SPANS_OTHERS=True) for name in ("up", "down"))
    other, another = item("tests/a.py::test_a"), item("tests/z.py::test_z")
    items = [other, begins, ends, another]
    pytest_collection_modifyitems(SimpleNamespace(), items)
    assert items == [begins, other, another, ends]
