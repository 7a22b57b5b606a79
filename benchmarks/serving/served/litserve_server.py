"""LitServe: one worker, one API server, the queue its documentation names for production; with or without batching."""

import base64
import os

import joblib
import litserve
import pandas

FORM = os.environ["BENCHMARK_FORM"]
BATCH_SIZE = int(os.environ["BENCHMARK_BATCH_SIZE"])


class Predictor(litserve.LitAPI):
    def setup(self, device):
        self.model = joblib.load(os.environ["BENCHMARK_MODEL"])

    def decode_request(self, request):
        return request["data"]

    def predict(self, rows):
        return self.model.predict(rows).tolist()

    def encode_response(self, output):
        return output


class RecordsPredictor(Predictor):
    def decode_request(self, request):
        return pandas.DataFrame(request["data"])


class ImagePredictor(Predictor):
    def decode_request(self, request):
        return [base64.b64decode(request["data"])]  # files of forms do not reach its workers


class StreamPredictor(Predictor):
    def predict(self, rows):
        yield from self.model.parts()

    def encode_response(self, output):
        yield from output


class BatchingPredictor(Predictor):
    def batch(self, inputs):
        self.lengths = [len(rows) for rows in inputs]
        return [row for rows in inputs for row in rows]

    def unbatch(self, output):
        numbers = iter(output)
        return [[next(numbers) for _ in range(length)] for length in self.lengths]


if __name__ == "__main__":
    if BATCH_SIZE:
        api = BatchingPredictor(max_batch_size=BATCH_SIZE, batch_timeout=float(os.environ["BENCHMARK_BATCH_SECONDS"]))
    else:
        forms = {"records": RecordsPredictor, "image": ImagePredictor, "stream": StreamPredictor}
        api = forms.get(FORM, Predictor)(stream=FORM == "stream")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True, timeout=120)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCHMARK_PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )
