"""A replica reports the CPU time and the memory of its container: of its control group, or else of its processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.scoring.server import control_group, group_files, memory_limit, usage
from mljupyter.scoring.server.control_group import VERSION_2, Used
from tests.scoring.conftest import ECHO, Replica
from tests.waiting import wait_until

VERSION_2_FILES = {
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n",
    "memory.current": "5000\n",
    "memory.stat": "anon 3000\nfile 2000\ninactive_file 1000\nactive_file 1000\n",
}
VERSION_1_FILES = {
    "cpuacct.usage": "2500000000\n",
    "memory.usage_in_bytes": "5000\n",
    "memory.stat": "inactive_file 10\ntotal_cache 2000\ntotal_inactive_file 1000\n",
}
V1_MEMBERSHIP = "4:memory:/kubepods/pod1/c1\n2:cpu,cpuacct:/kubepods/pod1/c1\n1:name=systemd:/a\n0::/kubepods/pod1/c1\n"


@pytest.mark.parametrize(
    ("files", "used"),
    [
        (VERSION_2_FILES, Used(2.5, 4000)),
        (VERSION_1_FILES, Used(2.5, 4000)),
        ({**VERSION_2_FILES, "memory.stat": ""}, Used(2.5, 5000)),
        ({**VERSION_2_FILES, "memory.stat": "inactive_file 9000"}, Used(2.5, 0)),
        ({**VERSION_1_FILES, "memory.stat": "inactive_file 10"}, Used(2.5, 4990)),
        ({**VERSION_2_FILES, "cpu.stat": "nr_periods 0\nnr_throttled 0\n"}, None),
        ({**VERSION_2_FILES, "memory.current": "max"}, None),
        ({name: text for name, text in VERSION_2_FILES.items() if name != "memory.current"}, None),
        ({name: text for name, text in VERSION_1_FILES.items() if name != "cpuacct.usage"}, None),
        ({"cpu.stat": "usage_usec x", "memory.current": "5"}, None),
        ({}, None),
    ],
)
def test_the_usage_of_a_group(files: dict[str, str], used: Used | None) -> None:
    assert control_group.of_group(files) == used


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("134217728\n", 134217728),
        ("0", 0),
        ("max\n", None),
        ("9223372036854771712\n", None),
        ("-1\n", None),
        ("", None),
        ("lots", None),
    ],
)
def test_a_limit_is_a_number_of_bytes_or_none(text: str, limit: int | None) -> None:
    assert control_group.limit(text) == limit


@pytest.mark.parametrize(
    ("membership", "controller", "places"),
    [
        (V1_MEMBERSHIP, "memory", ["memory/kubepods/pod1/c1", "memory"]),
        (V1_MEMBERSHIP, "cpuacct", ["cpuacct/kubepods/pod1/c1", "cpuacct"]),
        (V1_MEMBERSHIP, "pids", ["pids"]),
        (V1_MEMBERSHIP, VERSION_2, ["kubepods/pod1/c1", ""]),
        ("0::/\n", VERSION_2, [""]),
        ("0::/\n", "memory", ["memory"]),
        ("", VERSION_2, [""]),
        ("nonsense\n", "memory", ["memory"]),
    ],
)
def test_the_own_group_comes_before_the_root(membership: str, controller: str, places: list[str]) -> None:
    assert control_group.places(membership, controller) == places


def process(pid: int, parent: int, cpu: int = 0, children: int = 0, pages: int = 0, name: str = "python") -> str:
    """Return the content of ``/proc/PID/stat``."""
    return f"{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 {cpu} 0 {children} 0 20 0 1 0 1 9999 {pages} 0\n"


@pytest.mark.parametrize(
    ("processes", "used"),
    [
        ([process(1, 0, cpu=100, pages=2)], Used(1.0, 2000)),
        ([process(1, 0, cpu=100, children=50, pages=2)], Used(1.5, 2000)),
        ([process(1, 0, pages=1), process(2, 1, cpu=200, pages=1), process(3, 2, pages=1)], Used(2.0, 3000)),
        ([process(1, 0, pages=1), process(9, 8, cpu=200, pages=7)], Used(0.0, 1000)),
        ([process(1, 0, pages=1, name="a) R (b"), "", "2 (cut", "x (y) S"], Used(0.0, 1000)),
        ([process(2, 3), process(3, 2), process(1, 0)], Used(0.0, 0)),
        ([process(2, 1)], None),
        ([], None),
    ],
)
def test_the_usage_of_processes_is_that_of_a_process_and_all_below_it(processes: list[str], used: Used | None) -> None:
    assert control_group.of_processes(processes, 1, ticks=100, page=1000) == used


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in place of the one where the groups are mounted."""
    monkeypatch.setattr(group_files, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(group_files, "_MEMBERSHIP", tmp_path / "membership")
    return tmp_path / "groups"


def put(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)


def test_the_own_group_is_measured_in_both_versions(groups: Path) -> None:
    groups.parent.joinpath("membership").write_text(V1_MEMBERSHIP)
    memory = {name: text for name, text in VERSION_1_FILES.items() if name.startswith("memory")}
    put(groups / "memory", **memory, **{"memory.limit_in_bytes": "134217728", "memory.oom_control": "oom_kill 2\n"})
    put(groups / "cpuacct", **{"cpuacct.usage": "1000000000"})
    assert usage.measured() == Used(1.0, 4000), "the own group is mounted at the root, as in a container"
    assert (memory_limit.memory_limit(), memory_limit.killed_for_memory()) == (134217728, 2)
    put(groups / "cpuacct" / "kubepods" / "pod1" / "c1", **{"cpuacct.usage": "3000000000"})
    assert usage.measured() == Used(3.0, 4000)
    put(groups, **VERSION_2_FILES, **{"memory.max": "max", "memory.events": "oom 1\noom_kill 1\n"})
    assert usage.measured() == Used(2.5, 4000)
    assert (memory_limit.memory_limit(), memory_limit.killed_for_memory()) == (None, 1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the processes of this system are not in /proc")
def test_without_the_files_of_a_group_the_processes_are_measured(groups: Path) -> None:
    used = usage.measured()
    assert used is not None
    assert used.cpu_seconds > 0
    assert used.memory_bytes > 1 << 20
    assert (memory_limit.memory_limit(), memory_limit.killed_for_memory()) == (None, 0)


def test_where_nothing_tells_the_usage_it_is_unknown(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_PROCESSES", groups / "none")
    assert usage.measured() is None


def test_a_replica_reports_its_usage_only_where_it_is_asked_for(tmp_path: Path) -> None:
    replica = Replica(tmp_path, ECHO)
    try:
        wait_until(lambda: replica.health() == 200, "the replica is ready")
        assert "usage" not in replica.state()
        found = replica.client.get("/-/state?usage").json()["usage"]
        assert found["cpu_seconds"] > 0
        assert found["memory_bytes"] > 1 << 20
    finally:
        replica.end()
