"""Models of real frameworks on their way to a replica: saved, described, and answered by another process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mljupyter.core.estimator import check_estimator, scoring_script

_SEED = np.random.default_rng(0)
X = _SEED.normal(size=(60, 3))
Y = X[:, 0] * 2 + X[:, 1]
LABELS = np.where(Y > 0, "yes", "no")
CLASSES = (Y > 0).astype(int)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])

# What a replica does, for several models in one process: it imports nothing of the tests.
_REPLICA = """
import importlib.util, json, os, sys
for place in sys.argv[1:]:
    os.environ["AZUREML_MODEL_DIR"] = place
    spec = importlib.util.spec_from_file_location("score_" + os.path.basename(place), place + "/score.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.init()
    print("answer", json.dumps(script.run(data=json.load(open(place + "/rows.json")))), flush=True)
"""


@dataclass(frozen=True)
class Case:
    """A model, the rows of a request, and what the model itself answers."""

    model: Any
    rows: Any
    expected: Any
    file: str
    method: str = "predict"
    sample: Any = None
    source_directory: Path | None = None


def answers(cases: Mapping[str, Case], directory: Path) -> dict[str, Any]:
    """Return what another process answers for each case, by its generated script and the saved model."""
    for name, case in cases.items():
        place = directory / name
        place.mkdir()
        form = check_estimator(
            case.model, name, method=case.method, sample=case.sample, source_directory=case.source_directory
        )
        assert form.file == case.file
        form.save(place / form.file)
        first = (place / form.file).read_bytes()
        form.save(place / form.file)
        assert (place / form.file).read_bytes() == first, "the same model is the same bytes"
        (place / "score.py").write_text(scoring_script(case.model, case.sample, case.method, name, form=form))
        (place / "rows.json").write_text(json.dumps(case.rows))
    command = [sys.executable, "-W", "ignore", "-c", _REPLICA, *(str(directory / name) for name in cases)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=directory, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [line.removeprefix("answer ") for line in done.stdout.splitlines() if line.startswith("answer ")]
    return {name: json.loads(line) for name, line in zip(cases, found, strict=True)}
