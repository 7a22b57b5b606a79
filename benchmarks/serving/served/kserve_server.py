"""KServe: its model server with a model class that does what KServe's own sklearnserver does (not on PyPI)."""

import os

import joblib
from kserve import Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response


class JoblibModel(Model):
    def load(self):
        self._model = joblib.load(os.environ["BENCHMARK_MODEL"])
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None, response_headers=None):
        instances = get_predict_input(payload)
        return get_predict_response(payload, self._model.predict(instances), self.name)


if __name__ == "__main__":
    model = JoblibModel("model")
    model.load()
    ModelServer().start([model])
