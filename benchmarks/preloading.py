"""How fast a further replica serves, and how much memory replicas of a large model take: with preloading and without.

``python -m benchmarks.preloading`` prints a table. The model is an array of 200 MB, and init() takes a second.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import psutil

from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import CodeReference, EndpointSpec, EndpointState
from mljupyter.targets.machine.client import ControllerClient

SCRIPT = """
import time
import numpy

def init():
    global model
    model = numpy.ones({megabytes} * 125_000)
    time.sleep(1)

def run(data):
    return float(model[::4096].sum())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--replicas", type=int, default=4)
    given = parser.parse_args()
    print("| preloading | a further replica is ready after | memory (PSS) of 1 replica | of", given.replicas, "|")
    print("|---|---|---|---|")
    for preload in (False, True):
        with tempfile.TemporaryDirectory(prefix="mlj") as directory:
            print(measured(Path(directory), given.megabytes, given.replicas, preload=preload))


def measured(directory: Path, megabytes: int, replicas: int, *, preload: bool) -> str:
    client = ControllerClient(directory)
    script = directory / "score.py"
    script.write_text(SCRIPT.format(megabytes=megabytes))
    digest = ArtifactStore(directory / "artifacts").put(script).digest
    code = CodeReference(digest=digest, entry_script="score.py")
    version = {"code": code.document(), "interpreter": sys.executable, "preload": preload}
    try:
        scale(client, version, 1)
        alone = memory(directory)
        seconds = [scale(client, version, number) for number in range(2, replicas + 1)]
        together = memory(directory)
        shown = ", ".join(f"{second:.2f}" for second in seconds)
        return f"| {'on' if preload else 'off'} | {shown} s | {alone} MB | {together} MB |"
    finally:
        client.delete("model")
        client.stop(force=True)


def scale(client: ControllerClient, version: dict[str, object], replicas: int) -> float:
    """Return the seconds from asking for a number of replicas until all are ready."""
    wanted = {**version, "scaling": {"replicas": replicas}}
    spec = EndpointSpec.parse({"name": "model", "defaultVersion": "model", "versions": {"model": wanted}})
    began = time.monotonic()
    record = client.create(spec, overwrite=True)
    while True:
        status = record.status
        ready = status.versions["model"].replicas_ready if "model" in status.versions else 0
        if status.state is EndpointState.HEALTHY and ready == replicas:
            return time.monotonic() - began
        record = client.watch("model", record.resource_version, 1.0)


def memory(directory: Path) -> int:
    """Return the proportional memory of all fronts, templates and workers, in MB."""
    total = 0
    for process in psutil.process_iter():
        command = process.cmdline()
        if "mljupyter.scoring" in command and any(str(directory) in part for part in command):
            family = {item.pid for item in [process, *process.children(recursive=True)]}
            total += sum(proportional(pid) for pid in family)
    return total // 1_000_000


def proportional(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
