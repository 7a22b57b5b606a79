"""The disk of a workspace is full or read only: what serves goes on, and whoever deploys is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault_table import Fault
from tests.registry.processes import on_small_disk, run_python

pytestmark = pytest.mark.system
WITH_A_DISK_OF_ITS_OWN = """
import subprocess, sys, time
from pathlib import Path
import httpx
from mljupyter.targets.machine.client import ControllerClient
from mljupyter.client.errors import ControllerError
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import EndpointState
from tests.system.conftest import Machine

disk = Path(sys.argv[1]) / "workspace"
disk.mkdir(mode=0o700)
client = httpx.Client(timeout=90)
machine = Machine(disk, ControllerClient(disk), ArtifactStore(disk / "artifacts"))
served = []

def serve():
    served.extend(client.post(uri).status_code for _ in range(200))

def refused(spec):
    try:
        machine.client.create(spec)
    except ControllerError as error:
        print(error.message.replace("\\n", " "))

try:
    uri = machine.healthy(machine.spec()).status.scoring_uri
    exec(sys.argv[2])
    assert machine.client.endpoint("echo").status.state is EndpointState.HEALTHY
    print(len(served), served.count(200))
finally:
    for record in machine.client.endpoints():
        machine.client.delete(record.spec.name)
    machine.client.stop(force=True)
"""
FULL = """
other = machine.spec("other")
filler = disk / "filler"
with filler.open("wb", buffering=0) as file:
    for size in (65536, 4096, 512):
        try:
            while True:
                file.write(bytes(size))
        except OSError:
            pass
serve()
refused(other)
serve()
began = time.monotonic()
filler.unlink()
machine.healthy(other)
print(time.monotonic() - began)
"""
READ_ONLY = """
before = machine.replicas()
for what in (disk / "control", disk / "control" / "controller.db"):
    machine.client.stop()
    subprocess.run(["mount", "--bind", what, what], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", what], check=True)
    refused(machine.spec("other"))
    serve()
    subprocess.run(["umount", what], check=True)
    assert machine.client.endpoint("echo").status.state is EndpointState.HEALTHY
    assert [record.spec.name for record in machine.client.endpoints()] == ["echo"]
    assert machine.replicas() == before
"""


def said_on_a_small_disk(directory: Path, what_happens: str, fault: Fault) -> list[str]:
    """Do something to the disk of a workspace that serves 400 requests meanwhile; return what was printed."""
    disk = directory / "disk"
    disk.mkdir()
    output = run_python(WITH_A_DISK_OF_ITS_OWN, disk, what_happens, prefix=on_small_disk(disk, "8m"))
    *said, counted = output.splitlines()
    sent, passed = map(int, counted.split())
    fault.answered(sent, sent - passed)
    assert sent == passed == 400
    return said


@pytest.mark.faults(8, "disk full: state and logs of the controller")
def test_a_full_disk_refuses_deployments_and_serves_on(tmp_path: Path, fault: Fault) -> None:
    said, took = said_on_a_small_disk(tmp_path, FULL, fault)[-2:]
    assert "full" in said
    assert "make room on the disk" in said
    fault.recovered(float(took), "with room again")


@pytest.mark.faults(9, "controller.db, and the directory it is in, on a disk that is read only")
def test_with_an_unwritable_database_requests_are_served_and_the_error_names_it(tmp_path: Path, fault: Fault) -> None:
    of_directory, of_file = said_on_a_small_disk(tmp_path, READ_ONLY, fault)[-2:]
    for said in (of_directory, of_file):
        assert "Read-only file system" in said
        assert "keep serving" in said
        assert "mount it for writing" in said
        assert "Traceback" not in said
