"""BentoML: one worker; adaptive batching is a matter of the decorator."""

import os

import bentoml
import joblib

BATCH_SIZE = int(os.environ["BENCHMARK_BATCH_SIZE"])
BATCHING = {"batchable": True, "max_batch_size": BATCH_SIZE} if BATCH_SIZE else {}


@bentoml.service(workers=1, traffic={"timeout": 120})
class Predictor:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCHMARK_MODEL"])

    @bentoml.api(**BATCHING)
    def predict(self, data: list[list[float]]) -> list[float]:
        return self.model.predict(data).tolist()
