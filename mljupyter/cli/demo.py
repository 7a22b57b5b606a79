"""The demo: deploy a ridge regression to an endpoint with a key, send requests, and delete everything."""

from __future__ import annotations

import http.client
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from mljupyter.cli.options import json_option
from mljupyter.cli.output import print_document
from mljupyter.core import InferenceConfig, Model, Webservice, Workspace
from mljupyter.core.webservice import AksWebservice
from mljupyter.errors import MLJupyterError

NAME = "diabetes"
_DEPLOYED_WITHIN = 120.0
_GONE_WITHIN = 10.0
_ANSWER_WITHIN = 30.0
_SECOND_PROCESS = """
import sys
from mljupyter.core import Workspace
print(Workspace.get(sys.argv[1]).webservices[sys.argv[2]].run(sys.argv[3]))
"""


class DemoError(MLJupyterError):
    """A step of the demo has failed."""


@click.command()
@click.option("--requests", default=500, show_default=True, type=click.IntRange(min=1), help="Requests to send.")
@json_option
def demo(requests: int, as_json: bool) -> None:
    """Train, register, deploy, score and clean up, in a temporary workspace.

    The exit status is 1 if a step fails.
    """
    sys.exit(0 if run_demo(requests, as_json=as_json) else 1)


def run_demo(requests: int, *, as_json: bool = False) -> bool:
    """Run all steps, print one line for each, and return whether all of them succeeded.

    Parameters:
        requests: the number of requests to send over one connection.
        as_json: print one JSON document at the end instead of lines.

    """
    with tempfile.TemporaryDirectory(prefix="mlj-demo-") as directory, _environment(Path(directory)):
        demo = _Demo(Path(directory), requests, quiet=as_json)
        worked = demo.run()
        if as_json:
            print_document({"worked": worked, **demo.findings})
    return worked


class _Demo:
    """The steps of the demo in their order; each uses the results of the previous ones."""

    def __init__(self, directory: Path, requests: int, *, quiet: bool) -> None:
        from rich.console import Console

        self.findings: dict[str, Any] = {}
        self._directory = directory
        self._requests = requests
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)
        self._workspace: Workspace | None = None
        self._began = time.perf_counter()

    def run(self) -> bool:
        """Run all steps, and clean up even after a failure."""
        self._console.print("[bold]mljupyter demo[/bold]  from data to a live endpoint on this machine\n")
        worked = True
        try:
            self._serve()
        except KeyboardInterrupt:
            worked = self._failed("interrupted")
        except (MLJupyterError, OSError, subprocess.SubprocessError) as error:
            worked = self._failed(str(error))
        try:
            self._clean_up()
        except (MLJupyterError, OSError) as error:
            worked = self._failed(str(error))
        seconds = time.perf_counter() - self._began
        self.findings["seconds"] = round(seconds, 2)
        verdict = "[green]All steps succeeded[/green]" if worked else "[red]A step has failed[/red]"
        self._console.print(f"\n{verdict}  {seconds:.1f} s")
        return worked

    def _serve(self) -> None:
        rows, model_file = self._step("Trained a ridge regression on the diabetes data", lambda: train(self._directory))
        model = self._step("Registered it as diabetes-ridge, version 1", lambda: self._register(model_file))
        service = self._step("Deployed it behind the router, with key authentication", lambda: self._deploy(model))
        uri, key = str(service.scoring_uri), service.get_keys()[0]
        self._step("A request without a key is refused: 401", lambda: check_refused(uri, rows))
        body = json.dumps({"data": rows[:2]}).encode()
        predictions, latencies = self._step(
            f"Sent {self._requests} requests over one connection", lambda: measure(uri, key, body, self._requests)
        )
        other = self._step(
            "A second Python process found the endpoint and scored",
            lambda: self._second_process(body),
        )
        if other != str(predictions):
            raise DemoError(f"The second process got {other}, this one {predictions}, from the same endpoint.")
        self._report(uri, predictions, latencies)

    def _register(self, model_file: Path) -> Model:
        self._workspace = Workspace.create("demo", path=self._directory / "workspace")
        with _silent():
            return Model.register(self._workspace, str(model_file), "diabetes-ridge")

    def _deploy(self, model: Model) -> Webservice:
        workspace = model.workspace
        service = Model.deploy(
            workspace,
            NAME,
            [model],
            InferenceConfig(entry_script=str(Path(__file__).with_name("demo_score.py"))),
            AksWebservice.deploy_configuration(num_replicas=1, auth_enabled=True),
            deployment_target=workspace.compute_targets["local"],
        )
        service.wait_for_deployment(timeout_sec=_DEPLOYED_WITHIN)
        return service

    def _second_process(self, body: bytes) -> str:
        answer = subprocess.run(
            [sys.executable, "-c", _SECOND_PROCESS, "demo", NAME, body.decode()],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUTF8": "1"},
            timeout=_ANSWER_WITHIN,
            check=False,
        )
        if answer.returncode != 0:
            raise DemoError(f"The second process failed: {answer.stderr.strip()[-500:]}")
        return answer.stdout.strip()

    def _report(self, uri: str, predictions: list[float], latencies: list[float]) -> None:
        p50, p95, p99 = percentiles(latencies)
        shown = ", ".join(f"{value:.1f}" for value in predictions)
        self._console.print(f"\n    scoring URI  {uri}\n    predictions  {shown}")
        self._console.print(f"    latency      p50 {p50:.2f} ms   p95 {p95:.2f} ms   p99 {p99:.2f} ms\n")
        self.findings |= {
            "scoringUri": uri,
            "predictions": predictions,
            "requests": len(latencies),
            "latencyMs": {"p50": round(p50, 3), "p95": round(p95, 3), "p99": round(p99, 3)},
        }

    def _clean_up(self) -> None:
        workspace = self._workspace
        if workspace is None:
            return

        def remove() -> None:
            workspace.delete(delete_dependent_resources=True)
            wait_until_gone(self._directory)

        self._step("Deleted everything; no process is left", remove)

    def _step(self, text: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - began
        self.findings.setdefault("steps", []).append({"step": text, "seconds": round(seconds, 3)})
        self._console.print(f"[green]✓[/green] {text}  [dim]{seconds:.2f} s[/dim]")
        return result

    def _failed(self, reason: str) -> bool:
        self._console.print("[red]✗[/red] ", end="")
        self._console.print(reason, markup=False)
        self.findings.setdefault("problems", []).append(reason)
        return False


def train(directory: Path) -> tuple[list[list[float]], Path]:
    """Fit a ridge regression; return some rows to score, and the file with the model.

    Raises:
        DemoError: if scikit-learn is not installed.

    """
    try:
        import joblib
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge
    except ImportError:
        install = f"{sys.executable} -m pip install 'mljupyter[demo]'"
        raise DemoError(f"The demo trains with scikit-learn, which is not installed. Install it: {install}") from None
    features, target = load_diabetes(return_X_y=True)
    path = directory / "ridge.pkl"
    joblib.dump(Ridge(alpha=0.01).fit(features, target), path)
    return features[:10].tolist(), path


def check_refused(uri: str, rows: list[list[float]]) -> None:
    """Raise `DemoError` unless a request without a key is answered 401."""
    with _connection(uri) as connection:
        status, _ = _post(connection, uri, json.dumps({"data": rows[:1]}).encode(), {})
    if status != 401:
        raise DemoError(f"A request without a key was answered {status}, not 401.")


def measure(uri: str, key: str, body: bytes, requests: int) -> tuple[list[float], list[float]]:
    """Send requests one by one; return the predictions and all latencies in milliseconds."""
    headers = {"Authorization": f"Bearer {key}"}
    latencies: list[float] = []
    with _connection(uri) as connection:
        for number in range(requests):
            began = time.perf_counter()
            status, answer = _post(connection, uri, body, headers)
            latencies.append((time.perf_counter() - began) * 1000)
            if status != 200:
                raise DemoError(f"Request {number + 1} was answered with {status}: {answer[:300]!r}")
    predictions: list[float] = json.loads(answer)
    return predictions, latencies


def percentiles(latencies: list[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99."""
    if len(latencies) == 1:
        return latencies[0], latencies[0], latencies[0]
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def wait_until_gone(directory: Path, within: float = _GONE_WITHIN) -> None:
    """Wait until no process has a path below a directory on its command line.

    Parameters:
        directory: the directory of the demo.
        within: the longest wait in seconds.

    Raises:
        DemoError: if processes were still running, which are killed then.

    """
    import psutil

    deadline = time.monotonic() + within
    while True:
        left = [
            process
            for process in psutil.process_iter(["name", "cmdline"])
            if any(str(directory) in part for part in process.info["cmdline"] or ()) and process.pid != os.getpid()
        ]
        if not left:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    names = ", ".join(f"{process.info['name']} (pid {process.pid})" for process in left)
    raise DemoError(f"Still running after {within:g} s, so killed: {names}")


def _post(connection: http.client.HTTPConnection, uri: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection.request("POST", urlsplit(uri).path, body, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    return answer.status, answer.read()


@contextmanager
def _connection(uri: str) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(uri)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=_ANSWER_WITHIN)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _environment(directory: Path) -> Iterator[None]:
    """Use a separate home directory, so that the demo does not touch the user's workspaces."""
    own = {"MLJUPYTER_HOME": str(directory / "home"), "MLJUPYTER_RUNTIME_DIR": str(directory / "run")}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _silent() -> Iterator[None]:
    with redirect_stdout(io.StringIO()):
        yield
