"""MLflow: make a model directory out of the model file."""

import os
import sys

import joblib
import mlflow.sklearn

mlflow.sklearn.save_model(
    joblib.load(os.environ["BENCHMARK_MODEL"]),
    sys.argv[1],
    serialization_format="cloudpickle",
    pip_requirements=[],
)
