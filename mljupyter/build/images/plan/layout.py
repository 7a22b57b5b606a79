"""The layout of an image: its paths, and the command of its container.

Azure: the contract of scoring containers.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

import mljupyter
from mljupyter.build.images.plan.paths import APP_ROOT as APP_ROOT
from mljupyter.build.images.plan.paths import MODELS as MODELS
from mljupyter.build.images.plan.paths import SERVER_ENVIRONMENT as SERVER_ENVIRONMENT

LAYOUT_VERSION = 1
SERVER_CODE = "/opt/mljupyter/scoring"
ENVIRONMENT = "/opt/environment"
WORKING_DIRECTORY = "/opt/mljupyter"
PORT = 5001
# A number, not a name: it needs no entry in the image's user database, and Kubernetes can verify that it is not root.
USER = 10001
DEFAULT_PYTHON = "3.11"
DEFAULT_BASE_IMAGE = "python:{version}-slim"

# Modules for the script's Python. PYTHONPATH itself is for the server's Python.
WORKER_PYTHONPATH = "MLJUPYTER_WORKER_PYTHONPATH"

LABEL_PLAN = "mljupyter/plan"
LABEL_ENVIRONMENT = "mljupyter/environment"
LABEL_SERVER = "mljupyter/server"
LABEL_REPLICA_KEY = "mljupyter/replica-key"  # its server can be set to answer only a router
LABEL_MODELS = "mljupyter/models"
LABEL_RELAXED = "mljupyter/relaxed"
_DIGITS = 12

# The imports of the server, and msgspec, which its workers use (`worker/fast_json.py`). The versions are those that are
# installed here.
_SERVER_PACKAGES = ("httptools", "msgspec", "uvloop")

ENTRY_POINT = (
    f"{SERVER_ENVIRONMENT}/bin/python",
    "-m",
    "mljupyter.scoring",
    "--host",
    "0.0.0.0",  # noqa: S104 - inside the container; the runtime decides who can reach the port
    "--port",
    str(PORT),
    "--worker-python",
    f"{ENVIRONMENT}/bin/python",
)
_ASK = (
    f"import sys, http.client as c; h = c.HTTPConnection('127.0.0.1', {PORT}, timeout=2); "
    "h.request('GET', '/'); sys.exit(h.getresponse().status != 200)"
)
HEALTH_CHECK = (f"{SERVER_ENVIRONMENT}/bin/python", "-I", "-c", _ASK)
HEALTH_INTERVAL_SECONDS = 10
HEALTH_TIMEOUT_SECONDS = 3
HEALTH_START_SECONDS = 310
HEALTH_RETRIES = 3


def package_directory() -> Path:
    """Return the directory of the package mljupyter."""
    return Path(mljupyter.__path__[0])


def server_files() -> dict[str, Path]:
    """Return the files of the scoring server by their path below `SERVER_CODE`."""
    package = package_directory()
    files = [package / "__init__.py", *sorted((package / "scoring").rglob("*"))]
    return {
        f"mljupyter/{path.relative_to(package).as_posix()}": path
        for path in files
        if path.is_file() and "__pycache__" not in path.parts
    }


def server_digest() -> str:
    """Return the digest of the scoring server's files."""
    digest = hashlib.sha256()
    for name, path in server_files().items():
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return f"sha256:{digest.hexdigest()}"


@cache
def server_requirements() -> tuple[str, ...]:
    """Return the requirements of the server, pinned to the versions installed here."""
    return tuple(f"{name}=={metadata.version(name)}" for name in _SERVER_PACKAGES)


def base_of_context(environment: str) -> str:
    """Return the name of the base image of a build context, from the fingerprint of its environment."""
    return f"mljupyter/environment-base:{environment[:_DIGITS]}"
