"""Other tools that make images of models, each in an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.environments import DEFAULT_CACHE, UnavailableError, environment

MLFLOW, BENTOML = "mlflow==3.17.2", "bentoml==1.4.39"
_LONGEST_SECONDS = 900
_MLFLOW_SAVE = """
import mlflow, sys
class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        import roman
        return [roman.toRoman(NUMBER)]
mlflow.pyfunc.save_model(sys.argv[1], python_model=Model(), pip_requirements=[MLFLOW, *sys.argv[2:]])
"""
_BENTO_SERVICE = """
import bentoml
@bentoml.service
class Scorer:
    @bentoml.api
    def run(self, text: str) -> str:
        import roman
        return roman.toRoman(NUMBER)
"""


@dataclass(frozen=True)
class Mlflow:
    """``mlflow models build-docker``: installs into the base image's own Python; that image has a fixed name."""

    base: str
    directory: Path
    requirements: Sequence[str]
    name = f"mlflow models build-docker ({MLFLOW})"
    tag = f"mljupyter/benchmark-mlflow:{uuid.uuid4().hex[:8]}"

    def prepare(self) -> None:
        self._program("python")

    def build(self, number: int) -> None:
        model = self.directory / f"mlflow-{number}"
        if not model.exists():  # the same again is the same model
            source = _MLFLOW_SAVE.replace("NUMBER", str(number)).replace("MLFLOW", repr(MLFLOW))
            _run([self._program("python"), "-c", source, str(model), *self.requirements], self.directory)
        written = self.directory / f"context-{uuid.uuid4().hex[:8]}"
        mlflow = [self._program("mlflow"), "models"]
        options = ["--model-uri", str(model), "--env-manager", "local"]
        _run([*mlflow, "generate-dockerfile", *options, "--output-directory", str(written)], self.directory)
        wanted = re.search(r"^FROM (\S+)", (written / "Dockerfile").read_text(), re.MULTILINE)
        if wanted is None:
            raise UnavailableError("its Dockerfile has no FROM")
        # Nothing can be pulled where this runs, so its base image is the one that all others get.
        _run(["docker", "tag", self.base, wanted[1]], self.directory)
        try:
            _run([*mlflow, "build-docker", *options, "--name", self.tag], self.directory)
        finally:
            _run(["docker", "rmi", wanted[1]], self.directory)

    def _program(self, name: str) -> str:
        return str(environment(DEFAULT_CACHE, "images-mlflow", [MLFLOW, "pip"]).with_name(name))


@dataclass(frozen=True)
class Bentoml:
    """``bentoml build`` and ``bentoml containerize``."""

    base: str
    directory: Path
    requirements: Sequence[str]
    name = f"bentoml containerize ({BENTOML})"
    tag = f"mljupyter/benchmark-bentoml:{uuid.uuid4().hex[:8]}"

    def prepare(self) -> None:
        self._program("python")

    def build(self, number: int) -> None:
        source = self.directory / f"bento-{number}"
        again = source.exists()  # the same again is the same Bento: one that is built anew has another name
        source.mkdir(exist_ok=True)
        (source / "service.py").write_text(_BENTO_SERVICE.replace("NUMBER", str(number)))
        (source / "bentofile.yaml").write_text(
            'service: "service:Scorer"\ninclude: ["service.py"]\n'
            f"python:\n  packages: [{', '.join(self.requirements)}]\n  lock_packages: false\n"
            f"docker:\n  base_image: {self.base}\n"
        )
        if not again:
            _run([self._program("bentoml"), "build"], source)
        _run([self._program("bentoml"), "containerize", "scorer:latest", "--image-tag", self.tag], source)

    def _program(self, name: str) -> str:
        return str(environment(DEFAULT_CACHE, "images-bentoml", [BENTOML, "pip", "uv"]).with_name(name))


def _run(command: Sequence[str], directory: Path) -> None:
    own = str(Path(command[0]).parent)
    variables = {
        **os.environ,
        "PATH": f"{own}{os.pathsep}{os.environ['PATH']}",
        "BENTOML_HOME": str(directory.parent / "bentoml-home"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONWARNINGS": "ignore",
    }
    variables.pop("PYTHONPATH", None)
    try:
        subprocess.run(
            command, cwd=directory, env=variables, check=True, capture_output=True, text=True, timeout=_LONGEST_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"it took longer than {_LONGEST_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()[-1:] or ["nothing"]
        raise UnavailableError(f"it failed and said: {said[0][:100]}") from None
