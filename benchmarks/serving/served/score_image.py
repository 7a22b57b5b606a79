"""The scoring script for images: ours, and azureml-inference-server-http's. It gets the request as it came."""

import os

import joblib
from azureml.contrib.services.aml_request import rawhttp


def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))  # noqa: PTH118


@rawhttp
def run(request):
    return model.predict([request.get_data()]).tolist()
