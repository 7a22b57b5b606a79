"""Sources of a log panel: its lines, and the stages above them."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

from mljupyter.client.errors import EndpointNotFoundError
from mljupyter.core import Image, Webservice
from mljupyter.deploy.cell_script import place_of
from mljupyter.deploy.wait import short_problem
from mljupyter.errors import MLJupyterError
from mljupyter.notebook.plan import Deployment
from mljupyter.notebook.views.log_lines import Filter
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import EndpointRecord, EndpointState
from mljupyter.widgets.pages.deploy_job import DeploymentRun

View = dict[str, Any]
_LOOK_EVERY = 0.25
_LINES = 200
_SETTLED = (EndpointState.HEALTHY, EndpointState.FAILED)


class LogSource(Protocol):
    """A source of a log and, optionally, of stages.

    Attributes:
        name: the name of the logged object.
        again: the line that opens it again, for saved notebooks.

    """

    name: str
    again: str

    def view(self) -> View:
        """Return the data above the lines: title, status, stages, and the label of the cancel button."""
        ...

    def lines(self) -> Iterator[str]:
        """Yield lines until there will be no more."""
        ...

    def cancel(self) -> None:
        """Cancel the logged operation, if possible."""
        ...


class EndpointLog:
    """The log of an endpoint's replicas, and the state of its deployment.

    Parameters:
        service: the web service.
        count: the number of lines at the beginning.
        version: only this version.
        chosen: filter of lines.

    """

    def __init__(
        self, service: Webservice, count: int = 200, version: str | None = None, chosen: Filter | None = None
    ) -> None:
        self.name = service.name
        self.again = f"%logs {service.name} -f"
        self._service = service
        self._count = count
        self._version = version
        self._chosen = chosen or Filter()
        self._began = time.monotonic()
        self._record = service.workspace.endpoints.endpoint(service.name)

    def view(self) -> View:
        """Return the stages of the deployment."""
        if self._record.status.state not in _SETTLED or self._record.deleting:
            try:
                self._record = self._service.workspace.endpoints.endpoint(self.name)
            except EndpointNotFoundError:
                return {"title": self.name, "status": "It was deleted.", "stages": [], "cancel": ""}
            except MLJupyterError as error:  # a control plane that does not answer deletes nothing
                status = error.message.partition("\n")[0]
                return {"title": self.name, "status": status, "stages": [], "cancel": ""}
        return view_of(self._record, time.monotonic() - self._began, self._service.workspace.artifacts)

    def lines(self) -> Iterator[str]:
        """Yield lines of all replicas, through updates and restarts, until the endpoint is deleted."""
        endpoints = self._service.workspace.endpoints
        yield from self._chosen.chosen(
            endpoints.follow_logs(self.name, lines=self._count, version=self._version, names=True)
        )

    def cancel(self) -> None:
        """Delete an endpoint that has never been ready; otherwise do nothing."""
        if self._record.status.state not in _SETTLED and _is_new(self._record):
            self._service.delete()


class DeploymentLog:
    """A deployment that starts with this object: its stages, the log of its builds, then that of the replicas.

    Parameters:
        deployment: the deployment.
        deployed: the content that this kernel has deployed, of the session.

    """

    def __init__(self, deployment: Deployment, deployed: dict[tuple[str, str, str], Any]) -> None:
        self.name = deployment.name
        self.again = f"%logs {deployment.name} -f"
        self._built: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.run = DeploymentRun(deployment, lambda: None, deployed, self._built.put)
        self.run.start()

    def view(self) -> View:
        """Return the stages with their times, and the error of a failed one."""
        run = self.run
        rows = [(*stage.row(), run.problem if stage.name == run.failed_at else "") for stage in list(run.stages)]
        going = "is being stopped" if run.cancelling else "is being deployed"
        return {
            "title": self.name,
            "status": run.outcome or going,
            "cancel": "" if run.outcome or run.cancelling else "Cancel the deployment",
            "stages": [
                {"name": name, "state": state, "remark": remark, "problem": problem}
                for name, state, remark, problem in rows
            ],
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines of the builds, then those of the replicas."""
        while (self.run.service is None and not self.run.outcome) or not self._built.empty():
            with suppress(queue.Empty):
                yield self._built.get(timeout=_LOOK_EVERY)
        if self.run.service is not None:
            yield from self.run.service.workspace.endpoints.follow_logs(self.name, lines=_LINES, names=True)

    def cancel(self) -> None:
        """Cancel and undo the deployment."""
        self.run.cancel()


class ImageLog:
    """The log of an image's build, which may still be running, with its stages.

    Parameters:
        image: the image.

    """

    def __init__(self, image: Image) -> None:
        self.name = image.id
        self.again = f"mljupyter image logs {image.id}"
        self._image = image

    def view(self) -> View:
        """Return the stages of the build that have ended, with their times, and the one that failed."""
        image = self._image
        error = image.record.error or {}
        stages = [(name, "ok", f"{seconds:.1f} s", "") for name, seconds in image.build_stages.items()]
        if image.creation_state == "Failed":
            stages = [stage for stage in stages if stage[0] != error.get("step")]
            stages.append((str(error.get("step", "build")), "failed", "", image.creation_error or ""))
        return {
            "title": image.id,
            "status": image.creation_state,
            "cancel": "",
            "stages": [
                {"name": name, "state": state, "remark": remark, "problem": problem}
                for name, state, remark, problem in stages
            ],
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines of the log until the build has ended."""
        yield from self._image.log_lines()

    def cancel(self) -> None:
        """Do nothing: a build is cancelled where it was begun."""


def view_of(record: EndpointRecord, seconds: float, artifacts: ArtifactStore) -> View:
    """Return the stages of a deployment, and whether it can be cancelled.

    Parameters:
        record: the endpoint.
        seconds: seconds since the panel was opened.
        artifacts: the artifact store of its workspace.

    """
    status = record.status
    problem = short_problem(record, place_of(artifacts, record)) if status.problem else ""
    ready, _, wanted = status.replicas.partition("/")
    if status.state is EndpointState.HEALTHY:
        start, answer = "ok", "ok"
    elif status.state is EndpointState.FAILED:
        start, answer = "failed", "skipped"
    else:
        start, answer = "running", "waiting"
    over = status.state in _SETTLED
    return {
        "title": record.spec.name,
        "status": str(status.state) if over else f"{status.state} for {seconds:.0f} s",
        "cancel": "" if over or record.deleting or not _is_new(record) else "Cancel the deployment",
        "stages": [
            {"name": "hand over", "state": "ok", "remark": f"to {record.spec.compute_target}", "problem": ""},
            {"name": "start replicas", "state": start, "remark": f"{ready} of {wanted} ready", "problem": problem},
            {"name": "answer requests", "state": answer, "remark": "", "problem": ""},
        ],
    }


def _is_new(record: EndpointRecord) -> bool:
    """Return whether a cancellation would delete only a new endpoint."""
    return record.generation == 1
