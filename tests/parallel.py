"""How tests are dealt out to the workers of pytest-xdist: whole files, those that take long before the others."""

from __future__ import annotations

from typing import Any

import pytest

_BROWSER = "tests/browser/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all tests in a browser to one worker, so that one JupyterLab and one browser do for them."""
    from xdist.scheduler import LoadFileScheduling  # pytest runs without xdist, too

    class OneBrowser(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _BROWSER if nodeid.startswith(_BROWSER) else super()._split_scope(nodeid)

    return OneBrowser(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put files that start real controllers first: the short ones at the end keep all workers busy to the last."""
    if not hasattr(config, "workerinput"):
        return
    slow = {item.path for item in items if item.get_closest_marker("system")}
    items.sort(key=lambda item: (not item.nodeid.startswith(_BROWSER), item.path not in slow))
