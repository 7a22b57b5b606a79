"""Builds of environments on this machine, in the background (Azure ML v1: Environment.build_local)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mljupyter.deploy.environments import ServingEnvironment, ensure, policy_of
from mljupyter.exceptions import UserErrorException
from mljupyter.visible import visible

if TYPE_CHECKING:
    from mljupyter.build.environments.record import BuiltEnvironment
    from mljupyter.core.environment import Environment


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
        serving = environment.serving()  # later changes by the caller are not built
        policy_of(serving.definition)
        threading.Thread(target=self._run, args=(serving,), name="environment-build", daemon=True).start()

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

    def _run(self, environment: ServingEnvironment) -> None:
        try:
            self.environment = ensure(environment, self._write, self._cancel)
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
