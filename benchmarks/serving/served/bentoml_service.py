"""BentoML: one worker; adaptive batching is a matter of the decorator."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import bentoml
import joblib
import pandas

FORM = os.environ["BENCHMARK_FORM"]
BATCH_SIZE = int(os.environ["BENCHMARK_BATCH_SIZE"])
BATCHING = {"batchable": True, "max_batch_size": BATCH_SIZE} if BATCH_SIZE else {}


@bentoml.service(workers=1, traffic={"timeout": 120})
class Predictor:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCHMARK_MODEL"])

    if FORM == "rows":

        @bentoml.api(**BATCHING)
        def predict(self, data: list[list[float]]) -> list[float]:
            return self.model.predict(data).tolist()

    elif FORM == "records":

        @bentoml.api
        def predict(self, data: pandas.DataFrame) -> list[float]:
            return self.model.predict(data).tolist()

    elif FORM == "image":

        @bentoml.api
        def predict(self, data: Path) -> list[float]:
            return self.model.predict([data.read_bytes()]).tolist()

    else:

        @bentoml.api
        async def predict(self, data: list[list[float]]) -> AsyncGenerator[str, None]:
            for part in self.model.parts():  # of its two ways the sooner one: the other takes a thread for each part
                yield part
