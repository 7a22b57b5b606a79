"""The models: objects with `predict(rows)`, saved with joblib, as scikit-learn's are. Imported by every server."""

from __future__ import annotations

import time

import numpy


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


def save(name: str, path: str) -> None:
    """Save the model of a workload."""
    import joblib

    joblib.dump(_iris() if name == "sklearn" else _STAND_INS[name](), path)


def _iris():
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))


_STAND_INS = {"nothing": Nothing, "busy": Busy, "sleep": Sleep, "body": Sum}
