"""How tests are dealt out to the workers of pytest-xdist: whole files, those that take long before the others.

A lane is a number of files, or tests of them, that one worker gets, since they share something that takes long to
start: one browser, one attached cluster. The faults of a cluster are in two lanes, each with a cluster of its own, and
so are the tests in a browser: in one, they would take longer than everything else in their stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

CLUSTER_LANE = "the shared cluster"
SECOND_LANE = "another shared cluster"
BROWSER_LANE = "the browser"
SECOND_BROWSER_LANE = "another browser"
LANES = {
    "tests/kubernetes/test_cluster_tls.py": CLUSTER_LANE,
    "tests/kubernetes/test_jupyterlab.py": CLUSTER_LANE,
    "tests/kubernetes/test_cluster_faults.py": SECOND_LANE,
    "tests/kubernetes/test_cluster_without_router.py": SECOND_LANE,
    "tests/kubernetes/test_cluster_damage.py::test_an_operator_that_dies_during_a_deploy": SECOND_LANE,  # the longest
    "tests/kubernetes/test_cluster_damage.py": CLUSTER_LANE,
    "tests/kubernetes/test_admission.py": CLUSTER_LANE,
    "tests/kubernetes/clients/": "the cluster with an operator of the tests",
    "tests/browser/test_deploy_wizard.py": SECOND_BROWSER_LANE,
    "tests/browser/test_panels.py": SECOND_BROWSER_LANE,
    "tests/browser/test_quickstart.py": SECOND_BROWSER_LANE,
    "tests/browser/test_wizards.py": SECOND_BROWSER_LANE,
    "tests/browser/": BROWSER_LANE,
}
"""Lanes by the path of a file or directory, or the beginning of the name of a test. The first one counts."""
_ON_CLUSTER = ("tests/conformance/", "tests/seeds/", "tests/system/faults/test_hostile_requests.py")
"""Files with tests for several compute targets; those for the cluster are in its lane."""
_CLUSTER_ID = "[kubernetes"
_LONG = (
    "tests/docs/test_examples.py",
    "tests/labserver/test_faults.py",
    "tests/scoring/test_no_code_real.py",
    "tests/build/test_environments.py",
    "tests/labserver/test_server.py",
    "tests/registry/test_object_stores.py",
    "tests/widgets/test_deploy_pages.py",
    "tests/scoring/test_no_code.py",
    "tests/scoring/test_shims.py",
    "tests/compatibility/test_scoring_server.py",
)
"""Files that start no controller, and take more than 10 s of a processor all the same."""
_ON_THE_NODE = "/tests/kubernetes/test_"
_SHARING = (CLUSTER_LANE, SECOND_LANE)


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
    """Put lanes first, then files with real controllers, then long ones: the others keep all workers busy to the last.

    Files that use a cluster spend most of their time waiting for its node, so they are spread among the others.
    """
    for item in items:
        if "attached" in getattr(item, "fixturenames", ()) and lane_of(item.nodeid) not in _SHARING:
            raise pytest.UsageError(f"{item.nodeid} uses the shared cluster, and is not in its lane: tests/parallel.py")
    if not hasattr(config, "workerinput"):
        items.sort(key=lambda item: _says(item, "LEAVES_TRACES"))
        _span(items)
        return
    slow = dict.fromkeys(item.path for item in items if item.get_closest_marker("system"))
    waiting = [path for path in slow if _ON_THE_NODE in str(path)]
    places = spread([path for path in slow if path not in set(waiting)], waiting)
    lanes = [*dict.fromkeys(LANES.values()), None]  # those that wait for a cluster leave the processor to the browsers
    items.sort(
        key=lambda item: (
            lanes.index(lane_of(item.nodeid)),
            _says(item, "LEAVES_TRACES"),
            _says(item, "DETACHES_CLUSTER"),
            places.get(item.path, len(places)),
            not item.nodeid.startswith(_LONG),
        )
    )


def _says(item: pytest.Item, name: str) -> bool:
    """Return whether the module of a test sets a variable, such as those of `tests.shared_cluster.attached`."""
    return getattr(getattr(item, "module", None), name, False)


def spread(files: Sequence[T], among: Sequence[T]) -> dict[T, int]:
    """Return the place of each file, with those of `among` at equal distances among the others.

    Example:
        >>> spread(["a", "b", "c", "d"], ["x", "y"])
        {'a': 0, 'x': 1, 'b': 2, 'c': 3, 'y': 4, 'd': 5}

    """
    ranks = {file: float(number) for number, file in enumerate(files)}
    ranks |= {file: (number + 0.5) * len(files) / len(among) - 0.5 for number, file in enumerate(among)}
    return {file: place for place, file in enumerate(sorted(ranks, key=lambda file: ranks[file]))}


def _span(items: list[pytest.Item]) -> None:
    """Run the first test of a module with ``SPANS_OTHERS = True`` first, and its others last.

    Its first test starts something that takes a while by itself. The others look at the end of that.
    """
    spanning = [item for item in items if _says(item, "SPANS_OTHERS")]
    ranks = {item.nodeid: 1 if number else -1 for number, item in enumerate(spanning)}
    items.sort(key=lambda item: ranks.get(item.nodeid, 0))
