"""Background job of the attach wizard: the lines of progress, cancellation, and the outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mljupyter.core import Workspace
from mljupyter.core.compute import cluster
from mljupyter.errors import said_of
from mljupyter.targets.kubernetes.attachment import Attachment, ClusterSettings
from mljupyter.visible import visible
from mljupyter.widgets.pages.background_run import BackgroundRun


class AttachRun(BackgroundRun):
    """The attachment of a cluster. When it is cancelled, what it has installed is removed.

    Parameters:
        workspace: the workspace.
        name: the name of the compute target.
        settings: the cluster and the installation.
        changed: called, from any thread, when something has changed.

    """

    def __init__(self, workspace: Workspace, name: str, settings: ClusterSettings, changed: Callable[[], None]) -> None:
        super().__init__(f"attaches {name}", changed)
        self.name = name
        self.address: tuple[str, str] | None = None
        self._workspace = workspace
        self._settings = settings

    def _run(self) -> None:
        attachment: Attachment | None = None
        try:
            self._say("checking the cluster")
            attachment = cluster.begin(self._workspace, self.name, self._settings)
            watch = threading.Thread(target=self._cancel_when_asked, args=(attachment,), daemon=True)
            watch.start()
            with cluster.as_compute_target_exception():
                attachment.wait(self._say)
            target = cluster.ClusterCompute(self._workspace, self.name)
            self.address = target.scoring_base, target.scoring_address[1]
            self.outcome = "succeeded"
        except Exception as error:  # noqa: BLE001 (shown to the person who waits)
            self._end(attachment, said_of(error))
        finally:
            self._cancel.set()  # ends the other thread
        self._changed()

    def _cancel_when_asked(self, attachment: Attachment) -> None:
        self._cancel.wait()
        attachment.cancel()

    def _end(self, attachment: Attachment | None, problem: str) -> None:
        """Set the outcome; remove what a cancelled attachment has installed."""
        if attachment is None or not attachment.is_cancelled:
            self.problem, self.outcome = problem, "failed"
            return
        try:
            removed = cluster.take_back(self._workspace, self.name, attachment, self._say)
        except Exception as error:  # noqa: BLE001 (shown to the person who waits)
            self.problem, self.outcome = said_of(error), "failed"
            return
        self.problem = (
            "Everything in the cluster is as it was before."
            if removed
            else f"{self.name} stays as far as this has come. To repair it, attach it again under its name."
        )
        self.outcome = "cancelled"

    def _say(self, line: str) -> None:
        self.lines.append(visible(line))
        self._changed()
