from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mljupyter.core.container_registry import ContainerRegistry
from mljupyter.core.environment import Environment
from mljupyter.core.inference import InferenceConfig
from mljupyter.deploy.environments import interpreter_of
from mljupyter.exceptions import UserErrorException, WebserviceException

from .conftest import SCRIPT


@pytest.mark.parametrize("name", ["score.txt", "score", "my-score.py", "1score.py", "class.py", ".py"])
def test_a_script_is_named_like_a_module(project: Path, name: str) -> None:
    (project / name).write_text("def init(): ...\ndef run(data): ...")
    with pytest.raises(WebserviceException, match="entry_script is"):
        InferenceConfig(name)


def test_a_missing_script_is_named(project: Path) -> None:
    with pytest.raises(WebserviceException, match=r"project/score\.py does not exist"):
        InferenceConfig("score.py")


def test_a_syntax_error_comes_with_file_line_and_text(script: Path) -> None:
    script.write_text("def init():\n    pass\n\ndef run(data:\n    return data\n")
    with pytest.raises(WebserviceException, match=r"score\.py, line 4: .*\n    def run\(data:"):
        InferenceConfig("score.py")


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("def init(): ...", r"run\(\)"),
        ("def run(data): ...", r"init\(\)"),
        ("", r"init\(\) and run\(\)"),
        ("class Model:\n    def init(self): ...\n    def run(self, data): ...", r"init\(\) and run\(\)"),
        ("def outer():\n    def run(data): ...\n    def init(): ...", r"init\(\) and run\(\)"),
    ],
)
def test_init_and_run_must_be_at_the_top(script: Path, source: str, missing: str) -> None:
    script.write_text(source)
    with pytest.raises(WebserviceException, match=f"does not define {missing}"):
        InferenceConfig("score.py")


@pytest.mark.parametrize(
    "source",
    [
        "def init(): ...\ndef run(data): ...",
        "def init(): ...\nasync def run(data): ...",
        "from helpers import *",
        "from helpers import init, predict as run",
        "import helpers\ninit = helpers.init\nrun = helpers.run",
        "init, run = (lambda: None), (lambda data: data)",
        "try:\n    from fast import init, run\nexcept ImportError:\n    def init(): ...\n    def run(data): ...",
        "if True:\n    def init(): ...\n    run: object = print",
        "def setup():\n    global run\n    run = print\ndef init(): ...",
        "globals().update(init=print, run=print)",
        "# -*- coding: latin-1 -*-\ndef init(): ...\ndef run(data): return '\xe9'",
    ],
)
def test_init_and_run_may_be_defined_or_imported_in_any_form(script: Path, source: str) -> None:
    script.write_bytes(source.encode("latin-1"))
    InferenceConfig("score.py")


def test_a_script_that_is_no_text_is_refused(script: Path) -> None:
    script.write_bytes(b"\x00\x01")
    with pytest.raises(WebserviceException, match=r"score\.py"):
        InferenceConfig("score.py")


def test_without_source_directory_the_script_alone_is_served(project: Path, script: Path) -> None:
    (project / "sub").mkdir()
    script.rename(project / "sub" / "score.py")
    config = InferenceConfig("sub/score.py")
    assert config.source_path == project / "sub" / "score.py"
    assert config.script_in_source == "score.py"


def test_a_source_directory_is_served_under_its_own_name(project: Path, script: Path) -> None:
    config = InferenceConfig("score.py", source_directory=".")
    assert config.source_path == project
    assert config.source_path.name == "project"
    assert config.script_in_source == "score.py"


def test_a_script_outside_of_its_source_directory_is_refused(project: Path, script: Path) -> None:
    (project / "source").mkdir()
    with pytest.raises(WebserviceException, match="outside of source_directory"):
        InferenceConfig("../score.py", source_directory="source")


def test_a_missing_source_directory_is_named(script: Path) -> None:
    with pytest.raises(WebserviceException, match="source_directory 'source' is not a directory"):
        InferenceConfig("score.py", source_directory="source")


def test_the_two_forms_exclude_each_other(script: Path) -> None:
    with pytest.raises(WebserviceException, match="environment and runtime cannot be combined"):
        InferenceConfig("score.py", runtime="python", environment=Environment("serving"))


def test_the_older_form_takes_known_runtimes_and_cuda_versions(script: Path) -> None:
    with pytest.raises(WebserviceException, match="runtime is 'r'"):
        InferenceConfig("score.py", runtime="r")
    with pytest.raises(WebserviceException, match=r"cuda_version is '11\.0'"):
        InferenceConfig("score.py", runtime="python", cuda_version="11.0")


def test_a_missing_conda_file_is_named(script: Path) -> None:
    with pytest.raises(WebserviceException, match=r"conda_file 'env\.yml' does not exist"):
        InferenceConfig("score.py", "python", "env.yml")


def test_without_an_environment_there_is_nothing_to_build(script: Path) -> None:
    assert InferenceConfig("score.py").environment_for("diabetes") is None
    assert InferenceConfig("score.py", runtime="python", enable_gpu=False).environment_for("diabetes") is None
    assert interpreter_of(None) == sys.executable


def test_the_older_form_becomes_an_environment_named_after_the_service(project: Path, script: Path) -> None:
    (project / "env.yml").write_text("dependencies:\n- python=3.11\n- pip:\n  - humanize==4.9.0\n")
    (project / "steps").write_text("RUN apt-get update\n")
    registry = ContainerRegistry()
    registry.address = "registry.example.org"
    config = InferenceConfig(
        "score.py",
        runtime="python",
        conda_file="env.yml",
        extra_docker_file_steps="steps",
        base_image="team/base:1",
        base_image_registry=registry,
    )
    environment = config.environment_for("diabetes")
    assert environment is not None
    assert environment.name == "diabetes-env"
    assert environment.python.conda_dependencies is not None
    assert environment.python.conda_dependencies.pip_packages == ["humanize==4.9.0"]
    document = environment.definition().docker
    assert document.base_image == "team/base:1"
    assert document.extra_dockerfile_steps == "RUN apt-get update\n"
    assert document.base_image_registry.address == "registry.example.org"


def test_the_conda_file_lies_in_the_source_directory(project: Path) -> None:
    source = project / "source"
    source.mkdir()
    (source / "score.py").write_text(SCRIPT)
    (source / "env.yml").write_text("dependencies:\n- pip:\n  - six\n")
    config = InferenceConfig("score.py", "python", "env.yml", source_directory="source")
    environment = config.environment_for("diabetes")
    assert environment is not None and environment.python.conda_dependencies is not None
    assert environment.python.conda_dependencies.pip_packages == ["six"]


def test_spark_is_refused_where_it_is_used(script: Path) -> None:
    with pytest.raises(WebserviceException, match="Spark is not available"):
        InferenceConfig("score.py", runtime="spark-py").environment_for("diabetes")


def test_a_user_managed_environment_serves_with_its_interpreter(project: Path) -> None:
    environment = Environment("serving")
    environment.python.user_managed_dependencies = True
    assert interpreter_of(environment.serving()) == sys.executable
    (project / "bin").mkdir()
    (project / "bin/python").symlink_to(sys.executable)
    environment.python.interpreter_path = "bin/python"
    assert interpreter_of(environment.serving()) == str(project / "bin/python"), (
        "a link is not followed: it names another one"
    )
    environment.python.interpreter_path = "no-such-python"
    with pytest.raises(WebserviceException, match="'no-such-python'"):
        interpreter_of(environment.serving())


def test_the_python_of_an_image_is_not_run_as_a_process() -> None:
    with pytest.raises(WebserviceException, match="Python of an image(.|\n)*'docker'"):
        interpreter_of(Environment.from_docker_image("serving", "team/base:1").serving())


def test_environment_variables_are_texts_and_never_shown() -> None:
    environment = Environment("serving")
    environment.environment_variables = {"TOKEN": "secret-value"}
    assert "secret-value" not in repr(environment)
    with pytest.raises(UserErrorException) as caught:
        environment.environment_variables = {"TOKEN": b"secret-value"}  # type: ignore[dict-item]
    assert "secret-value" not in str(caught.value)


def test_a_misspelt_setting_is_an_error() -> None:
    with pytest.raises(AttributeError):
        Environment("serving").python.user_managed = True  # type: ignore[attr-defined]


def test_a_clone_does_not_share_settings() -> None:
    environment = Environment("serving")
    copy = environment.clone("other")
    copy.environment_variables["A"] = "1"
    copy.python.user_managed_dependencies = True
    assert environment.environment_variables == {}
    assert not environment.python.user_managed_dependencies


def test_a_config_keeps_its_absolute_source_path(project: Path, script: Path) -> None:
    config = InferenceConfig("score.py")
    os.chdir(project.parent)
    with pytest.raises(WebserviceException, match="does not exist"):
        config.validate_configuration()
