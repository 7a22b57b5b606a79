"""Ours: the full path, from the router with key authentication to the worker, deployed with the SDK."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

import mljupyter
from benchmarks.serving import environments, processes
from benchmarks.serving.environments import UnavailableError
from benchmarks.serving.scripts import EXCHANGES, script
from benchmarks.serving.server import READY_SECONDS, Server
from benchmarks.serving.systems import import_seconds
from benchmarks.serving.workloads import SERVED, Workload

_ENDPOINT = "benchmark"
_LONGEST_WAIT_MS = 60_000  # as long as the client waits: 64 requests of 50 ms queue for more than 3 seconds


class OurSystem:
    """The whole of ours on this machine: controller, router with keys, one replica.

    Parameters:
        batching: whether the scoring script asks for batches.

    """

    def __init__(self, *, batching: bool = False) -> None:
        self.batching = batching
        self.runs_at_once: int | None = 1
        self.proxy = True
        self.name = "ours-batching" if batching else "ours"
        self.title = "mljupyter, batching" if batching else "mljupyter"
        self.setting = "router with key authentication, 1 replica, 1 run() at a time"
        if batching:
            self.setting += "; batching = True in the script, the wait adapts"

    def prepare(self) -> None:
        """Raise `UnavailableError` when batching is wanted, and this version has none."""
        command = [sys.executable, "-m", "mljupyter.scoring", "--help"]
        if self.batching and "--batching" not in subprocess.run(command, capture_output=True, text=True).stdout:
            raise UnavailableError("this version of mljupyter.scoring has no --batching")

    def version(self) -> str:
        """Return our version."""
        return mljupyter.__version__

    def packages(self) -> list[str]:
        """Return what is installed in this environment."""
        return environments.packages(Path(sys.executable))

    def import_seconds(self, workload: Workload, directory: Path) -> float:
        """Return how long the bare model takes in this environment."""
        return import_seconds(Path(sys.executable), workload, directory)

    @contextlib.contextmanager
    def serve(self, workload: Workload, directory: Path) -> Iterator[Server]:
        """Deploy a model into a new workspace; the start includes the controller's and the router's."""
        from mljupyter.core import AksWebservice, InferenceConfig, Model, Workspace
        from mljupyter.exceptions import WebserviceException

        exchange = EXCHANGES[workload.form]
        os.environ.update(MLJUPYTER_HOME=str(directory), OMP_NUM_THREADS="1")
        workspace = Workspace.create(_ENDPOINT, path=directory / "workspace")
        with contextlib.redirect_stdout(sys.stderr):  # where progress goes; the report has the other to itself
            model = Model.register(workspace, str(workload.save(directory)), "model")
        entry = script(workload.form, batching=self.batching)
        inference = InferenceConfig(entry.name, source_directory=str(SERVED))
        config = AksWebservice.deploy_configuration(num_replicas=1, max_request_wait_time=_LONGEST_WAIT_MS)
        began = time.perf_counter()
        try:
            service = Model.deploy(workspace, _ENDPOINT, [model], inference, config)
            try:
                service.wait_for_deployment(timeout_sec=READY_SECONDS)
            except WebserviceException as error:
                raise UnavailableError(str(error)) from None
            roots = _processes_of(directory)
            yield Server(
                url=str(service.scoring_uri),
                request=exchange.request(workload.data, service.get_keys()[0]),
                read=exchange.decode,
                began=began,
                processes=lambda: processes.tree(roots),
                ended=lambda: None,
            )
        finally:
            members = processes.tree(_processes_of(directory))
            workspace.controller.stop(force=True)
            processes.end(members, within=10.0)


@contextlib.contextmanager
def replica_alone(workload: Workload, directory: Path) -> Iterator[Server]:
    """Start the scoring server by itself on a port: what the router's share is measured against."""
    port = processes.free_port()
    model = workload.save(directory)
    command = [
        sys.executable, "-m", "mljupyter.scoring",
        "--entry-script", script(workload.form).name,
        "--app-root", str(SERVED),
        "--model-dir", str(model.parent),
        "--port", str(port),
        "--log-file", str(directory / "replica.log"),
    ]  # fmt: skip
    began = time.perf_counter()
    child = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        yield Server(
            url=f"http://127.0.0.1:{port}/score",
            request=EXCHANGES[workload.form].request(workload.data),
            read=EXCHANGES[workload.form].decode,
            began=began,
            processes=lambda: processes.tree([psutil.Process(child.pid)]),
            ended=lambda: None if child.poll() is None else f"exit status {child.returncode}",
        )
    finally:
        child.terminate()
        child.wait()


def _processes_of(directory: Path) -> list[psutil.Process]:
    """Return the processes whose command lines name a directory: controller, router and replicas of a workspace."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if any(str(directory) in part for part in process.cmdline()):
                found.append(process)
    return found
