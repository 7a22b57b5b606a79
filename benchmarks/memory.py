"""Measure the memory of idle endpoints: one replica each, with a script that imports nothing.

``python -m benchmarks.memory 1 50`` prints, for each number of endpoints, the memory of all processes of a workspace
and of one replica, as PSS: pages that several processes share count in parts. ``--preload`` shares templates.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.preloading import proportional
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import CodeReference, EndpointSpec, EndpointState
from mljupyter.targets.machine.client import ControllerClient

SCRIPT = "def init():\n    pass\n\n\ndef run(data):\n    return data\n"
_SETTLES = 5.0
_SHOWN = 5
_HEALTHY_WITHIN = 60.0, 10.0  # seconds, and more for each endpoint


def main() -> None:
    """Print a table, a line for each number of endpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", type=int, nargs="*", default=[1, 50])
    parser.add_argument("--preload", action="store_true")
    given = parser.parse_args()
    print("| endpoints | controller | router | server of a replica | its worker | all | all started after |")
    print("|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for number in given.numbers:
        with tempfile.TemporaryDirectory(prefix="mlj") as directory:
            print(measured(Path(directory), number, preload=given.preload), flush=True)


def measured(directory: Path, number: int, *, preload: bool) -> str:
    """Deploy endpoints, wait until all are idle, and return a line of the table."""
    client = ControllerClient(directory)
    script = directory / "score.py"
    script.write_text(SCRIPT)
    digest = ArtifactStore(directory / "artifacts").put(script).digest
    code = CodeReference(digest=digest, entry_script="score.py")
    version = {"code": code.document(), "interpreter": sys.executable, "preload": preload}
    began = time.monotonic()
    try:
        for index in range(number):
            name = f"bare-{index:03}"
            client.create(EndpointSpec.parse({"name": name, "defaultVersion": name, "versions": {name: version}}))
        wait_until_healthy(client, within=_HEALTHY_WITHIN[0] + number * _HEALTHY_WITHIN[1])
        seconds = time.monotonic() - began
        time.sleep(_SETTLES)
        found = sizes(directory)
    finally:
        client.stop(force=True)
    megabytes = {kind: sum(each) / 1e6 for kind, each in found.items()}
    each = [f"{megabytes.get(kind, 0) / number:.1f} MB" for kind in ("server", "worker")]
    alone = [f"{megabytes.get(kind, 0):.0f} MB" for kind in ("controller", "router")]
    cells = [str(number), *alone, *each, f"{sum(megabytes.values()):,.0f} MB", f"{seconds:.0f} s"]
    return f"| {' | '.join(cells)} |"


def wait_until_healthy(client: ControllerClient, within: float) -> None:
    """Wait until all endpoints are Healthy; exit with the states of the others when that takes longer.

    Parameters:
        client: the client of the control plane.
        within: seconds.

    """
    until = time.monotonic() + within
    while waiting := [item for item in client.endpoints() if item.status.state is not EndpointState.HEALTHY]:
        if time.monotonic() > until:
            states = ", ".join(f"{item.spec.name} {item.status.state}" for item in waiting[:_SHOWN])
            sys.exit(f"{len(waiting)} endpoints are not Healthy after {within:.0f} s: {states}")
        time.sleep(0.5)


def sizes(directory: Path) -> dict[str, list[int]]:
    """Return the memory of each process of a workspace by kind, in bytes, without those that end meanwhile."""
    found: dict[str, list[int]] = {}
    for kind, pid in family(directory):
        if (size := size_of(pid)) is not None:
            found.setdefault(kind, []).append(size)
    return found


def size_of(pid: int) -> int | None:
    """Return the memory of a process in bytes; None if it has ended."""
    try:
        return proportional(pid)
    except (ProcessLookupError, FileNotFoundError):
        return None


def family(directory: Path) -> Iterator[tuple[str, int]]:
    """Yield kind and id of each process of a workspace."""
    seen = set()
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if not any(str(directory) in part for part in command):
                continue
            servers = "mljupyter.scoring" in command
            children = process.children(recursive=True) if servers else []  # it lists all processes of the machine
        except psutil.Error:  # it has just ended
            continue
        kind = "server" if servers else "router" if "envoy" in Path(command[0]).name else "controller"
        for member in [process, *children]:
            if member.pid not in seen:
                seen.add(member.pid)
                yield (kind if member is process or not servers else "worker"), member.pid


if __name__ == "__main__":
    main()
