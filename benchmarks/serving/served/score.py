"""The scoring script: ours, and azureml-inference-server-http's."""

import json
import os

import joblib


def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))  # noqa: PTH118


def run(data):
    return model.predict(json.loads(data)["data"]).tolist()
