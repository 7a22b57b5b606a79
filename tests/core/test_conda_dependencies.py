from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from mljupyter.core import CondaDependencies
from mljupyter.exceptions import UserErrorException

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_by_default_there_are_the_notebooks_python_and_azureml_defaults() -> None:
    packages = CondaDependencies()
    assert packages.conda_packages == [f"python={HERE}"]
    assert packages.pip_packages == ["azureml-defaults"]
    assert packages.conda_channels == ["anaconda", "conda-forge"]
    assert packages.get_default_number_of_packages() == 2


def test_create_takes_packages_and_pins_the_sdk() -> None:
    packages = CondaDependencies.create(
        pip_indexurl="https://example.org/simple",
        pip_packages=["azureml-core", "azureml-sdk==1.40.0", "six"],
        conda_packages=["numpy=1.26"],
        python_version="3.8.13",
    )
    assert packages.pip_packages == ["azureml-core~=1.61.0", "azureml-sdk==1.40.0", "six"]
    assert packages.pip_options == ["--index-url https://example.org/simple"]
    assert packages.conda_packages == ["python=3.8.13", "numpy=1.26"]
    assert packages.get_python_version() == "3.8.13"
    assert CondaDependencies.create(pip_packages=["azureml-core"], pin_sdk_version=False).pip_packages == [
        "azureml-core"
    ]


def test_a_package_takes_the_place_of_one_of_its_name() -> None:
    packages = CondaDependencies.create(pip_packages=["Scikit_Learn==1.0", "six"], conda_packages=["numpy=1.20"])
    packages.add_pip_package("scikit-learn==1.5")
    packages.add_conda_package("numpy>=1.26")
    packages.set_python_version("3.12")
    assert packages.pip_packages == ["scikit-learn==1.5", "six"]
    assert packages.conda_packages == ["python=3.12", "numpy>=1.26"]


def test_what_was_added_can_be_removed() -> None:
    packages = CondaDependencies.create(pip_packages=["six==1.16", "toolz"], conda_packages=["numpy=1.26"])
    packages.remove_pip_package("six")
    packages.remove_conda_package("numpy")
    packages.add_channel("pytorch")
    packages.remove_channel("anaconda")
    packages.set_pip_option("--pre")
    packages.remove_pip_option("--pre")
    assert packages.pip_packages == ["toolz"]
    assert packages.conda_packages == [f"python={HERE}"]
    assert packages.conda_channels == ["conda-forge", "pytorch"]
    assert packages.pip_options == []


def test_an_option_replaces_its_former_value_and_further_indexes_add_up() -> None:
    packages = CondaDependencies.create(pip_packages=["six"])
    packages.set_pip_index_url("https://one.example.org")
    packages.set_pip_option("-i https://two.example.org")
    packages.set_pip_option("--extra-index-url https://three.example.org")
    packages.set_pip_option("--extra-index-url https://four.example.org")
    assert packages.pip_options == [
        "-i https://two.example.org",
        "--extra-index-url https://three.example.org",
        "--extra-index-url https://four.example.org",
    ]
    assert packages.pip_packages == ["six"]


def test_pip_requirements_replace_everything_that_pip_is_given() -> None:
    packages = CondaDependencies.create(pip_indexurl="https://example.org", pip_packages=["six"])
    packages.set_pip_requirements(["toolz==1.0", "", "--pre"])
    assert (packages.pip_packages, packages.pip_options) == (["toolz==1.0"], ["--pre"])


def test_frameworks_have_names_for_cpu_and_gpu() -> None:
    packages = CondaDependencies.create(pip_packages=[])
    packages.add_tensorflow_pip_package(core_type="gpu", version="2.10")
    packages.add_tensorflow_conda_package(version="2.10")
    packages.add_cntk_package()
    assert packages.pip_packages == ["tensorflow-gpu==2.10", "cntk"]
    assert packages.conda_packages[1:] == ["tensorflow=2.10"]
    with pytest.raises(UserErrorException, match="core_type is 'tpu'"):
        packages.add_cntk_package("tpu")


def test_a_saved_file_is_read_back(project: Path) -> None:
    packages = CondaDependencies.create(pip_packages=["six"], conda_packages=["numpy"])
    assert packages.save() == "conda_dependencies.yml"
    assert packages.save_to_file(project, "env.yml") == "env.yml"
    for name in ("conda_dependencies.yml", "env.yml"):
        assert CondaDependencies(name) == packages
        assert yaml.safe_load((project / name).read_text()) == packages.as_dict()
    assert yaml.safe_load(packages.serialize_to_string()) == packages.as_dict()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dependencies: [unclosed", "cannot be read as YAML"),
        ("- python", "begins with a list"),
        ("dependancies: [python]", "has the keys dependancies. A conda file has: name, channels"),
        ("dependencies: [{conda: [six]}]", "only 'pip' may have its own list"),
        ("dependencies: [3.8]", "dependencies"),
        ("!!python/object/apply:os.system [true]", "cannot be read as YAML"),
    ],
)
def test_what_is_no_conda_file_is_refused(project: Path, text: str, says: str) -> None:
    (project / "env.yml").write_text(text)
    with pytest.raises(UserErrorException, match=says):
        CondaDependencies("env.yml")


def test_a_missing_file_is_named(project: Path) -> None:
    with pytest.raises(UserErrorException, match=r"conda file 'env\.yml' cannot be read: No such file"):
        CondaDependencies("env.yml")


def test_copies_do_not_share_lists() -> None:
    packages = CondaDependencies()
    packages.pip_packages.append("six")
    packages.as_dict()["channels"].append("x")
    assert packages == CondaDependencies()


def test_passwords_of_indexes_are_not_shown() -> None:
    packages = CondaDependencies.create(pip_packages=["x @ https://u:hunter2@example.org/x.whl"])
    packages.set_pip_index_url("https://u:hunter2@example.org")
    assert "hunter2" not in repr(packages)


@pytest.mark.parametrize("end", ["\n bad", " 'x", "\n   - {a: hunter2}", "\n   - [hunter2]\n"])
def test_what_is_wrong_with_a_conda_file_is_told_without_the_passwords_in_it(project: Path, end: str) -> None:
    option = "--index-url 'https://u:hunter2@example.org'"
    (project / "env.yml").write_text(f'dependencies:\n - pip:\n   - "{option}"{end}')
    with pytest.raises(UserErrorException) as refusal:
        CondaDependencies("env.yml")
    assert "hunter2" not in refusal.value.message
    assert "unicode string" not in refusal.value.message
    assert "constrained" not in refusal.value.message


def test_options_are_replaced_and_removed_however_they_are_written() -> None:
    packages = CondaDependencies.create(pip_packages=["six"])
    packages.set_pip_option("-ihttps://one.example.org")
    packages.set_pip_option("--index-url=https://two.example.org")
    packages.set_pip_option("-f links")
    packages.set_pip_option("-fmore")
    assert packages.pip_options == ["--index-url=https://two.example.org", "-f links", "-fmore"]
    packages.remove_pip_option("--find-links")
    packages.remove_pip_option("six")  # no option
    assert packages.pip_options + packages.pip_packages == ["--index-url=https://two.example.org", "six"]
