"""Keeps tests away from the workspaces of whoever runs them."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.waiting import HANG_SECONDS

pytest_plugins = ["tests.fault_table"]

# A busy machine may take any time for an example: that is not what these tests are about.
settings.register_profile("mljupyter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mljupyter")


@pytest.fixture(scope="session", autouse=True)
def _long_client_timeouts() -> None:
    """Give clients in tests the same timeout as everything else, since httpx gives up after five seconds."""
    from httpx._config import DEFAULT_TIMEOUT_CONFIG

    for operation in ("connect", "read", "write", "pool"):
        setattr(DEFAULT_TIMEOUT_CONFIG, operation, HANG_SECONDS)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["MLJUPYTER_HOME"] = str(tmp_path_factory.mktemp("home"))
    os.environ.pop("MLJUPYTER_WORKSPACE", None)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Interrupts arrive in tests and their processes, although a shell ignores them for what it runs in background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory for sockets, whose paths may have 107 bytes: those of `tmp_path` are longer in a worker of xdist."""
    path = Path(tempfile.mkdtemp(prefix="mlj-test-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
