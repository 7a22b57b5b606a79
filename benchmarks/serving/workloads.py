"""What is served: models, each with the data that all servers get and the answer that all must give."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving.exchange import Form

SERVED = Path(__file__).parent / "served"
MODEL_FILE = "model.joblib"
_FLOATS_IN_A_MEGABYTE = 50_000
_FLOATS_IN_10_KB = 500
_IMAGE_BYTES = 100_000
_PARTS = 100
_SAVE = "import sys, stand_in_models; stand_in_models.save(sys.argv[1], sys.argv[2])"


@dataclass(frozen=True)
class Workload:
    """A model and a request for it.

    Attributes:
        name: as given to ``--workload``.
        title: what it is, for people.
        data: what each request sends.
        expected: the right answer, one number for each row, image or part.
        form: of the data and the answer.
        batching: whether merging requests can pay, so that it is tried.
        least_seconds: the least length of a load, for slow requests.

    """

    name: str
    title: str
    data: Any
    expected: list[float]
    form: Form = Form.ROWS
    batching: bool = False
    least_seconds: float = 0.0

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
_10_KB = [[0.1234567890123456 + index for index in range(_FLOATS_IN_10_KB)]]
# The columns of stand_in_models.RECORD, which servers have as a sample.
_NUMBERS = {f"n{index}": index + 0.25 for index in range(20)} | {f"i{index}": index for index in range(5)}
_WORDS = {f"w{index}": "word" * (index + 1) for index in range(5)}
_IMAGE = bytes(index * 7 % 256 for index in range(_IMAGE_BYTES))

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("sklearn", "scikit-learn LogisticRegression (iris)", _IRIS, [0], batching=True),
        Workload("busy", "1 ms of CPU", _IRIS, [0]),
        # 64 requests one after the other take 3.2 s
        Workload("sleep", "50 ms of waiting", _IRIS, [0], least_seconds=8.0),
        # At 64 connections an answer of some servers takes 4 s.
        Workload("body", "1 MB body: the sum of 50,000 floats", _MEGABYTE, [sum(_MEGABYTE[0])], least_seconds=8.0),
        Workload("body-10k", "10 kB body: the sum of 500 floats", _10_KB, [sum(_10_KB[0])]),
        Workload(
            "table",
            "a DataFrame of 30 columns, with a schema where the server has schemas",
            [_NUMBERS | _WORDS],
            [sum(_NUMBERS.values()) + sum(map(len, _WORDS.values()))],
            Form.RECORDS,
        ),
        Workload("image", "an image of 100 kB as bytes: the sum of its bytes", _IMAGE, [sum(_IMAGE)], Form.IMAGE),
        Workload("onnx", "ONNX Runtime: the model of scikit-learn, converted", _IRIS, [0]),
        Workload("stream", "a generator that streams 100 parts of 100 bytes", _IRIS, list(range(_PARTS)), Form.STREAM),
    )
}
NOTHING = Workload("nothing", "no work", _IRIS, [0])
