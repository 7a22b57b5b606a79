"""Which interpreter serves an environment on this machine, and building it where it is not there yet."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mljupyter.build.environments.definition import fingerprint
from mljupyter.core.environment import DEFAULT_INTERPRETER, Environment
from mljupyter.exceptions import UserErrorException, WebserviceException, as_user_error, as_webservice_exception
from mljupyter.visible import visible
from mljupyter.workspace import index

if TYPE_CHECKING:
    from mljupyter.build.environments.record import BuiltEnvironment
    from mljupyter.build.environments.relaxation import Policy

SHARED_VARIABLE = "MLJUPYTER_SHARED_ENVIRONMENTS"
PINS_VARIABLE = "MLJUPYTER_PINS"


def environments_directory() -> Path:
    """Return the directory of this user's environments."""
    return index.home() / "environments"


def shared_directory() -> Path | None:
    """Return the directory of environments that others have built, None where none is configured."""
    given = os.environ.get(SHARED_VARIABLE)
    return Path(given).expanduser().absolute() if given else None


def policy_of(environment: Environment) -> Policy:
    """Return what happens to pins that cannot be had.

    Raises:
        UserErrorException: when MLJUPYTER_PINS is neither ``strict`` nor ``compatible``.

    """
    from mljupyter.build.environments.relaxation import check_policy

    policy = environment.python.pins or os.environ.get(PINS_VARIABLE) or "compatible"
    with as_user_error():
        check_policy(policy)
    return cast("Policy", policy)


def interpreter_of(environment: Environment | None, *, build: bool = True, show_output: bool = False) -> str:
    """Return the absolute path of the interpreter that serves, built first where needed.

    The interpreter that deploys serves without an environment. Else it is looked for among this user's environments,
    then among the shared ones, then built.

    Parameters:
        environment: None for the interpreter that runs this very code.
        build: False to say where it would be, without building it.
        show_output: print the whole log of the build; else what is being built, and what was changed.

    Raises:
        WebserviceException: when it cannot be built, or its interpreter is not there.

    """
    if environment is None:
        return sys.executable
    if environment.python.user_managed_dependencies:
        return _user_managed(environment)
    if not is_to_be_built(environment):
        return sys.executable
    with as_webservice_exception():
        if not build:
            return _expected(environment)
        return built(environment, print if show_output else None).interpreter


def is_to_be_built(environment: Environment | None) -> bool:
    """Whether an environment is made on this machine, rather than an interpreter taken that is there already."""
    if environment is None or environment.python.user_managed_dependencies:
        return False
    return environment._taken_from != (sys.executable, environment.fingerprint)


def built(
    environment: Environment, on_line: Callable[[str], None] | None, cancel: threading.Event | None = None
) -> BuiltEnvironment:
    """Return the environment as it is on this machine, built first where needed.

    Parameters:
        environment: one whose packages are not managed by the user.
        on_line: gets each line of the log; None to print a summary.
        cancel: set it from another thread to end the build.

    """
    from mljupyter.build.environments.uv_environments import ensure_environment, find_environment

    definition, policy, shared = environment.definition(), policy_of(environment), shared_directory()
    root = environments_directory()
    found = find_environment(definition, [root, *([shared] if shared else [])], policy=policy)
    if found is None and on_line is None:
        print(f"Building the environment {environment.name!r}")
    result = found or ensure_environment(definition, root, on_line, policy=policy, shared=shared, cancel=cancel)
    if on_line is None:
        for change in result.relaxations:
            print(f"Environment {environment.name!r}: {change}")
    return result


class LocalBuildDetails:
    """A build on this machine, running in the background.

    `environment` is what was built, once `status` is Succeeded.
    """

    def __init__(self, environment: Environment) -> None:
        if environment.python.user_managed_dependencies:
            raise UserErrorException(
                f"Environment {environment.name!r} has nothing to build: the user looks after its packages."
            )
        self.status = "Running"
        self.environment: BuiltEnvironment | None = None
        self._error: Exception | None = None
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._cancel = threading.Event()
        copy = environment.clone(environment.name)  # what the caller changes from now on is not built
        policy_of(copy)
        threading.Thread(target=self._run, args=(copy,), name="environment-build", daemon=True).start()

    def wait_for_completion(self, show_output: bool = True) -> LocalBuildDetails:
        """Wait until the build has ended.

        Parameters:
            show_output: print the log as it is written, from its beginning.

        Raises:
            UserErrorException: when it has failed or was cancelled, with the last lines of the log and a hint.

        """
        shown = 0
        status = "Running"
        try:
            while status == "Running":
                with self._changed:
                    while len(self._lines) == shown and self.status == "Running":
                        self._changed.wait()
                    lines, status = self._lines[shown:], self.status
                shown += len(lines)
                for line in lines if show_output else ():
                    print(visible(line))
        except KeyboardInterrupt:
            self.cancel()
            raise
        if self._error is not None:
            raise UserErrorException(str(self._error)) from self._error
        return self

    def get_log(self) -> str:
        """Return the log so far."""
        with self._changed:
            return "\n".join(self._lines)

    def cancel(self) -> None:
        """End the build; nothing of it is left."""
        self._cancel.set()

    def _run(self, environment: Environment) -> None:
        try:
            self.environment = built(environment, self._write, self._cancel)
            status = "Succeeded"
        except Exception as error:  # noqa: BLE001 (whoever waits gets it)
            self._error = error
            status = "Canceled" if self._cancel.is_set() else "Failed"
        with self._changed:
            self.status = status
            self._changed.notify_all()

    def _write(self, line: str) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()

    def __repr__(self) -> str:
        return f"LocalBuildDetails(status={self.status})"


def _user_managed(environment: Environment) -> str:
    python = environment.python
    if not environment.docker.is_default:
        raise WebserviceException(
            f"Environment {environment.name!r} is the Python of an image, which a process cannot run in.\n"
            "Deploy it to the compute target 'docker', or list its packages in python.conda_dependencies."
        )
    if python.interpreter_path in (None, "", DEFAULT_INTERPRETER):
        return sys.executable
    # A link is not followed: what a virtual environment's `python` leads to is another interpreter.
    found = shutil.which(Path(python.interpreter_path).expanduser())
    if found is None:
        raise WebserviceException(
            f"Environment {environment.name!r}: python.interpreter_path is {python.interpreter_path!r}, "
            "which is no command and no executable file on this machine."
        )
    return os.path.abspath(found)  # noqa: PTH100 - Path.absolute() keeps '..'


def _expected(environment: Environment) -> str:
    from mljupyter.build.environments.record import places
    from mljupyter.build.environments.uv_environments import find_environment

    definition, policy, shared = environment.definition(), policy_of(environment), shared_directory()
    root = environments_directory()
    found = find_environment(definition, [root, *([shared] if shared else [])], policy=policy)
    *_, place = places(root.resolve(), fingerprint(definition), policy)
    return found.interpreter if found is not None else str(place.directory / "bin" / "python")
