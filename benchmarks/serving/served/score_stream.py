"""The scoring script for streams: ours, and azureml-inference-server-http's."""

import os

import joblib
from azureml.contrib.services.aml_response import AMLResponse


def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))  # noqa: PTH118


def run(data):
    return AMLResponse(model.parts(), 200, {"Content-Type": "text/plain"})
