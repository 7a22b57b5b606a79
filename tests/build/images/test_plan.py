from __future__ import annotations

import pytest

from mljupyter.build.images import ImageError, PlannedFile, RegistryCredentials, plan_of
from mljupyter.spec import ModelReference

from .conftest import Planner

DIGEST = f"sha256:{'a' * 64}"


def model(name: str, version: int = 1) -> ModelReference:
    return ModelReference(name=name, version=version, digest=DIGEST, entry="m.pkl")


def test_equal_plans_have_equal_digests_and_every_part_counts(planned: Planner) -> None:
    plan = planned()
    assert plan.digest == planned().digest
    others = [
        planned(pip=("roman==4.1",)),
        planned(base="python:3.12-slim"),
        planned(script="def init(): ...\ndef run(data): ..."),
        planned(variables={"LEVEL": "1"}),
        planned(models=[model("scale", 4)]),
        planned(files=[PlannedFile("schema.json", DIGEST)]),
        planned(docker={"extraDockerfileSteps": "RUN true"}),
        planned(docker={"platform": {"os": "Linux", "architecture": "arm64"}}),
        planned(packages=["roman==4.2", "six==1.17.0"]),
    ]
    assert len({plan.digest, *(other.digest for other in others)}) == len(others) + 1


def test_neither_order_of_models_nor_credentials_enter_the_digest(planned: Planner) -> None:
    one, other = planned(models=[model("a"), model("b")]), planned(models=[model("b"), model("a")])
    assert one.digest == other.digest
    with_password = planned(credentials=[RegistryCredentials("r.example.com", "ada", "s3cret")])
    assert with_password.digest == planned().digest


def test_the_plan_can_be_made_again_from_its_recipe(planned: Planner) -> None:
    plan = planned(variables={"LEVEL": "1"}, files=[PlannedFile("schema.json", DIGEST)], packages=["roman==4.2"])
    assert plan_of(plan.recipe).digest == plan.digest


def test_secrets_are_in_no_repr(planned: Planner) -> None:
    plan = planned(
        pip=("--extra-index-url https://ada:s3cret@example.org/simple", "roman"),
        variables={"TOKEN": "s3cret"},
        docker={"baseImageRegistry": {"address": "r.example.com", "username": "ada", "password": "s3cret"}},
    )
    assert "s3cret" not in repr(plan)
    assert plan.credentials[0].host == "r.example.com"
    assert "s3cret" in plan.secrets


def test_one_model_is_the_model_directory_and_several_are_below_it(planned: Planner) -> None:
    assert planned().all_variables()["AZUREML_MODEL_DIR"] == "/var/azureml-app/azureml-models/scale/3"
    several = planned(models=[model("a"), model("b")])
    assert several.all_variables()["AZUREML_MODEL_DIR"] == "/var/azureml-app/azureml-models"


def test_what_the_scoring_server_replaces_is_not_installed(planned: Planner) -> None:
    plan = planned(pip=("azureml-defaults", "roman==4.2"))
    assert [line for line in plan.packages.requirements if line.startswith("azureml")] == []
    assert any("azureml-defaults" in change.requirement for change in plan.packages.changes)


def test_an_old_python_becomes_the_oldest_that_images_have(planned: Planner) -> None:
    plan = planned(base=None, python={"condaDependencies": {"dependencies": ["python=3.8.13", {"pip": ["roman"]}]}})
    assert (plan.packages.python_version, plan.base_image) == ("3.11", "python:3.11-slim")
    assert any("3.8.13" in change.requirement for change in plan.packages.changes)
    newer = planned(base=None, python={"condaDependencies": {"dependencies": ["python=3.12.4"]}})
    assert newer.base_image == "python:3.12-slim"


def test_the_default_base_image_takes_the_place_of_an_image_of_azure(planned: Planner) -> None:
    plan = planned(base="mcr.microsoft.com/azureml/intelmpi2018.3-ubuntu16.04:20200423.v1")
    assert plan.base_image == planned(base=None).base_image


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"models": [model(f"m{number}") for number in range(1001)]}, "at most 1,000"),
        ({"models": [model("a"), model("a")]}, "same path"),
        ({"files": [PlannedFile("../evil", DIGEST)]}, "out of the app root"),
        ({"variables": {"A B": "1"}}, "Invalid environment variable name"),
        ({"base": "Not A Reference"}, "not a reference to an image"),
        (
            {"docker": {"platform": {"os": "Windows", "architecture": "amd64"}}},
            "platform windows/amd64 is not supported",
        ),
        ({"code": None}, "needs a scoring script"),
        ({"docker": {"baseImageRegistry": {"address": "r.io", "username": "ada"}}}, "lack password"),
    ],
)
def test_what_is_against_the_rules_is_refused(planned: Planner, changes, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        planned(**changes)
