"""Measure the spine on this machine: loading the magics, deploying, and the data path through the router.

Run with ``make benchmark``. Every figure is the median of several runs; ratios travel between machines, absolute
times do not. With ``wrk`` installed the load comes from it, else from a client in Python, which is slower than what
it measures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.client import Figures, load

SCRIPT = """
import json
import os

import joblib


def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "iris.joblib"))


def run(data):
    return model.predict(json.loads(data)["data"]).tolist()
"""
BODY = json.dumps({"data": [[5.1, 3.5, 1.4, 0.2]]})
BARE = """
import os, time
os.environ["AZUREML_MODEL_DIR"] = {models!r}
began = time.perf_counter()
exec(open({script!r}).read())
init()
print(time.perf_counter() - began)
"""


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each start-up measurement")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each load")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["MLJUPYTER_HOME"] = directory
        rows = [*loading(arguments.runs), *deploying(Path(directory), arguments.runs, arguments.seconds)]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(dict(rows), indent=2))


def loading(runs: int) -> list[tuple[str, str]]:
    """Measure %load_ext beyond IPython itself, in fresh processes."""
    shell = "from IPython.core.interactiveshell import InteractiveShell as S; shell = S.instance(); "
    without = _median(runs, lambda: _process(shell))
    loaded = _median(runs, lambda: _process(shell + "shell.run_line_magic('load_ext', 'mljupyter')"))
    return [("%load_ext mljupyter, beyond IPython", _ms(loaded - without))]


def deploying(directory: Path, runs: int, seconds: float) -> list[tuple[str, str]]:
    """Measure deployments and the data path."""
    from mljupyter.core import AksWebservice, InferenceConfig, Model, Workspace

    workspace = Workspace.create("benchmark", path=directory / "workspace")
    _train(directory / "iris.joblib")
    (directory / "score.py").write_text(SCRIPT)
    model = Model.register(workspace, str(directory / "iris.joblib"), "iris")
    inference = InferenceConfig(str(directory / "score.py"))
    config = AksWebservice.deploy_configuration(num_replicas=1, max_request_wait_time=5000)
    rows = []
    bare = BARE.format(models=str(directory), script=str(directory / "score.py"))
    init = _median(runs, lambda: float(subprocess.check_output([sys.executable, "-c", bare], text=True)))
    interpreter = _median(runs, lambda: _process(bare))
    rows.append(("init() in a bare interpreter", _ms(init)))
    rows.append(("the same with the interpreter's own start", _ms(interpreter)))

    def deploy() -> float:
        began = time.perf_counter()
        service = Model.deploy(workspace, "iris", [model], inference, config)
        service.wait_for_deployment()
        service.run(BODY)
        took = time.perf_counter() - began
        service.delete()
        return took

    def cold() -> float:
        workspace.controller.stop(force=True)
        return deploy()

    for name, measure in (("the controller starts too", cold), ("the controller runs", deploy)):
        took = _median(runs, measure)
        rows.append((f"deploy to first answer, {name}", f"{_ms(took)} (init() + {_ms(took - init)})"))
    try:
        rows += data_path(workspace, model, inference, config, seconds)
    finally:
        workspace.controller.stop(force=True)
    return rows


def data_path(workspace, model, inference, config, seconds: float) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
    """Measure requests per second and latency: full path against the replica alone."""
    from mljupyter.core import Model

    service = Model.deploy(workspace, "iris", [model], inference, config)
    service.wait_for_deployment()
    key = service.get_keys()[0]
    pid = workspace.endpoints.endpoint("iris").status.versions["iris"].replicas[0].pid
    rows = []
    for connections in (1, 8, 64):
        through = load(service.scoring_uri, BODY, connections, seconds, key=key)
        rows.append((f"router + keys + replica, {connections} connections", _figures(through)))
    with _direct_replica(workspace, pid) as url:
        rows += [
            (f"replica alone, {connections} connections", _figures(load(url, BODY, connections, seconds)))
            for connections in (1, 8)
        ]
    service.delete()
    return rows


class _direct_replica:  # noqa: N801 - used as a context manager only
    """The same scoring server on a port, without the router: what the router's share is measured against."""

    def __init__(self, workspace, pid: int) -> None:  # type: ignore[no-untyped-def]
        import psutil

        command = psutil.Process(pid).cmdline()
        self._root = psutil.Process(pid).cwd()
        self._environment = psutil.Process(pid).environ()
        socket = command.index("--unix-socket")
        log = command.index("--log-file")
        from mljupyter.runtimes.ports import free_port

        self._port = free_port()
        command[socket : socket + 2] = ["--port", str(self._port)]
        command[log + 1] = str(Path(tempfile.gettempdir()) / f"benchmark-{os.getpid()}.log")
        self._command = command

    def __enter__(self) -> str:
        self._child = subprocess.Popen(self._command, cwd=self._root, env=self._environment)
        url = f"http://127.0.0.1:{self._port}"
        deadline = time.monotonic() + 30
        import httpx

        while time.monotonic() < deadline:
            try:
                if httpx.get(url + "/").status_code == httpx.codes.OK:
                    break
            except httpx.HTTPError:
                time.sleep(0.02)
        return url + "/score"

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait()


def _train(path: Path) -> None:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    joblib.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), path)


def _process(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _median(runs: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(runs))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _figures(figures: Figures) -> str:
    return (
        f"{figures.per_second:,.0f} requests/s, p50 {figures.p50 * 1000:.2f} ms, p99 {figures.p99 * 1000:.2f} ms, "
        f"{figures.failed} failed ({'wrk' if shutil.which('wrk') else 'Python client'})"
    )


if __name__ == "__main__":
    main()
