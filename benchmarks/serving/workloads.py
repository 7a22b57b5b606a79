"""What is served: four models, each with the request that all servers get and the answer that all must give."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVED = Path(__file__).parent / "served"
MODEL_FILE = "model.joblib"
_FLOATS_IN_A_MEGABYTE = 50_000
_SAVE = "import sys, stand_in_models; stand_in_models.save(sys.argv[1], sys.argv[2])"


@dataclass(frozen=True)
class Workload:
    """A model and a request for it.

    Attributes:
        name: as given to ``--workload``.
        title: what it is, for people.
        rows: the rows that each request sends.
        expected: the right answer, one number for each row.
        batching: whether merging requests can pay, so that it is tried.

    """

    name: str
    title: str
    rows: list[list[float]]
    expected: list[float]
    batching: bool = False

    def save(self, directory: Path) -> Path:
        """Write the model into a directory, and return its file."""
        path = directory / MODEL_FILE
        path.write_bytes(_model(self.name))
        return path

    def right(self, answer: Any) -> bool:
        """Return whether an answer is the right one."""
        try:
            numbers = [float(number) for number in answer]
        except (TypeError, ValueError):
            return False
        return len(numbers) == len(self.expected) and all(
            abs(number - expected) < 1e-6 * max(1.0, abs(expected))
            for number, expected in zip(numbers, self.expected, strict=True)
        )


@functools.cache
def _model(name: str) -> bytes:
    """Return the file of a model, made once.

    Another process makes it, which imports the models' module by its bare name as the servers do: a pickle records it.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / MODEL_FILE
        subprocess.run([sys.executable, "-c", _SAVE, name, str(path)], cwd=SERVED, check=True)
        return path.read_bytes()


_IRIS = [[5.1, 3.5, 1.4, 0.2]]
_MEGABYTE = [[0.1234567890123456 + index for index in range(_FLOATS_IN_A_MEGABYTE)]]

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("sklearn", "scikit-learn LogisticRegression (iris)", _IRIS, [0], batching=True),
        Workload("busy", "1 ms of CPU", _IRIS, [0]),
        Workload("sleep", "50 ms of waiting", _IRIS, [0]),
        Workload("body", "1 MB body: the sum of 50,000 floats", _MEGABYTE, [sum(_MEGABYTE[0])]),
    )
}
NOTHING = Workload("nothing", "no work", _IRIS, [0])
