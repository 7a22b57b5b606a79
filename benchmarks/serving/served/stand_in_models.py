"""The models: objects with `predict`, saved with joblib, as scikit-learn's are. Imported by every server."""

from __future__ import annotations

import time

import numpy

# A sample for schemas. The workload "table" sends these columns.
RECORD = {f"n{index}": 1.5 for index in range(20)} | {f"i{index}": 1 for index in range(5)}
RECORD |= {f"w{index}": "word" for index in range(5)}
NUMBERS = [name for name in RECORD if not name.startswith("w")]
WORDS = [name for name in RECORD if name.startswith("w")]


class Nothing:
    """Answers at once: what remains is the server."""

    def predict(self, rows):
        return numpy.zeros(len(rows), dtype=int)


class Busy(Nothing):
    """Computes for a millisecond of processor time, whatever else the machine does."""

    def predict(self, rows):
        until = time.thread_time() + 0.001
        while time.thread_time() < until:
            pass
        return super().predict(rows)


class Sleep(Nothing):
    """Waits for 50 ms, as a model does that asks another service or an accelerator."""

    def predict(self, rows):
        time.sleep(0.05)
        return super().predict(rows)


class Sum:
    """Adds the numbers of each row: the work is in the body."""

    def predict(self, rows):
        return numpy.asarray(rows, dtype=float).sum(axis=1)


class Table:
    """Adds the numbers of each row of a DataFrame, and the lengths of its words."""

    def predict(self, frame):
        lengths = [sum(map(len, words)) for words in frame[WORDS].to_numpy()]
        return frame[NUMBERS].to_numpy(dtype=float).sum(axis=1) + lengths


class Image:
    """Adds the bytes of each image."""

    def predict(self, images):
        return numpy.array([numpy.frombuffer(image, dtype=numpy.uint8).sum(dtype=float) for image in images])


class Parts:
    """Makes a text of 100 lines of 100 bytes, one after the other."""

    def parts(self):
        for number in range(100):
            yield f"{number:03} {'x' * 95}\n"


class Onnx:
    """A model of ONNX Runtime, with the session made when it is loaded."""

    def __init__(self, content):
        self._content = content

    def __getstate__(self):
        return self._content

    def __setstate__(self, content):
        import onnxruntime

        self._content = content
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def predict(self, rows):
        return self._session.run(None, {"X": numpy.asarray(rows, dtype=numpy.float32)})[0]


def save(name: str, path: str) -> None:
    """Save the model of a workload."""
    import joblib

    joblib.dump(_MODELS[name](), path)


def once(path: str, form: str) -> None:
    """Load a model and call it once: the least that a start takes."""
    import joblib

    model = joblib.load(path)
    if form == "stream":
        list(model.parts())
    elif form == "image":
        model.predict([b"image"])
    elif form == "records":
        import pandas

        model.predict(pandas.DataFrame([RECORD]))
    else:
        model.predict([[5.1, 3.5, 1.4, 0.2]])


def _iris():
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))


def _onnx():
    from skl2onnx import to_onnx

    model = to_onnx(_iris(), numpy.zeros((1, 4), dtype=numpy.float32), options={"zipmap": False})
    return Onnx(model.SerializeToString())


_MODELS = {
    "sklearn": _iris,
    "onnx": _onnx,
    "nothing": Nothing,
    "busy": Busy,
    "sleep": Sleep,
    "body": Sum,
    "body-10k": Sum,
    "table": Table,
    "image": Image,
    "stream": Parts,
}
