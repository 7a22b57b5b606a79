"""What the benchmark knows of another model server: how it is installed, started, asked and read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.serving.workloads import SERVED

BATCH_SIZE = 64  # the largest number of connections: whoever can, may answer all of them with one call
BATCH_SECONDS = 0.002

# The same libraries under every server, so that only the servers differ.
SHARED_REQUIREMENTS = tuple(f"{name}=={version(name)}" for name in ("scikit-learn", "numpy", "joblib"))

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
            "BENCHMARK_PORT": str(self.port),
            "BENCHMARK_BATCH_SIZE": str(BATCH_SIZE if self.batching else 0),
            "BENCHMARK_BATCH_SECONDS": str(BATCH_SECONDS),
            **extra,
        }


def _rows(rows: list[list[float]]) -> dict[str, Any]:
    return {"data": rows}


def _itself(answer: Any) -> Any:
    return answer


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
        body: from rows to the document of a request.
        answer: from the document of an answer to its numbers.
        prepare: a command line to run before the start, not counted as start.
        variables: environment variables on top of what all get.
        batching: whether requests are merged; None where the server cannot, and `no_batching` says why.

    """

    name: str
    title: str
    requirements: tuple[str, ...]
    setting: str
    route: str
    command: Callable[[Site], list[str]]
    body: Callable[[list[list[float]]], dict[str, Any]] = _rows
    answer: Callable[[Any], Any] = _itself
    prepare: Callable[[Site], list[str] | None] = lambda site: None
    variables: Mapping[str, str] = field(default_factory=dict)
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
