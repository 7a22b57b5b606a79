"""The scoring scripts of the contract of Azure ML, for ours and for azureml-inference-server-http."""

from __future__ import annotations

from pathlib import Path

from benchmarks.serving.exchange import BYTES, Exchange, Form, document, lines, numbers
from benchmarks.serving.workloads import SERVED

EXCHANGES = {
    Form.ROWS: Exchange(document("data"), numbers()),
    Form.RECORDS: Exchange(document("data"), numbers()),
    Form.IMAGE: Exchange(lambda content: content, numbers(), BYTES),
    Form.STREAM: Exchange(document("data"), lines),
}


def script(form: Form, *, batching: bool = False) -> Path:
    """Return the scoring script for a form of data."""
    suffix = "_batching" if batching else "" if form is Form.ROWS else f"_{form}"
    return SERVED / f"score{suffix}.py"
