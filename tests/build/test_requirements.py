from __future__ import annotations

import pytest

from mljupyter.build.environments.definition import EnvironmentDefinition
from mljupyter.build.environments.requirements import (
    RequirementError,
    Wanted,
    missing_packages,
    python_versions,
    split_conda,
    wanted,
)


def asked(*dependencies: object) -> Wanted:
    return wanted(EnvironmentDefinition.parse({"python": {"condaDependencies": {"dependencies": list(dependencies)}}}))


def lines(found: Wanted) -> list[str]:
    return [package.line for package in found.packages]


@pytest.mark.parametrize(
    ("package", "name", "version"),
    [
        ("numpy", "numpy", ""),
        ("numpy=1.23", "numpy", "==1.23.*"),
        ("numpy=1.23.4=py38_0", "numpy", "==1.23.4.*"),
        ("numpy==1.23.4", "numpy", "==1.23.4"),
        ("numpy = 1.23", "numpy", "==1.23.*"),
        ("numpy 1.23.* py38_0", "numpy", "==1.23.*"),
        ("numpy[version='>=1,<2']", "numpy", ">=1,<2"),
        ("conda-forge::numpy=1.2*", "numpy", "==1.2.*"),
        ("numpy=*", "numpy", ""),
        ("Numpy~=1.2  # comment", "numpy", "~=1.2"),
    ],
)
def test_conda_versions_are_said_as_pip_says_them(package: str, name: str, version: str) -> None:
    assert split_conda(package) == (name, version)


def test_a_version_that_pip_has_no_words_for_is_refused() -> None:
    with pytest.raises(RequirementError, match=r"'numpy=1.2\|1.4' has no form for pip"):
        split_conda("numpy=1.2|1.4")


def test_conda_packages_get_the_names_of_pypi() -> None:
    found = asked("pytorch=2.1", "matplotlib-base", "pytables", "scikit-learn=1.3", "pyyaml")
    assert lines(found) == ["torch==2.1.*", "matplotlib", "tables", "scikit-learn==1.3.*", "pyyaml"]


def test_python_is_no_package() -> None:
    found = asked("python=3.8.13", "numpy")
    assert (found.python, lines(found)) == ("==3.8.13.*", ["numpy"])


@pytest.mark.parametrize(("text", "versions"), [("3.8", "==3.8.*"), (">=3.9", ">=3.9"), ("==3.8.1", "==3.8.1")])
def test_versions_of_python_have_conda_s_form(text: str, versions: str) -> None:
    assert python_versions(text) == versions


def test_what_is_no_python_package_is_told_apart() -> None:
    assert asked("ffmpeg=4", "r-base", "libpng", "openjdk", "librosa").conda_only == (
        "ffmpeg=4",
        "r-base",
        "libpng",
        "openjdk",
    )


def test_what_wheels_bring_is_left_out_and_said() -> None:
    found = asked("openssl", "mkl", "cudatoolkit=11.8", "pip=20.2.4", "numpy")
    assert lines(found) == ["numpy"]
    assert {change.requirement for change in found.changes} == {"openssl", "mkl", "cudatoolkit=11.8", "pip=20.2.4"}
    assert {change.kind for change in found.changes} == {"replaced"}


def test_what_the_scoring_server_replaces_is_left_out_and_said() -> None:
    pip = ["azureml-defaults~=1.61.0", "AzureML_Core", "azureml-monitoring", "azureml-contrib-services", "azureml-sdk"]
    found = asked({"pip": [*pip, "azureml-automl-runtime", "six"]})
    assert lines(found) == ["azureml-automl-runtime", "six", "inference-schema", "pandas", "werkzeug", "flask"]
    assert [change.requirement for change in found.changes] == pip


def test_what_azureml_defaults_brought_comes_with_it_once_and_only_then() -> None:
    found = asked({"pip": ["azureml-defaults", "inference-schema[numpy-support]==1.8"]})
    assert lines(found) == ["inference-schema[numpy-support]==1.8", "pandas", "werkzeug", "flask"]
    assert {package.line for package in found.packages if package.optional} == {"pandas", "werkzeug", "flask"}
    assert lines(asked("pandas=1.5", {"pip": ["azureml-defaults", "Werkzeug<3"]})) == [
        *("pandas==1.5.*", "Werkzeug<3", "inference-schema", "flask"),
    ]
    assert lines(asked({"pip": ["azureml-inference-server-http"]})) == ["inference-schema", "werkzeug", "flask"]
    assert lines(asked({"pip": ["azureml-core"]})) == []


def test_options_and_comments_are_no_packages() -> None:
    found = asked({"pip": ["--index-url https://example.org/simple", "--pre", "# old", "six # why", "-e /src/mine"]})
    assert found.options == ("--index-url https://example.org/simple", "--pre")
    assert lines(found) == ["six", "-e /src/mine"]


def test_a_wheel_by_its_path_is_the_package_that_a_script_needs() -> None:
    python = {"condaDependencies": {"dependencies": [{"pip": ["/w/my_model-1.0-py3-none-any.whl", "x @ file:///x"]}]}}
    asked_for = ["my-model==1.0", "x==1", "y==1"]
    assert missing_packages(EnvironmentDefinition.parse({"python": python}), asked_for) == ["y==1"]


@pytest.mark.parametrize("line", ["-rmore.txt", "-e./pk", "-chere.txt", "-ihttps://example.org/simple"])
def test_no_glued_option_is_lost(line: str) -> None:
    # pip takes them (optparse): without -i, a private package would come from the public index.
    found = asked({"pip": [line]})
    assert [line[:2] in text or "--" in text for text in (*found.options, *lines(found))] == [True]
    assert found.changes == ()
