"""What the benchmark knows of another model server: how it is installed, started, asked and read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from benchmarks.serving.exchange import Exchange, Form
from benchmarks.serving.workloads import SERVED

BATCH_SIZE = 64  # the largest number of connections: whoever can, may answer all of them with one call
BATCH_SECONDS = 0.002

# The same libraries under every server, so that only the servers differ.
_SHARED = ("scikit-learn", "numpy", "joblib", "onnxruntime")
INFERENCE_SCHEMA = f"inference-schema=={version('inference-schema')}"
SHARED_REQUIREMENTS = (*(f"{name}=={version(name)}" for name in _SHARED), "pandas")  # some forbid the newest pandas

# One thread for numeric libraries, no statistics sent to anybody, no proxy between client and server.
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_KEPT = ("LANG", "LC_ALL", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Site:
    """Where one server is started: the interpreter of its environment, a directory of its own, its model and port.

    `host` is the address that it listens on, if it can be told.
    """

    python: Path
    directory: Path
    model: Path
    port: int
    batching: bool
    form: Form
    host: str = "127.0.0.1"

    def tool(self, name: str) -> str:
        """Return the path of a command that the environment installed."""
        return str(self.python.with_name(name))

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the variables the server sees: few, so that the notebook's or shell's do not matter."""
        return {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            **_QUIET,
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory),
            "RAY_TMPDIR": str(self.directory),
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": str(SERVED),
            "BENCHMARK_MODEL": str(self.model),
            "BENCHMARK_FORM": self.form,
            "BENCHMARK_PORT": str(self.port),
            "BENCHMARK_BATCH_SIZE": str(BATCH_SIZE if self.batching else 0),
            "BENCHMARK_BATCH_SECONDS": str(BATCH_SECONDS),
            **extra,
        }


@dataclass(frozen=True)
class Peer:
    """Another model server, with or without batching.

    Attributes:
        name: as given to ``--only``.
        title: its name, for people.
        requirements: what is installed, pinned; the first is the server itself.
        setting: how it runs here, one line for the report.
        route: path of the scoring URL.
        command: the command line for a site.
        exchanges: how requests and answers look, for each form of data, or the reason why it does not take the form.
        prepare: a command line to run before the start, not counted as start.
        variables: environment variables on top of what all get.
        runs_at_once: how many requests the model works on at a time; None for as many as there are.
        proxy: whether it runs behind a proxy, as ours does.
        batching: whether requests are merged; None where the server cannot, and `no_batching` says why.

    """

    name: str
    title: str
    requirements: tuple[str, ...]
    setting: str
    route: str
    command: Callable[[Site], list[str]]
    exchanges: Mapping[Form, Exchange | str]
    prepare: Callable[[Site], list[str] | None] = lambda site: None
    variables: Mapping[str, str] = field(default_factory=dict)
    runs_at_once: int | None = 1
    proxy: bool = False
    batching: bool = False
    batching_setting: str | None = None
    no_batching: str | None = None

    @property
    def version(self) -> str:
        """The pinned version of the server itself."""
        return self.requirements[0].partition("==")[2]

    def batched(self) -> Peer | None:
        """Return the same server with batching on, if it has it."""
        if self.batching_setting is None:
            return None
        return replace(
            self,
            name=f"{self.name}-batching",
            title=f"{self.title}, batching",
            setting=f"{self.setting}; {self.batching_setting}",
            batching=True,
        )
