"""Our scoring script for batching: `run` gets a list with the data of each request, and returns a list of results."""

import json
import os

import joblib

batching = True


def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))  # noqa: PTH118


def run(data):
    requests = [json.loads(text)["data"] for text in data]
    numbers = iter(model.predict([row for rows in requests for row in rows]).tolist())
    return [[next(numbers) for _ in rows] for rows in requests]
