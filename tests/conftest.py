"""Keeps tests away from the workspaces of whoever runs them."""

from __future__ import annotations

import os
import signal

import pytest

pytest_plugins = ["tests.fault_table"]


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["MLJUPYTER_HOME"] = str(tmp_path_factory.mktemp("home"))
    os.environ.pop("MLJUPYTER_WORKSPACE", None)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Interrupts arrive in tests and their processes, although a shell ignores them for what it runs in background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
