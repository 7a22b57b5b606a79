"""Profiles: measured CPU, memory and latency of models under load, with a recommended size.

Azure: azureml.core.profile.
"""

from __future__ import annotations

import atexit
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.deploy.profiling.run import CancelledError, ProfileRequest, is_alive, owner, run
from mljupyter.errors import MLJupyterError, said_of
from mljupyter.exceptions import WebserviceException
from mljupyter.files import write_whole
from mljupyter.outside import json_value
from mljupyter.workspace_folders import make_folder

if TYPE_CHECKING:
    from mljupyter.core import Workspace

_FOLDER = "profiles"
_RUNNING, _SUCCEEDED, _FAILED, _CANCELED = "Running", "Succeeded", "Failed", "Canceled"
_POLL_SECONDS = 0.2
_FAREWELL_SECONDS = 60.0


class ModelProfile:
    """A profile: the CPU and memory that models used under load, and the recommended size of a replica.

    `Model.profile` starts one. It runs in the process that started it, and its result is kept in the workspace.

    Parameters:
        workspace: the workspace.
        name: the profile's name.

    Raises:
        WebserviceException: `ProfileNotFound`: there is no profile of this name.

    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = name
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: list[str] = []
        self._details = self._read()

    @classmethod
    def start(cls, workspace: Workspace, request: ProfileRequest, description: str | None) -> ModelProfile:
        """Start a profile in the background and return it.

        Parameters:
            workspace: the workspace.
            request: the parameters of the run.
            description: free text.

        Raises:
            WebserviceException: a profile of this name is running.

        """
        profile = object.__new__(cls)
        profile.workspace, profile.name = workspace, request.name
        profile._cancelled, profile._said = threading.Event(), []
        file = profile._file
        if file.exists() and cls(workspace, request.name).state == _RUNNING:
            raise WebserviceException(
                f"A profile {request.name!r} is running: wait for it, ModelProfile(ws, {request.name!r})"
                ".wait_for_completion(), or choose another name."
            )
        make_folder(workspace.directory, _FOLDER)
        profile._write(
            {
                "name": request.name,
                "description": description,
                "createdTime": datetime.now(UTC).isoformat(),
                "state": _RUNNING,
                "requestedCpu": request.cpu,
                "requestedMemoryInGB": request.memory_in_gb,
                "requestedQueriesPerSecond": 0,
                "owner": owner(),
            }
        )
        profile._thread = threading.Thread(
            target=profile._run, args=(request,), name=f"profile {request.name}", daemon=True
        )
        profile._thread.start()
        atexit.register(profile.cancel)
        return profile

    @property
    def state(self) -> str:
        """Running, Succeeded, Failed or Canceled."""
        if self._thread is None and self._details["state"] == _RUNNING:
            self._details = self._read()
        return str(self._details["state"])

    def wait_for_completion(self, show_output: bool = False) -> None:
        """Wait until the profile is done. An interrupt ends the waiting, not the profile; `cancel` ends the profile.

        Parameters:
            show_output: print progress, and the recommendation at the end.

        Raises:
            WebserviceException: it failed, with the reason, or was cancelled.

        """
        said = 0
        while True:
            running = self.state == _RUNNING and (self._thread is None or self._thread.is_alive())
            if show_output:
                for text in self._said[said:]:
                    print(text, end="", flush=True)
                    said += 1
            if not running:
                break
            time.sleep(_POLL_SECONDS)
        state = self.state
        if state != _SUCCEEDED:
            raise WebserviceException(f"The profile {self.name!r} is {state}: {self._details.get('error', state)}")
        if show_output:
            found = self.get_results()
            print(f"Succeeded: {found['cpu']} cores and {found['memoryInGB']} GB are recommended for each replica")

    wait_for_profiling = wait_for_completion

    def get_details(self) -> dict[str, Any]:
        """Return parameters and result as a dict; the keys of the result are missing until it has succeeded.

        CPU is in cores, memory in GB, latency in milliseconds, successRate in percent, wallTime in seconds; errors
        counts failed answers by status.

        Azure: the keys are the same.
        """
        state = self.state
        return {key: value for key, value in self._details.items() if key != "owner"} | {"state": state}

    def get_results(self) -> dict[str, Any]:
        """Return the recommended size of a replica: ``cpu`` in cores and ``memoryInGB``.

        Raises:
            WebserviceException: there is no result, or not yet.

        """
        if self.state != _SUCCEEDED:
            state = self.state
            if state == _RUNNING:
                raise WebserviceException(
                    f"The profile {self.name!r} is Running and has no result yet. Wait for it: "
                    "profile.wait_for_completion()"
                )
            raise WebserviceException(
                f"The profile {self.name!r} is {state} and has no result: "
                f"{self._details.get('error', 'start another profile.')}"
            )
        return {"cpu": self._details["recommendedCpu"], "memoryInGB": self._details["recommendedMemoryInGB"]}

    def cancel(self) -> None:
        """Cancel a profile that runs in this process; return when its temporary endpoint is deleted.

        Raises:
            WebserviceException: it runs in another process.

        """
        atexit.unregister(self.cancel)
        if self._thread is None:
            if self.state == _RUNNING:
                raise WebserviceException(f"The profile {self.name!r} runs in another process: cancel it there.")
            return
        self._cancelled.set()
        self._thread.join(_FAREWELL_SECONDS)

    def serialize(self) -> dict[str, Any]:
        """Return parameters and result as JSON types; see `get_details`."""
        return self.get_details()

    @property
    def _file(self) -> Path:
        return self.workspace.directory / _FOLDER / f"{self.name}.json"

    def _run(self, request: ProfileRequest) -> None:
        try:
            found = run(self.workspace.context, request, self._cancelled.is_set, self._said.append)
            outcome = {"state": _SUCCEEDED, **found}
        except CancelledError as error:
            outcome = {"state": _CANCELED, "error": error.message}
        except MLJupyterError as error:
            outcome = {"state": _FAILED, "error": error.message}
        except Exception as error:  # noqa: BLE001 (its state must not stay Running)
            outcome = {"state": _FAILED, "error": said_of(error)}
        try:
            self._write(self._details | outcome)
        except Exception as error:  # noqa: BLE001 (its state must not stay Running)
            reason = f"the result could not be written: {said_of(error)}. Mend that, and start another profile."
            self._details |= {"state": _FAILED, "error": outcome.get("error") or reason}
        atexit.unregister(self.cancel)

    def _write(self, details: dict[str, Any]) -> None:
        write_whole(self._file, json.dumps(details))
        self._details = details

    def _read(self) -> dict[str, Any]:
        try:
            details: dict[str, Any] = json_value(self._file.read_bytes())
            running = details["state"] == _RUNNING and not is_alive(details["owner"])
        except (OSError, ValueError, LookupError, TypeError):
            raise WebserviceException(
                f"ProfileNotFound: there is no profile {self.name!r} in workspace {self.workspace.name!r}.",
                status_code=404,
            ) from None
        if running:
            details |= {"state": _FAILED, "error": "the process that ran it has ended."}
        return details

    def __repr__(self) -> str:
        return f"ModelProfile(name={self.name!r}, state={self.state!r})"
