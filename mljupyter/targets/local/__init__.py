"""The target ``local``: replicas are processes of this machine, run by the user who deploys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from mljupyter.runtimes.base import Usage
from mljupyter.runtimes.process.usage import usage_of
from mljupyter.spec import ReplicaStatus
from mljupyter.targets.base import Needs, Target, TargetContext
from mljupyter.targets.machine import MachineTarget


class LocalTarget(MachineTarget):
    """This machine."""

    name = "local"
    type = "Local"
    about = "Processes on this machine, ready in about a second."
    needs = Needs.INTERPRETER
    runs_scripts = True

    def availability(self) -> str | None:
        """Return None: this machine is always available."""
        return None

    def meter(self, replica: ReplicaStatus) -> Callable[[], Usage] | None:
        """Return a function that measures the process of a replica; None if it has none."""
        return partial(usage_of, replica.pid) if replica.pid is not None else None


def targets(context: TargetContext) -> Iterable[Target]:
    """Return the target ``local`` of a workspace."""
    return [LocalTarget(context)]
