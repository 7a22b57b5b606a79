"""Divides the time there is for random examples between the tests of this folder, and says how many each tried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.budget import Budget

HERE = Path(__file__).parent
SECONDS = float(os.environ.get("MLJUPYTER_FUZZ_SECONDS", "64"))
"""For all tests together; starting what they need comes on top of it."""
_MOST_SHARES = 8  # one test alone does not take the time of all
_tried: dict[str, tuple[int, float]] = {}
_shares = 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    global _shares
    here = [item for item in items if item.path.is_relative_to(HERE) and "budget" in getattr(item, "fixturenames", ())]
    for item in here:
        item.add_marker(pytest.mark.fuzz)
        item.add_marker(pytest.mark.timeout(2 * SECONDS + 180))
    _shares = max(len(here), _MOST_SHARES)


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> Iterator[Budget]:
    """The time of one test."""
    budget = Budget(SECONDS / _shares)
    yield budget
    _tried[request.node.name] = budget.tried, budget.seconds


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _tried:
        seed = config.getoption("hypothesis_seed", None)
        terminalreporter.section(f"random examples (seed: {seed or 'none given'})")
        for name, (tried, seconds) in _tried.items():
            terminalreporter.write_line(f"{tried:7,} in {seconds:.0f} s  {name}")
