"""MLflow: make a model directory out of the model file."""

import base64
import os
import sys

import joblib
import mlflow.sklearn


class FromBase64:
    """A model for bytes: JSON, the only form of requests, brings them in base64 in a cell of a DataFrame."""

    def __init__(self, model):
        self._model = model

    def predict(self, frame):
        return self._model.predict([base64.b64decode(text) for text in frame.iloc[:, 0]])


model = joblib.load(os.environ["BENCHMARK_MODEL"])
mlflow.sklearn.save_model(
    FromBase64(model) if os.environ["BENCHMARK_FORM"] == "image" else model,
    sys.argv[1],
    serialization_format="cloudpickle",
    pip_requirements=[],
)
