"""The scoring script of the demo: init() is called once in each replica, run(data) for each request."""

import json
import os
from typing import Any

import joblib

model: Any = None


def init() -> None:
    """Load the registered model from the replica's model directory."""
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "ridge.pkl"))  # noqa: PTH118


def run(data: str) -> list[float]:
    """Return one prediction for each row of ``{"data": [[...], ...]}``."""
    predictions: list[float] = model.predict(json.loads(data)["data"]).tolist()
    return predictions
