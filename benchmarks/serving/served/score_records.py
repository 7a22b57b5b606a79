"""The scoring script for records: ours, and azureml-inference-server-http's. The decorator makes the DataFrame."""

import os

import joblib
import pandas
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema
from stand_in_models import RECORD


def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))  # noqa: PTH118


@input_schema("data", PandasParameterType(pandas.DataFrame([RECORD])))
def run(data):
    return model.predict(data).tolist()
