"""Ray Serve: one replica; batching is a matter of the decorator."""

import os

import joblib
import pandas
from ray import serve
from starlette.requests import Request
from starlette.responses import StreamingResponse

FORM = os.environ["BENCHMARK_FORM"]
BATCH_SIZE = int(os.environ["BENCHMARK_BATCH_SIZE"])


@serve.deployment(num_replicas=1, max_ongoing_requests=100)
class Predictor:
    def __init__(self):
        self.model = joblib.load(os.environ["BENCHMARK_MODEL"])

    async def __call__(self, request: Request):
        if FORM == "stream":
            return StreamingResponse(self.parts(), media_type="text/plain")
        if FORM == "image":
            return self.model.predict([await request.body()]).tolist()
        data = (await request.json())["data"]
        return self.model.predict(pandas.DataFrame(data) if FORM == "records" else data).tolist()

    async def parts(self):
        for part in self.model.parts():  # Starlette would take a thread for each part of another generator
            yield part


@serve.deployment(num_replicas=1, max_ongoing_requests=100)
class BatchingPredictor:
    def __init__(self):
        self.model = joblib.load(os.environ["BENCHMARK_MODEL"])

    @serve.batch(
        max_batch_size=BATCH_SIZE or 1,
        batch_wait_timeout_s=float(os.environ["BENCHMARK_BATCH_SECONDS"]),
    )
    async def predict(self, requests):
        numbers = iter(self.model.predict([row for rows in requests for row in rows]).tolist())
        return [[next(numbers) for _ in rows] for rows in requests]

    async def __call__(self, request: Request):
        return await self.predict((await request.json())["data"])


app = (BatchingPredictor if BATCH_SIZE else Predictor).bind()
