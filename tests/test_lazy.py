"""Lazy names of packages."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

FACES = (
    "mljupyter.core",
    "mljupyter.registry",
    "mljupyter.build.images",
    "mljupyter.deploy",
    "mljupyter.deploy.images",
    "mljupyter.deploy.profiling",
)


@pytest.mark.parametrize("name", FACES)
def test_every_public_name_is_found_and_listed(name: str) -> None:
    package = import_module(name)
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, public) is not None for public in package.__all__)


@pytest.mark.parametrize("name", FACES)
def test_an_unknown_name_is_refused_as_in_any_module(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = import_module(name).nothing


def test_a_controller_imports_no_builder_of_images() -> None:
    builders = {f"mljupyter.build.images.{name}" for name in ("builders", "create", "docker.builder", "oci.daemonless")}
    assert all(import_module(name) for name in builders)
    program = f"import sys; import mljupyter.controller.lifecycle; print(*({builders!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
