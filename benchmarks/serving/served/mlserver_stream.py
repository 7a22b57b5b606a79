"""MLServer: a runtime that streams the parts of a model. Its own runtimes for models do not stream."""

import os

import joblib
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse


class Streaming(MLModel):
    async def load(self):
        self._model = joblib.load(os.environ["BENCHMARK_MODEL"])
        return True

    async def predict_stream(self, payloads):
        async for _ in payloads:
            for part in self._model.parts():
                output = StringCodec.encode_output("part", [part])
                yield InferenceResponse(model_name=self.name, outputs=[output])
