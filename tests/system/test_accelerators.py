"""GPUs of this machine: each replica has its own, they are counted like cores, and their use is measured.

The machine has two, by an NVML of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from mljupyter.runtimes.nvidia import DEVICES
from mljupyter.spec import EndpointStatus
from tests.system.conftest import Machine
from tests.waiting import wait_until

SHARES_MACHINE = True
SCRIPT = """
    import os

    def init():
        pass

    def run(data):
        return os.environ.get("CUDA_VISIBLE_DEVICES")
    """
NVML = Path(__file__).parents[1] / "fakes" / "nvml"


@pytest.fixture(scope="module", autouse=True)
def gpus() -> Iterator[None]:
    """Give the controller of this module two GPUs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(NVML))
        patch.setenv("FAKE_GPUS", "GPU-first,GPU-second")
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        yield


def with_gpus(machine: Machine, name: str, replicas: int = 1, gpu: int = 1, **version: object) -> str:
    spec = machine.spec(name, SCRIPT, resources={"gpu": gpu}, scaling={"replicas": replicas}, **version)
    uri = machine.healthy(spec).status.scoring_uri
    assert uri is not None
    return uri


def seen(uri: str, number: int) -> set[str]:
    """Return the GPUs that an endpoint's replicas see, until there are as many different ones."""
    found: set[str] = set()

    def look() -> bool:
        found.add(httpx.post(uri, content=b"1").raise_for_status().json())
        return len(found) >= number

    wait_until(look, f"{number} different answers")
    return found


def test_replicas_have_gpus_of_their_own_and_keep_them_when_the_controller_is_replaced(machine: Machine) -> None:
    first = with_gpus(machine, "first")
    assert seen(first, 1) == {"GPU-first"}
    machine.client.stop()
    second = with_gpus(machine, "second")
    assert (seen(second, 1), seen(first, 1)) == ({"GPU-second"}, {"GPU-first"})


def test_a_replica_with_several_gpus_sees_all_of_them(machine: Machine) -> None:
    assert seen(with_gpus(machine, "both", gpu=2), 1) == {"GPU-first,GPU-second"}


def test_there_are_no_more_replicas_than_gpus(machine: Machine) -> None:
    machine.client.create(machine.spec("many", SCRIPT, resources={"gpu": 1}, scaling={"replicas": 3}))

    def two_run() -> EndpointStatus | None:
        status = machine.client.endpoint("many").status
        version = status.versions.get("many")
        return status if version is not None and version.replicas_ready == 2 else None

    status = wait_until(two_run, "two replicas")
    assert "and 1 GPU each are desired, and 2 fit: the machine has" in str(status.document())
    assert seen(status.scoring_uri or "", 2) == {"GPU-first", "GPU-second"}


def test_an_update_replaces_a_replica_that_uses_the_last_gpu(machine: Machine) -> None:
    uri = with_gpus(machine, "full", replicas=2)
    script = SCRIPT.replace("return os", "return 'new ' + os")
    spec = machine.spec("full", script, resources={"gpu": 1}, scaling={"replicas": 2})
    machine.settle(machine.client.replace(spec))
    wait_until(lambda: seen(uri, 2) == {"new GPU-first", "new GPU-second"}, "each replica has a GPU of its own")


def test_the_use_of_gpus_is_in_the_metrics(machine: Machine) -> None:
    uri = with_gpus(machine, "used", gpu=2)
    with_gpus(machine, "plain", gpu=0)
    seen(uri, 1)

    def used() -> list[tuple[float | None, float | None]]:
        columns = machine.client.metrics("used", since=600)["replicas"]
        return [row for row in zip(columns["gpu_percent"], columns["gpu_memory_mb"], strict=True) if row[0] is not None]

    assert wait_until(used, "a measurement")[0] == (83, 10_000)
    assert 'mljupyter_replica_gpu_utilization_ratio{endpoint="used"' in machine.client.exposition()


def test_a_variable_of_the_version_is_left_as_it_is(machine: Machine) -> None:
    uri = with_gpus(machine, "chosen", environment_variables={"CUDA_VISIBLE_DEVICES": "0"})
    assert seen(uri, 1) == {"0"}


CUDA = """
    import ctypes

    def init():
        pass

    def run(data):
        driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
        assert driver.cuInit(0) == 0
        assert driver.cuDeviceGetCount(ctypes.byref(count)) == 0
        return count.value
    """


@pytest.mark.gpu
@pytest.mark.skipif(not DEVICES.present(), reason="needs a GPU of NVIDIA, its driver and pip install 'mljupyter[gpu]'")
def test_a_replica_sees_one_gpu_of_this_machine(
    machines: Callable[[], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    machine = machines()
    uri = machine.healthy(machine.spec("real", CUDA, resources={"gpu": 1})).status.scoring_uri
    assert uri is not None
    assert httpx.post(uri, content=b"1").raise_for_status().json() == 1

    def memory() -> list[float]:
        used = machine.client.metrics("real", since=600)["replicas"]["gpu_memory_mb"]
        return [value for value in used if value is not None]

    assert wait_until(memory, "a measurement")[0] > 0
