from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.build.environments.definition import DEFAULT_CPU_IMAGE, EnvironmentDefinition, fingerprint
from mljupyter.spec import SpecError

AZURE = "mcr.microsoft.com/azureml/openmpi3.1.2-ubuntu18.04:20210513.v1"
OTHER = "mcr.microsoft.com/devcontainers/python:3.11"
NAMES = st.sampled_from(["numpy", "scikit-learn", "pandas", "six", "toolz", "humanize"])
VERSIONS = st.sampled_from(["", "==1.0", ">=2,<3", "~=1.4"])
PIP = st.lists(st.builds("{}{}".format, NAMES, VERSIONS), max_size=6)
CONDA = st.lists(st.builds("{}{}".format, NAMES, st.sampled_from(["", "=1.0", ">=2,<3"])), max_size=4)
CHANNELS = st.lists(st.sampled_from(["conda-forge", "anaconda", "pytorch"]), unique=True, max_size=3)


def environment(**parts: Any) -> EnvironmentDefinition:
    conda = {
        "name": parts.get("conda_name", "project_environment"),
        "channels": parts.get("channels", ["conda-forge"]),
        "dependencies": [*parts.get("conda", ["python=3.11"]), {"pip": parts.get("pip", [])}],
    }
    return EnvironmentDefinition.parse(
        {
            "name": parts.get("name", "serving"),
            "version": parts.get("version"),
            "environmentVariables": parts.get("variables", {}),
            "python": {"condaDependencies": conda, **parts.get("python", {})},
            "docker": parts.get("docker", {}),
            "spark": parts.get("spark"),
            "inferencingStackVersion": parts.get("stack"),
        }
    )


@given(CONDA, PIP, CHANNELS, st.randoms(use_true_random=False))
def test_the_order_of_packages_does_not_enter(
    conda: list[str], pip: list[str], channels: list[str], shuffle: random.Random
) -> None:
    before = fingerprint(environment(conda=conda, pip=pip, channels=channels))
    conda, pip = conda[:], pip[:]
    shuffle.shuffle(conda)
    shuffle.shuffle(pip)
    assert fingerprint(environment(conda=conda, pip=pip, channels=channels)) == before


@given(PIP, st.text(max_size=5), st.text(max_size=5), st.dictionaries(st.text(max_size=4), st.text(max_size=4)))
def test_names_versions_and_variables_do_not_enter(
    pip: list[str], name: str, version: str, variables: dict[str, str]
) -> None:
    other = environment(pip=pip, name=name, conda_name=name, version=version, variables=variables)
    assert fingerprint(other) == fingerprint(environment(pip=pip))


@given(PIP, PIP)
def test_other_packages_are_another_environment(one: list[str], other: list[str]) -> None:
    same = set(one) == set(other)
    assert (fingerprint(environment(pip=one)) == fingerprint(environment(pip=other))) is same


@given(CHANNELS, CHANNELS)
def test_the_order_of_channels_enters(one: list[str], other: list[str]) -> None:
    assert (fingerprint(environment(channels=one)) == fingerprint(environment(channels=other))) is (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Scikit_Learn ==1.2", "scikit-learn==1.2"),
        ("numpy >= 1.2 , < 2", "numpy>=1.2,<2"),
        ("six  # needed by old code", "six"),
        ("six ; python_version < '3.12'", "six;python_version < '3.12'"),
    ],
)
def test_spelling_does_not_enter(one: str, other: str) -> None:
    assert fingerprint(environment(pip=[one])) == fingerprint(environment(pip=[other]))


@pytest.mark.parametrize(
    "change",
    [
        {"docker": {"baseImage": "python:3.12"}},
        {"docker": {"baseDockerfile": "FROM python:3.12"}},
        {"docker": {"extraDockerfileSteps": "RUN apt-get update"}},
        {"docker": {"baseImageRegistry": {"address": "registry.example.org"}}},
        {"docker": {"buildContext": {"locationType": "git", "location": "https://example.org/x.git"}}},
        {"docker": {"platform": {"os": "Linux", "architecture": "arm64"}}},
        {"conda": ["python=3.12"]},
        {"pip": ["six"]},
        {"pip": ["--pre"]},
        {"channels": ["pytorch"]},
        {"stack": "latest"},
        {"spark": {"packages": [{"group": "g", "artifact": "a", "version": "1"}]}},
        {"python": {"baseCondaEnvironment": "base"}},
        {"python": {"userManagedDependencies": True}},
    ],
    ids=str,
)
def test_what_an_environment_is_made_of_enters(change: dict[str, Any]) -> None:
    assert fingerprint(environment(**change)) != fingerprint(environment())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"docker": {"arguments": ["--gpus", "all"], "shmSize": "4g"}}, {}),
        ({"docker": {"baseImageRegistry": {"username": "u", "password": "p"}}}, {}),
        ({"python": {"pins": "strict"}}, {}),
        ({"docker": {"baseDockerfile": "FROM x\r\nRUN y  \n\n"}}, {"docker": {"baseDockerfile": "FROM x\nRUN y"}}),
        ({"pip": ["--index-url https://u:p@example.org/s"]}, {"pip": ["--index-url=https://example.org/s"]}),
        ({"channels": ["https://u:p@example.org/c/"]}, {"channels": ["https://example.org/c"]}),
        ({"channels": ["https://example.org/t/tok-1/c"]}, {"channels": ["https://example.org/t/tok-2/c"]}),
    ],
    ids=str,
)
def test_what_changes_nothing_in_it_does_not_enter(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert fingerprint(environment(**one)) == fingerprint(environment(**other))


def test_of_a_user_managed_python_only_its_path_enters() -> None:
    own = {"userManagedDependencies": True, "interpreterPath": "/opt/python"}
    assert fingerprint(environment(python=own, pip=["six"])) == fingerprint(environment(python=own))
    other = {**own, "interpreterPath": "/opt/other"}
    assert fingerprint(environment(python=own)) != fingerprint(environment(python=other))


def test_a_password_is_in_no_text() -> None:
    definition = environment(docker={"baseImageRegistry": {"username": "team", "password": "hunter2"}})
    texts = repr(definition) + str(definition) + definition.json_text() + str(definition.document())
    assert "hunter2" not in texts
    password = definition.docker.base_image_registry.password
    assert password is not None and password.get_secret_value() == "hunter2"


def test_files_that_azure_wrote_are_read() -> None:
    found = EnvironmentDefinition.parse(
        {
            "assetId": None,
            "databricks": {"eggLibraries": []},
            "docker": {
                "arguments": [],
                "baseDockerfile": None,
                "baseImage": "mcr.microsoft.com/azureml/base:1",
                "baseImageRegistry": {"address": None, "password": None, "registryIdentity": None, "username": None},
                "buildContext": None,
                "enabled": False,
                "platform": {"architecture": "amd64", "os": "Linux"},
                "sharedVolumes": True,
                "shmSize": None,
            },
            "environmentVariables": {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"},
            "inferencingStackVersion": None,
            "name": "myenv",
            "python": {
                "baseCondaEnvironment": None,
                "condaDependencies": {"channels": None, "dependencies": ["python=3.8", {"pip": None}], "name": "x"},
                "interpreterPath": "python",
                "userManagedDependencies": False,
            },
            "r": None,
            "spark": {"packages": [], "precachePackages": True, "repositories": []},
            "version": 3,
        }
    )
    assert (found.version, found.docker.base_image) == ("3", "mcr.microsoft.com/azureml/base:1")


def test_a_misspelt_key_is_named() -> None:
    with pytest.raises(SpecError, match=r"python.condaDependecies is not a known field. Did you mean"):
        EnvironmentDefinition.parse({"python": {"condaDependecies": {}}})


def test_two_bases_exclude_each_other() -> None:
    with pytest.raises(SpecError, match="base_image and base_dockerfile cannot be combined"):
        environment(docker={"baseImage": "x", "baseDockerfile": "FROM y"})


@pytest.mark.parametrize(
    ("docker", "managed", "base", "replaced"),
    [
        ({"baseImage": AZURE}, False, None, AZURE),
        (
            {"baseImage": "azureml/base:1", "baseImageRegistry": {"address": "mcr.microsoft.com"}},
            *(False, None, "azureml/base:1"),
        ),
        ({"baseImage": AZURE}, True, AZURE, None),
        ({"baseImage": DEFAULT_CPU_IMAGE}, False, None, None),
        ({"baseImage": DEFAULT_CPU_IMAGE}, True, None, None),
        ({"baseImage": OTHER}, False, OTHER, None),
        ({"baseImage": "azureml/base:1"}, False, "azureml/base:1", None),
        ({}, False, None, None),
    ],
)
def test_the_default_base_image_takes_the_place_of_azures(
    docker: dict[str, Any], managed: bool, base: str | None, replaced: str | None
) -> None:
    definition = EnvironmentDefinition.parse({"docker": docker, "python": {"userManagedDependencies": managed}})
    assert (definition.base_image, definition.replaced_base_image) == (base, replaced)


def test_environments_that_differ_in_azures_base_image_are_equal() -> None:
    one = EnvironmentDefinition.parse({"docker": {"baseImage": AZURE}})
    assert fingerprint(one) == fingerprint(EnvironmentDefinition.parse({}))
