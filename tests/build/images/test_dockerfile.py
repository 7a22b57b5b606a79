from __future__ import annotations

import json
from pathlib import Path

import pytest

from mljupyter.build.images import ImageError, dockerfile, save_context
from mljupyter.build.images.plan.dockerfile import source_dockerfile
from mljupyter.build.images.plan.plan import ImagePlan
from mljupyter.registry.artifacts.store import ArtifactStore

from .conftest import SCORE, Planner

GOLDEN = Path(__file__).with_name("golden")


def text_of(plan: ImagePlan) -> str:
    """Return the Dockerfile without what follows from the server's code."""
    return dockerfile(plan).replace(plan.digest, "<plan>").replace(plan.environment, "<environment>")


CASES = {
    "pip": {},
    "steps": {"docker": {"extraDockerfileSteps": "RUN apt-get update && apt-get install -y libgomp1\n"}},
    "base-dockerfile": {
        "base": None,
        "docker": {"baseDockerfile": "FROM debian:12 AS tools\nRUN make tools\nFROM python:3.11\nRUN true\n"},
    },
    "own-python": {"python": {"userManagedDependencies": True, "interpreterPath": "/opt/conda/bin/python"}},
    "conda": {"python": {"condaDependencies": {"dependencies": ["python=3.11", "r-base", {"pip": ["roman"]}]}}},
    "variables": {"variables": {"GREETING": 'say "hi" for $5 \\o/'}, "models": []},
}


@pytest.mark.parametrize("case", CASES)
def test_the_dockerfile_is_the_one_on_record(planned: Planner, case: str) -> None:
    golden = GOLDEN / f"{case}.Dockerfile"
    assert text_of(planned(**CASES[case])) == golden.read_text()


def test_a_source_is_tried_on_the_same_stages_as_the_image_is_built_on(planned: Planner) -> None:
    plan = planned(**CASES["steps"])
    image, attempt = dockerfile(plan), source_dockerfile(plan)
    common = image[: image.index("# The environment of the scoring server")]
    assert attempt.startswith(common)
    assert "wheel --no-deps" in attempt and "COPY source-requirements.txt" in attempt
    assert "azureml" not in attempt, "no model travels for it"


def test_a_base_dockerfile_without_from_is_refused(planned: Planner) -> None:
    with pytest.raises(ImageError, match="no FROM line"):
        dockerfile(planned(base=None, docker={"baseDockerfile": "RUN true"}))


def test_an_image_of_ones_own_has_no_dockerfile(planned: Planner) -> None:
    with pytest.raises(ImageError, match="used as it is"):
        dockerfile(planned(own_image="127.0.0.1:5000/mine:1", code=None, models=[]))


def test_the_saved_context_holds_all_that_the_dockerfile_copies(
    planned: Planner, store: ArtifactStore, tmp_path: Path
) -> None:
    plan = planned()
    directory = save_context(plan, store, tmp_path / "context")
    assert (directory / "azureml-app" / "score.py").read_text() == SCORE
    assert (directory / "azureml-models" / "scale" / "3" / "model.txt").read_text() == "heavy"
    assert (directory / "requirements.txt").read_text() == "roman==4.2\n"
    models = json.loads((directory / "model_config_map.json").read_text())["models"]
    assert models == {"scale:3": {"name": "scale", "version": 3, "entry": "model.txt"}}
    assert (directory / "mljupyter-scoring" / "mljupyter" / "scoring" / "server" / "application.py").is_file()
    assert {path.name for path in (directory / "mljupyter-scoring" / "mljupyter").iterdir()} == {
        "__init__.py",
        "scoring",
    }
    copied = [
        line.split()[1] for line in dockerfile(plan).splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    assert copied
    for source in [part for line in copied for part in [line] if not part.startswith("--")]:
        assert (directory / source).exists(), source


def test_a_context_is_never_mixed_with_something_else(planned: Planner, store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ImageError, match="not an empty directory"):
        save_context(planned(), store, tmp_path / "full")
