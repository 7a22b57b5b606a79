"""Python environments of deployments on this machine: find the interpreter of one, or build it.

An environment for containers is part of their image; see `mljupyter.deploy.images`.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from mljupyter.build.environments.definition import (
    DEFAULT_INTERPRETER,
    EnvironmentDefinition,
    fingerprint,
)
from mljupyter.build.environments.record import BuiltEnvironment, places
from mljupyter.build.environments.relaxation import Policy, check_policy
from mljupyter.build.environments.uv_environments import ensure_environment, find_environment
from mljupyter.build.failures import MissingPinError
from mljupyter.build.images.events import BuildEvent, OnEvent, State
from mljupyter.exceptions import WebserviceException, as_user_error, as_webservice_exception
from mljupyter.files import expanded
from mljupyter.workspace import index

SHARED_VARIABLE = "MLJUPYTER_SHARED_ENVIRONMENTS"
PINS_VARIABLE = "MLJUPYTER_PINS"
_DEFAULT_SHM_SIZE = "2g"
_said_replaced: set[str] = set()
STAGE = "environment"
"""The stage of a deployment in which an environment is built."""


@dataclass(frozen=True)
class ServingEnvironment:
    """The environment of a scoring script.

    Parameters:
        definition: its packages, its image, its variables.
        is_current: whether it equals that of the interpreter that deploys.
        file: the file that lists its packages, if it was made from one; errors name the line there.

    """

    definition: EnvironmentDefinition
    is_current: bool = False
    file: Path | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.definition.name or "environment"

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables of the scoring script."""
        return self.definition.environment_variables

    @property
    def is_user_managed(self) -> bool:
        """Whether the user manages the packages, so that nothing is built."""
        return self.definition.python.user_managed_dependencies

    @property
    def has_image(self) -> bool:
        """Whether it defines an image: a base image, or additional build steps."""
        docker = self.definition.docker
        return bool(
            self.definition.base_image is not None
            or docker.base_dockerfile is not None
            or docker.build_context is not None
            or docker.extra_dockerfile_steps
        )

    @property
    def must_be_built(self) -> bool:
        """Whether packages must be installed before a process on this machine can use it."""
        return not (self.is_user_managed or self.is_current)


def environments_directory() -> Path:
    """Return the directory of this user's environments."""
    return index.home() / "environments"


def shared_directory() -> Path | None:
    """Return the directory of shared environments; None if none is configured."""
    given = os.environ.get(SHARED_VARIABLE)
    return expanded(given).absolute() if given else None


def policy_of(definition: EnvironmentDefinition) -> Policy:
    """Return the treatment of pins that cannot be installed.

    Unless it is said, pins are relaxed only in environments of Azure ML, whose versions no longer exist.

    Raises:
        UserErrorException: MLJUPYTER_PINS is no policy.

    """
    usual = "compatible" if definition.is_of_azure else "exact"
    policy = definition.python.pins or os.environ.get(PINS_VARIABLE) or usual
    with as_user_error():
        check_policy(policy)
    return cast("Policy", policy)


def say_replaced_base_image(definition: EnvironmentDefinition) -> None:
    """Print, once for each image, that the default base image takes the place of an image of Azure."""
    image = definition.replaced_base_image
    if image is None or image in _said_replaced:
        return
    _said_replaced.add(image)
    print(
        f"The default base image takes the place of {image}, an image of Azure. "
        "Packages come from the environment's list, CUDA from the wheels of its packages."
    )


def without_effect(definition: EnvironmentDefinition) -> list[str]:
    """Return the settings of a definition that have no effect here, as users write them."""
    docker, spark = definition.docker, definition.spark
    given = {
        "docker.arguments": docker.arguments,
        "docker.shm_size": docker.shm_size not in (None, _DEFAULT_SHM_SIZE),
        "spark.packages": spark is not None and spark.packages,
        "databricks": any((definition.databricks or {}).values()),
        "r": any((definition.r or {}).values()),
    }
    return [name for name, value in given.items() if value]


def say_without_effect(definition: EnvironmentDefinition) -> None:
    """Print, once for each environment, its settings that have no effect here."""
    names = ", ".join(without_effect(definition))
    line = f"Environment {definition.name or 'environment'!r}, without effect: {names}"
    if not names or line in _said_replaced:
        return
    _said_replaced.add(line)
    print(line)


def interpreter_of(environment: ServingEnvironment | None, *, build: bool = True, show_output: bool = False) -> str:
    """Return the absolute path of the interpreter of an environment, and build the environment if needed.

    Without an environment this is the interpreter that deploys. Otherwise the environment is searched among those of
    this user, then among the shared ones, and then built.

    Parameters:
        environment: None for the interpreter that runs this code.
        build: False to return its expected path without building it.
        show_output: print the whole log of the build; by default the environment's name and the changed pins.

    Raises:
        WebserviceException: it cannot be built, or its interpreter does not exist.

    """
    if environment is None:
        return sys.executable
    if environment.is_user_managed:
        return _user_managed(environment)
    if not environment.must_be_built:
        return sys.executable
    with as_webservice_exception():
        if not build:
            return _expected(environment.definition)
        return ensure(environment, print if show_output else None).interpreter


def ensure(
    environment: ServingEnvironment,
    on_line: Callable[[str], None] | None,
    cancel: threading.Event | None = None,
    on_warning: Callable[[str], None] = print,
) -> BuiltEnvironment:
    """Return the environment on this machine, and build it if needed.

    Parameters:
        environment: one whose packages are not managed by the user.
        on_line: called with each line of the log; None prints a summary.
        cancel: set it from another thread to end the build.
        on_warning: called with a line for each pin that was changed, when the environment is built.

    Raises:
        MLJupyterError: it cannot be built, with the last lines of the log; `BuildCancelledError`.

    """
    found, policy, root, shared = _find(environment.definition)
    if found is None and on_line is None:
        print(f"Building the environment {environment.name!r}")
    try:
        result = found or ensure_environment(
            environment.definition, root, on_line, policy=policy, shared=shared, cancel=cancel
        )
    except MissingPinError as error:
        if environment.file is None:
            raise
        raise error.in_file(environment.file) from error.__cause__
    if found is None:  # said once for each environment, not at each deployment of it
        for change in result.relaxations:
            on_warning(f"Warning: environment {environment.name!r}: {change}")
    return result


def ensure_with_events(environment: ServingEnvironment, on_event: OnEvent, cancel: threading.Event | None) -> str:
    """Build an environment as one stage of a deployment, and return its interpreter.

    Parameters:
        environment: one that must be built.
        on_event: called with the stage and the lines of the log.
        cancel: set it from another thread to end the build.

    """

    def report(state: State | None, text: str = "", seconds: float | None = None, *, warning: bool = False) -> None:
        on_event(BuildEvent(time.time(), STAGE, state, text, seconds, warning))

    began = time.monotonic()
    report("running")
    result = ensure(environment, lambda line: report(None, line), cancel, lambda line: report(None, line, warning=True))
    report("succeeded", seconds=round(time.monotonic() - began, 3))
    return result.interpreter


def _find(definition: EnvironmentDefinition) -> tuple[BuiltEnvironment | None, Policy, Path, Path | None]:
    policy, root, shared = policy_of(definition), environments_directory(), shared_directory()
    return find_environment(definition, [root, *([shared] if shared else [])], policy=policy), policy, root, shared


def _expected(definition: EnvironmentDefinition) -> str:
    found, policy, root, _ = _find(definition)
    *_, place = places(root.resolve(), fingerprint(definition), policy)
    return found.interpreter if found is not None else str(place.directory / "bin" / "python")


def _user_managed(environment: ServingEnvironment) -> str:
    path = environment.definition.python.interpreter_path
    if environment.has_image:
        raise WebserviceException(
            f"Environment {environment.name!r} is the Python of an image, and a process cannot run in an image.\n"
            "Deploy it to the compute target 'docker', or list its packages in python.conda_dependencies."
        )
    if path in (None, "", DEFAULT_INTERPRETER):
        return sys.executable
    # A link is not followed: the `python` of a virtual environment links to another interpreter.
    found = shutil.which(expanded(path))
    if found is None:
        raise WebserviceException(
            f"Environment {environment.name!r}: python.interpreter_path is {path!r}, "
            "which is neither a command nor an executable file on this machine."
        )
    return os.path.abspath(found)  # noqa: PTH100 - Path.absolute() keeps '..'
