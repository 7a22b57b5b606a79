"""Keeps tests away from the workspaces of whoever runs them."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import signal
import ssl
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.leftovers import end_what_was_started_below, has_controllers
from tests.waiting import HANG_SECONDS

pytest_plugins = ["tests.fault_table", "tests.parallel", "tests.shared_cluster", "tests.docker_stages"]

CHOICES = ("MLJUPYTER_WORKSPACE", "MLJUPYTER_AKS", "MLJUPYTER_PYTHON", "DOCKER_HOST", "PATH")
"""The variables that the product sets for the rest of a process."""

# gRPC would write a line about each fork into what a test reads; it looks at this when it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# jsonschema imports it where it is installed, for the format "iri", which no schema here has. That takes two seconds.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

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
def _quick_clients() -> None:
    """Clients of the tests share their trust in the usual authorities: to read those takes 30 ms for each client."""
    from httpx._transports import default

    create = default.create_ssl_context

    @functools.cache
    def usual(verify: bool, trust_env: bool, _authorities: object) -> ssl.SSLContext:
        return create(verify=verify, trust_env=trust_env)

    def context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        if cert is not None or not isinstance(verify, bool):
            return create(verify=verify, cert=cert, trust_env=trust_env)
        return usual(verify, trust_env, _named_authorities())

    default.create_ssl_context = context  # type: ignore[attr-defined]


def _named_authorities() -> tuple[tuple[str, int, int], ...]:
    """Return the files and directories of authorities that the environment names, each with its size and change."""
    named = [Path(os.environ[name]) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    found = [(str(path), path.stat()) for path in named if path.exists()]
    return tuple((path, status.st_size, status.st_mtime_ns) for path, status in found)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["MLJUPYTER_HOME"] = str(tmp_path_factory.mktemp("home"))
    os.environ.pop("MLJUPYTER_WORKSPACE", None)
    os.environ["MLJUPYTER_MLFLOW"] = "off"  # its tables take seconds, in each workspace; its own test has them


@pytest.fixture(autouse=True)
def _own_choices() -> Iterator[None]:
    """Take back what a test has chosen for its process, as `%mlj workspace` does: the next test would use it, too."""
    before = {name: os.environ.get(name) for name in CHOICES}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Interrupts arrive in tests and their processes, although a shell ignores them for what it runs in background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, Any, Any]:
    """Keep what lives to the end, tests and modules, out of garbage collections, which would look at all of it."""
    gc.disable()
    result = yield
    gc.collect()
    gc.freeze()
    gc.enable()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Function) -> Generator[None, Any, Any]:
    """End the controllers that a test has started by the way in its own home: they would go on running."""
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    result = yield
    if directory is not None and has_controllers(directory):
        end_what_was_started_below(directory)
    return result


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory for sockets, whose paths may have 107 bytes: those of `tmp_path` are longer in a worker of xdist."""
    path = Path(tempfile.mkdtemp(prefix="mlj-test-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
