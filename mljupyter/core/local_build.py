"""Builds of Python environments on this machine, in the background.

Azure: Environment.build_local.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mljupyter.deploy.environments import ServingEnvironment, ensure, policy_of
from mljupyter.exceptions import UserErrorException
from mljupyter.visible import visible

if TYPE_CHECKING:
    from mljupyter.build.environments.record import BuiltEnvironment


class LocalBuildDetails:
    """A build of a Python environment in the background.

    Parameters:
        environment: the environment, as it is now.

    Attributes:
        status: Running, Succeeded, Failed or Canceled.
        environment: the built environment, once `status` is Succeeded.

    Raises:
        UserErrorException: the environment has nothing to build, or a value breaks a rule.

    """

    def __init__(self, environment: ServingEnvironment) -> None:
        definition = environment.definition
        if definition.python.user_managed_dependencies:
            raise UserErrorException(
                f"Environment {definition.name!r} has nothing to build: its packages are managed by the user."
            )
        policy_of(definition)
        self.status = "Running"
        self.environment: BuiltEnvironment | None = None
        self._error: Exception | None = None
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._cancel = threading.Event()
        threading.Thread(target=self._run, args=(environment,), name="environment-build", daemon=True).start()

    def wait_for_completion(self, show_output: bool = True) -> LocalBuildDetails:
        """Wait until the build has ended.

        Parameters:
            show_output: print the log as it is written, from its beginning.

        Raises:
            UserErrorException: it failed or was cancelled, with the last lines of the log and a hint.

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
        """Return the log of the build so far."""
        with self._changed:
            return "\n".join(self._lines)

    def cancel(self) -> None:
        """Stop the build and remove its results."""
        self._cancel.set()

    def _run(self, environment: ServingEnvironment) -> None:
        try:
            self.environment = ensure(environment, self._write, self._cancel)
            status = "Succeeded"
        except Exception as error:  # noqa: BLE001 (raised by wait_for_completion)
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
