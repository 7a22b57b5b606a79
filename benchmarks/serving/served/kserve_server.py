"""KServe: its model server with a model class that does what KServe's own sklearnserver does (not on PyPI)."""

import base64
import os

import joblib
import pandas
from kserve import Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response

FORM = os.environ["BENCHMARK_FORM"]


class JoblibModel(Model):
    def load(self):
        self._model = joblib.load(os.environ["BENCHMARK_MODEL"])
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None, response_headers=None):
        if FORM == "stream":
            return self._parts()
        if FORM == "image":
            instances = [base64.b64decode(text) for text in payload["instances"]]
        elif FORM == "records":  # its own function wants a list for each column
            instances = pandas.DataFrame(payload["instances"])
        else:
            instances = get_predict_input(payload)
        return get_predict_response(payload, self._model.predict(instances), self.name)

    async def _parts(self):
        for part in self._model.parts():
            yield part


if __name__ == "__main__":
    model = JoblibModel("model")
    model.load()
    ModelServer().start([model])
