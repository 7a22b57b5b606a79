from __future__ import annotations

import importlib
import io
import json
import stat
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from mljupyter.core import ContainerRegistry, Environment
from mljupyter.core.container_registry import RegistryIdentity
from mljupyter.core.docker_section import DockerBuildContext, DockerSection
from mljupyter.core.environment import DEFAULT_CPU_IMAGE, CondaDependencies, EnvironmentReference, RSection
from mljupyter.core.estimator import environment_for
from mljupyter.core.spark_section import SparkPackage
from mljupyter.core.workspace import Workspace
from mljupyter.deploy import environments
from mljupyter.deploy.environments import interpreter_of
from mljupyter.exceptions import UserErrorException


def full() -> Environment:
    """Return an environment in which everything is set."""
    environment = Environment("serving")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["six"], conda_packages=["numpy"])
    environment.python.pins = "strict"
    environment.docker.base_dockerfile = "FROM python:3.12\nRUN true\n"
    environment.docker.base_image_registry.address = "registry.example.org"
    environment.docker.base_image_registry.username = "team"
    environment.docker.base_image_registry.password = "hunter2"
    environment.docker.extra_dockerfile_steps = "RUN apt-get update\n"
    environment.docker.arguments = ["--gpus", "all"]
    environment.docker.shm_size = "4g"
    environment.spark.packages.append(SparkPackage("group", "artifact", "1.0"))
    environment.environment_variables = {"GREETING": "hello"}
    environment.inferencing_stack_version = "latest"
    return environment


def same(one: Environment, other: Environment) -> bool:
    ignored = {"version": None, "asset_id": None, "name": None}
    return one.definition().model_copy(update=ignored) == other.definition().model_copy(update=ignored)


def test_register_numbers_versions_and_get_returns_what_was_registered(workspace: Workspace) -> None:
    environment = full()
    first = environment.register(workspace)
    assert (first.name, first.version, first.asset_id) == ("serving", "1", "serving:1")
    environment.environment_variables["GREETING"] = "goodbye"
    assert environment.register(workspace).version == "2"
    assert same(Environment.get(workspace, "serving", 1), full())
    assert same(Environment.get(workspace, "serving"), environment)
    assert Environment.get(workspace, "serving", version="1").docker.base_image_registry.password == "hunter2"
    assert environment.version is None, "the object that was registered stays as it is"


def test_what_is_registered_unchanged_keeps_its_version(workspace: Workspace) -> None:
    assert [full().register(workspace).version for _ in range(2)] == ["1", "1"]
    assert Environment.get(workspace, "serving").register(workspace).version == "1"


def test_a_version_of_the_stack_is_kept_and_said_once_to_have_no_effect(capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("mljupyter.core.environment")._say_that_the_stack_has_no_effect.cache_clear()
    first, second = Environment("serving"), Environment("other")
    second.inferencing_stack_version = None
    assert capsys.readouterr().out == ""
    first.inferencing_stack_version = second.inferencing_stack_version = "latest"
    assert capsys.readouterr().out.count("inferencing_stack_version has no effect") == 1
    assert first.inferencing_stack_version == "latest"


def test_labels_lead_to_versions(workspace: Workspace) -> None:
    environment = Environment("serving")
    environment.register(workspace)
    environment.inferencing_stack_version = "latest"
    environment.register(workspace)
    Environment.label(workspace, "serving", "1", ["tested"])
    assert Environment.get(workspace, "serving", label="tested").version == "1"
    assert Environment.get(workspace, "serving", label="latest").version == "2"
    with pytest.raises(UserErrorException, match="cannot be combined"):
        Environment.get(workspace, "serving", version="1", label="tested")


def test_environments_of_a_workspace_are_listed_by_name(workspace: Workspace) -> None:
    for name in ("b", "a"):
        Environment(name).register(workspace)
    assert list(Environment.list(workspace)) == list(workspace.environments) == ["a", "b"]


@pytest.mark.parametrize("name", ["AzureML-minimal", "Microsoft-base"])
def test_names_of_curated_environments_cannot_be_registered(workspace: Workspace, name: str) -> None:
    with pytest.raises(UserErrorException, match="curated"):
        Environment(name).register(workspace)


def test_an_environment_that_is_not_there_is_named(workspace: Workspace) -> None:
    with pytest.raises(UserErrorException, match="EnvironmentNotFound: no environment is called 'serving'"):
        Environment.get(workspace, "serving")
    with pytest.raises(UserErrorException, match="version is 'newest'"):
        Environment.get(workspace, "serving", "newest")


def test_a_clone_shares_nothing_and_is_the_same_environment() -> None:
    environment = full()
    copy = environment.clone("other")
    assert (copy.name, copy.version, copy.fingerprint) == ("other", None, environment.fingerprint)
    assert copy.python.conda_dependencies is not None
    copy.python.conda_dependencies.add_pip_package("toolz")
    copy.docker.base_image_registry.password = "other"
    assert same(environment, full())
    assert copy.fingerprint != environment.fingerprint


def test_a_saved_environment_is_loaded_without_its_password(project: Path) -> None:
    environment = full()
    environment.save_to_directory("saved")
    assert sorted(file.name for file in Path("saved").iterdir()) == [
        "BaseDockerfile",
        "azureml_environment.json",
        "conda_dependencies.yml",
    ]
    assert not [file for file in Path("saved").iterdir() if "hunter2" in file.read_text()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in Path("saved").iterdir()} == {0o600}
    loaded = Environment.load_from_directory("saved")
    assert loaded.docker.base_image_registry.password is None
    assert loaded.fingerprint == environment.fingerprint
    loaded.docker.base_image_registry.password = "hunter2"
    assert same(loaded, environment)


def test_a_directory_is_overwritten_only_when_asked(project: Path) -> None:
    full().save_to_directory("saved")
    with pytest.raises(UserErrorException, match="exists already"):
        Environment("other").save_to_directory("saved")
    Environment("other").save_to_directory("saved", overwrite=True)
    assert Environment.load_from_directory("saved").name == "other"
    assert not Path("saved/BaseDockerfile").exists()


def test_a_directory_of_azure_is_loaded(project: Path) -> None:
    (project / "saved").mkdir()
    (project / "saved/azureml_environment.json").write_text(
        json.dumps(
            {
                "name": "myenv",
                "version": "3",
                "docker": {"enabled": False, "baseImage": "team/base:1", "baseImageRegistry": {"address": None}},
                "python": {"userManagedDependencies": False, "interpreterPath": "python"},
                "environmentVariables": {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"},
                "spark": {"packages": [], "precachePackages": True, "repositories": []},
            }
        )
    )
    (project / "saved/conda_dependencies.yml").write_text("dependencies:\n- python=3.8\n- pip:\n  - six\n")
    environment = Environment.load_from_directory("saved")
    assert (environment.name, environment.docker.base_image) == ("myenv", "team/base:1")
    assert environment.python.conda_dependencies is not None
    assert environment.python.conda_dependencies.pip_packages == ["six"]


def test_a_directory_without_an_environment_is_refused(project: Path) -> None:
    with pytest.raises(UserErrorException, match=r"azureml_environment\.json.*No such file"):
        Environment.load_from_directory(".")


def test_a_conda_file_makes_an_environment(project: Path) -> None:
    text = "name: x\ndependencies:\n- python=3.9\n- pip:\n  - six\n  - ./mine.whl\nvariables:\n  A: b\n"
    (project / "env.yml").write_text(text)
    environment = Environment.from_conda_specification("serving", "env.yml")
    packages = environment.python.conda_dependencies
    assert packages is not None
    assert packages.get_python_version() == "3.9"
    assert packages.pip_packages == ["six", str(project / "mine.whl")]
    assert environment.environment_variables == {"A": "b"}


def test_a_requirements_file_makes_an_environment_with_the_files_it_refers_to(project: Path) -> None:
    (project / "more").mkdir()
    (project / "requirements.txt").write_text("--pre\nsix==1.16.0  # old\n\n-r more/base.txt\n-e ./mine\n")
    (project / "more/base.txt").write_text("toolz \\\n  >=0.12\n")
    environment = Environment.from_pip_requirements("serving", "requirements.txt", pip_version="20.2.4")
    packages = environment.python.conda_dependencies
    assert packages is not None
    assert packages.pip_options + packages.pip_packages == [
        "--pre",
        f"-e {project}/mine",
        "six==1.16.0",
        "toolz   >=0.12",  # pip's join_lines adds no space
    ]
    assert "pip=20.2.4" in packages.conda_packages


def test_a_conda_file_of_powershell_reads_and_its_lines_for_pip_are_relative_to_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # conda runs pip in the directory of its file.
    lines = ["-rmore.txt", "-e./pk", "-ihttps://example.org/simple", "wheels/x-1.0-py3-none-any.whl"]
    (project / "env.yml").write_text(json.dumps({"dependencies": [{"pip": lines}]}), encoding="utf-16")
    (project / "more.txt").write_text("six\n")
    monkeypatch.chdir("/")
    packages = Environment.from_conda_specification("serving", project / "env.yml").python.conda_dependencies
    assert packages is not None
    assert packages.definition().pip_lines == [
        "six",
        f"-e {project}/pk",
        "--index-url https://example.org/simple",
        f"{project}/wheels/x-1.0-py3-none-any.whl",
    ]


def test_paths_given_in_python_are_those_of_the_working_directory(project: Path) -> None:
    environment = Environment("serving")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["./x-1.0-py3-none-any.whl", "-e ."])
    conda = environment.definition().python.conda_dependencies
    assert conda is not None
    assert conda.pip_lines == [f"{project}/x-1.0-py3-none-any.whl", f"-e {project}"]
    environment.python.conda_dependencies.set_pip_requirements(["--no-such-option"])
    with pytest.raises(UserErrorException, match="no such option: --no-such-option"):
        environment.definition()


def test_a_requirements_file_that_refers_to_itself_is_refused(project: Path) -> None:
    (project / "requirements.txt").write_text("-r requirements.txt\n")
    with pytest.raises(UserErrorException, match="refers to itself"):
        Environment.from_pip_requirements("serving", "requirements.txt")


def test_an_image_alone_serves_with_its_own_python(project: Path) -> None:
    registry = ContainerRegistry(address="registry.example.org", username="team", password="hunter2")
    environment = Environment.from_docker_image("serving", "team/base:1", registry)
    assert environment.python.user_managed_dependencies
    assert environment.definition().docker.base_image == "team/base:1"
    (project / "requirements.txt").write_text("six\n")
    with_packages = Environment.from_docker_image("serving", "team/base:1", pip_requirements="requirements.txt")
    assert not with_packages.python.user_managed_dependencies
    with pytest.raises(UserErrorException, match="cannot be combined"):
        Environment.from_docker_image("serving", "x", conda_specification="a", pip_requirements="b")


@pytest.mark.parametrize("form", ["text", "path", "file"])
def test_a_dockerfile_is_text_path_or_open_file(project: Path, form: str) -> None:
    text = "FROM python:3.12\nRUN true\n"
    (project / "Dockerfile").write_text(text)
    given = {"text": text, "path": "Dockerfile", "file": io.StringIO(text)}[form]
    environment = Environment.from_dockerfile("serving", given)
    assert environment.definition().docker.base_dockerfile == text
    assert environment.docker.base_image is None


def test_a_dockerfile_that_is_not_there_is_named() -> None:
    environment = Environment.from_dockerfile("serving", "no/Dockerfile")
    with pytest.raises(UserErrorException, match="'no/Dockerfile' does not exist"):
        environment.definition()


def test_a_build_context_is_stored_and_part_of_the_fingerprint(workspace: Workspace, project: Path) -> None:
    context = project / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    environments = []
    for text in ("one", "two", "one"):
        (context / "data").write_text(text)
        stored = DockerBuildContext.from_local_directory(workspace, context)
        environments.append(Environment.from_docker_build_context("serving", stored))
    one, two, again = (environment.fingerprint for environment in environments)
    assert one == again != two
    registered = environments[0].register(workspace)
    assert registered.docker.build_context is not None
    place = workspace.artifacts.fetch(str(registered.docker.build_context.location), project / "fetched")
    assert (place / "data").read_text() == "one"


def test_the_ways_to_say_an_image_exclude_each_other() -> None:
    section = DockerSection()
    assert section.base_image == DEFAULT_CPU_IMAGE
    section.base_dockerfile = "FROM x\n"
    assert section.base_image is None
    section.build_context = DockerBuildContext("git", "https://example.org/x.git")
    assert section.base_dockerfile is None
    section.base_image = "y"
    assert section.build_context is None
    with pytest.raises(UserErrorException, match="cannot be combined"):
        DockerSection(base_image="x", base_dockerfile="FROM y\n")


def test_the_replacement_of_an_image_of_azure_is_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "_said_replaced", set())
    environment = Environment("old")
    environment.docker.base_image = "mcr.microsoft.com/azureml/base:0.2.4"
    serving = environment.serving()
    said = capsys.readouterr().out
    assert said.startswith(
        "The default base image takes the place of mcr.microsoft.com/azureml/base:0.2.4, an image of"
    )
    assert not serving.has_image
    environment.clone("other").serving()
    Environment("new").serving()
    assert capsys.readouterr().out == ""


def test_settings_without_effect_are_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "_said_replaced", set())
    environment = Environment("old")
    environment.serving()
    assert capsys.readouterr().out == ""
    environment.r = RSection()
    environment.r.r_version = "3.6"
    environment.docker.arguments = ["--privileged"]
    environment.spark.packages = [SparkPackage("group", "artifact", "1")]
    environment.serving()
    environment.serving()
    assert capsys.readouterr().out == ("Environment 'old', without effect: docker.arguments, spark.packages, r\n")


def test_sections_of_r_and_identities_of_registries_are_kept(workspace: Workspace) -> None:
    environment = Environment("old")
    environment.r = RSection()
    environment.r.cran_packages = ["ggplot2"]
    environment.docker.base_image_registry.registry_identity = RegistryIdentity(client_id="1234")
    environment.register(workspace)
    again = EnvironmentReference("old", "1").get_environment(workspace)
    assert again.r is not None and again.r["cranPackages"] == ["ggplot2"]
    assert again.docker.base_image_registry.registry_identity["clientId"] == "1234"
    with pytest.raises(UserErrorException, match="EnvironmentNotFound"):
        EnvironmentReference("new").get_environment(workspace)


def test_a_curated_environment_of_azure_is_told_what_takes_its_place(workspace: Workspace) -> None:
    with pytest.raises(UserErrorException, match=r"EnvironmentNotFound(.|\n)*curated environments of Azure"):
        Environment.get(workspace, "AzureML-Minimal")


def test_passwords_are_not_shown() -> None:
    environment = full()
    shown = [repr(environment), repr(environment.docker), repr(environment.docker.base_image_registry)]
    assert not [text for text in shown if "hunter2" in text]
    assert "hunter2" not in str(environment.definition().document())


@pytest.mark.parametrize("password", ["hunter2\ud800", ["hunter2"]], ids=["half a character", "a list"])
def test_a_password_that_cannot_be_one_is_refused_without_being_shown(password: object) -> None:
    environment = Environment("serving")
    registry = environment.docker.base_image_registry
    registry.address, registry.username = "https://ada:hunter2@r.example.org", "ada"
    assert "hunter2" not in repr(registry)
    registry.password = password
    with pytest.raises(UserErrorException, match="password: input should be a valid string") as refusal:
        environment.definition()
    assert "hunter2" not in refusal.value.message


@pytest.mark.parametrize("section", ["python", "docker", "spark"])
def test_a_misspelt_setting_of_a_section_is_an_error(section: str) -> None:
    with pytest.raises(AttributeError):
        getattr(Environment("serving"), section).misspelt = True
    with pytest.raises(UserErrorException, match="PythonSection has no user_managed. It has"):
        type(Environment("serving").python)(user_managed=True)


def test_the_conda_file_of_a_section_is_read_when_set(project: Path) -> None:
    (project / "env.yml").write_text("dependencies:\n- pip:\n  - six\n")
    environment = Environment("serving")
    environment.python.conda_dependencies_file = "env.yml"
    assert environment.python.conda_dependencies is not None
    assert environment.python.conda_dependencies.pip_packages == ["six"]


def test_the_notebooks_environment_has_its_packages_and_needs_no_build(workspace: Workspace) -> None:
    environment = Environment.from_current("notebook")
    packages = environment.python.conda_dependencies
    assert packages is not None
    assert packages.get_python_version() == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"pydantic=={metadata.version('pydantic')}" in packages.pip_packages
    assert not [line for line in packages.pip_packages if line.startswith("mljupyter")]
    assert interpreter_of(environment.serving()) == sys.executable
    assert interpreter_of(environment.register(workspace).serving()) == sys.executable


def test_a_local_build_of_a_package_is_pinned_by_its_public_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # PyTorch's own index has 1.0+cpu; PyPI takes no local versions, and has the same release as 1.0.
    (tmp_path / "tiny_build-1.0+cpu.dist-info").mkdir()
    (tmp_path / "tiny_build-1.0+cpu.dist-info/METADATA").write_text("Name: tiny-build\nVersion: 1.0+cpu\n")
    (tmp_path / "tiny_build-1.0+cpu.dist-info/top_level.txt").write_text("tiny_build\n")
    (tmp_path / "tiny_build.py").write_text("class Model:\n    def predict(self, rows):\n        return rows\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    packages = Environment.from_current("notebook").python.conda_dependencies
    assert packages is not None
    assert "tiny-build==1.0" in packages.pip_packages
    model = importlib.import_module("tiny_build").Model()
    served = environment_for(model, "serving").python.conda_dependencies
    assert served is not None
    assert "tiny-build==1.0" in served.pip_packages


def test_a_changed_copy_of_the_notebooks_environment_is_another_one() -> None:
    environment = Environment.from_current().clone("changed")
    assert environment.python.conda_dependencies is not None
    environment.python.conda_dependencies.add_pip_package("no-such-package-here")
    assert interpreter_of(environment.serving(), build=False) != sys.executable


def test_without_conda_a_conda_environment_says_what_to_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CONDA_EXE", raising=False)
    with pytest.raises(UserErrorException, match=r"no conda on PATH(.|\n)*from_current"):
        Environment.from_existing_conda_environment("serving", "base")


def test_a_conda_environment_is_read_where_there_is_conda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Stands in for conda: answers as `conda env export` does.
    conda = tmp_path / "conda"
    answer = "name: base\nchannels: [conda-forge]\ndependencies: [python=3.11, {pip: [six==1.16.0]}]\nprefix: /opt/x\n"
    conda.write_text(f'#!/bin/sh\n[ "$4" = base ] || exit 1\ncat <<"END"\n{answer}END\n')
    conda.chmod(0o755)
    monkeypatch.setenv("CONDA_EXE", str(conda))
    packages = Environment.from_existing_conda_environment("serving", "base").python.conda_dependencies
    assert packages is not None
    assert (packages.conda_packages, packages.pip_packages) == (["python=3.11"], ["six==1.16.0"])
    assert "prefix" not in packages.as_dict()
    with pytest.raises(UserErrorException, match="conda cannot export the environment 'other'"):
        Environment.from_existing_conda_environment("serving", "other")


def test_a_private_wheel_is_stored_once(workspace: Workspace, project: Path) -> None:
    with zipfile.ZipFile(project / "mine-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("mine.py", "")
    url = Environment.add_private_pip_wheel(workspace, "mine-1.0-py3-none-any.whl")
    assert url.startswith("file://") and url.endswith("/mine-1.0-py3-none-any.whl")
    with pytest.raises(UserErrorException, match="stored already"):
        Environment.add_private_pip_wheel(workspace, "mine-1.0-py3-none-any.whl")
    assert Environment.add_private_pip_wheel(workspace, "mine-1.0-py3-none-any.whl", exist_ok=True) == url
    with pytest.raises(UserErrorException, match="is not a wheel"):
        Environment.add_private_pip_wheel(workspace, "score.py")


def test_the_policy_for_pins_is_checked(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    with pytest.raises(UserErrorException, match=r"python\.pins is 'loose'\. Use strict, exact, compatible"):
        Environment("serving").python.pins = "loose"
    monkeypatch.setenv("MLJUPYTER_PINS", "loose")
    with pytest.raises(UserErrorException, match="policy for pins is 'loose'"):
        interpreter_of(Environment("serving").serving())


def test_an_image_needs_an_engine_and_its_details_do_not(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    monkeypatch.delenv("MLJUPYTER_CONTAINER_REGISTRY", raising=False)
    environment = Environment("x")
    details = environment.get_image_details(workspace)
    assert not details.image_exist
    assert (details.image, details.registry) == (None, None)
    assert details.dockerfile.count("FROM") > 1
    for build in (environment.build, lambda ws: environment.build_local(ws, useDocker=True)):
        with pytest.raises(UserErrorException, match="does not answer"):
            build(workspace)
