"""Builds of environments in the background, on this machine or as an image.

Azure: ImageBuildDetails and DockerImageDetails of azureml.core.environment, Environment.build_local.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from mljupyter import deploy
from mljupyter.exceptions import UserErrorException, WebserviceException
from mljupyter.visible import printable

if TYPE_CHECKING:
    from mljupyter.build.environments.record import BuiltEnvironment
    from mljupyter.core import Image
    from mljupyter.deploy.environments import ServingEnvironment


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
        deploy.environments.policy_of(definition)
        self.status = "Running"
        self.environment: BuiltEnvironment | None = None
        self._error: Exception | None = None
        self._lines: list[str] = []
        self._warnings: list[str] = []
        self._changed = threading.Condition()
        self._cancel = threading.Event()
        threading.Thread(target=self._run, args=(environment,), name="environment-build", daemon=True).start()

    def wait_for_completion(self, show_output: bool = True) -> LocalBuildDetails:
        """Wait until the build has ended.

        Parameters:
            show_output: print the log as it is written, from its beginning; otherwise a line for each changed pin.

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
                    print(printable(line))
        except KeyboardInterrupt:
            self.cancel()
            raise
        if self._error is not None:
            raise UserErrorException(str(self._error)) from self._error
        for line in self._warnings if not show_output else ():
            print(line)
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
            self.environment = deploy.environments.ensure(environment, self._write, self._cancel, self._warn)
            status = "Succeeded"
        except Exception as error:  # noqa: BLE001 (raised by wait_for_completion)
            self._error = error
            status = "Canceled" if self._cancel.is_set() else "Failed"
        with self._changed:
            self.status = status
            self._changed.notify_all()

    def _warn(self, line: str) -> None:
        self._warnings.append(line)
        self._write(line)

    def _write(self, line: str) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()

    def __repr__(self) -> str:
        return f"LocalBuildDetails(status={self.status})"


class ImageBuildDetails:
    """A build of an environment's image in the background."""

    def __init__(self, image: Image) -> None:
        self._image = image

    @property
    def status(self) -> str:
        """Running, Succeeded, Failed or Canceled."""
        self._image.update_creation_state()
        return self._image.creation_state

    @property
    def image_location(self) -> str | None:
        """The reference of the image; None until it is built."""
        self._image.update_creation_state()
        return self._image.image_location

    def get_log(self) -> str:
        """Return the log of the build so far."""
        return deploy.images.files.BuildLogFile.of(self._image.workspace.context, self._image.record).read()

    def wait_for_completion(self, show_output: bool = True) -> ImageBuildDetails:
        """Wait until the build has ended.

        Parameters:
            show_output: print the log as it grows, from its beginning.

        Raises:
            UserErrorException: it failed or was cancelled, with the last lines of the log and a hint.

        """
        try:
            self._image.wait_for_creation(show_output)
        except WebserviceException as error:
            raise UserErrorException(error.message) from error
        return self

    def cancel(self) -> None:
        """Stop the build and remove its results."""
        self._image.cancel()

    def __repr__(self) -> str:
        return f"ImageBuildDetails(status={self._image.creation_state})"


class DockerImageDetails(dict[str, Any]):
    """Details of an environment's image.

    Azure: the keys of the dict are the same.
    """

    @property
    def image_exist(self) -> bool:
        """True if the image was built."""
        return bool(self["imageExistsInRegistry"])

    @property
    def image(self) -> str | None:
        """The reference of the image; None until it is built."""
        found: str | None = self["dockerImage"]["image"]
        return found

    @property
    def repository(self) -> str:
        """The name of the image without registry and tag."""
        return str(self["dockerImage"]["name"])

    @property
    def registry(self) -> str | None:
        """The host of its registry; None for an image on the Docker engine."""
        found: str | None = self["dockerImage"]["registry"]["address"]
        return found

    @property
    def interpreter_path(self) -> str:
        """The path of its Python interpreter."""
        return str(self["pythonEnvironment"]["interpreterPath"])

    @property
    def environment_path(self) -> str:
        """The path of its Python environment."""
        return str(self["pythonEnvironment"]["condaEnvironmentPath"])

    @property
    def dockerfile(self) -> str:
        """The Dockerfile."""
        return str(self["ingredients"]["dockerfile"])
