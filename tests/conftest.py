"""Keeps tests away from the workspaces of whoever runs them."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["tests.fault_table"]


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["MLJUPYTER_HOME"] = str(tmp_path_factory.mktemp("home"))
    os.environ.pop("MLJUPYTER_WORKSPACE", None)
